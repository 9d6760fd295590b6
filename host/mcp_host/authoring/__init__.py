"""Commands for plugin authors. The command line imports them by name."""
