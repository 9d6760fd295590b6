"""The version of this host: the number that plugins state a range of."""

__version__ = "0.1.0"
