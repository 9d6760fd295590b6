"""`mcp-host check` and `mcp-host plugins` of plugins that are other servers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from support.faultyserver import Faulty
from support.running import left_of

if TYPE_CHECKING:
    from support.invoking import Invoke


@pytest.fixture
def faulty(tmp_path: Path) -> Faulty:
    (tmp_path / "faulty").mkdir()
    return Faulty(tmp_path / "faulty")


def configured(invoke: Invoke, faulty: Faulty, *words: str, **keys: Any) -> None:
    invoke.config('[host]\ndata_dir = "data"\n' + faulty.table(*words, **keys))


def test_check_starts_a_server_also_when_its_lists_are_known(invoke: Invoke, faulty: Faulty) -> None:
    configured(invoke, faulty, "modern")
    for count in (1, 2):
        done = invoke("check", "--json")
        assert done.code == 0, done
        (record,) = done.json["plugins"]
        connection = record["connection"]
        assert (connection["state"], connection["server"]) == ("up", "faulty 1.5")
        assert connection["protocol_version"] == "2026-07-28"
        assert len(faulty.pids) == count
        assert connection["pid"] == faulty.pids[-1]
        assert done.json["checks"] == [{"plugin": "faulty", "name": "server answers", "problem": None}]
    assert left_of(faulty.pids) == []
    shown = invoke("check").out
    assert "faulty 1.5  2026-07-28  up, process" in shown


def test_check_offline_starts_nothing(invoke: Invoke, faulty: Faulty) -> None:
    configured(invoke, faulty)
    done = invoke("check", "--offline")
    assert done.code == 0
    assert "what it lists is not known, because it has not run yet" in done.out
    assert faulty.pids == []
    assert invoke("check").code == 0
    done = invoke("check", "--offline", "--json")
    assert done.code == 0
    assert done.json["plugins"][0]["connection"]["state"] == "cold"
    assert done.json["plugins"][0]["connection"]["server"] == "faulty 1.5"
    assert "echo" in done.json["plugins"][0]["contributed"]["tools"]
    assert len(faulty.pids) == 1


def test_check_finds_that_a_known_server_does_not_start_any_more(invoke: Invoke, faulty: Faulty) -> None:
    configured(invoke, faulty)
    assert invoke("check").code == 0
    program = faulty.folder / "broken"
    program.touch()
    done = invoke("check", "--json")
    assert done.code == 2
    (result,) = done.json["checks"]
    assert result["name"] == "server answers"
    assert "its process ended with status 4: it is broken" in result["problem"]


def test_plugins_lists_a_server_by_its_command(invoke: Invoke, faulty: Faulty) -> None:
    configured(invoke, faulty)
    done = invoke("plugins", "--json")
    (entry,) = [entry for entry in done.json["plugins"] if entry["name"] == "faulty"]
    assert entry["status"] == "enabled"
    assert "faulty.py" in entry["value"]
    assert faulty.pids == []
