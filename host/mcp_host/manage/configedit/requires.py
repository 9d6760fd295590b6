"""Changes to `[host] requires`, the list of distributions that a configuration needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tomlkit

from mcp_host.manage.configedit.document import Document
from mcp_host.manage.configedit.statements import StatementKind


def set_requires(text: str, requires: Sequence[str]) -> str:
    """Return the text with this `[host] requires`. Entries that stay keep their places and comments.

    New entries take the places of removed ones. Further new ones come at the end.
    """
    file = Document(text)
    wanted = sorted(requires)
    if wanted != sorted(file.data.get("host", {}).get("requires", [])):
        _change(file, list(requires))
    return file.checked(("host", "requires"), lambda new: sorted(new.get("host", {}).get("requires", [])) == wanted)


def _change(file: Document, requires: list[str]) -> None:
    line = f"requires = {tomlkit.item(requires).as_string()}"
    if (index := file.find("host", "requires")) is not None:
        bare = file.parts[index].text.rstrip("\r\n").rstrip().endswith("]")
        if not requires and bare and "\n" not in file.parts[index].text.rstrip("\r\n"):
            del file.parts[index]
            _drop_bare_header(file)
        else:
            file.edit(index, lambda array: _become(array, requires))
    elif (index := file.find("host")) is not None:
        file.edit(index, lambda host: _set_requires(host, requires))
    elif (index := file.find("host", kind=StatementKind.HEADER)) is not None:
        end = file.next_header(index)
        last = max(n for n in range(index, end) if file.parts[n].kind in (StatementKind.VALUE, StatementKind.HEADER))
        indent = file.parts[last].indent if last > index else ""
        file.insert_into(last, indent + line)
    elif own := [n for n, part in enumerate(file.parts) if part.path[:1] == ("host",)]:
        if file.parts[own[0]].kind is StatementKind.HEADER:
            # [host.limits] alone
            file.insert(file.comments_before(own[0]), "[host]", line, "")
        else:
            file.insert_into(own[-1], f"host.{line}")
    else:
        at = file.section_end(len(file.parts))
        file.insert(at, *([""] if at > 0 else []), "[host]", line)


def _drop_bare_header(file: Document) -> None:
    """Remove `[host]` if nothing is in it and no comment is about it, as if it had never been written."""
    index = file.find("host", kind=StatementKind.HEADER)
    if index is None or file.parts[index].text.strip() != "[host]" or file.comments_before(index) != index:
        return
    following = file.parts[index + 1 : file.next_header(index)]
    if any(part.kind is not StatementKind.BLANK for part in following):
        return
    del file.parts[index]
    for beside in (index - 1, index):
        if 0 <= beside < len(file.parts) and file.parts[beside].kind is StatementKind.BLANK:
            del file.parts[beside]
            return


def _become(array: Any, wanted: list[str]) -> None:
    """Change an array to the wanted texts. Texts that stay are not touched."""
    removed = [old for old in array if old not in wanted]
    added = [new for new in wanted if new not in array]
    replaced = min(len(removed), len(added))
    for old, new in zip(removed[:replaced], added[:replaced], strict=True):
        array[list(array).index(old)] = new
    for old in removed[replaced:]:
        array.remove(old)
    for new in added[replaced:]:
        array.append(new)


def _set_requires(host: Any, requires: list[str]) -> None:
    if not requires:
        host.pop("requires")
    elif "requires" in host:
        _become(host["requires"], requires)
    else:
        host["requires"] = requires
