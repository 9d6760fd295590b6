"""The pytest plugin that `mcp-host` installs: the fixture `mcp_connect`, for tests of plugins."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    from mcp import Client


@pytest.fixture
def mcp_connect() -> Callable[..., AbstractAsyncContextManager[Client]]:
    """Return `mcp_host.testing.connect`, imported only by tests that ask for it."""
    from mcp_host.testing import connect

    return connect
