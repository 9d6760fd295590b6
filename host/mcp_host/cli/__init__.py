"""The command line. One file per group of commands; each imports what it needs when it runs, not before."""

from __future__ import annotations

from collections.abc import Sequence

import click
import typer

from mcp_host.cli import inspecting, plugins, requests, serving, setup
from mcp_host.cli.output import print_error
from mcp_host.errors import HostError

app = typer.Typer(
    name="mcp-host",
    help="Serve the MCP plugins that mcp-host.toml names from one server.",
    no_args_is_help=True,
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


app.command()(serving.run)
app.command()(plugins.check)
app.command()(plugins.plugins)
app.command()(inspecting.inspect)
app.command()(requests.call)
app.command()(requests.read)
app.command()(requests.prompt)
app.command()(setup.init)
app.command()(setup.schema)


def run_cli(argv: Sequence[str]) -> int:
    """Run one command; errors go to stderr in one form. Returns the exit code."""
    try:
        result = app(list(argv), prog_name="mcp-host", standalone_mode=False)
    except HostError as error:
        print_error(error)
        return 2
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return 2
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return 130
    except BrokenPipeError:
        return 141
    return result if isinstance(result, int) else 0
