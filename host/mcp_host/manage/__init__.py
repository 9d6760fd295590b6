"""Commands that install plugins and add the server to clients. The command line imports them by name."""
