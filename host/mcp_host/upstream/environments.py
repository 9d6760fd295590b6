"""Makes virtual environments from the requirements of plugins, each once, and finds programs in them."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
import re
import secrets
import shutil
import sys
import sysconfig
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from errno import ENOLCK, EOPNOTSUPP
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from mcp_host.config import Limits
from mcp_host.containment.sessions import Guard, end_session
from mcp_host.errors import LONGEST_TEXT, ErrorCode, HostError
from mcp_host.plugins.requirements import Wanted, local_path, parse_wanted, project_name
from mcp_host.system.files import atomic_write
from mcp_host.system.programs import find_program
from mcp_host.upstream.childhost import limited

_COMPLETE: Final = "complete.json"
"""The file of an environment that is complete. Its time is the time of the last use."""

_USES: Final = "uses"
"""The folder of an environment with a locked file for each host that uses it."""

_VERSION: Final = re.compile(r"[0-9]+(\.[0-9]+)*")

_WINDOWS: Final = sys.platform == "win32"

_INSTALLERS_NEED: Final = re.compile(
    r"(PIP|UV|SSL|XDG|LC|GIT|SSH|CARGO|RUSTUP|NETRC|KEYRING)_?.*|(HTTPS?|ALL|NO|FTP)_PROXY|HOME|PATH|USER|LOGNAME|SHELL"
    r"|LANG|TZ|TMPDIR|TEMP|TMP|CC|CXX|LD|AR|CFLAGS|CXXFLAGS|CPPFLAGS|LDFLAGS|PKG_CONFIG_PATH|REQUESTS_CA_BUNDLE"
    r"|CURL_CA_BUNDLE|SYSTEMROOT|SYSTEMDRIVE|COMSPEC|PATHEXT|USERPROFILE|HOMEDRIVE|HOMEPATH|APPDATA|LOCALAPPDATA"
    r"|PROGRAMDATA|PROGRAMFILES.*|NUMBER_OF_PROCESSORS|PROCESSOR_.*|WINDIR",
    re.IGNORECASE,
)
"""The variables of the host that an installer gets. A distribution that is built must not see the others."""

_ELSEWHERE: Final = frozenset({"PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_PYTHON", "UV_PYTHON"})
"""The variables that would let an installer install elsewhere."""


@dataclass(frozen=True)
class _Python:
    """A Python to make an environment with. `asked` is a program or a version, `facts` is what the key has of it."""

    asked: str
    facts: tuple[str, ...]


@dataclass(frozen=True)
class Environment:
    """The folder of an environment. It is not removed while this object is there."""

    folder: Path
    _use: object = None


async def environment(
    requirements: Sequence[str],
    *,
    python: str | None,
    base_dir: Path,
    cache: Path,
    environ: Mapping[str, str],
    log: logging.Logger,
    on_progress: Callable[[str], None] | None = None,
) -> Environment:
    """Return a virtual environment with these distributions. It is made once, and then reused.

    The folder is below `cache`, and its name is a hash of the requirements, the Python and the platform. A local
    project counts with the times and sizes of its files, so that each change makes a new environment; an editable one
    only with the files that describe it. A requirement without a version keeps the one of the first installation.

    `python` is a program or a version such as `3.12`; default: this Python. Relative paths start at `base_dir`. uv
    does the work, or pip where there is no uv. `on_progress` gets a line for each step.

    The environment is marked complete at its end. If the host stops before, the next call makes it anew. Another host
    that makes the same one is waited for.

    Raises:
        HostError: A requirement or the Python is not usable, or the environment cannot be made.
    """
    wanted = [parse_wanted(text, base=base_dir) for text in requirements]
    base = await _find_python(python, base_dir, environ)
    folder = cache.absolute() / await asyncio.to_thread(_key, wanted, base)
    if _is_complete(folder):
        # Elsewhere, it may have been made by another user: then it cannot be removed from here, either.
        with suppress(OSError):
            async with _locked(folder, lambda: None):
                if _is_complete(folder):
                    return Environment(folder, _in_use(folder))

    def report(step: str) -> None:
        log.info("%s", step)
        if on_progress is not None:
            on_progress(step)

    try:
        cache.mkdir(parents=True, exist_ok=True)
        async with _locked(folder, lambda: report("waiting for another process that makes the environment")):
            if not _is_complete(folder):
                await _make(folder, base, wanted, environ, log, report)
            return Environment(folder, _in_use(folder))
    except OSError as error:
        raise HostError(
            f"its environment cannot be made: {error.strerror or error}", where=str(error.filename or folder)
        ) from error


@dataclass(frozen=True)
class Unused:
    """An environment that nobody has used for a while. `last_used` is in seconds since 1970."""

    folder: Path
    requirements: tuple[str, ...]
    last_used: float


def remove_unused(cache: Path, *, unused_for: float, dry_run: bool = False) -> list[Unused]:
    """Remove the environments that were not used for so many seconds, and are not used now. Return them.

    An environment that a host uses, or makes, is locked by it. What a table asks for again is made again.

    Raises:
        HostError: One cannot be removed.
    """
    found = []
    for folder in sorted(cache.glob("*/") if cache.is_dir() else ()):
        try:
            unused = _if_unused(folder, time.time() - unused_for)
            if unused is None:
                continue
            if dry_run or _remove(folder):
                found.append(unused)
        except OSError as error:
            what = f"an environment cannot be removed: {error.strerror or error}"
            raise HostError(what, where=str(error.filename or folder)) from error
    return found


def _if_unused(folder: Path, before: float) -> Unused | None:
    marker = folder / _COMPLETE
    is_left_over = ".old." in folder.name
    last_used = (marker if marker.exists() else folder).stat().st_mtime
    if (last_used >= before and not is_left_over) or _is_locked(folder):
        return None
    try:
        stated = json.loads(marker.read_text(encoding="utf-8"))["requirements"]
    except (OSError, ValueError, KeyError):
        stated = []
    return Unused(folder, tuple(map(str, stated)), last_used)


def _remove(folder: Path) -> bool:
    """Remove an environment, unless somebody uses it by now. Return whether it is removed."""
    from filelock import FileLock, Timeout

    lock = FileLock(_lock_of(folder))
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return False
    old = folder.with_name(f"{folder.name}.old.{os.getpid()}")
    try:
        if any(map(_is_held, _uses_of(folder))):
            return False
        # It is first renamed, because removing it takes long, and whoever wants it meanwhile makes a new one.
        folder.replace(old)
    finally:
        if not _WINDOWS:
            _lock_of(folder).unlink(missing_ok=True)
        lock.release()
    shutil.rmtree(old)
    return True


def _is_locked(folder: Path) -> bool:
    """Return whether a process that lives uses an environment, or makes it."""
    lock = _lock_of(folder)
    return any(map(_is_held, [*_uses_of(folder), *([lock] if lock.exists() else [])]))


def _uses_of(folder: Path) -> Iterator[Path]:
    return (folder / _USES).glob("*.lock")


def _is_held(lock: Path) -> bool:
    from filelock import FileLock, Timeout

    try:
        with FileLock(lock).acquire(blocking=False):
            return False
    except (Timeout, OSError):
        return True


def _in_use(folder: Path) -> object:
    """Note that this process uses an environment, for as long as the result is there."""
    from filelock import FileLock

    uses = folder / _USES
    uses.mkdir(exist_ok=True)
    os.utime(folder / _COMPLETE)
    for file in uses.glob("*.lock"):
        # A use that has ended: its lock was released with its process.
        with suppress(OSError), FileLock(file).acquire(blocking=False):
            file.unlink()
    use = FileLock(uses / f"{os.getpid()}-{secrets.token_hex(4)}.lock")
    with suppress(OSError):  # Some network file systems have no locks.
        use.acquire(blocking=False)
    return use


def program_in(environment: Path, name: str) -> Path | None:
    """Return the path of a program of an environment, such as `python` or a distribution's script, or None."""
    if Path(name).name != name:
        return None
    found = shutil.which(name, path=str(environment / ("Scripts" if _WINDOWS else "bin")))
    return Path(found) if found else None


def python_program(python: str | None, *, base_dir: Path, environ: Mapping[str, str]) -> str:
    """Return the Python program that a table names: a path, a program on PATH, or a version; default: this Python.

    Raises:
        HostError: There is no such program.
    """
    if python is None:
        return sys.executable
    path = environ.get("PATH", os.defpath)
    if _VERSION.fullmatch(python):
        if found := shutil.which(f"python{python}", path=path):
            return found
        hint = f'put python{python} on PATH, install uv, or python = "/path/to/python"'
        raise HostError(f"there is no python{python} on PATH", hint=hint, code=ErrorCode.INSTALLER_FAILED)
    name = os.path.expanduser(python)
    if os.path.dirname(name):
        name = str(base_dir / name)
    if found := shutil.which(name, path=path):
        return found
    raise HostError(
        f"there is no program {python!r}",
        hint='python = "3.12", or the path of a Python',
        code=ErrorCode.INSTALLER_FAILED,
    )


# --- what identifies an environment


async def _find_python(python: str | None, base_dir: Path, environ: Mapping[str, str]) -> _Python:
    if python is None:
        return _Python(sys.executable, (sys.version, sysconfig.get_platform(), sys.base_prefix))
    if _VERSION.fullmatch(python) and find_program("uv", environ):
        # uv finds it, or downloads it.
        return _Python(python, (python, sysconfig.get_platform()))
    program = python_program(python, base_dir=base_dir, environ=environ)
    code = "import json, sys, sysconfig; print(json.dumps([sys.version, sysconfig.get_platform(), sys.base_prefix]))"
    lines: list[str] = []
    status = await run_to_end([program, "-I", "-c", code], cwd=base_dir, environ=environ, on_line=lines.append)
    try:
        return _Python(program, tuple(map(str, json.loads(lines[-1]))))
    except (IndexError, ValueError, TypeError):
        what = f"{program} is not a Python that works: status {status}"
        said = f", {lines[-1][:LONGEST_TEXT]}" if lines else ""
        raise HostError(f"{what}{said}", code=ErrorCode.INSTALLER_FAILED) from None


def _key(wanted: Sequence[Wanted], python: _Python) -> str:
    parts = sorted([*_identity(each), *_stamps(each)] for each in wanted)
    return hashlib.sha256(json.dumps([python.facts, parts]).encode()).hexdigest()[:16]


def _identity(wanted: Wanted) -> Sequence[str]:
    if wanted.requirement is None or wanted.url:
        return wanted.arguments
    normalized = Requirement(str(wanted.requirement))
    normalized.name = canonicalize_name(normalized.name)
    return (str(normalized),)


def _stamps(wanted: Wanted) -> Iterator[str]:
    """Yield the names, times and sizes of a local project's files, or of a local archive."""
    place = local_path(wanted.url)
    if place is None:
        return
    if not place.is_dir():
        files: Iterable[Path] = (place,)
    elif wanted.editable:
        files = (place / name for name in ("pyproject.toml", "setup.cfg", "setup.py"))
    else:
        files = _project_files(place)
    for file in files:
        with suppress(OSError):
            facts = file.lstat()
            yield f"{file} {facts.st_mtime_ns} {facts.st_size}"


def _project_files(project: Path) -> Iterator[Path]:
    """Yield the files of a project in order, without the ones that tools make."""
    for folder, folders, files in os.walk(project):
        if "pyvenv.cfg" in files:
            folders.clear()
            continue
        made = ("__pycache__", "build", "dist", "node_modules")
        folders[:] = sorted(
            each for each in folders if not each.startswith(".") and not each.endswith(".egg-info") and each not in made
        )
        yield from (Path(folder, file) for file in sorted(files) if not file.endswith((".pyc", ".egg-info")))


# --- how it is made


def _is_complete(folder: Path) -> bool:
    """Return whether the environment is complete. Its Python may have been removed since."""
    return (folder / _COMPLETE).is_file() and program_in(folder, "python") is not None


def _lock_of(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.lock")


@asynccontextmanager
async def _locked(folder: Path, waits: Callable[[], None]) -> AsyncIterator[None]:
    """Lock an environment for the block. If another process has the lock, call `waits` and wait for it."""
    from filelock import FileLock, Timeout

    lock = FileLock(_lock_of(folder))
    waiting = False
    while True:
        try:
            lock.acquire(blocking=False)
            break
        except Timeout:
            if not waiting:
                waits()
            waiting = True
            # The system has no event for a lock that is released, and a thread that waits cannot be cancelled.
            await asyncio.sleep(0.1)
        except OSError as error:
            # Some network file systems have no locks.
            if error.errno not in (ENOLCK, EOPNOTSUPP):
                raise
            break
    try:
        yield
    finally:
        if not _WINDOWS:
            # Before the release, so that a waiting process notices it.
            _lock_of(folder).unlink(missing_ok=True)
        lock.release()


async def _make(
    folder: Path,
    python: _Python,
    wanted: Sequence[Wanted],
    environ: Mapping[str, str],
    log: logging.Logger,
    report: Callable[[str], None],
) -> None:
    uv = find_program("uv", environ)
    started = time.monotonic()
    report(f"making the environment with {'uv' if uv else 'pip'}")
    if folder.exists():
        # An incomplete one. It is first renamed, because removing it takes long, and the host may end meanwhile.
        old = folder.with_name(f"{folder.name}.old.{os.getpid()}")
        folder.replace(old)
        await asyncio.to_thread(shutil.rmtree, old, ignore_errors=True)
    tool = _Tool(folder.parent, environ, log, report)
    # The packages' versions depend on the requirements alone, not on a project around the TOML: hence --no-project,
    # and the working directory.
    made_by = [uv, "venv", "--no-project", "--python", python.asked] if uv else [python.asked, "-I", "-m", "venv"]
    await tool.run([*made_by, str(folder)])
    program = program_in(folder, "python")
    if program is None:
        raise HostError("its environment cannot be made: it has no Python", where=str(folder))
    if wanted:
        if uv:
            # As pip does. Else the first start compiles everything, and it has a deadline.
            command = [uv, "pip", "install", "--compile-bytecode", "--python", str(program), *_rebuilt(wanted)]
        else:
            command = [str(program), "-I", "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
        await tool.run([*command, *(word for each in wanted for word in each.arguments)])
    facts = {"requirements": [each.text for each in wanted], "python": python.facts}
    atomic_write(folder / _COMPLETE, json.dumps(facts, indent=2).encode(), mode=0o644)
    report(f"the environment is ready after {time.monotonic() - started:.1f} s")


def _rebuilt(wanted: Sequence[Wanted]) -> Iterator[str]:
    """Yield the options with which uv builds local projects again.

    Otherwise it takes the wheel that it built before, unless the project's description has changed.
    """
    for each in wanted:
        place = local_path(each.url)
        if place is not None and place.is_dir() and not each.editable:
            name = project_name(place)
            yield f"--refresh-package={name}" if name else "--refresh"


_STEPS: Final = re.compile(r"\s*(Collecting|Downloading|Building|Installing)\b|(Resolved) \d|(Prepared) \d")
_NEXT: Final = {"Collecting": "resolving", "Resolved": "downloading", "Prepared": "installing"}
_ORDER: Final = ("", "resolving", "downloading", "building", "installing")


class _Tool:
    """Runs the installer. It logs each line that the installer writes, and reports each new step."""

    def __init__(
        self, folder: Path, environ: Mapping[str, str], log: logging.Logger, report: Callable[[str], None]
    ) -> None:
        kept = {
            name: value
            for name, value in environ.items()
            if _INSTALLERS_NEED.fullmatch(name) and name.upper() not in _ELSEWHERE
        }
        quiet = {"NO_COLOR": "1", "UV_NO_PROGRESS": "1", "PIP_PROGRESS_BAR": "off", "GIT_TERMINAL_PROMPT": "0"}
        self._environ = {**kept, **quiet, "PIP_REQUIRE_VIRTUALENV": "0"}
        self._folder, self._log, self._report = folder, log, report
        self._step = ""

    async def run(self, argv: Sequence[str]) -> None:
        lines: deque[str] = deque(maxlen=500)

        def read(line: str) -> None:
            # An index's URL may contain a password.
            line = re.sub(r"://[^/@\s]+@", "://***@", line)
            lines.append(line)
            self._log.debug("%s", line)
            if match := _STEPS.match(line):
                word = next(filter(None, match.groups()))
                self._reach(_NEXT.get(word, word.lower()))

        if "install" in argv:
            self._reach("resolving")
        status = await run_to_end(argv, cwd=self._folder, environ=self._environ, on_line=read)
        if status != 0:
            raise _failed(list(lines), status)

    def _reach(self, step: str) -> None:
        # pip reports the first steps again for each distribution.
        if _ORDER.index(step) > _ORDER.index(self._step):
            self._step = step
            self._report(f"making the environment: {step}")


async def run_to_end(
    argv: Sequence[str], *, cwd: Path, environ: Mapping[str, str], on_line: Callable[[str], None]
) -> int:
    """Run a program without input, and return its exit status. If this is cancelled, its processes are killed.

    On Linux, they also end when this process does. `on_line` gets each line of its stdout and stderr.
    """
    process = await asyncio.create_subprocess_exec(
        *limited(argv, Limits()),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=cwd,
        env=environ,
        start_new_session=not _WINDOWS,
    )
    assert process.stdout is not None
    rest = b""
    # A tool runs rarely, so that it may have a guard of its own.
    with Guard().over(process.pid):
        try:
            while chunk := await process.stdout.read(65_536):
                *whole, rest = (rest + chunk).split(b"\n")
                for line in whole:
                    on_line(line.decode(errors="replace").rstrip("\r"))
                rest = rest[-65_536:]
            if rest:
                on_line(rest.decode(errors="replace"))
            return await process.wait()
        finally:
            if process.returncode is None:
                if _WINDOWS:
                    process.kill()
                else:
                    await end_session(process.pid)
                with suppress(TimeoutError):
                    # A program that left the session may keep the pipe open.
                    async with asyncio.timeout(1):
                        await process.wait()


# --- why it failed


def _failed(lines: Sequence[str], status: int) -> HostError:
    reason = _reason(lines) or f"the installer ended with status {status}"
    reason = reason if len(reason) <= LONGEST_TEXT else f"{reason[:LONGEST_TEXT]} ..."
    everything = "\n".join(lines)
    hint = "change `requirements`; the log at debug has the whole output"
    if re.search(r"Failed to fetch|NewConnectionError|Could not fetch URL|ConnectTimeout|dns error", everything):
        hint = "check the network, the proxy, and the index that the installer uses (UV_INDEX_URL, PIP_INDEX_URL)"
    elif "No interpreter found" in everything:
        hint = "uv python list   (shows the versions), or name a program"
    elif "ensurepip" in everything:
        hint = "install uv, or the system's package python3-venv"
    return HostError(f"its environment cannot be made: {reason}", hint=hint, code=ErrorCode.INSTALLER_FAILED)


def _reason(lines: Sequence[str]) -> str:
    """Return why the installer failed, in its own words, as one line."""
    errors: list[str] = []
    raised = ""
    inside = False
    for line in lines:
        text = line.strip(" \t│")
        start = re.match(r"(?:ERROR|error|cause|Caused by): |\u00d7 |[├╰]─[▶>] ", text)
        if start:
            errors.append(text[start.end() :])
            inside = True
        elif not text or text.startswith(("hint:", "[stderr]", "[stdout]", "[end of output]")):
            inside = False
        elif inside and line.startswith(" "):
            errors[-1] += f" {text}"
        if re.match(r"[A-Za-z_.]+(Error|Exception)\b", text):
            raised = text
    because = [error for error in errors if error.startswith("Because ")]
    if because:
        return because[0]
    blocks = "\n".join(lines)
    if match := re.search(r"The conflict is caused by:\n((?: {4}.*\n?)+)", blocks):
        return f"{errors[0] if errors else 'conflict'} {'; '.join(each.strip() for each in match[1].splitlines())}"
    first, last = errors[:2], errors[-1:]
    parts = [*first, *(each for each in (*last, raised) if each and each not in first)]
    return ": ".join(part.rstrip(".:") for part in parts) or next(
        (each for each in reversed(lines) if each.strip()), ""
    )
