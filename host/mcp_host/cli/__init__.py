"""The command line. Each command is in a file with its name, which is imported only when the command is used."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict
from functools import partial

import typer

from mcp_host.cli import completion
from mcp_host.cli.registry import Commands
from mcp_host.errors import ErrorCode, HostError

PROGRAM = "mcp-host"

app = typer.Typer(
    name=PROGRAM,
    cls=Commands,
    epilog="Start with: mcp-host plugins, mcp-host init PLUGIN, mcp-host check, mcp-host run.\n\n"
    "Commands of an enabled plugin: mcp-host PLUGIN --help.\n\n"
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


def run_cli(argv: Sequence[str]) -> int:
    """Run one command and return its exit code. Errors go to stderr in one form."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # The command does not fail if the terminal cannot show a character.
            stream.reconfigure(errors="backslashreplace")
    if os.environ.get(completion.VARIABLE):
        return completion.answer(partial(app, prog_name=PROGRAM))
    with ExitStack() as stack:
        stdout = None
        if _json_wanted(argv):
            # Once a command has begun, sys.stdout may lead to stderr: what plugins print goes there.
            with suppress(OSError):
                stdout = os.dup(1)
                stack.callback(os.close, stdout)
        return _run(argv, stdout)


def _run(argv: Sequence[str], stdout: int | None) -> int:
    try:
        _require_folder()
        result = app(list(argv or ["--help"]), prog_name=PROGRAM, standalone_mode=False)
        sys.stdout.flush()
    except HostError as error:
        _print_error(error, stdout)
        return error.exit_code
    except (typer.Abort, KeyboardInterrupt):
        return 130
    except (BrokenPipeError, SystemExit) as error:
        # Typer turns a BrokenPipeError into a SystemExit.
        if not isinstance(error.__context__ if isinstance(error, SystemExit) else error, BrokenPipeError):
            raise
        # The reader has closed the pipe (`mcp-host inspect | head`). Python's own flush at its end must not fail, too.
        with open(os.devnull, "w") as null:
            os.dup2(null.fileno(), 1)
        return 141
    except Exception as error:
        # Some versions of typer contain a copy of click, others depend on click. Both have `format_message`.
        if not hasattr(error, "format_message"):
            raise
        _print_error(_usage_error(error), stdout)
        return 2
    if not argv:
        return 2
    return result if isinstance(result, int) else 0


def _require_folder() -> None:
    try:
        os.getcwd()
    except OSError:
        what, hint = "the working directory does not exist any more", "cd to a folder that exists"
        raise HostError(what, where="working directory", hint=hint) from None


def _json_wanted(argv: Sequence[str]) -> bool:
    return "--json" in (argv[: list(argv).index("--")] if "--" in argv else argv)


def _print_error(error: HostError, stdout: int | None) -> None:
    """Write the problems to stderr and, for a program, as one JSON document to the stdout with this descriptor."""
    from mcp_host.cli.output import print_error, print_json

    print_error(error)
    if stdout is not None:
        with open(stdout, "w", encoding="utf-8", closefd=False) as out, suppress(BrokenPipeError):
            print_json({"ok": False, "problems": [asdict(problem) for problem in error.problems]}, out)


def _usage_error(error: Exception) -> HostError:
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else PROGRAM
    text = error.format_message()  # type: ignore[attr-defined]
    return HostError(
        text[:1].lower() + text[1:], where=f"command line: {command}", hint=f"{command} --help", code=ErrorCode.USAGE
    )
