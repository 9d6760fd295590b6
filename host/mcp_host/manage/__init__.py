"""Commands that install plugins and enter the server into clients. The command line finds them by name."""
