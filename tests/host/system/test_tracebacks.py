"""The code of a plugin in a traceback."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mcp_host.errors import HostError
from mcp_host.plugins.discovery import discover, find
from mcp_host.system.tracebacks import foreign_frames, is_installed, place_of
from mcp_host.testing import make_host


def raised(code: str, file: str = "plug.py") -> BaseException:
    try:
        exec(compile(code, file, "exec"), {"json": json, "make_host": make_host})
    except BaseException as error:
        return error
    raise AssertionError


def test_the_place_is_the_innermost_line_outside_libraries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = str(Path(__file__))
    error = raised("def read():\n    return json.loads('{')\nread()")
    assert place_of(error).startswith("plug.py:2")
    monkeypatch.chdir(tmp_path)
    assert place_of(raised("\n1 / 0", str(tmp_path / "sub/plug.py"))) == "sub/plug.py:2"
    assert place_of(raised("\n1 / 0", "/elsewhere/plug.py")) == "/elsewhere/plug.py:2"
    assert here not in place_of(error)


def test_a_syntax_error_has_the_place_of_the_text() -> None:
    with pytest.raises(SyntaxError) as raised:
        compile("x = 1\ny = (", "plug.py", "exec")
    assert place_of(raised.value) == "plug.py:2"


def test_an_error_without_a_traceback_has_no_place() -> None:
    assert place_of(ValueError("x")) == ""
    assert foreign_frames(ValueError("x")) is None


def test_frames_of_the_host_alone_are_not_a_place() -> None:
    """An error that the host itself raised below nothing of a plugin."""
    with pytest.raises(HostError) as raised:
        find("nowhere", discover([]))
    trace = raised.value.__traceback__
    assert trace is not None
    error = raised.value.with_traceback(trace.tb_next)  # without the frame of this test
    assert place_of(error) == ""
    assert foreign_frames(error) is None


def test_what_is_installed() -> None:
    assert is_installed(Path(json.__file__))
    assert is_installed(Path(pytest.__file__))
    assert not is_installed(Path(__file__))
