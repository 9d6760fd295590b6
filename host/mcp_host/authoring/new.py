"""`mcp-host new`: writes a plugin project that is ready to publish."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Annotated

import typer

from mcp_host.authoring.scaffold.project import License
from mcp_host.cli.output import write
from mcp_host.errors import HostError

NEXT = """\
Next, in a virtual environment:
  cd {folder}
  python -m pip install -e . pytest
  python -m pytest
  mcp-host dev
Or with uv:
  cd {folder}
  uv sync
  uv run pytest
  uv run mcp-host dev

mcp-host dev swaps in what you save. Claude Code (.mcp.json) and VS Code (.vscode/mcp.json) connect to it."""
"""What is printed at the end. It works with every pip that a supported Python comes with: `--group` needs pip 25.1."""


def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The plugin's name, without mcp-plugin-.")],
    directory: Annotated[
        Path | None,
        typer.Option(
            "--directory", "-d", metavar="FOLDER", help="The project's folder, new or empty. Default: mcp-plugin-NAME."
        ),
    ] = None,
    license: Annotated[
        License, typer.Option("--license", case_sensitive=False, help="The license of the project.")
    ] = License.MIT,
    author: Annotated[
        str | None, typer.Option("--author", metavar="TEXT", help="The author's name. Default: git's user.name.")
    ] = None,
    description: Annotated[
        str | None, typer.Option("--description", metavar="TEXT", help="The plugin's purpose, in one sentence.")
    ] = None,
    git: Annotated[bool, typer.Option("--git", help="Make the folder a git repository.")] = False,
) -> None:
    """Write the project of a new plugin.

    It has a tool, resources, a prompt, a middleware, settings and a lifespan that you replace with your own, and tests
    that pass.
    """
    from datetime import date

    from mcp_host._version import __version__
    from mcp_host.authoring.scaffold.naming import plugin_name, remarks
    from mcp_host.authoring.scaffold.project import Project
    from mcp_host.authoring.scaffold.writing import write_project

    called = plugin_name(name)
    _refuse_installed(called)
    project = Project(
        called,
        host_version=__version__,
        year=date.today().year,
        license=license,
        author=author if author is not None else _git_user(),
        description=description,
    )
    folder = directory or Path(project.distribution)
    files = project.files()
    write_project(folder, files, finish=_git_init if git and not (folder / ".git").exists() else None)
    for remark in remarks(name, called):
        write(f"Note: {remark}", sys.stderr)
    write(f"Wrote the plugin {called}:\n\n{folder}/\n{_tree(files)}\n")
    write(NEXT.format(folder=shlex.quote(str(folder))))


def _refuse_installed(name: str) -> None:
    from mcp_host.plugins.discovery import discover

    for plugin in discover():
        if plugin.name == name:
            raise HostError(
                f"a plugin {name!r} is already installed, from {plugin.label}: a host serves only one of each name",
                where="command line: NAME",
                hint=f"mcp-host new my-{name}   (or: pip uninstall {plugin.distribution})",
            )


def _git_user() -> str | None:
    from mcp_host.authoring.scaffold.project import is_one_line

    try:
        done = subprocess.run(
            ["git", "config", "user.name"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
    except OSError:
        return None
    found = done.stdout.strip()
    return found if is_one_line(found) else None


def _git_init(folder: Path) -> None:
    hint = "leave --git out, or install git"
    if shutil.which("git") is None:
        raise HostError("git is not on PATH", where="command line: --git", hint=hint)
    done = subprocess.run(["git", "init", "--quiet"], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise HostError(f"git init failed: {done.stderr.strip()}", where="command line: --git", hint=hint)


def _tree(paths: Iterable[str]) -> str:
    """Return paths as an indented tree, in their order. Each folder is shown once."""
    lines: dict[PurePosixPath, str] = {}
    for path in map(PurePosixPath, paths):
        *folders, file = (*reversed(path.parents[:-1]), path)
        for depth, folder in enumerate(folders, 1):
            lines.setdefault(folder, f"{'  ' * depth}{folder.name}/")
        lines[file] = f"{'  ' * (len(folders) + 1)}{file.name}"
    return "\n".join(lines.values())
