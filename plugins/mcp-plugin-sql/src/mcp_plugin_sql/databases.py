"""The plugin's state: the configured databases by name."""

from __future__ import annotations

import asyncio
import difflib
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from mcp_host import HostError, ToolError
from mcp_plugin_sql.database import ROLE_HINT, Database, PowerfulRoleError
from mcp_plugin_sql.settings import Settings

SECONDS_TO_START: Final = 5.0
"""How long the start of the plugin waits for the servers. One that does not answer is asked again at the first call."""


class Databases:
    """The databases of the plugin. A single one has no name."""

    def __init__(self, settings: Settings, base_dir: Path, log: logging.Logger) -> None:
        self.settings = settings
        self._log = log
        self._still_asked: set[asyncio.Task[None]] = set()
        self.by_name: Mapping[str, Database] = {
            name: Database(own, settings, base_dir, log, name) for name, own in settings.each().items()
        }

    @property
    def names(self) -> list[str]:
        """The names of the databases, if there are several."""
        return [name for name in self.by_name if name]

    def find(self, name: str = "") -> Database:
        """Return a database; the first one without a name. Raises ToolError if there is none with this name."""
        if not name:
            return next(iter(self.by_name.values()))
        found = self.by_name.get(name)
        if found is None:
            names = ", ".join(self.names) or "none: there is only one database, which needs no name"
            near = difflib.get_close_matches(name, self.names, n=1)
            guess = f" Did you mean {near[0]!r}?" if near else ""
            raise ToolError(f"There is no database {name!r}.{guess} Databases: {names}.")
        return found

    async def check_roles(self) -> None:
        """Connect to the servers, and refuse a role that can do more than read.

        Raises:
            HostError: A role can. A server that does not answer soon only gets a line in the log.
        """
        asked = {
            asyncio.ensure_future(database.check_role()): database
            for database in self.by_name.values()
            if database.backend.parsed.kind != "sqlite"
        }
        if not asked:
            return
        done, self._still_asked = await asyncio.wait(asked, timeout=SECONDS_TO_START)
        refused = []
        for task in done:
            try:
                task.result()
            except PowerfulRoleError as error:
                refused.append(str(error).removesuffix(f" {ROLE_HINT}"))
            except ToolError as error:
                self._log.warning("%s", error)
        for task in self._still_asked:
            self._log.warning("%s did not answer within %g s", asked[task].shown, SECONDS_TO_START)
            task.add_done_callback(_retrieve)
        if refused:
            raise HostError(" ".join(sorted(refused)), hint=ROLE_HINT)

    async def close(self) -> None:
        """Close all connections."""
        for task in self._still_asked:
            task.cancel()
        if self._still_asked:
            await asyncio.wait(self._still_asked)
        for database in self.by_name.values():
            await database.close()


def _retrieve(task: asyncio.Task[None]) -> None:
    """Mark the error of a server that answers late as seen. It is raised again at the first call."""
    if not task.cancelled():
        task.exception()
