"""The error whose text is for the caller. It needs neither the host nor the MCP SDK, so the worker can raise it."""

from __future__ import annotations


class DataError(Exception):
    """Data or a query cannot be used. The text says why, and what to do."""
