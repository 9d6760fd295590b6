"""A file is written atomically, by one process at a time, and no other file remains beside it."""

from __future__ import annotations

import os
import stat
import sys
import threading
from pathlib import Path

import pytest

from mcp_host.system.files import atomic_write, locked, replace_file
from support.processes import run_together

COUNTING = """
import sys
from pathlib import Path
from mcp_host.system.files import locked, replace_file

file = Path(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
for _ in range(30):
    with locked(file):
        replace_file(file, str(int(file.read_bytes()) + 1).encode())
"""


def test_processes_that_change_a_file_at_once_lose_no_change(tmp_path: Path) -> None:
    file = tmp_path / "number"
    file.write_bytes(b"0")
    run_together([[sys.executable, "-c", COUNTING, str(file)]] * 3)
    assert file.read_bytes() == b"90"
    assert os.listdir(tmp_path) == ["number"]


def test_threads_that_change_a_file_at_once_lose_no_change(tmp_path: Path) -> None:
    file = tmp_path / "number"
    file.write_bytes(b"0")

    def count() -> None:
        for _ in range(10):
            with locked(file):
                replace_file(file, str(int(file.read_bytes()) + 1).encode())

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert file.read_bytes() == b"40"
    assert os.listdir(tmp_path) == ["number"]


def test_files_of_a_killed_process_are_not_used_and_are_removed(tmp_path: Path) -> None:
    for name in (".file.edit", ".file.lock"):
        (tmp_path / name).write_bytes(b"half of a secret")
        (tmp_path / name).chmod(0o644)
    file = atomic_write(tmp_path / "file", b"whole")
    assert (file.read_bytes(), stat.S_IMODE(file.stat().st_mode)) == (b"whole", 0o600)
    assert os.listdir(tmp_path) == ["file"]


def test_after_a_block_that_writes_nothing_no_files_remain(tmp_path: Path) -> None:
    (tmp_path / ".file.edit").touch()
    with locked(tmp_path / "file"):
        pass
    assert os.listdir(tmp_path) == []


def test_a_link_in_the_place_of_the_draft_or_the_lock_is_not_followed(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(b"precious")
    (tmp_path / ".file.edit").symlink_to(other)
    atomic_write(tmp_path / "file", b"whole")
    assert (other.read_bytes(), (tmp_path / "file").is_symlink()) == (b"precious", False)
    (tmp_path / ".file.lock").symlink_to(other)
    with pytest.raises(OSError, match="symbolic"):
        atomic_write(tmp_path / "file", b"again")
    assert other.read_bytes() == b"precious"


def test_a_file_system_without_locks_is_written_to_anyway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl
    from errno import ENOLCK

    def refuse(*_: object) -> None:
        raise OSError(ENOLCK, os.strerror(ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    atomic_write(tmp_path / "file", b"whole")
    assert (tmp_path / "file").read_bytes() == b"whole"
    assert os.listdir(tmp_path) == ["file"]
