"""The command line. One file per group of commands; each imports what it needs when it runs, not before."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from functools import partial

import typer

from mcp_host.cli import completion
from mcp_host.cli.finding import find
from mcp_host.cli.output import print_error
from mcp_host.errors import HostError, did_you_mean

PROGRAM = "mcp-host"

app = typer.Typer(
    name=PROGRAM,
    epilog="Start with: mcp-host plugins, mcp-host init PLUGIN, mcp-host check, mcp-host run.\n\n"
    "Completion with Tab: mcp-host --install-completion, once, in bash, zsh, fish or PowerShell.\n\n"
    "Exit codes: 0 done; 1 the request was made and failed; 2 it could not be made, or something is wrong.",
    # Plain help: the same at every width, in a pipe, and where colours or boxes cannot be shown.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(value: bool) -> None:
    if value:
        from mcp_host._version import __version__

        typer.echo(f"mcp-host {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Show the version."),
) -> None:
    """Serve the MCP plugins that mcp-host.toml names from one server."""


_COMMANDS: dict[str, str] = {
    "mcp_host.cli.run:run": "Example: mcp-host run --transport http --port 8000\n\n"
    "Exit codes: 0 the client left, or SIGINT or SIGTERM stopped it; 2 it refused to start.",
    "mcp_host.authoring.dev:dev": "Examples: mcp-host dev; mcp-host dev --plugin . --no-inspector",
    "mcp_host.cli.check:check": "Examples: mcp-host check; mcp-host check --strict --config elsewhere/mcp-host.toml\n\n"
    "Exit codes: 0 nothing is wrong; 1 there are warnings, with --strict; 2 something is wrong.",
    "mcp_host.cli.plugins:plugins": "Example: mcp-host plugins",
    "mcp_host.cli.inspect:inspect": "Example: mcp-host inspect describe_dataset",
    "mcp_host.cli.call:call": "Examples: mcp-host call describe_dataset dataset=penguins; "
    "mcp-host call mean values:='[1, 2.5]' --json\n\n"
    "Exit codes: 0 done; 1 the tool reported an error; 2 it could not be called.",
    "mcp_host.cli.call:read": "Example: mcp-host read stats://datasets\n\nExit codes: 0 done; 2 it could not be read.",
    "mcp_host.cli.call:prompt": "Example: mcp-host prompt analyze_dataset dataset=penguins\n\n"
    "Exit codes: 0 done; 2 it could not be rendered.",
    "mcp_host.authoring.new:new": "Example: mcp-host new weather --license apache-2.0",
    "mcp_host.manage.init:init": "Example: mcp-host init stats --http",
    "mcp_host.manage.install:install": "Examples: mcp-host install claude-desktop; "
    "mcp-host install cursor -f .env --dry-run; mcp-host install --list",
    "mcp_host.manage.install:uninstall": "Example: mcp-host uninstall claude-desktop",
    "mcp_host.manage.add:add": "Examples: mcp-host add mcp-plugin-stats; "
    'mcp-host add "mcp-plugin-stats>=0.1" -e ./my-plugin',
    "mcp_host.manage.add:remove": "Example: mcp-host remove stats",
    "mcp_host.manage.add:enable": "Example: mcp-host enable stats",
    "mcp_host.manage.add:disable": "Example: mcp-host disable stats",
    "mcp_host.manage.add:sync": "Example: mcp-host sync --check\n\n"
    "Exit codes: 0 all is installed; 1 something is missing; 2 it could not be installed.",
    "mcp_host.manage.init:schema": "Example: mcp-host schema --output -",
}
for _path, _epilog in _COMMANDS.items():
    app.command(epilog=_epilog)(find(_path))


def run_cli(argv: Sequence[str]) -> int:
    """Run one command; errors go to stderr in one form. Returns the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A character that the terminal cannot show is no reason to fail.
            stream.reconfigure(errors="backslashreplace")
    if os.environ.get(completion.VARIABLE):
        return completion.answer(partial(app, prog_name=PROGRAM))
    try:
        if argv:
            _refuse_unknown(argv[0])
        result = app(list(argv or ["--help"]), prog_name=PROGRAM, standalone_mode=False)
        sys.stdout.flush()
    except HostError as error:
        print_error(error)
        return 2
    except (typer.Abort, KeyboardInterrupt):
        return 130
    except (BrokenPipeError, SystemExit) as error:
        # Typer makes an exit of a broken pipe.
        if not isinstance(error.__context__ if isinstance(error, SystemExit) else error, BrokenPipeError):
            raise
        # Who reads the output has gone (`mcp-host inspect | head`): be quiet, also when Python flushes at the end.
        with open(os.devnull, "w") as null:
            os.dup2(null.fileno(), 1)
        return 141
    except Exception as error:
        # Typer brings its own copy of click in some versions and needs click in others; the form is the same.
        if not hasattr(error, "format_message"):
            raise
        print_error(_usage_error(error))
        return 2
    if not argv:
        return 2
    return result if isinstance(result, int) else 0


def _refuse_unknown(word: str) -> None:
    names = [path.partition(":")[2] for path in _COMMANDS]
    if not word.startswith("-") and word not in names:
        suggestion = did_you_mean(word, names)
        raise HostError(f"there is no command {word!r}{suggestion}", where="command line", hint="mcp-host --help")


def _usage_error(error: Exception) -> HostError:
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else PROGRAM
    text = error.format_message()  # type: ignore[attr-defined]
    return HostError(text[:1].lower() + text[1:], where=f"command line: {command}", hint=f"{command} --help")
