"""Serving over HTTP: the ASGI app, its guards, and the uvicorn that runs it."""
