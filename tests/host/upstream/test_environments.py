"""An environment of a plugin is made once, whole or not at all, by uv or by pip."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import select
import subprocess
import sys
import time
from pathlib import Path
from textwrap import dedent

import pytest

from mcp_host.errors import HostError
from mcp_host.upstream.environments import (
    Environment,
    environment,
    program_in,
    python_program,
    remove_unused,
    run_to_end,
)
from support.running import left_of, running_with
from support.sites import build_wheel

LONGEST = 60.0

NO_INDEX = {"PIP_NO_INDEX": "1", "UV_NO_INDEX": "1", "UV_OFFLINE": "1"}


@pytest.fixture(scope="module")
def with_uv(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The variables of this process with a uv from the index first on PATH."""
    prefix = tmp_path_factory.mktemp("tools")
    subprocess.run([sys.executable, "-m", "venv", prefix], check=True)
    pip = [str(prefix / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "uv"], check=True, capture_output=True)
    return {**_variables(), "PATH": f"{prefix / 'bin'}{os.pathsep}{os.environ['PATH']}"}


def _variables() -> dict[str, str]:
    # Constraints and choices of who runs the tests are not for what the tests install.
    not_ours = ("PIP_CONSTRAINT", "UV", "UV_CONSTRAINT", "VIRTUAL_ENV")
    return {name: value for name, value in os.environ.items() if name not in not_ours}


@pytest.fixture
def without_uv(tmp_path: Path) -> dict[str, str]:
    """The variables of this process with a PATH that has no uv."""
    folder = tmp_path / "only"
    folder.mkdir()
    return {**_variables(), "PATH": str(folder)}


async def made(tmp_path: Path, environ: dict[str, str], *requirements: str, python: str | None = None) -> Path:
    return (await used(tmp_path, environ, *requirements, python=python)).folder


async def used(tmp_path: Path, environ: dict[str, str], *requirements: str, python: str | None = None) -> Environment:
    lines: list[str] = []
    found = await environment(
        requirements,
        python=python,
        base_dir=tmp_path,
        cache=tmp_path / "cache",
        environ=environ,
        log=logging.getLogger("plugin"),
        on_progress=lines.append,
    )
    (tmp_path / "progress").write_text("\n".join(lines), encoding="utf-8")
    return found


def progress(tmp_path: Path) -> list[str]:
    return (tmp_path / "progress").read_text(encoding="utf-8").splitlines()


def imported(folder: Path, code: str) -> str:
    program = program_in(folder, "python")
    assert program is not None
    done = subprocess.run([program, "-c", code], capture_output=True, text=True, timeout=LONGEST, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def wheel(folder: Path, name: str, version: str = "1.0", *requires: str) -> str:
    """Build a wheel without requirements, and return its path from the test's folder."""
    (folder / "wheels").mkdir(exist_ok=True)
    built = build_wheel(
        folder / "wheels", name, {f"{name}.py": f"VERSION = {version!r}\n"}, version=version, requires=requires
    )
    return f"./wheels/{built.name}"


# --- with uv and the index


@pytest.mark.network
@pytest.mark.anyio
async def test_two_versions_of_one_library_live_side_by_side_and_are_made_once(
    tmp_path: Path, with_uv: dict[str, str]
) -> None:
    code = "import idna; print(idna.__version__)"
    old = await made(tmp_path, with_uv, "idna==2.10")
    assert list(old.glob("lib/*/site-packages/idna/__pycache__/core.*.pyc"))
    assert progress(tmp_path)[:2] == ["making the environment with uv", "making the environment: resolving"]
    assert progress(tmp_path)[-1].startswith("the environment is ready after ")
    new = await made(tmp_path, with_uv, "idna>=3", "idna==3.4")
    assert (imported(old, code), imported(new, code)) == ("2.10", "3.4")
    assert await made(tmp_path, with_uv, "IDNA == 2.10") == old
    assert progress(tmp_path) == []
    assert await made(tmp_path, with_uv, "idna==3.4", "idna>=3") == new
    assert list((tmp_path / "cache").glob("*.lock")) == []


@pytest.mark.network
@pytest.mark.anyio
async def test_a_conflict_is_reported_in_the_installer_s_words(tmp_path: Path, with_uv: dict[str, str]) -> None:
    with pytest.raises(HostError) as raised:
        await made(tmp_path, with_uv, "requests==2.31.0", "urllib3<1.20")
    assert raised.value.what.startswith("its environment cannot be made: Because requests==2.31.0 depends on urllib3")
    assert raised.value.what.endswith("we can conclude that your requirements are unsatisfiable.")
    assert raised.value.hint.startswith("change `requirements`")
    with pytest.raises(HostError, match=r"No interpreter found for Python 3\.99") as raised:
        await made(tmp_path, with_uv, "idna", python="3.99")
    assert "uv python list" in raised.value.hint


@pytest.mark.network
@pytest.mark.anyio
async def test_the_installer_s_password_is_in_no_message(
    tmp_path: Path, with_uv: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    environ = {**with_uv, "UV_DEFAULT_INDEX": "http://us:pass-w0rd@127.0.0.1:9/simple", "UV_HTTP_RETRIES": "0"}
    with pytest.raises(HostError, match="Failed to fetch") as raised:
        await made(tmp_path, environ, "idna")
    assert "check the network" in raised.value.hint
    assert "pass-w0rd" not in caplog.text + str(raised.value)


@pytest.mark.network
@pytest.mark.anyio
async def test_a_change_of_a_local_project_makes_a_new_environment(tmp_path: Path, with_uv: dict[str, str]) -> None:
    project = tmp_path / "project"
    (project / "src").mkdir(parents=True)
    (project / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
        '[project]\nname = "ours"\nversion = "1"\n[tool.hatch.build]\nsources = ["src"]\ninclude = ["src/ours.py"]\n',
        encoding="utf-8",
    )
    source = project / "src/ours.py"
    source.write_text("VALUE = 1", encoding="utf-8")
    code = "import ours; print(ours.VALUE)"
    first = await made(tmp_path, with_uv, "./project")
    editable = await made(tmp_path, with_uv, "-e ./project")
    (project / "src/__pycache__").mkdir()
    (project / "src/__pycache__/ours.pyc").touch()
    assert await made(tmp_path, with_uv, "./project") == first
    source.write_text("VALUE = 20", encoding="utf-8")
    second = await made(tmp_path, with_uv, "./project")
    assert (imported(first, code), imported(second, code), imported(editable, code)) == ("1", "20", "20")
    assert await made(tmp_path, with_uv, "-e ./project") == editable


# --- with pip, and without an index


@pytest.mark.anyio
async def test_pip_makes_it_where_uv_is_missing(
    tmp_path: Path, without_uv: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "plugin")
    folder = await made(tmp_path, {**without_uv, **NO_INDEX, "TOKEN": "x"}, wheel(tmp_path, "one"))
    assert progress(tmp_path)[:-1] == [
        "making the environment with pip",
        "making the environment: resolving",
        "making the environment: installing",
    ]
    assert imported(folder, "import one; print(one.VERSION)") == "1.0"
    assert "Successfully installed one-1.0" in [each.message for each in caplog.records if each.levelname == "DEBUG"]
    assert await made(tmp_path, {**without_uv, **NO_INDEX}, wheel(tmp_path, "one")) != folder  # the file is a new one


@pytest.mark.anyio
async def test_pip_s_conflict_is_reported_in_its_words(tmp_path: Path, without_uv: dict[str, str]) -> None:
    environ = {**without_uv, **NO_INDEX}
    needs, old = wheel(tmp_path, "needs", "1.0", "lib>=2"), wheel(tmp_path, "lib", "1.0")
    with pytest.raises(HostError) as raised:
        await made(tmp_path, environ, needs, old)
    assert "conflicting dependencies. The user requested lib 1.0" in raised.value.what
    assert "needs 1.0 depends on lib>=2" in raised.value.what
    with pytest.raises(HostError, match=r"(?i)no matching distribution found for absent"):
        await made(tmp_path, environ, "absent")


@pytest.mark.anyio
async def test_an_incomplete_environment_is_made_anew(tmp_path: Path, without_uv: dict[str, str]) -> None:
    folder = await made(tmp_path, without_uv)
    (folder / "complete.json").unlink()
    (folder / "left over").touch()
    assert await made(tmp_path, without_uv) == folder
    assert not (folder / "left over").exists()
    assert await made(tmp_path, without_uv) == folder
    assert progress(tmp_path) == []
    (folder / "bin/python").unlink()  # its Python was removed from the machine
    assert await made(tmp_path, without_uv) == folder
    assert imported(folder, "print(1)") == "1"
    assert [each.name for each in (tmp_path / "cache").iterdir()] == [folder.name]


SLOW = """
    #!{python}
    import os, signal, subprocess, sys
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if sys.argv[1] == "venv":
        sys.exit(subprocess.run([{python!r}, "-m", "venv", "--without-pip", sys.argv[-1]]).returncode)
    code = "import sys, time; open({marks!r}, 'w').write('started'); time.sleep(600)"
    child = subprocess.Popen([{python!r}, "-c", code, sys.argv[0]])
    signal.pause()
"""


@pytest.fixture
def slow_uv(tmp_path: Path) -> dict[str, str]:
    """A uv that makes an environment and then installs for ever, and has a child, which writes to a pipe."""
    folder = tmp_path / "slow"
    folder.mkdir()
    marks = tmp_path / "marks"
    os.mkfifo(marks)
    script = folder / "uv"
    script.write_text(dedent(SLOW).lstrip().format(python=sys.executable, marks=str(marks)), encoding="utf-8")
    script.chmod(0o755)
    return {**_variables(), "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}


def _first_words(marks: Path) -> str:
    """Wait until the tool installs, and return what it writes then."""
    with open(os.open(marks, os.O_RDWR), "rb", buffering=0) as pipe:
        assert select.select([pipe], [], [], LONGEST)[0], "the tool did not start to install"
        return pipe.read(100).decode()


@pytest.mark.anyio
async def test_a_stop_during_the_installation_ends_the_tool_and_leaves_nothing_whole(
    tmp_path: Path, slow_uv: dict[str, str], without_uv: dict[str, str]
) -> None:
    making = asyncio.create_task(made(tmp_path, slow_uv, "idna"))
    assert await asyncio.to_thread(_first_words, tmp_path / "marks") == "started"
    making.cancel()
    with pytest.raises(asyncio.CancelledError):
        await making
    assert left_of(running_with(str(tmp_path / "slow"))) == []
    (folder,) = (tmp_path / "cache").iterdir()  # no lock is left
    assert not (folder / "complete.json").exists()


@pytest.mark.anyio
async def test_a_cancelled_tool_takes_its_children_with_it(tmp_path: Path) -> None:
    lines: asyncio.Queue[str] = asyncio.Queue()
    code = (
        "import subprocess, sys; "
        f"child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)', {str(tmp_path)!r}]); "
        "print(child.pid, flush=True); child.wait()"
    )
    running = asyncio.create_task(
        run_to_end([sys.executable, "-c", code], cwd=tmp_path, environ={}, on_line=lines.put_nowait)
    )
    child = int(await lines.get())
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert left_of([child]) == []


OTHER_HOST = """
    import asyncio, logging, os, sys
    from pathlib import Path
    from mcp_host.upstream.environments import environment

    async def main():
        folder = await environment(
            [], python=None, base_dir=Path("."), cache=Path(sys.argv[1]), environ=dict(os.environ),
            log=logging.getLogger(), on_progress=lambda line: print(line, flush=True),
        )
        print(folder.folder.name)

    asyncio.run(main())
"""


@pytest.mark.anyio
async def test_two_hosts_make_one_environment_once(tmp_path: Path, without_uv: dict[str, str]) -> None:
    hosts = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", dedent(OTHER_HOST), str(tmp_path / "cache"), env=without_uv, stdout=subprocess.PIPE
        )
        for _ in range(2)
    ]
    outputs = [(await host.communicate())[0].decode().splitlines() for host in hosts]
    assert outputs[0][-1] == outputs[1][-1]
    steps = sorted(len([line for line in output if line == "making the environment with pip"]) for output in outputs)
    assert steps == [0, 1]
    assert ["waiting for another process that makes the environment"] in [output[:-1] for output in outputs]


@pytest.mark.anyio
async def test_two_plugins_of_one_host_make_one_environment_once(tmp_path: Path, without_uv: dict[str, str]) -> None:
    first, second = await asyncio.gather(made(tmp_path, without_uv), made(tmp_path, without_uv))
    assert first == second
    assert [each.name for each in (tmp_path / "cache").iterdir()] == [first.name]


@pytest.mark.anyio
async def test_a_killed_host_leaves_neither_a_tool_nor_a_whole_environment(
    tmp_path: Path, slow_uv: dict[str, str]
) -> None:
    code = dedent(OTHER_HOST).replace("[], python", "['idna'], python")
    host = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "cache")], env=slow_uv, stdout=subprocess.PIPE)
    with host:
        try:
            assert _first_words(tmp_path / "marks") == "started"
            tools = running_with(str(tmp_path / "slow"))
            assert len(tools) == 2
        finally:
            host.kill()
    assert left_of(tools) == []
    (folder,) = [each for each in (tmp_path / "cache").iterdir() if each.is_dir()]
    assert not (folder / "complete.json").exists()


# --- Pythons and programs


def test_a_version_without_uv_is_a_program_on_path(tmp_path: Path) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "python3.77").symlink_to(sys.executable)
    environ = {"PATH": str(folder)}
    assert python_program("3.77", base_dir=tmp_path, environ=environ) == str(folder / "python3.77")
    assert python_program("bin/python3.77", base_dir=tmp_path, environ={}) == str(folder / "python3.77")
    assert python_program(None, base_dir=tmp_path, environ={}) == sys.executable
    with pytest.raises(HostError, match=r"there is no python3\.76 on PATH"):
        python_program("3.76", base_dir=tmp_path, environ=environ)
    with pytest.raises(HostError, match="there is no program 'snake'"):
        python_program("snake", base_dir=tmp_path, environ=environ)


@pytest.mark.anyio
async def test_a_program_that_is_no_python_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="/bin/true is not a Python that works: status 0"):
        await made(tmp_path, {}, python="/bin/true")


@pytest.mark.anyio
async def test_another_python_makes_another_environment(tmp_path: Path, without_uv: dict[str, str]) -> None:
    base = Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}"
    (tmp_path / "mine").symlink_to(base)
    first = await made(tmp_path, without_uv)
    assert await made(tmp_path, without_uv, python="./mine") == first  # the same Python by another name
    facts = json.loads((first / "complete.json").read_text(encoding="utf-8"))
    assert facts == {"requirements": [], "python": [sys.version, facts["python"][1], sys.base_prefix]}


@pytest.mark.anyio
async def test_programs_are_found_in_an_environment_only(tmp_path: Path, without_uv: dict[str, str]) -> None:
    folder = await made(tmp_path, without_uv)
    assert program_in(folder, "pip") == folder / "bin/pip"
    for name in ("no-such", "../bin/pip", "/bin/sh", "", ".", "pyvenv.cfg"):
        assert program_in(folder, name) is None


@pytest.mark.anyio
async def test_a_cache_that_cannot_be_written_is_reported(tmp_path: Path, without_uv: dict[str, str]) -> None:
    (tmp_path / "cache").write_text("a file", encoding="utf-8")
    with pytest.raises(HostError, match="its environment cannot be made: ") as raised:
        await made(tmp_path, without_uv)
    assert str(tmp_path / "cache") in raised.value.where


# --- removing what nobody uses

OTHER_USER = """
import asyncio, logging, pathlib, sys
from mcp_host.upstream.environments import environment

async def main():
    cache = pathlib.Path(sys.argv[1])
    used = await environment(
        [], python=None, base_dir=cache, cache=cache, environ={}, log=logging.getLogger()
    )
    print(used.folder.name, flush=True)
    sys.stdin.read()

asyncio.run(main())
"""


def age(folder: Path, days: float) -> None:
    before = time.time() - days * 86_400
    marker = folder / "complete.json"
    os.utime(marker if marker.exists() else folder, (before, before))


def removed(tmp_path: Path, days: float = 30, **options: bool) -> list[str]:
    return [each.folder.name for each in remove_unused(tmp_path / "cache", unused_for=days * 86_400, **options)]


@pytest.mark.anyio
async def test_what_nobody_has_used_for_long_is_removed(tmp_path: Path, without_uv: dict[str, str]) -> None:
    folder = await made(tmp_path, without_uv)
    assert removed(tmp_path) == []
    age(folder, 31)
    assert removed(tmp_path, dry_run=True) == [folder.name]
    assert removed(tmp_path, days=32) == []
    assert folder.is_dir()
    assert removed(tmp_path) == [folder.name]
    assert list((tmp_path / "cache").iterdir()) == []
    assert await made(tmp_path, without_uv) == folder
    assert progress(tmp_path)[0] == "making the environment with pip"
    assert remove_unused(tmp_path / "absent", unused_for=0) == []


@pytest.mark.anyio
async def test_a_use_counts_from_its_last_time(tmp_path: Path, without_uv: dict[str, str]) -> None:
    folder = await made(tmp_path, without_uv)
    age(folder, 31)
    await made(tmp_path, without_uv)
    assert removed(tmp_path) == []
    # Uses that have ended leave nothing behind but the last one.
    assert len(list((folder / "uses").iterdir())) == 1


@pytest.mark.anyio
async def test_what_a_host_uses_is_not_removed(tmp_path: Path, without_uv: dict[str, str]) -> None:
    own = await used(tmp_path, without_uv)
    age(own.folder, 31)
    assert removed(tmp_path, days=0) == []
    other = await asyncio.create_subprocess_exec(
        sys.executable, "-c", OTHER_USER, str(tmp_path / "cache"), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert other.stdout is not None
    name = (await other.stdout.readline()).decode().strip()
    assert name == own.folder.name
    del own
    age(tmp_path / "cache" / name, 31)
    assert removed(tmp_path) == []
    # Its end releases the lock, whatever its end is.
    other.kill()
    await other.wait()
    assert removed(tmp_path) == [name]


@pytest.mark.anyio
async def test_what_is_being_made_is_not_removed_and_what_was_left_is(tmp_path: Path, slow_uv: dict[str, str]) -> None:
    making = asyncio.create_task(made(tmp_path, slow_uv, "idna"))
    await asyncio.to_thread(_first_words, tmp_path / "marks")
    (folder,) = [each for each in (tmp_path / "cache").iterdir() if each.is_dir()]
    age(folder, 31)
    assert removed(tmp_path) == []
    making.cancel()
    with pytest.raises(asyncio.CancelledError):
        await making
    (tmp_path / "cache" / "0123456789abcdef.old.1").mkdir()
    assert sorted(removed(tmp_path)) == sorted([folder.name, "0123456789abcdef.old.1"])
    assert [each for each in (tmp_path / "cache").iterdir() if each.is_dir()] == []
