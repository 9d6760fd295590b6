"""Serving over HTTP: the ASGI app, its checks and limits, and the uvicorn that runs it."""
