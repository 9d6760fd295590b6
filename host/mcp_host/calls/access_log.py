"""The access log: an observer that logs one line for each request."""

from __future__ import annotations

import json
import logging

from mcp_host.api import Event, RequestEnded

logger = logging.getLogger("mcp_host.access")


def log_request(event: Event) -> None:
    """Log a request at level info: method, name, plugin, outcome, milliseconds. A nested read is part of a request."""
    if not isinstance(event, RequestEnded) or event.nested or not logger.isEnabledFor(logging.INFO):
        return
    outcome = f"{event.outcome}:{event.reason}" if event.reason else event.outcome
    error = f" (error {event.error_id})" if event.error_id else ""
    logger.info(
        "%s %s %s %s %.1fms%s",
        _word(event.method),
        _word(event.name),
        _word(event.plugin),
        outcome,
        event.seconds * 1000,
        error,
    )


def _word(text: str | None) -> str:
    """Return a text as one word of the line: in quotes if it has spaces or quotes, and `-` for None."""
    if text is None:
        return "-"
    return text if text and not any(c.isspace() or c == '"' for c in text) else json.dumps(text, ensure_ascii=False)
