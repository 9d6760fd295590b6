"""`mcp-host clean`: the environments of plugins' own processes, in a real data folder."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from support.invoking import Invoke


def test_old_environments_are_removed_and_new_ones_stay(invoke: Invoke) -> None:
    invoke.config("[host]\ndata_dir = 'data'\n")
    assert invoke("clean").out == "Nothing to remove.\n"
    for name, days in (("old", 31), ("new", 1)):
        folder = invoke.folder / "data" / "environments" / name
        folder.mkdir(parents=True)
        marker = folder / "complete.json"
        marker.write_text(json.dumps({"requirements": ["pandas<2"]}))
        before = time.time() - days * 86_400
        os.utime(marker, (before, before))
    shown = invoke("clean", "--dry-run")
    assert "old  last used " in shown.out
    assert shown.out.endswith("  pandas<2\nWould remove 1 environment.\n")
    assert [each["requirements"] for each in invoke("clean", "--json").json["removed"]] == [["pandas<2"]]
    assert os.listdir(invoke.folder / "data" / "environments") == ["new"]
    assert invoke("clean", "--unused-for", "0").out.endswith("Removed 1 environment.\n")
