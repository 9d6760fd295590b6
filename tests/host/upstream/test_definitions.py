"""What another server listed, kept on disk: written whole, read only if it fits, and without a secret."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mcp.types as types
import pytest

from mcp_host.testing import connect, make_host
from mcp_host.upstream.definitions import Definitions
from support.faultyserver import Faulty, tool

KNOWN = Definitions(
    protocol_version="2026-07-28",
    server_name="faulty",
    server_version="1.5",
    instructions="Read me.",
    capabilities=types.ServerCapabilities(tools=types.ToolsCapability(list_changed=True)),
    tools=(
        types.Tool(
            name="echo",
            input_schema={"type": "object", "properties": {"a": {"default": None, "x-vendor": 1}}},
            _meta={"vendor": {"a": None, "b": [1]}},
        ),
    ),
    resources=(types.Resource(name="text", uri="faulty://text", size=0),),
    templates=(types.ResourceTemplate(name="page", uri_template="faulty://{name}"),),
    prompts=(types.Prompt(name="ask", arguments=[types.PromptArgument(name="what", required=False)]),),
)


def test_what_is_saved_is_loaded_again(tmp_path: Path) -> None:
    file = tmp_path / "new" / "definitions.json"
    KNOWN.save(file, "key")
    assert Definitions.load(file, "key") == KNOWN
    assert file.stat().st_mode & 0o777 == 0o600
    assert [item.name for item in file.parent.iterdir()] == ["definitions.json"]


def test_what_another_table_listed_is_not_loaded(tmp_path: Path) -> None:
    KNOWN.save(tmp_path / "file", "key")
    assert Definitions.load(tmp_path / "file", "another key") is None
    assert Definitions.load(tmp_path / "missing", "key") is None


def changed(**changes: Any) -> str:
    data = {"format": 2, "key": "key", "definitions": json.loads(KNOWN.text)}
    data["definitions"] |= changes
    return json.dumps(data)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '"text"',
        "\0" * 100,
        "[" * 100_000,
        '{"format": 2, "key": "key"}',
        '{"format": 2, "key": "key", "definitions": null}',
        '{"format": 1, "key": "key", "definitions": {}}',
        changed(tools=[{"name": "a"}]),
        changed(tools="text"),
        changed(tools={"a": 1}),
        changed(instructions=7),
        changed(protocol_version=None),
        changed(capabilities=[]),
    ],
)
def test_a_damaged_or_foreign_file_is_not_used(tmp_path: Path, text: str) -> None:
    (tmp_path / "file").write_text(text)
    assert Definitions.load(tmp_path / "file", "key") is None


def test_a_file_that_is_a_folder_or_no_text_is_not_used(tmp_path: Path) -> None:
    assert Definitions.load(tmp_path, "key") is None
    (tmp_path / "file").write_bytes(b'{"format": 2, "key": "\xff"}')
    assert Definitions.load(tmp_path / "file", "key") is None


SECRET = "s3cr3t-of-the-test"


def config(faulty: Faulty, **keys: Any) -> Path:
    file = faulty.folder.parent / "mcp-host.toml"
    table = faulty.table(**keys)
    file.write_text(f'[host]\ndata_dir = "data"\n{table}env = {{ TOKEN = {{ env = "THE_TOKEN" }} }}\n')
    return file


@pytest.mark.anyio
async def test_no_value_of_a_variable_is_kept(faulty: Faulty, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THE_TOKEN", SECRET)
    async with connect(config(faulty)) as client:
        assert SECRET in str(await client.call_tool("variables", {}))
    kept = faulty.folder.parent / "data" / "faulty" / "definitions.json"
    assert SECRET not in kept.read_text()
    # Another value is the same server.
    monkeypatch.setenv("THE_TOKEN", "another-secret-value")
    async with connect(config(faulty)) as client:
        assert (await client.list_tools()).tools
        assert len(faulty.pids) == 1


@pytest.mark.anyio
async def test_lists_that_repeat_a_secret_are_not_kept(faulty: Faulty, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THE_TOKEN", SECRET)
    faulty.lists(tools=[tool("echo", description=f"connected with {SECRET}")])
    for count in (1, 2):
        host = make_host(config(faulty))
        async with host.running():
            assert [warning.what for warning in host.records[0].warnings] == [
                "what it lists contains a secret and is not kept, so that it is started with the host"
            ]
        assert len(faulty.pids) == count
    assert list((faulty.folder.parent / "data").rglob("*.json")) == []
