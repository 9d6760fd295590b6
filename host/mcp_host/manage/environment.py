"""Detects the tool that made mcp-host's environment, and builds its commands to install and uninstall there."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, Never

from mcp_host.errors import ErrorCode, HostError
from mcp_host.system.programs import find_program


class EnvironmentKind(StrEnum):
    """The tool that made an environment."""

    UV_TOOL = "uv tool"
    PIPX = "pipx"
    UV = "uv"
    VENV = "venv"
    PIP = "pip"


@dataclass(frozen=True)
class Command:
    """A command of an installer, and the environment variables that it needs in addition to this process's."""

    arguments: tuple[str, ...]
    environ: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ChosenFile:
    """A file to install: the distribution's key, `NAME==VERSION`, what the user asked for, and the file's SHA-256.

    `folder` contains the file if pip downloaded it. uv finds it by its hash.
    """

    key: str
    pinned: str
    text: str
    sha256: str
    folder: Path | None


_ONLY_WHEELS = {"PIP_ONLY_BINARY": ":all:", "UV_NO_BUILD": "1"}


class InstallerError(HostError):
    """An installer failed. `output` is what it wrote."""

    default_code = ErrorCode.INSTALLER_FAILED

    def __init__(self, what: str, *, output: str, where: str = "", hint: str = "") -> None:
        super().__init__(what, where=where, hint=hint)
        self.output = output


@dataclass(frozen=True)
class Environment:
    """The environment of this process. `tool` is the program that installs there. `note` is a warning for the user.

    For pipx, `injected` are the distributions that it installed beside mcp-host, and `direct` is uv or pip.
    """

    kind: EnvironmentKind
    prefix: Path
    python: str
    tool: tuple[str, ...]
    note: str = ""
    injected: frozenset[str] = frozenset()
    direct: tuple[str, ...] = ()

    @property
    def installer(self) -> str:
        """The name of the program that installs."""
        return "pip" if self.tool[-1] == "pip" else Path(self.tool[0]).stem

    @property
    def upgrade_host(self) -> str:
        """The command that upgrades mcp-host itself."""
        if self.kind is EnvironmentKind.UV_TOOL:
            return "uv tool upgrade mcp-host && mcp-host sync"
        if self.kind is EnvironmentKind.PIPX:
            return f"pipx upgrade {self.prefix.name}"
        return f"{'uv pip' if self.installer == 'uv' else 'python -m pip'} install --upgrade mcp-host"

    def install(
        self,
        wanted: Sequence[tuple[Sequence[str], str | None]],
        *,
        constraints: Path,
        upgrade: bool = False,
        build: bool = True,
    ) -> tuple[Command, ...]:
        """Return the commands that install these distributions within a file of constraints.

        Each distribution is given as pip's arguments for it, and its normalized name or None. Without `build`, only
        wheels are taken.
        """
        if self.installer == "pipx":
            # A second `pipx inject` does nothing. With --force, it installs mcp-host and its dependencies again.
            known = [each for each in wanted if each[1] in self.injected]
            held = {} if build else _ONLY_WHEELS
            new = tuple(self._inject(words, constraints, **held) for words, name in wanted if name not in self.injected)
            if not known:
                return new
            return (*new, *self._directly().install(known, constraints=constraints, upgrade=upgrade, build=build))
        more = (*(("--upgrade",) if upgrade else ()), "--constraint", str(constraints), *self._only_wheels(build))
        return (Command((*self._pip("install"), *more, *(word for words, _ in wanted for word in words))),)

    def install_files(
        self, files: Sequence[ChosenFile], needed: Sequence[str], *, constraints: Path, build: bool
    ) -> tuple[Command, ...]:
        """Return the commands that install exactly these files, after what they need.

        Writes a file of requirements beside the constraints.
        """
        beside = self._directly() if self.installer == "pipx" else self
        before = (
            beside.install([((each,), None) for each in needed], constraints=constraints, build=build) if needed else ()
        )
        if self.installer == "pipx":
            known = [each for each in files if each.key in self.injected]
            new = tuple(self._inject_file(each, constraints) for each in files if each.key not in self.injected)
            after = beside.install_files(known, (), constraints=constraints, build=build) if known else ()
            return (*before, *new, *after)
        listed = constraints.with_name("files.txt")
        listed.write_text("".join(f"{each.pinned} --hash=sha256:{each.sha256}\n" for each in files), encoding="utf-8")
        folders = [word for each in files if each.folder for word in ("--find-links", str(each.folder))]
        more = ("--no-deps", *(("--no-index", *folders) if folders else self._only_wheels(build)), "-r", str(listed))
        return (*before, Command((*self._pip("install"), *more)))

    def _only_wheels(self, build: bool) -> tuple[str, ...]:
        if build:
            return ()
        return ("--no-build",) if self.installer == "uv" else ("--only-binary", ":all:")

    @property
    def downloader(self) -> tuple[str, ...]:
        """The program that downloads what is installed here: uv or pip."""
        return self._directly().tool if self.installer == "pipx" else self.tool

    def uninstall(self, names: Sequence[str]) -> tuple[Command, ...]:
        """Return the commands that uninstall these distributions, but not their dependencies."""
        if self.installer == "pipx":
            known = [name for name in names if name in self.injected]
            others = [name for name in names if name not in self.injected]
            commands = (self._pipx("uninject", "--leave-deps", self.prefix.name, *known),) if known else ()
            return (*commands, *(self._directly().uninstall(others) if others else ()))
        return (Command((*self._pip("uninstall"), *names)),)

    def _directly(self) -> Environment:
        return replace(self, tool=self.direct or _nothing("uv", self.prefix))

    def _pip(self, verb: str) -> tuple[str, ...]:
        if self.installer == "uv":
            return (*self.tool, "pip", verb, "--python", self.python)
        yes = ("--yes",) if verb == "uninstall" else ()
        return (*self.tool, verb, "--disable-pip-version-check", "--no-input", *yes)

    def _inject_file(self, file: ChosenFile, constraints: Path) -> Command:
        if file.folder is not None:
            here = {"NO_INDEX": "1", "FIND_LINKS": str(file.folder)}
            held = {f"{tool}_{name}": value for tool in ("PIP", "UV") for name, value in here.items()}
            return self._inject((file.text,), constraints, **held)
        # A constraint with a hash would make pip want one for everything.
        hashed = constraints.with_name(f"{file.key}.txt")
        line = f"{file.pinned} --hash=sha256:{file.sha256}\n"
        hashed.write_text(constraints.read_text(encoding="utf-8") + line, encoding="utf-8")
        return self._inject((file.text,), constraints, UV_CONSTRAINT=hashed.as_uri())

    def _inject(self, words: Sequence[str], constraints: Path, **environ: str) -> Command:
        # Not as arguments for pip: pipx would use them again in its next upgrade. As a URL, because a path may contain
        # a space.
        held = {name: constraints.as_uri() for name in ("PIP_CONSTRAINT", "UV_CONSTRAINT")}
        options = ("--editable",) if words[0] == "-e" else ()
        return self._pipx("inject", *options, self.prefix.name, words[-1], **{**held, **environ})

    def _pipx(self, *arguments: str, **environ: str) -> Command:
        # The environment may belong to another PIPX_HOME than the default of this pipx.
        return Command((*self.tool, *arguments), {"PIPX_HOME": str(self.prefix.parent.parent), **environ})


def detect(environ: Mapping[str, str] | None = None) -> Environment:
    """Return the environment of this process.

    Raises:
        HostError: Nothing can be installed there, or it would be lost. The hint names a better place.
    """
    environ = os.environ if environ is None else environ
    prefix, python = Path(sys.prefix), sys.executable
    pip = (python, "-P", "-m", "pip") if find_spec("pip") else None
    uv = _program("uv", environ)
    known = _injected(prefix)
    venv = _venv_settings(prefix)
    if (maker := temporary(prefix)) is not None:
        raise HostError(
            f"mcp-host runs in a temporary environment of {maker}: what is installed there is lost",
            where=str(prefix),
            hint="pipx install mcp-host" if maker == "pipx run" else "uv tool install mcp-host",
        )
    if (prefix / "uv-receipt.toml").is_file():
        note = "`uv tool upgrade` removes what it did not install itself; `mcp-host sync` installs it again."
        return Environment(EnvironmentKind.UV_TOOL, prefix, python, uv or pip or _nothing("uv", prefix), note)
    if known is not None:
        pipx = _program("pipx", environ)
        missed = "pipx is not on PATH, so it did not record this; if it removes it, `mcp-host sync` installs it again."
        note = "" if pipx else missed
        tool = pipx or uv or pip or _nothing("pipx", prefix)
        return Environment(EnvironmentKind.PIPX, prefix, python, tool, note, known, uv or pip or ())
    if venv is not None and "uv" in venv:
        locked = (prefix.parent / "uv.lock").is_file()
        lost = "`uv sync` removes what pyproject.toml does not name; `mcp-host sync` installs it again."
        note = lost if locked else ""
        return Environment(EnvironmentKind.UV, prefix, python, uv or pip or _nothing("uv", prefix), note)
    if venv is not None:
        return Environment(EnvironmentKind.VENV, prefix, python, pip or uv or _nothing("pip", prefix))
    _refuse_managed(environ)
    return Environment(EnvironmentKind.PIP, prefix, python, pip or _nothing("pip", prefix))


def temporary(prefix: Path) -> Literal["uvx", "pipx run"] | None:
    """Return the tool that made an environment which it will delete, or None for another environment."""
    if re.fullmatch(r"(archive|builds|environments)-v\d+", prefix.parent.name):
        return "uvx"
    return "pipx run" if _injected(prefix) is not None and prefix.parent.name != "venvs" else None


def _nothing(name: str, prefix: Path) -> Never:
    if name == "pip":
        what, hint = "this environment has no pip, and uv is not on PATH", f"{sys.executable} -m ensurepip"
    else:
        what, hint = f"{name} made this environment but is not on PATH, and it has no pip", f"put {name} on PATH"
    raise HostError(f"nothing can be installed: {what}", where=str(prefix), hint=hint)


def _program(name: str, environ: Mapping[str, str]) -> tuple[str] | None:
    found = find_program(name, environ)
    return (found,) if found else None


def _venv_settings(prefix: Path) -> Mapping[str, str] | None:
    """Return the content of `pyvenv.cfg`, or None outside a virtual environment (PEP 405)."""
    try:
        lines = (prefix / "pyvenv.cfg").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    return {key.strip(): value.strip() for key, _, value in (line.partition("=") for line in lines)}


def _injected(prefix: Path) -> frozenset[str] | None:
    """Return the distributions that pipx installed beside the main one, or None if pipx did not make this one."""
    try:
        return frozenset(json.loads((prefix / "pipx_metadata.json").read_text(encoding="utf-8"))["injected_packages"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError):
        return frozenset()


def _refuse_managed(environ: Mapping[str, str]) -> None:
    """Refuse, as pip does, a Python that belongs to the operating system (PEP 668)."""
    marker = Path(sysconfig.get_path("stdlib")) / "EXTERNALLY-MANAGED"
    if marker.is_file() and environ.get("PIP_BREAK_SYSTEM_PACKAGES", "0").lower() in ("0", "false", "no", "off", ""):
        raise HostError(
            "mcp-host runs in the Python of the operating system, where only the system may install (PEP 668)",
            where=str(marker),
            hint="uv tool install mcp-host, or pipx install mcp-host, or a virtual environment: "
            "python3 -m venv .venv && .venv/bin/pip install mcp-host",
        )


def downloader(environ: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """Return the program that downloads distributions that are not installed here: uv, or pip.

    Raises:
        HostError: There is neither uv nor pip.
    """
    if uv := _program("uv", os.environ if environ is None else environ):
        return uv
    if not find_spec("pip"):
        raise HostError("there is neither uv nor pip here", where=sys.prefix, hint="install uv (docs.astral.sh/uv)")
    return (sys.executable, "-P", "-m", "pip")


@contextmanager
def held(versions: Mapping[str, str], ranges: Iterable[str] = ()) -> Iterator[Path]:
    """Yield a file of constraints that pins these distributions to these versions, for the block.

    `ranges` are further constraints, such as `mcp<3`.
    """
    with tempfile.TemporaryDirectory(prefix="mcp-host-") as folder:
        file = Path(folder, "constraints.txt")
        lines = [*(f"{name}=={version}" for name, version in versions.items()), *ranges]
        file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        yield file


def run(commands: Sequence[Command], *, show: bool = False) -> str:
    """Run an installer's commands and return their output. With `show`, it goes to stderr at once instead.

    Raises:
        InstallerError: A command failed or cannot be run. The commands after it are not run.
    """
    written = ""
    for command in commands:
        try:
            done = subprocess.run(
                command.arguments,
                env={**os.environ, **command.environ},
                stdin=subprocess.DEVNULL,
                stdout=sys.stderr if show else subprocess.PIPE,
                stderr=sys.stderr if show else subprocess.STDOUT,
                encoding="utf-8",
                errors="backslashreplace",
                check=False,
            )
        except OSError as error:
            what = f"{command.arguments[0]} cannot be run: {error.strerror or error}"
            raise InstallerError(what, output=written) from error
        written += done.stdout or ""
        if done.returncode != 0:
            raise InstallerError(f"exit code {done.returncode}", output=written)
    return written
