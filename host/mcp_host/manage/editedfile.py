"""The mcp-host.toml that a command changes, and how a name on the command line is looked up in it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mcp_host.cli.output import write
from mcp_host.config import HostConfig, find_config, parse_config, python_file
from mcp_host.errors import ConfigError, ErrorCode, HostError, InvalidConfigError, Problem, did_you_mean
from mcp_host.plugins.discovery import InstalledPlugin, discover
from mcp_host.system.texts import printable

if TYPE_CHECKING:
    from mcp_host.manage.configedit import Edit
    from mcp_host.plugins.requirements import Wanted

FILE_NAME = "mcp-host.toml"

DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Show what the installer writes.")]


class EditedFile:
    """The mcp-host.toml that a command changes."""

    def __init__(self, path: Path, text: str, config: HostConfig, *, new: bool, option: str) -> None:
        self.path = path
        self.config = config
        self.new = new
        self.option = option
        self.edit: Edit | None = None
        self._text = text

    @classmethod
    def find(cls, asked: Path | None, *, create: bool = False, installed: Sequence[InstalledPlugin] = ()) -> EditedFile:
        """Find the file as all commands do. With `create`, a missing file is written when it is changed."""
        from mcp_host.manage.configedit import edit_file, new_config

        path = find_config(asked, os.environ, Path.cwd())
        new = path is None
        if path is not None and python_file(path) is not None:
            where = "command line: --config"
            raise ConfigError(f"{path.name} is a Python file, and has no tables to change", where=where)
        if path is None:
            if not create:
                where = "command line: --config"
                raise ConfigError(f"there is no {FILE_NAME} here", where=where, hint="mcp-host init")
            path = Path.cwd() / FILE_NAME
            text = new_config(name=path.parent.name, enabled=(), installed=installed, http=False)
        else:
            text = edit_file(path, lambda text: text, write=False).before
        # Only the file: environment variables of this process must not get into it.
        config = parse_config(text, source=path, environ={})
        option = "" if asked is None else f" --config {asked}"
        return cls(path, text, config, new=new, option=option)

    @property
    def shown(self) -> str:
        return shown(self.path)

    def apply(
        self, change: Callable[[str], str], *, write: bool, backup: Callable[[], bool] = lambda: False
    ) -> Path | None:
        """Change the file, and return the path of its backup. One is written if `backup` returns true afterwards."""
        from mcp_host.manage.configedit import Edit, edit_file, write_new

        kept = None

        def keeping(text: str) -> str:
            nonlocal kept
            after = change(text)
            if write and backup():
                kept = self.path.with_name(f"{self.path.name}.bak")
                write_new(kept, text, force=True)
                # The file may contain secrets, so the copy gets the same permissions.
                kept.chmod(self.path.stat().st_mode & 0o777)
            return after

        if not self.new:
            self.edit = edit_file(self.path, keeping, write=write)
        else:
            after = change(self._text)
            parse_config(after, source=self.path, environ={})
            if write and not write_new(self.path, after):
                raise ConfigError(f"{self.path} exists now", where=str(self.path), hint="run the command again")
            self.edit = Edit(self.path, "", after)
        return kept

    def report(self, dry_run: bool) -> None:
        from mcp_host.manage.configedit import diff

        assert self.edit is not None
        if dry_run and self.edit.changed:
            say(diff(self.edit.before, self.edit.after, self.shown))
        elif self.new and not dry_run:
            say(f"Wrote {self.shown}.")

    def to_json(self, dry_run: bool) -> dict[str, Any]:
        from mcp_host.manage.configedit import diff

        assert self.edit is not None
        changes = diff(self.edit.before, self.edit.after, self.path.name)
        return {"config": str(self.path), "dry_run": dry_run, "changed": self.edit.changed, "diff": changes}


def shown(path: Path) -> str:
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def say(text: str) -> None:
    write(printable(text))


def done_word(word: str, dry_run: bool) -> str:
    return f"Would have {word.lower()}" if dry_run else word


def each_plugin(text: str, change: Callable[[str, str], str], names: Sequence[str]) -> str:
    for name in names:
        text = change(text, name)
    return text


def holds_more(removed: str) -> bool:
    """Return whether removed lines contain more than headers of tables."""
    return any(not re.fullmatch(r"\s*(\[[^\[\]]*\])?\s*", line) for line in removed.splitlines())


def plugins_of(name: str, installed: Sequence[InstalledPlugin], named: Mapping[str, Any]) -> list[str]:
    """Return the plugin with this name, or the plugins of the distribution with this name."""
    from packaging.utils import canonicalize_name

    if name in named or any(plugin.name == name for plugin in installed):
        return [name]
    key = canonicalize_name(name)
    return [plugin.name for plugin in installed if canonicalize_name(plugin.distribution) == key] or [name]


def refuse_unknown(names: Sequence[str], known: set[str], file: EditedFile) -> None:
    unknown = [name for name in names if name not in known]
    if unknown:
        raise InvalidConfigError(
            Problem(
                f"there is no plugin {name!r}{did_you_mean(name, sorted(known))}",
                where=str(file.path),
                hint=f"mcp-host plugins{file.option}   (lists them)",
                code=ErrorCode.UNKNOWN_NAME,
            )
            for name in unknown
        )


def guess(name: str) -> str:
    """Return the distribution that a plugin's name or a distribution's name without a range means."""
    from packaging.utils import canonicalize_name

    return name if canonicalize_name(name).startswith("mcp-plugin-") else f"mcp-plugin-{name}"


def is_name(spec: str) -> bool:
    """Return whether it is only a name: no range, path, extra or URL."""
    return re.fullmatch(r"[A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?", spec) is not None


def names_of(wanted: Sequence[Wanted]) -> str:
    return ", ".join(each.text for each in wanted)


def wanted_of(specs: Sequence[str], editable: Sequence[str], file: EditedFile) -> list[Wanted]:
    from mcp_host.plugins.requirements import parse_wanted

    installed = discover()
    wanted = []
    for spec in specs:
        # The name of an installed plugin means its distribution, and not one with that name on the index.
        if not any(plugin.distribution == spec for plugin in installed):
            meant = guess(spec) if is_name(spec) else spec
            spec = next((plugin.distribution for plugin in installed if plugin.name == spec), meant)
        wanted.append((spec, False))
    wanted += [(folder, True) for folder in editable]
    found, problems = [], []
    for spec, in_place in wanted:
        try:
            found.append(parse_wanted(spec, base=Path.cwd(), written=file.config.base_dir, editable=in_place))
        except HostError as error:
            problems.append(replace(error.problem, where="command line: mcp-host add"))
    if problems:
        raise InvalidConfigError(problems)
    return found


def required(file: EditedFile) -> list[Wanted]:
    from mcp_host.plugins.requirements import parse_wanted

    wanted, problems = [], []
    for number, text in enumerate(file.config.host.requires):
        try:
            wanted.append(parse_wanted(text, base=file.config.base_dir))
        except HostError as error:
            problems.append(replace(error.problem, where=file.config.where("host", "requires", number)))
    if problems:
        raise InvalidConfigError(problems)
    return wanted


def merged(file: EditedFile, wanted: Sequence[Wanted]) -> list[str]:
    """Return `[host] requires` with the wanted distributions. They replace older entries for the same ones."""
    merged = {each.name or each.url or each.text: each.text for each in required(file)}
    for each in wanted:
        key = each.name or each.url or each.text
        bare = each.requirement is not None and each.text == each.requirement.name
        # A bare name does not replace an older entry that has a range of versions.
        if not (bare and key in merged):
            merged[key] = each.text
    return list(merged.values())
