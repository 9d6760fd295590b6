"""`[auth]`: checking the bearer tokens of HTTP requests."""
