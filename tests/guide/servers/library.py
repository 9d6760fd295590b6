"""Documents in a folder, profiles in a database, and the settings it runs with."""

import sqlite3
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from mcp_host import Context, Plugin, ResourceError


class Settings(BaseModel, extra="forbid"):
    folder: Path
    theme: str = "dark"
    language: str = "en"


plugin = Plugin(settings=Settings)


@plugin.resource("file://documents/{name}", mime_type="text/markdown")
def read_document(name: str, ctx: Context[Settings]) -> str:
    """Read a document by name."""
    document = ctx.settings.folder / f"{name}.md"
    if not document.is_file():
        raise ResourceError(f"Document '{name}' not found")
    return document.read_text(encoding="utf-8")


@plugin.resource("api://users/{user_id}/profile")
def get_user_profile(user_id: int, ctx: Context[Settings]) -> dict[str, Any]:
    """Get user profile by ID."""
    with sqlite3.connect(ctx.settings.folder / "users.db") as db:
        row = db.execute("SELECT name, status FROM users WHERE id = ?", (user_id,)).fetchone()
    db.close()
    if row is None:
        raise ResourceError(f"There is no user {user_id}")
    return {"user_id": user_id, "name": row[0], "status": row[1]}


@plugin.resource("config://settings", mime_type="application/json")
def get_settings(ctx: Context[Settings]) -> dict[str, Any]:
    """Get application settings."""
    return ctx.settings.model_dump(include={"theme", "language"})
