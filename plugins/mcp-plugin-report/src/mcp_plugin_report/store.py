"""The kept reports, one JSON file each in the plugin's folder. If there are too many, the oldest are removed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from mcp_plugin_report.models import Report

ID: Final = re.compile(r"[0-9]{8}-[0-9]{6}-[a-z0-9_-]{1,60}")
"""Ids begin with the second (UTC) in which the report was made."""

_SECOND: Final = len("20250301-120000")


class UnknownReportError(LookupError):
    """There is no kept report with this id."""


class Store:
    """The reports of one owner in `folder`, at most `keep` of them. A file is always complete."""

    def __init__(self, folder: Path, keep: int, log: logging.Logger) -> None:
        self._folder = folder
        self._keep = keep
        self._log = log

    def of(self, owner: Sequence[str | None]) -> Store:
        """Return the reports of one owner, in a folder of its own. Its name is a hash: an owner's may be any text."""
        name = hashlib.sha256(json.dumps(owner).encode()).hexdigest()[:32]
        return Store(self._folder / name, self._keep, self._log)

    def ids(self) -> list[str]:
        """Return the ids of the kept reports, the newest first."""
        found: list[tuple[str, int, str]] = []
        for file in self._folder.glob("*.json") if self._folder.is_dir() else ():
            # Another process that shares the folder may remove a report meanwhile.
            with contextlib.suppress(FileNotFoundError):
                if ID.fullmatch(file.stem):
                    found.append((file.stem[:_SECOND], file.stat().st_mtime_ns, file.stem))
        return [report_id for _, _, report_id in sorted(found, reverse=True)]

    def reports(self) -> Iterator[Report]:
        """Yield the kept reports, the newest first. A report that cannot be read is logged and left out."""
        for report_id in self.ids():
            try:
                yield self.get(report_id)
            except UnknownReportError as error:
                self._log.warning("%s", error)

    def get(self, report_id: str) -> Report:
        """Return the report with this id.

        Raises:
            UnknownReportError: There is no such report, or its file cannot be read.
        """
        path = self._path(report_id)
        try:
            return Report.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            raise UnknownReportError(f"No report {report_id!r} is kept.{self._newest()}") from None
        except (OSError, ValidationError) as error:
            reason = error.strerror if isinstance(error, OSError) else "its file does not contain a report"
            raise UnknownReportError(f"Report {report_id!r} cannot be read: {reason}.") from None

    def add(self, report: Report) -> None:
        """Keep a report. Raises OSError if the folder cannot be written; then nothing is kept."""
        path = self._path(report.id)
        self._folder.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}.part")
        try:
            part.write_text(report.model_dump_json(indent=2), encoding="utf-8")
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)

    def drop_oldest(self) -> None:
        """Remove the oldest reports over the number of reports to keep."""
        for report_id in self.ids()[self._keep :]:
            self._path(report_id).unlink(missing_ok=True)

    def remove(self, report_id: str) -> None:
        """Remove a report, if it exists."""
        self._path(report_id).unlink(missing_ok=True)

    def _path(self, report_id: str) -> Path:
        if not ID.fullmatch(report_id):
            raise UnknownReportError(f"No report {report_id!r} is kept.{self._newest()}")
        return self._folder / f"{report_id}.json"

    def _newest(self) -> str:
        ids = self.ids()[:5]
        return f" Newest: {', '.join(ids)}." if ids else " There are none yet."
