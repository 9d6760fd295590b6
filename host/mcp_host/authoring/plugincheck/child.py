"""The other side of `processes`: a fresh interpreter that looks at one plugin and writes down what it sees."""

from __future__ import annotations

import importlib
import logging
from pathlib import Path

from mcp_host.authoring.plugincheck.observations import Observations, Stage, Subject

PRELOADED = ("mcp_host.context", "mcp_host.authoring.plugincheck.examining", "mcp.server.mcpserver")
"""What a running host has imported before its first plugin: none of it is the plugin's to answer for."""


def main(subject_file: str, result_file: str) -> None:
    """Read a `Subject`, write `Observations`, again whenever there are more of them."""
    subject = Subject.model_validate_json(Path(subject_file).read_text(encoding="utf-8"))
    seen = Observations()
    result = Path(result_file)

    def save() -> None:
        # Whole or not at all: this process may be ended at any moment.
        draft = result.with_suffix(".draft")
        draft.write_text(seen.model_dump_json(), encoding="utf-8")
        draft.replace(result)

    for module in PRELOADED:
        importlib.import_module(module)
    logging.getLogger().addHandler(logging.NullHandler())
    save()

    from mcp_host.authoring.plugincheck.examining import examine
    from mcp_host.authoring.plugincheck.watching import watch_import

    if subject.watch_import and subject.installed is not None:
        module = subject.installed.value.partition("[")[0].partition(":")[0].strip()
        # One that fails is imported again in loading, which says what is wrong in the host's own words.
        seen.imported = watch_import(module)
    seen.stage = Stage.LOADING
    examine(subject, seen, save)
