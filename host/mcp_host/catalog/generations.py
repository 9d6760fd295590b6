"""The generation that is served now, and the calls that still run on older ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import anyio

from mcp_host.catalog.catalog import Catalog


class Generations:
    """Holds the current catalog. A call keeps the catalog with which it started."""

    def __init__(self, catalog: Catalog) -> None:
        self._current = catalog
        self._calls: dict[Catalog, int] = {}
        self._ended: anyio.Event | None = None

    @property
    def current(self) -> Catalog:
        return self._current

    def swap(self, catalog: Catalog) -> None:
        """Serve this catalog from now on."""
        self._current = catalog

    @contextmanager
    def call(self, catalog: Catalog) -> Iterator[None]:
        """Count one call on this generation for the block."""
        self._calls[catalog] = self._calls.get(catalog, 0) + 1
        try:
            yield
        finally:
            self._calls[catalog] -= 1
            if not self._calls[catalog]:
                del self._calls[catalog]
                if self._ended is not None:
                    self._ended.set()
                    self._ended = None

    async def drained(self, generation: int) -> None:
        """Wait until no call runs on this or an older generation."""
        while any(catalog.generation <= generation for catalog in self._calls):
            self._ended = self._ended or anyio.Event()
            await self._ended.wait()
