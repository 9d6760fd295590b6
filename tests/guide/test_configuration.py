"""10. Environment variables configure a server in production."""

from __future__ import annotations

import pytest
from mcp import Client

from e2e.conftest import Cli
from guide.talking import refusal, structured

pytestmark = pytest.mark.anyio

CONFIG = """
[host]
name = "Production MCP Server"
instructions = "Secure access to business data."
[plugins.reports]
object = "reports:plugin"
"""


async def test_transport_address_and_log_level_come_from_the_variables_of_the_guide(cli: Cli, mode: str) -> None:
    cli.config(CONFIG)
    environ = {"MCP_TRANSPORT": "streamable-http", "MCP_HOST": "localhost", "MCP_PORT": "0", "MCP_LOG_LEVEL": "DEBUG"}
    with cli.start("run", env=environ) as process:
        process.stdin.close()
        url = process.until("Serving Production MCP Server at ").split(" at ")[1].strip()
        assert url.startswith("http://localhost:")
        process.until("Ctrl+C")
        async with Client(url, mode=mode) as client:
            assert client.instructions == "Secure access to business data."
            said = await structured(
                client, "generate_report", report_type="sales", first="2026-01-01", last="2026-02-01"
            )
            assert said == {"report_type": "sales", "sales": 0, "total": 0}
        assert "DEBUG" in process.err


async def test_any_key_of_the_file_has_a_variable(cli: Cli) -> None:
    cli.config(CONFIG)
    environ = {"MCP_HOST__PLUGINS__REPORTS__SETTINGS__SALES": '[{"day": "2026-01-02", "amount": 5}]'}
    arguments = ["report_type=sales", "first=2026-01-01", "last=2026-02-01"]
    done = cli.run("call", "generate_report", *arguments, "--json", env=environ)
    assert done.code == 0, done.err
    assert done.json["structuredContent"] == {"report_type": "sales", "sales": 1, "total": 5.0}


async def test_debug_shows_callers_the_text_of_a_crash(cli: Cli) -> None:
    nowhere = "http://127.0.0.1:1/"
    cli.config(CONFIG + f'settings.callbacks = ["{nowhere}"]\n')
    request = {"data": "x", "callback_url": nowhere}
    for environ, shown in (({}, False), ({"MCP_DEBUG": "true"}, True)):
        with cli.serve(env=environ) as process:
            async with Client(process.url) as client:
                said = await refusal(client, "process_data_with_validation", request=request)
                assert ("ConnectError" in said) is shown
                assert "the server's log has the details" in said
            assert "ConnectError" in process.err
