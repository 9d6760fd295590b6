"""mcp-host.toml is changed only where requested, and the file is always complete."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mcp_host.config import parse_config
from mcp_host.errors import HostError
from mcp_host.manage.configedit import (
    add_plugin,
    diff,
    disable_plugin,
    edit_file,
    enable_plugin,
    masked,
    new_config,
    remove_plugin,
    set_requires,
    write_new,
)
from mcp_host.plugins.discovery import InstalledPlugin
from support.processes import run_together

# --- Each form of a plugin in the file

FORMS = {
    "a table": "[plugins.a]\n",
    "a table with keys": '# mine\n[plugins.a]\n  prefix = "x"  # short\n\n[transport]\n',
    "a table above a table": '[plugins.a]\ntimeout = 1\n[plugins.b]\nprefix = "b"\n',
    "tables below only": "# about the settings\n[plugins.a.settings] # s\nq = 1\n",
    "lists of tables below": "[[plugins.a.settings.rows]]\nx = 1\n[[plugins.a.settings.rows]]\nx = nan\n",
    "an inline table": "plugins = { a = {}, b = { } } # all\n",
    "inline in a table": '[plugins]\n  a = { prefix = "x" } # a\nb = {}\n',
    "dotted in a table": '[plugins]\na.prefix = "x"\na.timeout=2\n',
    "dotted at the top": 'plugins.a.prefix = "x"\nhost.name = "n"\n\n[transport]\nport = 1\n',
    "dotted in an inline table": 'plugins = { a.prefix = "x" }\n',
    "a quoted name": "[plugins.'a']\nprefix = \"\"\"x\"\"\"\n",
    "a spaced header": "[ plugins . \"a\" ] # odd\nsettings = { x = [\n  1, # one\n  2,\n] }\n",
    "lists of many lines elsewhere": "[transport]\ncors = [ # ok\n  'https://a.example',\n\n  # last\n]\n[plugins.a]\n",
    "a text that looks like a table": '[host]\ninstructions = """\n[plugins.z]\nenabled = false\n"""\n[plugins.a]\n',
}  # fmt: skip


def variants() -> Iterator[Any]:
    for name, text in FORMS.items():
        yield pytest.param(text, id=name)
        yield pytest.param(text.replace("\n", "\r\n"), id=f"{name}, CRLF")
        yield pytest.param(f"\ufeff{text.removesuffix(chr(10))}", id=f"{name}, BOM, no newline at the end")


forms = pytest.mark.parametrize("text", list(variants()))


def loaded(text: str) -> Any:
    parse_config(text, environ={})
    return tomllib.loads(text.removeprefix("\ufeff"))


def changed_lines(before: str, after: str) -> tuple[list[str], list[str]]:
    """Return the lines between the longest beginning and end that both texts share."""
    old, new = (text.removeprefix("\ufeff").splitlines(keepends=True) for text in (before, after))
    while old and new and old[0] == new[0]:
        old, new = old[1:], new[1:]
    while old and new and old[-1] == new[-1]:
        old, new = old[:-1], new[:-1]
    return old, new


def keeps_its_bytes(before: str, after: str) -> bool:
    """Whether the way lines and the file end, and its mark, are as they were."""
    return (
        before.startswith("\ufeff") == after.startswith("\ufeff")
        and before.endswith("\n") == after.endswith("\n")
        and (after.count("\n") == after.count("\r\n")) == (before.count("\n") == before.count("\r\n") > 0)
    )


@forms
def test_disabling_keeps_everything_else_and_enabling_undoes_it(text: str) -> None:
    off = disable_plugin(text, "a")
    plugins = loaded(off)["plugins"]
    assert plugins["a"].pop("enabled") is False
    assert repr(plugins) == repr(loaded(text)["plugins"])
    old, new = changed_lines(text, off)
    assert len(old) <= 1
    assert len(new) <= 3
    assert enable_plugin(off, "a") == text
    assert disable_plugin(off, "a") == off


@forms
def test_a_new_plugin_comes_after_the_others_and_removing_it_undoes_that(text: str) -> None:
    on = enable_plugin(text, "new")
    assert list(loaded(on)["plugins"]) == [*loaded(text)["plugins"], "new"]
    assert keeps_its_bytes(text, on) or "\n" not in text
    assert enable_plugin(on, "new") == on
    back, removed = remove_plugin(on, "new")
    assert back == text
    assert "new" in removed


@forms
def test_removing_a_plugin_removes_all_of_it_and_nothing_else(text: str) -> None:
    after, removed = remove_plugin(text, "a")
    rest = {name: section for name, section in loaded(text)["plugins"].items() if name != "a"}
    assert loaded(after).get("plugins", {}) == rest
    for data in (old := loaded(text), new := loaded(after)):
        data.pop("plugins", None)
    assert repr(new) == repr(old)
    assert tomllib.loads(removed)


@forms
def test_requirements_are_added_kept_and_taken_back(text: str) -> None:
    one = set_requires(text, ["mcp-plugin-a>=1"])
    assert loaded(one)["host"]["requires"] == ["mcp-plugin-a>=1"]
    two = set_requires(one, ["mcp-plugin-a>=1", "-e ./b"])
    assert loaded(two)["host"].pop("requires") == ["mcp-plugin-a>=1", "-e ./b"]
    assert set_requires(two, ["mcp-plugin-a>=1"]) == one
    assert set_requires(two, []) == text


# --- What a person wrote is kept


def test_a_line_with_a_comment_is_changed_and_not_removed() -> None:
    text = "[plugins.a]\nenabled = false  # until Monday\n"
    assert enable_plugin(text, "a") == "[plugins.a]\nenabled = true  # until Monday\n"
    assert disable_plugin(enable_plugin(text, "a"), "a") == text
    assert enable_plugin("[plugins.a]\nenabled = true\n", "a") == "[plugins.a]\nenabled = true\n"


@pytest.mark.parametrize(
    ("off", "on"),
    [
        ("plugins.a.enabled = false\n", "plugins.a.enabled = true\n"),
        ("[plugins]\na.enabled = false\n", "[plugins]\na.enabled = true\n"),
        ("[plugins]\na = { enabled = false }\n", "[plugins]\na = { }\n"),
        ("plugins = { a = { enabled = false } }", "plugins = { a = { } }"),
    ],
)
def test_enabling_never_removes_the_last_line_that_names_the_plugin(off: str, on: str) -> None:
    assert loaded(enable_plugin(off, "a"))["plugins"].keys() == {"a"}
    assert enable_plugin(off, "a").replace("  ", " ") == on


def test_a_header_is_removed_only_if_disabling_added_it() -> None:
    text = '[plugins.a]\nenabled = true\n\nprefix = "x"\n\n[plugins.a.settings]\nx = 1\n'
    on = enable_plugin(disable_plugin(text, "a"), "a")
    assert on == text.replace("enabled = true\n", "")


def test_a_table_that_init_wrote_as_a_comment_is_used() -> None:
    installed = [InstalledPlugin(name, "m:p", f"mcp-plugin-{name}", "1.0") for name in ("mean", "my.own", "stats")]
    text = new_config(name="x", enabled=["stats"], installed=installed, http=False)
    on = enable_plugin(enable_plugin(text, "mean"), "my.own")
    assert "# [plugins" not in on
    assert list(loaded(on)["plugins"]) == ["stats", "mean", "my.own"]
    # A key below the comment would fall into the table.
    text = "[transport]\n# [plugins.mean]\nport = 1\n"
    assert loaded(enable_plugin(text, "mean"))["transport"] == {"port": 1}


def test_comments_go_with_the_table_they_are_about() -> None:
    text = dedent("""\
        #:schema mcp-host.schema.json
        [host]
        name = "x"

        # Weather, for the demo.
        [plugins.weather]
        # prefix = "w_"
        timeout = 5
        # retries = 3

        # Statistics.
        [plugins.stats]

        # The rest.
        """)
    without, removed = remove_plugin(text, "weather")
    assert removed == (
        '# Weather, for the demo.\n[plugins.weather]\n# prefix = "w_"\ntimeout = 5\n# retries = 3\n'
    )  # fmt: skip
    assert without == text.replace(removed + "\n", "")
    without, removed = remove_plugin(text, "stats")
    assert removed == "# Statistics.\n[plugins.stats]\n"
    assert without == text.replace("\n# Statistics.\n[plugins.stats]\n", "")


def test_a_plugin_in_several_places_is_removed_from_all() -> None:
    text = "[plugins.a]\n\n[transport]\nport = 1\n\n[plugins.a.settings]\nx = 1\n\n[plugins.b]\n"
    without, removed = remove_plugin(text, "a")
    assert without == "[transport]\nport = 1\n\n[plugins.b]\n"
    assert removed == "[plugins.a]\n[plugins.a.settings]\nx = 1\n"


def test_requirements_that_stay_keep_their_comments() -> None:
    text = '[host]\nrequires = [\n    "a",  # first\n    "b>=1", # second\n]\n'
    assert set_requires(text, ["a", "b>=1", "c"]) == text.removesuffix("]\n") + '    "c",\n]\n'
    assert set_requires(text, ["a", "b>=2"]) == text.replace("b>=1", "b>=2")
    assert set_requires(text, ["b>=1"]) == text.replace('    "a",  # first\n', "")
    assert set_requires('host = { name = "x" }\n', ["a"]) == 'host = { name = "x", requires = ["a"]}\n'


@pytest.mark.parametrize("above", ["name='x'\n", "# about the host\n", "name='x'\n# more about the host\n"])
def test_a_new_key_stays_above_the_comments_of_the_next_table(above: str) -> None:
    text = f"[host]\n{above}\n# Statistics.\n[plugins.a]\n"
    after = set_requires(text, ["a"])
    assert loaded(after)["host"]["requires"] == ["a"]
    assert after.endswith("\n\n# Statistics.\n[plugins.a]\n")
    assert set_requires(after, []) == text


def test_a_new_key_is_indented_as_its_neighbours() -> None:
    assert set_requires("  [host]\n    name = 'x'\n", ["a"]) == "  [host]\n    name = 'x'\n    requires = [\"a\"]\n"
    assert disable_plugin("[plugins]\n  a = { timeout = 1 }\n", "a").startswith(
        "[plugins]\n  a = { timeout = 1, enabled"
    )


def test_requirements_get_a_table_above_its_subtables() -> None:
    text = "[plugins.a]\n\n# how much\n[host.limits]\nqueue = 1\n"
    after = set_requires(text, ["a"])
    assert after == text.replace("# how much", '[host]\nrequires = ["a"]\n\n# how much')
    assert loaded(after)["host"] == {"requires": ["a"], "limits": {"queue": 1}}


def test_secrets_are_not_shown() -> None:
    text = '[plugins.a]\nsettings.api_token = "abc" # c\nsettings.db = { password = "def", host = "h" }\ntimeout = 1\n'
    shown = masked(text)
    assert "abc" not in shown
    assert "def" not in shown
    assert "timeout = 1" in shown
    assert masked('[plugins.a]\nsettings.token = { env = "T" }\n').endswith('{ env = "T" }\n')
    assert "abc" not in diff(text, disable_plugin(text, "a"), "mcp-host.toml")


# --- Any file

names = st.sampled_from(["a", "stats", "my-plugin", "b.c", "x_1"])
blank = st.sampled_from(["", "", "\n", "\n\n", "  \n", "# a comment [x] 'q\n", '\n# [plugins.no] "\n', "\t# é ü\n"])
indent = st.sampled_from(["", "", "  ", "\t"])
tail = st.sampled_from(["", "", " # why", "  # = [ \" '"])
keys = st.sampled_from(
    [
        'prefix = "p_"',
        "timeout='1s'",
        "required  =  true",
        "enabled = true",
        "enabled=false",
        'settings.x = """\n#\n"""',
        "tools.deny = [ # no\n  'x',\n]",
        "settings = { a = [1, {b = 2}] }",
        'settings.y."k.e" = 1e3',
        "tools . allow = []",
    ]
)


def quoted(name: str) -> st.SearchStrategy[str]:
    return st.sampled_from([f'"{name}"', f"'{name}'"] + ([name] if "." not in name else []))


@st.composite
def tables(draw: st.DrawFn, name: str) -> str:
    """One plugin as a table, with its keys, comments and tables below it."""
    key = draw(quoted(name))
    head = f"[{draw(indent).replace(chr(9), ' ')}plugins.{key}]"
    lines = [draw(indent) + line + draw(tail) + "\n" + draw(blank) for line in draw(st.lists(keys, max_size=3))]
    below = draw(st.sampled_from(["", f"[plugins.{key}.settings]\nz = 1\n", f"[[plugins.{key}.settings.q]]\n"]))
    first = draw(st.booleans())
    body = f"{head}{draw(tail)}\n{''.join(lines)}"
    return draw(blank) + (body + below if first or not below else draw(st.sampled_from([below + body, below])))


@st.composite
def files(draw: st.DrawFn) -> str:
    """A valid mcp-host.toml that a person may have written, with at least one plugin."""
    chosen = draw(st.lists(names, min_size=1, max_size=4, unique=True))
    style = draw(st.sampled_from(["tables", "tables", "tables", "one table", "inline", "dotted"]))
    others = ['[transport]\nport = 1 # p\n', draw(st.sampled_from(["", '[host]\nname = "n"\nrequires = [ "q", ]\n',
              '[host] # h\n', '[host]\nrequires = [\n  "q", # q\n\n  # end\n]\nname="n"\n']))]  # fmt: skip
    if style == "tables":
        parts = [draw(tables(name)) for name in chosen]
        for other in others:
            parts.insert(draw(st.integers(0, len(parts))), draw(blank) + other)
        text = "".join(parts)
    else:
        quote = [draw(quoted(name)) for name in chosen]
        value = [draw(st.sampled_from(["{}", '{ prefix = "x" }', "{enabled=false}"])) for _ in chosen]
        pairs = [f"{key} = {said}" for key, said in zip(quote, value, strict=True)]
        if style == "inline":
            text = f"plugins = {{ {', '.join(pairs)} }}{draw(tail)}\n" + "".join(others)
        elif style == "dotted":
            lines = [f"plugins.{key}.timeout = 1{draw(tail)}\n{draw(blank)}" for key in quote]
            text = "".join(lines) + "".join(others)
        else:
            text = "".join(others) + "[plugins]\n" + "".join(f"{p}{draw(tail)}\n{draw(blank)}" for p in pairs)
    text += draw(blank)
    if draw(st.booleans()):
        text = text.removesuffix("\n")
    if draw(st.booleans()):
        text = text.replace("\n", "\r\n")
    text = draw(st.sampled_from(["", "\ufeff"])) + text
    try:
        parse_config(text, environ={})
    except HostError:
        assume(False)
    return text


@given(files(), st.data())
def test_in_any_file_disabling_and_enabling_change_one_place(text: str, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(loaded(text)["plugins"])))
    was_on = loaded(text)["plugins"][name].get("enabled", True)
    off = disable_plugin(text, name)
    assert loaded(off)["plugins"][name]["enabled"] is False
    old, new = changed_lines(text, off)
    assert len(old) <= 1
    assert len(new) <= 3
    on = enable_plugin(off, name)
    assert loaded(on)["plugins"][name].get("enabled", True) is True
    old, new = changed_lines(off, on)
    assert len(old) <= 3
    if was_on and "enabled" not in loaded(text)["plugins"][name]:
        assert on == text
    elif not was_on:
        assert off == text


@given(files(), names)
def test_in_any_file_a_plugin_is_added_in_one_place_and_removed_without_a_trace(text: str, name: str) -> None:
    assume(name not in loaded(text)["plugins"])
    on = enable_plugin(text, name)
    old, new = changed_lines(text, on)
    assert len(old) <= 1
    assert len(new) <= 3
    assert list(loaded(on)["plugins"]) == [*loaded(text)["plugins"], name]
    assert remove_plugin(on, name)[0] == text


@given(files(), st.data())
def test_in_any_file_removing_only_removes_lines(text: str, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(loaded(text)["plugins"])))
    after, _ = remove_plugin(text, name)
    assert name not in loaded(after).get("plugins", {})
    left = iter(text.removeprefix("\ufeff").splitlines())
    if not text.removeprefix("\ufeff").startswith("plugins ="):
        assert all(line in left for line in after.removeprefix("\ufeff").splitlines())


@given(files(), st.lists(st.sampled_from(["q", "mcp-plugin-x>=1", "./dir", "-e ../y", 'z; sys_platform == "x"']),
                         unique=True))  # fmt: skip
def test_in_any_file_requirements_change_one_statement(text: str, requires: list[str]) -> None:
    after = set_requires(text, requires)
    assert sorted(loaded(after).get("host", {}).get("requires", [])) == sorted(requires)
    old, new = changed_lines(text, after)
    said = {line.rstrip() for line in old} ^ {line.rstrip() for line in new}
    assert not [line for line in said if "plugins" in line or "port" in line]
    assert set_requires(after, requires) == after


@given(st.text(alphabet="[]{}=.,\"'#\\ \r\n\tplugins_a1", max_size=80))
def test_any_text_that_loads_is_changed_as_requested_or_refused(text: str) -> None:
    try:
        config = parse_config(text, environ={})
    except HostError:
        return
    try:
        after = enable_plugin(text, "new")
    except HostError:
        return
    assert list(parse_config(after, environ={}).plugins) == [*config.plugins, "new"]


def test_a_file_that_cannot_be_changed_in_one_place_is_refused() -> None:
    text = 'a = """x"""" # it\'s "odd [\n[plugins.a]\n'
    tomllib.loads(text)
    with pytest.raises(HostError, match="change it by hand"):
        disable_plugin(text, "a")


# --- Writing


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mcp-host.toml"
    path.write_bytes("[plugins.a]\r\nprefix = 'u' # ü\r\n".encode())
    return path


def off(text: str) -> str:
    return disable_plugin(text, "a")


def test_a_file_is_changed_and_no_other_file_remains(file: Path) -> None:
    edit = edit_file(file, off)
    assert edit.changed
    assert file.read_bytes() == "[plugins.a]\r\nenabled = false\r\nprefix = 'u' # ü\r\n".encode()
    assert [path.name for path in file.parent.iterdir()] == ["mcp-host.toml"]


def test_without_writing_only_the_answer_changes(file: Path) -> None:
    before = file.read_bytes()
    assert edit_file(file, off, write=False).changed
    assert file.read_bytes() == before


def test_a_change_that_changes_nothing_does_not_touch_the_file(file: Path) -> None:
    before = file.stat()
    assert not edit_file(file, lambda text: text).changed
    assert (file.stat().st_ino, file.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o664])
def test_the_permissions_stay(file: Path, mode: int) -> None:
    file.chmod(mode)
    edit_file(file, off)
    assert stat.S_IMODE(file.stat().st_mode) == mode


def test_a_symbolic_link_stays_one_and_its_target_is_changed(file: Path, tmp_path: Path) -> None:
    (tmp_path / "dotfiles").mkdir()
    target = file.rename(tmp_path / "dotfiles" / "host.toml")
    middle = tmp_path / "middle.toml"
    middle.symlink_to(Path("dotfiles") / "host.toml")
    file.symlink_to(middle.name)
    edit_file(file, off)
    assert file.is_symlink()
    assert middle.is_symlink()
    assert b"enabled = false" in target.read_bytes()
    assert [path.name for path in target.parent.iterdir()] == ["host.toml"]


def test_a_file_that_does_not_load_is_not_changed(file: Path) -> None:
    file.write_text("[plugins.a]\nprefx = 'x'\n")
    with pytest.raises(HostError) as caught:
        edit_file(file, off)
    assert "unknown key 'prefx' (did you mean 'prefix'?)" in str(caught.value)
    assert "a file that does not load is not changed" in str(caught.value)
    file.write_bytes(b"\xff")
    with pytest.raises(HostError, match="not UTF-8"):
        edit_file(file, off)
    assert file.read_bytes() == b"\xff"


def test_what_would_not_load_is_not_written(file: Path) -> None:
    before = file.read_bytes()
    with pytest.raises(HostError, match="the file would not load any more"):
        edit_file(file, lambda text: text + "\n[plugin.b]\n")
    assert file.read_bytes() == before
    assert [path.name for path in file.parent.iterdir()] == ["mcp-host.toml"]


def test_a_file_in_an_unknown_form_is_named_in_the_error(file: Path) -> None:
    file.write_text('[host]\ninstructions = """x"""" # it\'s "odd [\n[plugins.a]\n')
    with pytest.raises(HostError) as caught:
        edit_file(file, off)
    assert caught.value.where == str(file)


def test_a_file_that_cannot_be_written_is_an_error_with_the_reason(file: Path) -> None:
    missing = file.parent / "nowhere" / "mcp-host.toml"
    with pytest.raises(HostError, match="the file cannot be written: No such file or directory"):
        edit_file(missing, off)
    with pytest.raises(HostError, match="cannot be read"):
        edit_file(file.parent / "none.toml", off)
    assert [path.name for path in file.parent.iterdir()] == ["mcp-host.toml"]


@contextmanager
def ordinary_user() -> Iterator[None]:
    """Be one for the block, where the tests run as the administrator, who may write everywhere."""
    if os.geteuid() != 0:
        yield
        return
    nobody = 65534
    os.setresuid(nobody, nobody, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


def test_a_read_only_file_stays_as_it_is() -> None:
    # Not in pytest's own folder, which is closed to other users.
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        file = Path(folder, "mcp-host.toml")
        file.write_text("[plugins.a]\n")
        edit_file(file, off)  # so that its imports are done before
        file.write_text("[plugins.a]\n")
        file.chmod(0o444)
        with ordinary_user(), pytest.raises(HostError, match="read-only"):
            edit_file(file, off)
        assert file.read_text() == "[plugins.a]\n"


def test_a_new_file_replaces_an_old_one_only_with_force(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "mcp-host.toml"
    assert write_new(path, "[host]\n")
    assert not write_new(path, "[transport]\n")
    assert path.read_text() == "[host]\n"
    assert write_new(path, "[transport]\n", force=True)
    assert path.read_text() == "[transport]\n"
    assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0o044
    assert [path.name for path in path.parent.iterdir()] == ["mcp-host.toml"]


KILLED = """
import os, sys
from pathlib import Path
from mcp_host.manage import configedit

def replace(*paths):
    print("before the rename", flush=True)
    sys.stdin.read()

os.replace = replace
configedit.edit_file(Path(sys.argv[1]), lambda text: configedit.disable_plugin(text, "a"))
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no SIGKILL")
def test_after_a_kill_before_the_rename_the_old_file_remains_and_the_draft_is_removed_later(
    file: Path,
) -> None:
    before = file.read_bytes()
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, file], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "before the rename\n"
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    assert file.read_bytes() == before
    edit_file(file, lambda text: text)
    assert [path.name for path in file.parent.iterdir()] == ["mcp-host.toml"]
    assert edit_file(file, off).changed


ADDING = """
import sys
from pathlib import Path
from mcp_host.manage import configedit

print("ready", flush=True)
sys.stdin.readline()
for number in range(10):
    name = f"{sys.argv[2]}{number}"
    configedit.edit_file(Path(sys.argv[1]), lambda text: configedit.enable_plugin(text, name))
"""


def test_changes_of_several_processes_at_once_are_all_made(file: Path) -> None:
    run_together([[sys.executable, "-c", ADDING, str(file), letter] for letter in "xyz"])
    wanted = {f"{letter}{number}" for letter in "xyz" for number in range(10)}
    assert set(loaded(file.read_text(encoding="utf-8"))["plugins"]) == {"a"} | wanted
    assert [path.name for path in file.parent.iterdir()] == ["mcp-host.toml"]


# --- A table with values

VALUES: dict[str, Any] = {
    "command": ["npx", "-y", 'a "b" \\c', "ü\n"],
    "env": {"A": "b", "T": {"env": "T", "format": "x {}"}, "a.b c": {"file": "~/x"}},
    "tools": {"allow": [], "deny": ["x"]},
    "timeout": 2.5,
    "enabled": False,
}


@forms
def test_a_table_with_values_is_added_and_the_rest_stays(text: str) -> None:
    after = add_plugin(text, "new.one", VALUES)
    assert loaded(after)["plugins"]["new.one"] == VALUES
    assert remove_plugin(after, "new.one")[0].strip() == text.strip() or "plugins = {" in text
    assert ("\r\n" in text) == ("\r\n" in after)


@forms
def test_a_table_that_is_there_is_never_overwritten(text: str) -> None:
    with pytest.raises(HostError, match=r"there is already a table plugins\.a"):
        add_plugin(text, "a", {"command": ["x"]})


def test_a_comment_about_an_installed_plugin_does_not_become_a_server() -> None:
    text = "[host]\nname = 'x'\n\n# [plugins.git]    # mcp-plugin-git 1.0\n"
    assert add_plugin(text, "git", {"command": ["x"]}) == text + '\n[plugins.git]\ncommand = ["x"]\n'


@given(st.dictionaries(st.text(min_size=1), st.one_of(st.text(), st.lists(st.text()), st.integers(), st.booleans())))
def test_values_of_any_text_are_written_so_that_they_are_read_again(values: dict[str, Any]) -> None:
    after = add_plugin("", "x", {"env": values})
    assert tomllib.loads(after)["plugins"]["x"]["env"] == values
