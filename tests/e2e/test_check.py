"""`mcp-host check`: its report of costs and problems, for people and for CI."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from support.invoking import Invoke
    from support.processes import Cli, Done
    from support.sites import Site

LONGEST = 60.0


def rows(done: Done, heading: str) -> list[list[str]]:
    """The cells of the table whose first column has this heading, the heading's row first."""
    lines = done.out.split("\n\n")
    table = next(block for block in lines if block.startswith(heading)).splitlines()
    return [re.split(r" {2,}", line) for line in (table[0], *table[2:])]


def test_the_summary_has_each_plugin_with_its_stage_and_its_tokens(invoke: Invoke) -> None:
    invoke.config("[plugins.good]\ntools.allow = ['add', 'greet']\n[plugins.frail]\n[plugins.noisy]\nenabled = false\n")
    done = invoke("check")
    heading, good, frail, noisy = rows(done, "plugin")
    assert heading == ["plugin", "from", "stage", "contributes", "tokens"]
    assert good[:3] == ["good", "mcp-plugin-good 1.0", "serving"]
    assert good[3].startswith("2 tools, ")
    assert frail == ["frail", "mcp-plugin-frail 1.0", "failed after collected", "-", "-"]
    assert noisy == ["noisy", "-", "disabled", "-", "-"]
    assert f"Tools: 2, about {good[4]} tokens of a model's context." in done.out
    assert "[plugins.frail]" not in done.out.partition("error in plugin frail")[0]


def test_verbose_shows_every_tool_the_costliest_first_and_the_import_times(invoke: Invoke) -> None:
    invoke.config("[plugins.good]\n[plugins.noisy]\n[plugins.broken]\n")
    done = invoke("check", "-v")
    plugins = rows(done, "plugin")
    assert plugins[0][-1] == "import"
    assert all(re.fullmatch(r"\d+ ms", plugin[-1]) for plugin in plugins[1:3])
    heading, *tools = rows(done, "tool ")
    assert heading == ["tool", "plugin", "tokens"]
    costs = [int(tokens.replace(",", "")) for _, _, tokens in tools]
    assert costs == sorted(costs, reverse=True)
    assert {plugin for _, plugin, _ in tools} == {"good", "noisy"}
    assert f"about {sum(costs):,} tokens" in done.out
    assert "import" not in invoke("check").out.partition("\n")[0]


GUARD = """
from mcp_host import Plugin

plugin = Plugin()


@plugin.middleware
async def guard(call, call_next):
    return await call_next(call)


@plugin.observer
def note(event):
    pass


@plugin.route("/guard/health")
async def health(request):
    pass
"""


def test_code_that_runs_around_calls_is_shown_and_around_whose(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "guarding.py").write_text(GUARD, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    for around, shown in (("all", ", middleware around all plugins"), ("own", "")):
        invoke.config(f'[plugins.good]\n[plugins.guard]\nobject = "guarding:plugin"\nmiddleware = "{around}"\n')
        done = invoke("check", "--verbose")
        assert rows(done, "plugin")[2][3] == f"1 middleware, 1 observer, 1 route{shown}"
        for row in ("guard   middleware   guard", "guard   observer     note", "guard   route        /guard/health"):
            assert re.search(r" +".join(row.split()), done.out)
        assert ("its middleware never runs" in done.out) == (around == "own")
        data = json.loads(invoke("check", "--json").out)["plugins"][1]
        assert data["middleware"] == around
        assert (data["contributed"]["middleware"], data["contributed"]["observers"], data["contributed"]["routes"]) == (
            ["guard"],
            ["note"],
            ["/guard/health"],
        )


def test_json_has_the_same_numbers(invoke: Invoke) -> None:
    invoke.config("[host]\ntoken_budget = 500\n[plugins.good]\n[plugins.noisy]\n")
    done = invoke("check", "--json")
    assert done.code == 0
    tokens = done.json["tokens"]
    assert tokens["budget"] == 500
    assert tokens["total"] == sum(tokens["plugins"].values()) == sum(tool["tokens"] for tool in tokens["tools"])
    assert list(tokens["plugins"]) == ["good", "noisy"]
    assert {"name", "plugin", "tokens"} == set(tokens["tools"][0])
    (warning,) = done.json["warnings"]
    assert set(warning) == {"what", "where", "hint", "code"}
    assert all(plugin["import_ms"] is not None for plugin in done.json["plugins"])
    assert "tokens" not in done.json["plugins"][0]  # a record has the state of a plugin, not its cost


def test_past_the_budget_the_largest_tools_are_named_with_the_line_that_mends_it(invoke: Invoke) -> None:
    path = invoke.config("[host]\ntoken_budget = 100\n[plugins.good]\nprefix = 'g_'\ntools.deny = ['kinds', 'order']\n")
    done = invoke("check")
    assert done.code == 0
    (first, second, third, *_) = invoke("check", "--json").json["tokens"]["tools"]
    named = ", ".join(f"{tool['name']} ({tool['tokens']})" for tool in (first, second, third))
    assert re.search(r"warning: the tools take about [\d,]+ tokens .* more than the 100 of the budget", done.out)
    assert f"the largest: {named}\n  where: {path}:2: host.token_budget\n" in done.out
    line = re.search(r"hint:  (\[plugins\.good\]) (tools\.deny = .*?\])", done.out)
    assert line is not None
    assert done.out.endswith("Nothing is wrong; 1 warning.\n")
    # The line does what it says.
    invoke.config(f"{line[1]}\nprefix = 'g_'\n{line[2]}\n")
    assert first["name"] not in [tool["name"] for tool in invoke("check", "--json").json["tokens"]["tools"]]


def test_a_budget_that_is_kept_is_not_spoken_of(invoke: Invoke) -> None:
    invoke.config("[plugins.good]\n")
    done = invoke("check", "--strict")
    assert (done.code, "budget" in done.out) == (0, False)
    assert done.out.endswith("All is well.\n")


@pytest.mark.parametrize("budget", ["0", '"many"', "true"])
def test_a_budget_is_a_whole_number_above_zero(invoke: Invoke, budget: str) -> None:
    invoke.config(f"[host]\ntoken_budget = {budget}\n")
    done = invoke("check")
    assert done.code == 2
    assert "token_budget" in done.err


@pytest.mark.parametrize(
    ("config", "code", "strict"),
    [
        ("[plugins.good]", 0, 0),
        ("[host]\ntoken_budget = 1\n[plugins.good]", 0, 1),
        ("[plugins.good]\ntools.deny = ['nothing']", 0, 1),
        ("[plugins.frail]", 2, 2),
        ("[host]\ntoken_budget = 1\n[plugins.good]\n[plugins.frail]", 2, 2),
        ("[plugins.frail]\nenabled = false", 0, 0),
        ("", 0, 0),
        ("[nonsense]", 2, 2),
    ],
)
def test_the_exit_code_is_2_for_errors_and_with_strict_1_for_warnings(
    invoke: Invoke, config: str, code: int, strict: int
) -> None:
    invoke.config(config)
    assert invoke("check").code == code
    done = invoke("check", "--strict")
    assert done.code == strict
    assert ("which --strict does not allow" in done.out) == (strict == 1)
    if config != "[nonsense]":
        assert invoke("check", "--strict", "--json").json["ok"] is (strict == 0)
        assert invoke("check", "--json").json["ok"] is (code == 0)


def test_a_slow_import_is_a_warning_with_its_time_and_its_hint(cli: Cli) -> None:
    cli.config('[host]\nimport_warning = "1ms"\n[plugins.good]\n')
    done = cli.run("check", "--strict")
    assert done.code == 1
    assert re.search(r"warning about plugin good: importing mcp_plugin_good took \d+ ms", done.out)
    assert "  hint:  import heavy libraries" in done.out


def test_a_configuration_from_elsewhere_is_checked_as_it_would_be_served(cli: Cli, tmp_path: Path) -> None:
    elsewhere = tmp_path / "somewhere else"
    elsewhere.mkdir()
    (elsewhere / "secret").write_text("a long secret\n")
    path = elsewhere / "tools.toml"
    settings = "settings.password = { file = 'secret' }\nsettings.token = { env = 'VAULT_TOKEN' }\n"
    path.write_text(f"[plugins.vault]\n{settings}[plugins.god]\n")
    cli.config("[plugins.broken]\n")
    done = cli.run("check", "--config", "somewhere else/tools.toml", env={"VAULT_TOKEN": "another secret"})
    assert done.code == 2
    assert "NO: bad secrets: *** ***" in done.out
    assert "error in plugin god: plugin 'god' is not installed (did you mean 'good'?)" in done.out
    assert "broken" not in done.out
    assert cli.run("check", "-c", "somewhere else/tools.toml", "--json").json["config"] == str(path)


def test_strict_applies_to_the_contract_too(cli: Cli, site: Site) -> None:
    site.plugin("plain")  # its tool does not declare whether it only reads, and so on
    done = cli.run("check", "--plugin", "plain")
    assert (done.code, done.out.endswith("The contract is kept.\n")) == (0, True)
    strict = cli.run("check", "--plugin", "plain", "--strict")
    assert strict.code == 1
    assert strict.out.endswith("The contract is kept. There are warnings, which --strict does not allow.\n")
    done = cli.run("check", "--plugin", "plain", "--strict", "--json")
    assert (done.code, done.json["ok"]) == (1, False)


def test_colours_are_for_terminals_and_problems_are_never_cut(cli: Cli) -> None:
    cli.config("[host]\ntoken_budget = 5\n[plugins.good]\n[plugins.broken]\n")
    for no_color, red in (("", "\x1b[1;31merror\x1b[0m in plugin broken"), ("1", "error in plugin broken")):
        shown = on_terminal(cli, "check", NO_COLOR=no_color)
        assert red in shown
        assert ("\x1b[" in shown) is (no_color == "")
        assert "hint:  [plugins.good] tools.deny" in shown
        assert "[host] token_budget = " in shown
    assert "\x1b" not in cli.run("check", env={"NO_COLOR": ""}).out


def on_terminal(cli: Cli, *args: str, **env: str) -> str:
    """Run a command on a pseudo-terminal of 80 columns and return what it showed."""
    master, terminal = pty.openpty()
    process = subprocess.Popen(
        [*cli.command, *args],
        cwd=cli.folder,
        env={**cli.environment(env), "TERM": "xterm", "COLUMNS": "80"},
        stdin=subprocess.DEVNULL,
        stdout=terminal,
        stderr=terminal,
    )
    os.close(terminal)
    shown = b""
    while True:
        try:
            data = os.read(master, 65536)
        except OSError:  # on Linux: no process has the terminal open any more
            break
        if not data:
            break
        shown += data
    process.wait(LONGEST)
    os.close(master)
    return shown.decode()


@pytest.mark.skipif(os.name != "posix", reason="other systems have no such permissions")
def test_files_that_other_users_may_write_or_read_are_warned_of(cli: Cli) -> None:
    toml = cli.config('[plugins.good]\n[plugins.off]\nenabled = false\nsettings.token = { file = "token" }\n')
    secret = cli.folder / "token"
    secret.write_text("canary-4711", encoding="utf-8")

    def warnings(toml_mode: int, secret_mode: int) -> list[tuple[str, str]]:
        toml.chmod(toml_mode)
        secret.chmod(secret_mode)
        found = cli.run("check", "--json").json["warnings"]
        return [(Path(warning["where"]).name, warning["hint"].split()[1]) for warning in found]

    assert warnings(0o644, 0o600) == []
    assert warnings(0o664, 0o640) == []
    assert warnings(0o666, 0o644) == [("mcp-host.toml", "o-w"), ("token", "o-rw")]
    assert cli.run("check", "--strict").code == 1
