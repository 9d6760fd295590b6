"""The table of the built-in commands. A command's module is imported only when the command is used."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from mcp_host.cli import completion


class Entry(NamedTuple):
    """One command: the path of its function, its line in `mcp-host --help`, and the end of its own help.

    With `takes_rest`, what is after `--` is not for the command's own arguments: `rest_of` returns it.
    """

    path: str
    about: str
    epilog: str
    takes_rest: bool = False


COMMANDS: Final = {
    "run": Entry(
        "mcp_host.cli.run:run",
        "Serve the plugins, or one Python file, over stdio or HTTP.",
        "Examples: mcp-host run --transport http --port 8000; mcp-host run server.py\n\n"
        "Exit codes: 0 the client disconnected, or SIGINT or SIGTERM stopped it; 2 it refused to start.",
    ),
    "dev": Entry(
        "mcp_host.authoring.dev:dev",
        "Serve over HTTP while you write a plugin.",
        "Examples: mcp-host dev; mcp-host dev server.py; mcp-host dev --plugin . --no-inspector",
    ),
    "check": Entry(
        "mcp_host.cli.check:check",
        "Load and start all plugins, and show what is wrong.",
        "Examples: mcp-host check; mcp-host check --strict --config elsewhere/mcp-host.toml\n\n"
        "Exit codes: 0 nothing is wrong; 1 there are warnings, with --strict; 2 something is wrong.",
    ),
    "plugins": Entry(
        "mcp_host.cli.plugins:plugins",
        "List the installed plugins and which are enabled.",
        "Example: mcp-host plugins",
    ),
    "inspect": Entry(
        "mcp_host.cli.inspect:inspect",
        "Show everything that is served.",
        "Example: mcp-host inspect describe_dataset",
    ),
    "call": Entry(
        "mcp_host.cli.call:call",
        "Call a tool and print its result.",
        "Examples: mcp-host call describe_dataset dataset=penguins; "
        "mcp-host call mean values:='[1, 2.5]' --json\n\n"
        "Exit codes: 0 done; 1 the tool reported an error; 2 it could not be called.",
    ),
    "read": Entry(
        "mcp_host.cli.read:read",
        "Read a resource and print it.",
        "Example: mcp-host read stats://datasets\n\n"
        "Exit codes: 0 done; 1 the server reported an error; 2 it could not be asked.",
    ),
    "prompt": Entry(
        "mcp_host.cli.prompt:prompt",
        "Render a prompt and print its messages.",
        "Example: mcp-host prompt analyze_dataset dataset=penguins\n\n"
        "Exit codes: 0 done; 1 the server reported an error; 2 it could not be asked.",
    ),
    "new": Entry(
        "mcp_host.authoring.new:new",
        "Write the project of a new plugin.",
        "Example: mcp-host new weather --license apache-2.0",
    ),
    "init": Entry(
        "mcp_host.manage.init:init",
        "Write a mcp-host.toml to start from.",
        "Example: mcp-host init stats --http",
    ),
    "install": Entry(
        "mcp_host.manage.install:install",
        "Add this server to the settings of an MCP client.",
        "Examples: mcp-host install claude-desktop; mcp-host install cursor server.py; "
        "mcp-host install cursor -f .env --dry-run; mcp-host install --list",
    ),
    "uninstall": Entry(
        "mcp_host.manage.install:uninstall",
        "Remove this server from the settings of an MCP client.",
        "Example: mcp-host uninstall claude-desktop",
    ),
    "doctor": Entry(
        "mcp_host.manage.doctor:doctor",
        "Find dead entries of clients, and what is wrong here.",
        "Examples: mcp-host doctor; mcp-host doctor --quick --json\n\n"
        "Exit codes: 0 nothing is wrong; 1 something is; 2 it could not look.",
    ),
    "import": Entry(
        "mcp_host.manage.import_servers:import_",
        "Import the servers that MCP clients have.",
        "Examples: mcp-host import; mcp-host import cursor --dry-run; mcp-host import .mcp.json --replace\n\n"
        "Exit codes: 0 all is imported; 1 something could not be imported; 2 nothing was.",
    ),
    "add": Entry(
        "mcp_host.manage.add:add",
        "Add plugins and other MCP servers.",
        'Examples: mcp-host add stats; mcp-host add "mcp-plugin-stats>=0.1" -e ./my-plugin; '
        "mcp-host add uvx:mcp-server-git -- --repository .; mcp-host add https://mcp.example.com/mcp --name example\n\n"
        "Exit codes: 0 it works; 1 it is added, and does not work yet; 2 nothing was added.",
        takes_rest=True,
    ),
    "remove": Entry(
        "mcp_host.manage.remove:remove",
        "Remove plugins from mcp-host.toml and uninstall them.",
        "Example: mcp-host remove stats",
    ),
    "enable": Entry(
        "mcp_host.manage.enable:enable",
        "Enable installed plugins in mcp-host.toml.",
        "Example: mcp-host enable stats",
    ),
    "disable": Entry(
        "mcp_host.manage.enable:disable",
        "Disable plugins and keep their settings.",
        "Example: mcp-host disable stats",
    ),
    "sync": Entry(
        "mcp_host.manage.sync:sync",
        "Install the missing distributions of [host] requires.",
        "Example: mcp-host sync --check\n\n"
        "Exit codes: 0 all is installed; 1 something is missing; 2 it could not be installed.",
    ),
    "login": Entry(
        "mcp_host.manage.login:login",
        "Log in to the remote server of a plugin.",
        "Examples: mcp-host login tracker; mcp-host login tracker --device",
    ),
    "logout": Entry(
        "mcp_host.manage.logout:logout",
        "Log out of the remote server of a plugin.",
        "Example: mcp-host logout tracker",
    ),
    "clean": Entry(
        "mcp_host.manage.clean:clean",
        "Remove the environments that nobody has used for a while.",
        "Example: mcp-host clean --unused-for 7 --dry-run",
    ),
    "schema": Entry(
        "mcp_host.manage.schema:schema",
        "Write the JSON Schema of mcp-host.toml, for editors.",
        "Example: mcp-host schema --output -",
    ),
}


OTHER_WORDS: Final = {
    "serve": "run",
    "server": "run",
    "start": "run",
    "up": "run",
    "help": "--help",
    "version": "--version",
    "list": "plugins",
    "ls": "plugins",
    "status": "check",
    "validate": "check",
    "test": "check",
    "tools": "inspect",
    "resources": "inspect",
    "prompts": "inspect",
    "show": "inspect",
    "get-prompt": "prompt",
    "create": "new",
    "update": "add --upgrade",
    "upgrade": "add --upgrade",
}
"""Words that people try, and what they mean here."""


class Commands(TyperGroup):
    """The group of all commands. Its help uses only the table. A command is imported to run it or to show its help."""

    def __init__(self, **options: Any) -> None:
        super().__init__(
            **{**options, "commands": {name: listed(name, entry.about) for name, entry in COMMANDS.items()}}
        )

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        # Tab also offers the plugins whose commands are remembered.
        for name in completion.plugin_commands(ctx):
            self.commands.setdefault(name, listed(name, f"Run a command of the plugin {name}."))
        return super().shell_complete(ctx, incomplete)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, *rest = args
        if name.startswith("-"):
            return super().resolve_command(ctx, args)
        return name, load(name) if name in COMMANDS else find("mcp_host.cli.plugin_commands:group")(name), rest


_REST: Final = "mcp_host.rest"


class _WithRest(TyperCommand):
    """A command that keeps what is after `--` for something else."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if "--" in args:
            at = args.index("--")
            ctx.meta[_REST] = args[at + 1 :]
            args = args[:at]
        return super().parse_args(ctx, args)


def rest_of(context: typer.Context) -> list[str]:
    """Return what is after `--`, for a command with `takes_rest`."""
    rest: list[str] = context.meta.get(_REST, [])
    return rest


def find(path: str) -> Any:
    """Import and return `package.module:attribute`. So this package need not import the packages above it."""
    name, _, attribute = path.partition(":")
    try:
        module = importlib.import_module(name)
    except Exception:
        from mcp_host.plugins.metadata import unreadable_entry_points

        damaged = unreadable_entry_points()
        if not damaged:
            raise
        # pydantic reads the entry points of all distributions when it is first used, and only then.
        for label in damaged:
            hint = f"pip install --force-reinstall {label.partition(' ')[0]}"
            typer.echo(f"warning: the entry points of {label} cannot be read\n  hint:  {hint}", err=True)
        module = importlib.import_module(name)
    return getattr(module, attribute)


def load(name: str) -> Any:
    """Import a built-in command and return it, ready to run."""
    entry = COMMANDS[name]
    options = {"cls": _WithRest} if entry.takes_rest else {}
    return _command(name, find(entry.path), epilog=entry.epilog, **options)


def listed(name: str, about: str) -> Any:
    """Return a stand-in for a command that is only listed."""
    return _command(name, lambda: None, help=about)


def _command(name: str, function: Callable[..., Any], **options: Any) -> Any:
    one = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    one.command(name, **options)(function)
    return get_command(one)
