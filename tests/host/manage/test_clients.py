"""Entries are added to clients' files and removed again, and everything else in the files stays the same."""

from __future__ import annotations

import json
import os
import stat
import tomllib
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from mcp_host.errors import HostError
from mcp_host.manage.clients import jsonc
from mcp_host.manage.clients.clientconfig import (
    Client,
    ClientFile,
    Machine,
    entry_url,
    load_clients,
    masked,
    merged,
)
from mcp_host.manage.clients.launch import Launch, served_config
from mcp_host.system.files import atomic_write

CLIENTS = load_clients()
PLATFORMS = ("linux", "darwin", "win32")
ENTRY: dict[str, Any] = {
    "command": "/opt/mcp host/bin/python",
    "args": ["-P", "-m", "mcp_host", "run", "--transport", "stdio", "--config", "/srv/мой.toml"],
    "env": {"TOKEN": 'a"b\\c\n\u2028é'},
}


# --- documents -------------------------------------------------------------------------------------------------------

SPACE = st.sampled_from(
    ["", " ", "\n", "\n  ", "\n\n    ", "\t", " // a comment, {\n  ", "/* one */", " /* \n two */ "]
)
KEYS = st.sampled_from(["mcpServers", "servers", "a", "ключ", 'q"', "demo", "x/y", "//", ""])
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=8)
)


@st.composite
def objects(draw: st.DrawFn, depth: int = 3, *, comments: bool = True) -> str:
    """The text of an object, with unusual white space."""
    space = SPACE if comments else st.sampled_from(["", " ", "\n", "\n  ", "\t"])
    parts = []
    for key in draw(st.lists(KEYS, unique=True, max_size=4)):
        name = json.dumps(key, ensure_ascii=draw(st.booleans()))
        value = draw(values(depth - 1, comments=comments))
        parts.append(f"{draw(space)}{name}{draw(space)}:{draw(space)}{value}{draw(space)}")
    trailing = "," if comments and parts and draw(st.booleans()) else ""
    return "{" + ",".join(parts) + trailing + draw(space) + "}"


@st.composite
def values(draw: st.DrawFn, depth: int, *, comments: bool) -> str:
    kind = draw(st.sampled_from(["scalar", "object", "object", "list"])) if depth > 0 else "scalar"
    if kind == "object":
        return draw(objects(depth, comments=comments))
    if kind == "list":
        return "[" + ",".join(draw(st.lists(values(depth - 1, comments=comments), max_size=3))) + "]"
    return json.dumps(draw(SCALARS), ensure_ascii=draw(st.booleans()))


@st.composite
def documents(draw: st.DrawFn) -> str:
    before, after = draw(SPACE), draw(SPACE)
    text = before + draw(objects()) + after
    return text.replace("\n", "\r\n") if draw(st.booleans()) else text


@st.composite
def laid_out(draw: st.DrawFn) -> str:
    """A document as editors and programs write it."""
    data = draw(st.dictionaries(KEYS, st.dictionaries(KEYS, st.one_of(SCALARS, st.just({"command": "x"})))))
    text = json.dumps(data, indent=draw(st.sampled_from([None, 2, 4, "\t"])), ensure_ascii=draw(st.booleans()))
    text = text.replace("\n", draw(st.sampled_from(["\n", "\r\n"])))
    return draw(st.sampled_from(["", "\ufeff"])) + text + draw(st.sampled_from(["", "\n", "\n\n"]))


def is_inside(part: str, whole: str) -> bool:
    """Return whether `whole` is `part` with insertions: all of `part` is in it, in the same order."""
    rest = iter(whole)
    return all(character in rest for character in part)


def solid(text: str) -> str:
    return "".join(text.split())


# --- jsonc -----------------------------------------------------------------------------------------------------------


@given(documents())
def test_the_parsed_data_equals_the_text(text: str) -> None:
    data = jsonc.read(text)
    assert jsonc.read(json.dumps(data)) == data == json.loads(json.dumps(data))


@given(documents(), KEYS, KEYS)
def test_putting_a_value_in_keeps_every_character_and_takes_it_out_again(text: str, key: str, name: str) -> None:
    data = jsonc.read(text)
    inner = data.get(key, {})
    if not isinstance(inner, dict):
        with pytest.raises(jsonc.JSONCError, match="is not an object"):
            jsonc.put(text, [key, name], ENTRY)
        return
    changed = jsonc.put(text, [key, name], ENTRY)
    assert jsonc.read(changed) == {**data, key: {**inner, name: ENTRY}}
    if name not in inner:
        assert is_inside(solid(text), solid(changed))
        if data and inner:
            assert is_inside(text, changed)
    taken = jsonc.take(changed, [key, name])
    assert jsonc.read(taken) == {**data, key: {other: inner[other] for other in inner if other != name}}
    if name not in inner:
        assert is_inside(solid(text), solid(taken))


@given(documents(), st.data())
def test_removing_a_member_keeps_the_others(text: str, data: st.DataObject) -> None:
    before = jsonc.read(text)
    key = data.draw(KEYS)
    after = jsonc.take(text, [key])
    assert jsonc.read(after) == {other: before[other] for other in before if other != key}
    assert is_inside(solid(after), solid(text))
    if key not in before:
        assert after == text


@given(laid_out(), KEYS, KEYS)
def test_in_a_file_that_a_program_wrote_taking_out_gives_back_every_byte(text: str, key: str, name: str) -> None:
    inner = jsonc.read(text).get(key)
    if not isinstance(inner, dict) or not inner or name in inner:
        return
    assert jsonc.take(jsonc.put(text, [key, name], ENTRY), [key, name]) == text


@given(objects(comments=False))
def test_plain_json_stays_plain_json(text: str) -> None:
    assert jsonc.read(text, comments=False) == json.loads(text)
    changed = jsonc.put(text, ["new", "name"], ENTRY, comments=False)
    assert json.loads(changed) == {**json.loads(text), "new": {"name": ENTRY}}
    assert json.loads(jsonc.take(changed, ["new"], comments=False)) == json.loads(text)


@given(st.text(alphabet='{}[]",:/*\n 1ae\\u-.', max_size=30))
def test_any_text_is_read_or_refused_with_its_place(text: str) -> None:
    try:
        expected = json.loads(text)
    except ValueError:
        expected = None
    try:
        data, refusal = jsonc.read(text), None
    except jsonc.JSONCError as error:
        data, refusal = {}, error
    if refusal is None:
        assert data == expected or expected is None
    else:
        assert not isinstance(expected, dict)
        assert 1 <= refusal.line <= text.count("\n") + 1
        assert refusal.column >= 1


@pytest.mark.parametrize(
    ("text", "place", "what"),
    [
        ('{"a": 1', (1, 8), "ends too early"),
        ('{"a" 1}', (1, 6), "a colon"),
        ('{\n  "a": 1,\n  "b": 2 x\n}', (3, 10), "a comma or }"),
        ('{"a": tru}', (1, 7), "a value"),
        ('{"a": "\n"}', (1, 8), "string"),
        ("[1]", (1, 1), "an object"),
        ("{} {}", (1, 4), "after the end"),
        ("{a: 1}", (1, 2), "double quotes"),
        ('{"a":' * 300, (1, 1006), "nested deeper"),
    ],
)
def test_an_error_has_what_and_where(text: str, place: tuple[int, int], what: str) -> None:
    with pytest.raises(jsonc.JSONCError, match=what) as caught:
        jsonc.read(text)
    assert (caught.value.line, caught.value.column) == place


@pytest.mark.parametrize(("text", "what"), [('{"a": 1,}', "trailing comma"), ('{/* c */"a": 1}', "double quotes")])
def test_a_file_that_its_client_could_not_read_is_refused(text: str, what: str) -> None:
    assert jsonc.read(text) == {"a": 1}
    with pytest.raises(jsonc.JSONCError, match=what):
        jsonc.read(text, comments=False)


def test_a_key_that_is_there_twice_is_not_changed() -> None:
    text = '{"servers": {}, "servers": {}}'
    with pytest.raises(jsonc.JSONCError, match="twice"):
        jsonc.put(text, ["servers", "a"], 1)
    with pytest.raises(jsonc.JSONCError, match="twice"):
        jsonc.take(text, ["servers", "a"])


def test_a_member_of_what_is_no_object_is_not_taken_out() -> None:
    with pytest.raises(jsonc.JSONCError, match="the value of 'a' is not an object"):
        jsonc.take('{"a": 1}', ["a", "b"])


def test_a_number_that_python_would_not_read_stays() -> None:
    text = '{"n": ' + "9" * 5000 + "}"
    assert jsonc.take(jsonc.put(text, ["a"], 1), ["a"]) == text


def test_an_entry_looks_like_what_is_around_it() -> None:
    text = '{\n\t// mine\n\t"servers": {\n\t\t"a": {"command": "a"} // the first\n\t\t// the end\n\t}\n}\n'
    assert jsonc.put(text, ["servers", "b"], {"command": "b"}) == (
        '{\n\t// mine\n\t"servers": {\n\t\t"a": {"command": "a"}, // the first\n'
        '\t\t"b": {\n\t\t\t"command": "b"\n\t\t}\n\t\t// the end\n\t}\n}\n'
    )
    assert jsonc.put('{"servers":{"a":{"x":1}}}', ["servers", "b"], {"y": [2]}) == (
        '{"servers":{"a":{"x":1},"b":{"y":[2]}}}'
    )
    assert jsonc.put('{\n    "servers": {}\n}', ["servers", "b"], 1) == '{\n    "servers": {\n        "b": 1\n    }\n}'
    assert jsonc.put("// nothing yet", ["a", "b"], 1) == '// nothing yet\n{\n  "a": {\n    "b": 1\n  }\n}\n'
    assert jsonc.put("", ["a"], 1) == '{\n  "a": 1\n}\n'


# --- files of clients ------------------------------------------------------------------------------------------------


def a_file(client: str, text: str | None, folder: Path = Path("/nowhere")) -> ClientFile:
    return ClientFile(CLIENTS[client], folder / "file", text)


JSON_CLIENTS = sorted(name for name, client in CLIENTS.items() if client.format == "jsonc")


@given(documents(), st.sampled_from(JSON_CLIENTS))
def test_an_entry_is_all_that_changes_in_a_json_file(text: str, client: str) -> None:
    file = a_file(client, text)
    data = jsonc.read(text)
    if not isinstance(data.get(file.client.key, {}), dict):
        with pytest.raises(HostError, match="is not an object"):
            file.entries()
        return
    changed = a_file(client, file.with_entry("fresh", ENTRY))
    assert changed.entry("fresh") == ENTRY
    assert {key: value for key, value in jsonc.read(changed.text or "").items() if key != file.client.key} == {
        key: value for key, value in data.items() if key != file.client.key
    }
    assert {name: entry for name, entry in changed.entries().items() if name != "fresh"} == file.entries()
    assert a_file(client, changed.without_entry("fresh")).entries() == file.entries()


TOML_KEYS = st.text(alphabet="abz_-é. ", min_size=1, max_size=5)
TOML_SCALARS = st.one_of(st.booleans(), st.integers(-(2**60), 2**60), st.floats(), st.text(max_size=8), st.dates())
TOML_TABLES = st.dictionaries(
    TOML_KEYS,
    st.recursive(
        TOML_SCALARS,
        lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TOML_KEYS, inner, max_size=3)),
        max_leaves=6,
    ),
    max_size=4,
)


@st.composite
def toml_documents(draw: st.DrawFn) -> str:
    data = draw(TOML_TABLES)
    if draw(st.booleans()):
        data["mcp_servers"] = draw(st.dictionaries(TOML_KEYS, TOML_TABLES, max_size=3))
    lines = tomli_w.dumps(data).removesuffix("\n").split("\n")
    commented = [line for each in lines for line in (each, *draw(st.sampled_from([(), ("# a [comment",), ("",)])))]
    # A comment inside a value of several lines may be part of the value, so tomllib decides what is valid.
    text = "\n".join(commented if _is_toml("\n".join(commented)) else lines) + draw(st.sampled_from(["", "\n", "\n\n"]))
    return text.replace("\n", "\r\n") if draw(st.booleans()) and "'''" not in text and '"""' not in text else text


def _is_toml(text: str) -> bool:
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return False
    return True


@given(toml_documents())
def test_an_entry_is_all_that_changes_in_a_toml_file(text: str) -> None:
    file = a_file("codex", text)
    changed = a_file("codex", file.with_entry("fresh", ENTRY))
    assert changed.entry("fresh") == ENTRY
    # Nothing before the entry is touched; only its own tables are added.
    assert (changed.text or "").startswith(text)
    taken = changed.without_entry("fresh")
    assert taken.startswith(text) or text.startswith(taken)
    assert taken.strip() == text.strip()


@pytest.mark.parametrize(
    "text",
    [
        'mcp_servers = { a = { command = "a" } } # one line\nmodel = "m"\n',
        'mcp_servers.a.command = "a"\n[other]\nx = 1 # one\n',
        'model = "m"\n\n[mcp_servers]\n# none\n',
        "\ufeff[mcp_servers.a]\r\ncommand = 'a'\r\n",
        "[[profiles]]\nx = 1\n[[profiles]]\nx = 2\n",
    ],
)
def test_servers_that_are_not_tables_of_their_own_are_understood(text: str) -> None:
    file = a_file("codex", text)
    changed = a_file("codex", file.with_entry("fresh", ENTRY))
    assert changed.entries() == {**file.entries(), "fresh": ENTRY}
    assert all(comment in (changed.text or "") for comment in ("# one line", "# one", "# none") if comment in text)
    assert a_file("codex", changed.without_entry("fresh")).entries() == file.entries()


def test_an_entry_of_codex_is_replaced_where_it_stands_and_its_neighbours_stay() -> None:
    text = (
        'model = "m" # kept\n\n# about demo\n[mcp_servers.demo]\ncommand = "old"\nargs = [\n  "x", # y\n]\n\n'
        '[mcp_servers.demo.env]\nA = "1"\n\n# about other\n[mcp_servers.other]\ncommand = "o"\n'
    )
    file = a_file("codex", text)
    assert file.with_entry("demo", {"command": "new", "args": []}) == (
        'model = "m" # kept\n\n# about demo\n[mcp_servers.demo]\ncommand = "new"\nargs = []\n'
        '\n# about other\n[mcp_servers.other]\ncommand = "o"\n'
    )
    assert file.without_entry("demo") == (
        'model = "m" # kept\n\n# about demo\n\n# about other\n[mcp_servers.other]\ncommand = "o"\n'
    )
    apart = '[mcp_servers.demo]\ncommand = "c"\n[other]\nx = 1\n[mcp_servers.demo.env]\nA = "1"\n'
    taken = a_file("codex", apart).without_entry("demo")
    assert tomllib.loads(taken).get("other") == {"x": 1}
    assert not tomllib.loads(taken).get("mcp_servers")


def test_a_replaced_json_entry_keeps_its_comments_and_what_the_client_added() -> None:
    inside = '      // mine\n      "command": "old", // why\n      "trust": true,\n'
    text = f'{{\n  "servers": {{\n    "demo": {{\n{inside}    }},\n  }},\n}}'
    file = a_file("vscode", text)
    entry = merged(file.entry("demo"), {"command": "new", "args": ["a"]})
    assert file.with_entry("demo", entry) == text.replace('"old"', '"new"').replace(
        '"trust": true,', '"trust": true,\n      "args": [\n        "a"\n      ],'
    )


def test_an_entry_keeps_variables_given_before_and_drops_them_with_the_command() -> None:
    old = {"command": "c", "args": [], "env": {"A": "1", "B": "2"}, "cwd": "/x", "trust": True}
    assert merged(old, {"command": "d", "args": [], "env": {"B": "3"}}) == {
        "command": "d",
        "args": [],
        "env": {"A": "1", "B": "3"},
        "trust": True,
    }
    assert merged(old, {"url": "http://x"}) == {"url": "http://x", "trust": True}
    assert merged(None, {"url": "http://x"}) == {"url": "http://x"}


@given(documents(), st.sampled_from([None, "json"]))
def test_an_added_entry_is_undone_to_the_last_byte(text: str, before: str | None) -> None:
    if not isinstance(jsonc.read(text).get("servers", {}), dict):
        return
    original = None if before is None else text
    file = a_file("vscode", original)

    class Installed(ClientFile):
        def backup_text(self) -> str | None:
            return original

    installed = Installed(file.client, file.path, file.with_entry("fresh", ENTRY))
    assert installed.undone("fresh") == original


def test_undoing_after_other_changes_takes_out_the_entry_alone(tmp_path: Path) -> None:
    path = tmp_path / "mcp.json"
    path.write_text('{"servers": {}}', encoding="utf-8")
    file = ClientFile.read(CLIENTS["vscode"], path)
    file.write(file.with_entry("demo", ENTRY), mode=0o600)
    path.write_text(path.read_text(encoding="utf-8").replace("{", '{"theme": "dark", ', 1), encoding="utf-8")
    file = ClientFile.read(CLIENTS["vscode"], path)
    assert json.loads(file.undone("demo") or "") == {"theme": "dark", "servers": {}}


def test_a_kept_copy_that_cannot_be_read_does_not_stop_anything(tmp_path: Path) -> None:
    path = tmp_path / "mcp.json"
    for kept in (b"{", b"\xff"):
        path.write_text("{}", encoding="utf-8")
        file = ClientFile.read(CLIENTS["cursor"], path)
        file.write(file.with_entry("demo", ENTRY), mode=0o600)
        file.backup.write_bytes(kept)
        file = ClientFile.read(CLIENTS["cursor"], path)
        assert file.variables_in_backup("demo") == []
        assert file.undone("demo") == '{\n  "mcpServers": {}\n}'


def test_a_table_that_was_made_for_the_entry_is_removed_with_it() -> None:
    text = 'model = "m"\n'
    changed = a_file("codex", a_file("codex", text).with_entry("demo", ENTRY))
    assert changed.without_entry("demo") == text


@pytest.mark.parametrize(
    ("client", "text", "where", "what"),
    [
        ("claude-desktop", '{\n  "mcpServers": {},\n}', ":3:1", "trailing comma"),
        ("cursor", '{"mcpServers": [}', ":1:17", "a value"),
        ("cursor", '{"mcpServers": []}', "", "is not an object"),
        ("codex", "[mcp_servers\n", "", "not valid TOML"),
        ("codex", "mcp_servers = 1\n", "", "is not a table"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_with_its_place(
    tmp_path: Path, client: str, text: str, where: str, what: str
) -> None:
    path = tmp_path / "file"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(HostError, match=what) as caught:
        ClientFile.read(CLIENTS[client], path)
    assert caught.value.where == f"{path}{where}"


def test_other_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b'{\n"a": "\xff"}')
    with pytest.raises(HostError, match="UTF-8") as caught:
        ClientFile.read(CLIENTS["zed"], path)
    assert caught.value.where == f"{path}:2"
    with pytest.raises(HostError, match="cannot be read"):
        ClientFile.read(CLIENTS["zed"], tmp_path)
    with pytest.raises(HostError, match="is not an object"):
        a_file("zed", '{"context_servers": {"a": 1}}').entry("a")
    with pytest.raises(HostError, match="twice"):
        a_file("zed", '{"context_servers": {}, "context_servers": {}}').with_entry("a", ENTRY)


def test_a_file_that_changes_while_it_is_worked_on_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "mcp.json"
    path.write_text("{}", encoding="utf-8")
    file = ClientFile.read(CLIENTS["cursor"], path)
    path.write_text('{"a": 1}', encoding="utf-8")
    with pytest.raises(HostError, match="was changed"):
        file.write(file.with_entry("demo", ENTRY), mode=0o600)
    assert path.read_text(encoding="utf-8") == '{"a": 1}'
    assert not file.backup.exists()


def test_permissions_stay_and_the_backup_has_them_too(tmp_path: Path) -> None:
    path = tmp_path / "mcp.json"
    path.write_text("{}", encoding="utf-8")
    path.chmod(0o640)
    backup = tmp_path / "mcp.json.bak"
    backup.touch(0o666)
    file = ClientFile.read(CLIENTS["cursor"], path)
    assert file.write(file.with_entry("demo", ENTRY), mode=0o600) == backup
    assert [stat.S_IMODE(each.stat().st_mode) for each in (path, backup)] == [0o640, 0o640]
    assert backup.read_text(encoding="utf-8") == "{}"


def test_a_new_file_is_its_owner_s_only_and_a_link_stays_a_link(tmp_path: Path) -> None:
    target = tmp_path / "dotfiles" / "mcp.json"
    link = tmp_path / "home" / "mcp.json"
    link.parent.mkdir()
    link.symlink_to(target)
    assert atomic_write(link, b"{}") == target
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    atomic_write(link, b"[]", mode=0o644)
    assert link.is_symlink()
    assert (target.read_bytes(), stat.S_IMODE(target.stat().st_mode)) == (b"[]", 0o644)
    assert os.listdir(target.parent) == ["mcp.json"]


def test_a_file_that_cannot_be_written_is_an_error_and_no_other_file_remains(tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.touch()
    file = ClientFile(CLIENTS["cursor"], in_the_way / "mcp.json", None)
    with pytest.raises(HostError, match="cannot be written"):
        file.write("{}", mode=0o600)
    (tmp_path / "folder" / "mcp.json").mkdir(parents=True)
    with pytest.raises(OSError, match="directory"):
        atomic_write(tmp_path / "folder" / "mcp.json", b"")
    assert os.listdir(tmp_path / "folder") == ["mcp.json"]


# --- what is known about clients -------------------------------------------------------------------------------------


@pytest.mark.parametrize("client", CLIENTS.values(), ids=CLIENTS.keys())
def test_what_is_known_of_a_client_is_complete_and_has_its_source(client: Client) -> None:
    assert set(client.user) == set(PLATFORMS)
    assert all("*" not in templates[-1] for templates in client.user.values())
    assert client.sources
    assert all(source.startswith("https://") for source in client.sources)
    assert client.after.endswith(".")
    entry = client.command_entry("/python", ["-m", "mcp_host", "--config", "/c"], {"A": "b"}, Path("/folder"))
    assert (entry["command"], entry["args"], entry["env"]) == (
        "/python",
        ["-m", "mcp_host", "--config", "/c"],
        {"A": "b"},
    )
    assert entry.get("cwd") in (None, "/folder")
    assert served_config(entry) == "/c"
    if (other := client.url_entry("http://x/mcp")) is not None:
        assert entry_url(other) == "http://x/mcp"


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("client", CLIENTS.values(), ids=CLIENTS.keys())
def test_a_client_is_found_by_its_folder(client: Client, platform: str, tmp_path: Path) -> None:
    machine = Machine({"HOME": str(tmp_path)}, platform, tmp_path)
    path, present = machine.locate(client)
    assert path.is_relative_to(tmp_path)
    assert not present
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    assert machine.locate(client) == (path, True)


@pytest.mark.parametrize(
    ("client", "platform", "environ", "file"),
    [
        ("claude-desktop", "win32", {"APPDATA": "{}/R"}, "R/Claude/claude_desktop_config.json"),
        ("claude-desktop", "linux", {"XDG_CONFIG_HOME": "{}/x"}, "x/Claude/claude_desktop_config.json"),
        ("claude-desktop", "linux", {"XDG_CONFIG_HOME": "x"}, ".config/Claude/claude_desktop_config.json"),
        ("claude-code", "darwin", {"CLAUDE_CONFIG_DIR": "{}/work"}, "work/.claude.json"),
        ("codex", "linux", {"CODEX_HOME": "{}/cx"}, "cx/config.toml"),
        ("vscode", "freebsd", {}, ".config/Code/User/mcp.json"),
        ("cursor", "win32", {"USERPROFILE": "{}/user", "HOME": "/c/elsewhere"}, "user/.cursor/mcp.json"),
        ("zed", "win32", {}, "AppData/Roaming/Zed/settings.json"),
    ],
)
def test_variables_move_a_client_s_file(
    client: str, platform: str, environ: dict[str, str], file: str, tmp_path: Path
) -> None:
    environ = {"HOME": str(tmp_path), **{key: value.replace("{}", str(tmp_path)) for key, value in environ.items()}}
    assert Machine(environ, platform, tmp_path).locate(CLIENTS[client])[0] == tmp_path / file


def test_without_a_variable_the_home_is_from_the_system(tmp_path: Path) -> None:
    assert Machine({}, "linux", tmp_path).locate(CLIENTS["cursor"])[0] == Path.home() / ".cursor/mcp.json"


def test_the_packaged_claude_desktop_on_windows_has_a_folder_of_its_own(tmp_path: Path) -> None:
    # Brackets in a user's folder are no pattern.
    home = tmp_path / "[me]"
    machine = Machine({"HOME": str(home)}, "win32", home)
    plain = home / "AppData/Roaming/Claude/claude_desktop_config.json"
    plain.parent.mkdir(parents=True)
    assert machine.locate(CLIENTS["claude-desktop"]) == (plain, True)
    packages = home / "AppData/Local/Packages"
    names = ("Claude_aaa", "Claude_pzs8sxrjxfjjc")
    files = [packages / name / "LocalCache/Roaming/Claude/claude_desktop_config.json" for name in names]
    for file in files:
        file.parent.mkdir(parents=True)
    assert machine.locate(CLIENTS["claude-desktop"]) == (files[0], True)
    files[1].touch()
    assert machine.locate(CLIENTS["claude-desktop"]) == (files[1], True)


@pytest.mark.parametrize(
    ("entry", "config"),
    [
        ({"command": "/py", "args": ["-m", "mcp_host", "run", "--config", "/a.toml"]}, "/a.toml"),
        ({"command": r"C:\Scripts\mcp-host.exe", "args": ["run", "--config", "/a.toml"]}, "/a.toml"),
        ({"command": "mcp-host", "args": ["run"]}, None),
        ({"command": "/py", "args": ["-m", "other", "--config", "/a.toml"]}, None),
        ({"command": "/py", "args": ["-m", "mcp_host", "--config"]}, None),
        ({"url": "http://127.0.0.1/mcp"}, None),
        ({"command": "/py", "args": ["-m", "mcp_host", "run", "--config=/a.toml"]}, "/a.toml"),
        ({"command": "/py", "args": ["-m", "mcp_host", "run", "-c", "/a.toml"]}, "/a.toml"),
        ({"command": "/uvx", "args": ["--from", "mcp-host", "mcp-host", "run", "--config", "/a.toml"]}, "/a.toml"),
        ({"command": "/uv", "args": ["tool", "run", "mcp-host==1.0", "run", "--config", "/a"]}, None),
        ({"command": "/py", "args": "-m mcp_host --config x"}, None),
    ],
)
def test_an_entry_is_known_by_what_it_starts(entry: dict[str, Any], config: str | None) -> None:
    assert served_config(entry) == config


def test_what_an_entry_starts_is_known_up_to_the_arguments_of_mcp_host() -> None:
    args = ["--with", "a==1", "--from", "mcp-host==0.2", "mcp-host", "run", "--config", "/a.toml"]
    launch = Launch.of({"command": "/uvx", "args": args, "env": {"A": 1}, "cwd": "/w"})
    assert launch is not None
    assert launch.words == ("/uvx", *args[:5])
    assert (launch.config, launch.env, launch.cwd, launch.pinned) == ("/a.toml", {"A": "1"}, "/w", "0.2")
    assert Launch.of({"command": "/uvx", "args": ["--from", "mcp-host", "other", "run"]}) is None


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ('+  "STATS_HOME": "/x",', '+  "STATS_HOME": "***",'),
        ('   "API_KEY": "s\\"x",', '   "API_KEY": "***",'),
        ('   "headers": {"Authorization": "Bearer x"}', '   "headers": {"Authorization": "***"}'),
        ('+STATS_HOME = "/x"', '+STATS_HOME = "***"'),
        (' env = { "GITHUB_TOKEN" = "x", B = "y" }', ' env = { "GITHUB_TOKEN" = "***", B = "y" }'),
        ('+  "command": "/x",', '+  "command": "/x",'),
    ],
)
def test_secrets_are_not_shown_in_a_diff(line: str, shown: str) -> None:
    assert masked(line, ["STATS_HOME"]) == shown


def test_strings_that_a_client_would_change_are_found() -> None:
    entry = {"command": "/$HOME/py", "args": ["${x}"], "env": {"A": "pa$$word", "B": "plain"}}
    assert CLIENTS["gemini-cli"].expanded(entry) == ["/$HOME/py", "${x}", "pa$$word"]
    assert CLIENTS["claude-code"].expanded(entry) == ["${x}"]
    assert CLIENTS["codex"].expanded(entry) == []
