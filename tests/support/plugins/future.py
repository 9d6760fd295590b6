"""Needs a host of the future."""

raise AssertionError("a plugin of another host must not be imported")
