"""The kept reports: one JSON file each in the plugin's folder, the oldest dropped beyond a number."""

from __future__ import annotations

import contextlib
import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from mcp_plugin_report.models import Report

ID: Final = re.compile(r"[0-9]{8}-[0-9]{6}-[a-z0-9_-]{1,60}")
"""Ids begin with the second (UTC) in which the report was made."""

_SECOND: Final = len("20250301-120000")


class UnknownReportError(LookupError):
    """No report of this id is kept."""


class Store:
    """Reports in `folder`, at most `keep` of them. A file is there whole or not at all."""

    def __init__(self, folder: Path, keep: int, log: logging.Logger) -> None:
        self._folder = folder
        self._keep = keep
        self._log = log

    def ids(self) -> list[str]:
        """The kept reports, the newest first."""
        found: list[tuple[str, int, str]] = []
        for file in self._folder.glob("*.json") if self._folder.is_dir() else ():
            # Another process that shares the folder may drop a report meanwhile.
            with contextlib.suppress(FileNotFoundError):
                if ID.fullmatch(file.stem):
                    found.append((file.stem[:_SECOND], file.stat().st_mtime_ns, file.stem))
        return [report_id for _, _, report_id in sorted(found, reverse=True)]

    def reports(self) -> Iterator[Report]:
        """The kept reports that can be read, the newest first; of another the log has a line."""
        for report_id in self.ids():
            try:
                yield self.get(report_id)
            except UnknownReportError as error:
                self._log.warning("%s", error)

    def get(self, report_id: str) -> Report:
        """The report of this id.

        Raises:
            UnknownReportError: There is none, or its file cannot be read.
        """
        path = self._path(report_id)
        try:
            return Report.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            raise UnknownReportError(f"No report {report_id!r} is kept.{self._newest()}") from None
        except (OSError, ValidationError) as error:
            reason = error.strerror if isinstance(error, OSError) else "its file holds something else"
            raise UnknownReportError(f"Report {report_id!r} cannot be read: {reason}.") from None

    def add(self, report: Report) -> None:
        """Keep a report. Raises OSError when the folder cannot be written, and then nothing of it is there."""
        path = self._path(report.id)
        self._folder.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}.part")
        try:
            part.write_text(report.model_dump_json(indent=2), encoding="utf-8")
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)

    def drop_oldest(self) -> None:
        """Drop what is beyond the number of reports to keep."""
        for report_id in self.ids()[self._keep :]:
            self._path(report_id).unlink(missing_ok=True)

    def remove(self, report_id: str) -> None:
        """Keep the report no longer; one that is not there is gone already."""
        self._path(report_id).unlink(missing_ok=True)

    def _path(self, report_id: str) -> Path:
        if not ID.fullmatch(report_id):
            raise UnknownReportError(f"No report {report_id!r} is kept.{self._newest()}")
        return self._folder / f"{report_id}.json"

    def _newest(self) -> str:
        ids = self.ids()[:5]
        return f" Newest: {', '.join(ids)}." if ids else " There are none yet."
