"""Runs the commands of a page with a temporary home and environment, and without a package index.

The environment contains everything that is installed for the tests, but of mcp-host's plugins only stats. `pip install
mcp-host` finds it there. Projects that a page writes are installed into the sandbox only, and built with the installed
hatchling. Output shows the home as `/home/you` and the port as 8000, as the pages do.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from importlib.metadata import entry_points
from pathlib import Path

HOME = "/home/you"
PORT = "8000"
_HIDDEN = re.compile(r"_?(mcp_plugin|editable_impl_mcp_plugin)_(?!stats)")
"""The files of distributions that the reader of a page has not installed."""

LONGEST = 240.0
"""Seconds after which a command fails."""

_SCRIPT = """#!{python}
import sys
from {module} import {attr}
sys.exit({attr}())
"""


class Sandbox:
    """A home folder with a shell that keeps its folder and exported variables from command to command."""

    def __init__(self, folder: Path) -> None:
        self.home = (folder / "home").resolve()
        self.home.mkdir()
        self._state = folder / "state"
        self._state.mkdir()
        self._servers: list[subprocess.Popen[str]] = []
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = str(probe.getsockname()[1])
        self.scripts = self._environment(folder / "venv")
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("MCP_", "PYTEST_", "PIP_", "VIRTUAL_", "COV"))}
        self.environ = kept | {
            "HOME": str(self.home),
            "PATH": f"{self.scripts}{os.pathsep}{os.environ['PATH']}",
            "COLUMNS": "120",
            "MCP_PORT": self.port,
            "PIP_NO_INDEX": "1",
            # pip reads this one as the value of its `build_isolation`.
            "PIP_NO_BUILD_ISOLATION": "false",
            "PIP_FIND_LINKS": str(self.home / "mcp-plugin-weather" / "dist"),
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            # A busy machine imports slowly, and the pages show no warning about that.
            "MCP_HOST__HOST__IMPORT_WARNING": "60s",
            "MCP_HOST__HOST__BLOCK_WARNING": "60s",
        }
        for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "PYTHONPATH"):
            self.environ.pop(name, None)

    def _environment(self, folder: Path) -> Path:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
        paths = {name: Path(path) for name, path in sysconfig.get_paths(vars={"base": str(folder)}).items()}
        outer = folder / "outer"
        outer.mkdir()
        for installed in Path(sysconfig.get_path("purelib")).iterdir():
            if not _HIDDEN.match(installed.name):
                (outer / installed.name).symlink_to(installed)
        (paths["purelib"] / "outer.pth").write_text(f"import site; site.addsitedir({str(outer)!r})\n", encoding="utf-8")
        scripts = paths["scripts"]
        for entry in entry_points(group="console_scripts"):
            if entry.name in ("mcp-host", "pip", "pytest", "uvicorn", "pyproject-build", "mypy"):
                script = scripts / entry.name
                attr = entry.attr.partition(".")[0]
                script.write_text(_SCRIPT.format(python=scripts / "python", module=entry.module, attr=attr))
                script.chmod(0o755)
        ruff = Path(sys.executable).parent / "ruff"
        if ruff.exists():
            (scripts / "ruff").symlink_to(ruff)
        return scripts

    def inside(self, text: str) -> str:
        """Return a page's text for the sandbox: with its home and port, and without isolated builds."""
        text = text.replace("python -m build", "python -m build --no-isolation")
        return text.replace(HOME, str(self.home)).replace(PORT, self.port)

    def shown(self, text: str) -> str:
        """Return printed text in the form that a page shows."""
        text = text.replace(str(self.home), HOME).replace(self.port, PORT)
        text = text.replace(str(self.scripts.parent), f"{HOME}/.venv")
        return "".join(f"{line.rstrip()}\n" for line in text.splitlines())

    @property
    def cwd(self) -> Path:
        file = self._state / "cwd"
        return Path(file.read_text().strip()) if file.exists() else self.home

    def write(self, name: str, text: str) -> Path:
        """Write a file of a page below the folder the shell is in."""
        file = self.cwd / self.inside(name).replace("~", str(self.home), 1)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(self.inside(text), encoding="utf-8")
        return file

    def run(self, command: str) -> tuple[str, int | None]:
        """Run a command, and return its exit code and its output in the form that a page shows.

        A server is left running once it listens, until `close`; its exit code is None.
        """
        cwd, exported = self._state / "cwd", self._state / "exported"
        known = f"{f'. {exported}' if exported.exists() else ''}\n"
        script = (
            f"{known}cd '{self.cwd}'\n{self.inside(command)}\n"
            f"code=$?; pwd > {cwd}; export -p | grep -v -w PWD > {exported}; exit $code"
        )
        listens = re.match(r"(uvx .*)?(mcp-host run|uvicorn) ?", command) is not None and not self._answers()
        log = self._state / f"log-{time.monotonic_ns()}"
        with log.open("w") as out:
            process = subprocess.Popen(
                ["/bin/sh", "-c", f"{known}exec {self.inside(command)}" if listens else script],
                cwd=self.cwd,
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        deadline = time.monotonic() + LONGEST
        while process.poll() is None:
            # The last line of both servers is about Ctrl+C.
            if listens and self._answers() and "ctrl+c" in log.read_text().lower():
                self._servers.append(process)
                break
            if time.monotonic() > deadline:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                raise TimeoutError(f"{command}\n{log.read_text()}")
            time.sleep(0.02)
        return self.shown(log.read_text()), process.returncode

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", int(self.port))) == 0

    def close(self) -> None:
        """End the servers like Ctrl+C. Raises if one ends with an error."""
        codes = []
        for server in reversed(self._servers):
            server.send_signal(signal.SIGINT)
            try:
                codes.append(server.wait(LONGEST))
            except subprocess.TimeoutExpired:
                server.kill()
                codes.append(server.wait())
        self._servers.clear()
        if any(codes):
            raise RuntimeError(f"servers ended with {codes}")
