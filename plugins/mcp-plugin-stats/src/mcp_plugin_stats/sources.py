"""Finds the files of a data set (one file, a folder or a glob), and the columns that their folders name."""

from __future__ import annotations

import glob
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

from mcp_plugin_stats.errors import DataError
from mcp_plugin_stats.settings import DatasetFile, format_of

MOST_FILES = 10_000
"""The most files of one data set."""

PARTITION = re.compile(r"([A-Za-z_]\w*)=(.+)")
NO_VALUE = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True)
class SourceFile:
    """One file. `label` is its path for messages, `partition` the columns that its folders name (`year=2024`)."""

    path: Path
    label: str
    partition: dict[str, str] = field(default_factory=dict)


def find_files(file: DatasetFile, base_dir: Path, owned: Callable[[Path], bool]) -> list[SourceFile]:
    """Return the files of a data set, sorted by path, without those that `owned` says are the host's own.

    Raises DataError or OSError if there are none.
    """
    path = base_dir / Path(file.path).expanduser()
    if path.is_dir():
        paths = [each for each in path.rglob("*") if not _hidden(each.relative_to(path)) and _fits(file, each)]
        above = path
    elif path.exists() or not glob.has_magic(file.path):
        if not path.exists():
            raise FileNotFoundError("there is no such file")
        return [SourceFile(path, path.name)]
    else:
        paths = [Path(each) for each in glob.iglob(str(path), recursive=True)]
        above = _fixed(path)
    paths = sorted(each for each in paths if each.is_file() and not owned(each))
    if not paths:
        raise FileNotFoundError(f"there are no {file.read_as} files in it" if path.is_dir() else "no file matches it")
    if len(paths) > MOST_FILES:
        raise DataError(f"it has {len(paths):,} files, at most {MOST_FILES:,} are read")
    if file.read_as in ("duckdb", "sqlite"):
        raise DataError(f"a data set in the format {file.read_as} is one file, not a folder or a glob")
    return [
        SourceFile(each, each.relative_to(above).as_posix(), _partition(each.relative_to(above), file))
        for each in paths
    ]


def _hidden(path: Path) -> bool:
    return any(part.startswith((".", "_")) for part in path.parts)


def _fits(file: DatasetFile, path: Path) -> bool:
    return format_of(path.name) == file.read_as


def _fixed(path: Path) -> Path:
    """Return the folder before the first wildcard."""
    for n, part in enumerate(path.parts):
        if glob.has_magic(part):
            return Path(*path.parts[:n])
    return path.parent


def _partition(path: Path, file: DatasetFile) -> dict[str, str]:
    if not file.hive_partitioning:
        return {}
    found = [match for part in path.parts[:-1] if (match := PARTITION.fullmatch(part))]
    return {match[1]: "" if match[2] == NO_VALUE else unquote(match[2]) for match in found}
