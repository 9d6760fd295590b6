"""Commands for plugin authors. The command line finds them by name."""
