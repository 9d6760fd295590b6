"""`mcp-host new`: names, written files, errors, and a project that passes its own checks."""

from __future__ import annotations

import ast
import hashlib
import importlib
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
import zipfile
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from mcp_host import __version__
from mcp_host.__main__ import main
from mcp_host.authoring.scaffold.naming import LONGEST, plugin_name, remarks
from mcp_host.authoring.scaffold.project import NOBODY, License, Project, host_range
from mcp_host.authoring.scaffold.writing import write_project
from mcp_host.catalog.uris import has_scheme
from mcp_host.config import parse_config
from mcp_host.errors import HostError
from mcp_host.manage.clients.clientconfig import load_clients

if TYPE_CHECKING:
    from support.sites import Site

Capture = pytest.CaptureFixture[str]

LONGEST_NAME = "a" + "-b" * (LONGEST // 2 - 1) + "c"

FILES = {
    ".github/workflows/ci.yml",
    ".github/workflows/publish.yml",
    ".gitignore",
    ".mcp.json",
    ".vscode/mcp.json",
    "CHANGELOG.md",
    "LICENSE",
    "README.md",
    "mcp-host.toml",
    "pyproject.toml",
    "src/mcp_plugin_weather/__init__.py",
    "src/mcp_plugin_weather/py.typed",
    "tests/test_contract.py",
    "tests/test_plugin.py",
}

names = st.from_regex(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", fullmatch=True).filter(
    lambda name: len(name) <= LONGEST and not name.startswith(("mcp-plugin", "mcp-host"))
)
lines = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=200)


def project(name: str = "weather", **facts: object) -> Project:
    return Project(name, **{"host_version": __version__, "year": 2026, **facts})  # type: ignore[arg-type]


def written(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def folder(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to run commands in, without a git user, with the plugin `adder` installed."""
    site.plugin("adder")
    folder = tmp_path / "work"
    folder.mkdir()
    (tmp_path / "gitconfig").write_text("")
    monkeypatch.chdir(folder)
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    return folder


# Names


@given(names)
def test_a_name_written_in_any_of_its_forms_is_the_same_name(name: str) -> None:
    assert plugin_name(name) == name
    assert plugin_name(name.upper()) == name
    assert plugin_name(name.replace("-", "_")) == name
    assert plugin_name(f"mcp-plugin-{name}") == name
    assert plugin_name(f"Mcp_Plugin.{name}") == name


@given(st.text(max_size=LONGEST + 5) | st.text("aZ9-_. ", max_size=LONGEST + 5))
def test_a_refused_name_gets_a_valid_suggestion_or_none(text: str) -> None:
    try:
        name = plugin_name(text)
    except HostError as error:
        suggestion = error.hint.removeprefix("mcp-host new ")
        assert suggestion == "NAME" or plugin_name(suggestion) == suggestion
    else:
        assert plugin_name(name) == name


@pytest.mark.parametrize(
    ("given", "suggestion"),
    [
        ("Weather Report", "weather-report"),
        ("météo", "meteo"),
        ("2fa", "fa"),
        ("mcp-plugin-2fa", "fa"),
        ("-weather-", "weather"),
        ("weather/report", "weather-report"),
        ("a" * (LONGEST + 1), "a" * LONGEST),
        ("天気", None),
        ("42", None),
        ("mcp-plugin-", None),
        ("", None),
    ],
)
def test_a_name_that_does_not_fit_is_refused_with_the_rule(
    capsys: Capture, folder: Path, given: str, suggestion: str | None
) -> None:
    assert main(["new", "--", given]) == 2
    shown = capsys.readouterr().err
    assert f"a plugin cannot be called {given!r}" in shown
    assert f"at most {LONGEST} letters (a to z), digits and single hyphens, and starts with a letter" in shown
    assert (f"(did you mean {suggestion!r}?)" in shown) is (suggestion is not None)
    assert f"hint:  mcp-host new {suggestion or 'NAME'}\n" in shown
    assert written(folder) == set()


@pytest.mark.parametrize("given", ["mcp-host", "mcp-plugin-mcp-host", "MCP_plugin"])
def test_the_names_of_the_host_s_own_are_refused(given: str) -> None:
    why = "(that is the name of the host|the names of distributions) "
    with pytest.raises(HostError, match=f"a plugin cannot be called '{given}': {why}"):
        plugin_name(given)


def test_the_changes_to_a_name_are_explained(capsys: Capture, folder: Path) -> None:
    assert main(["new", "Weather_Report"]) == 0
    assert "Note: Weather_Report becomes weather-report: " in capsys.readouterr().err
    assert (folder / "mcp-plugin-weather-report/src/mcp_plugin_weather_report/__init__.py").is_file()
    assert remarks("weather", "weather") == []
    assert remarks("mcp-plugin-weather", "weather") == []


@pytest.mark.parametrize(("name", "kind"), [("class", "keyword"), ("match", "keyword"), ("json", "module")])
def test_a_word_of_python_s_is_remarked_on(name: str, kind: str) -> None:
    (remark,) = remarks(name, name)
    assert remark.startswith(f"{name} is a {kind} of Python: ")


def test_the_name_of_an_installed_plugin_is_refused(capsys: Capture, folder: Path) -> None:
    assert main(["new", "Adder"]) == 2
    shown = capsys.readouterr().err
    assert "a plugin 'adder' is already installed, from mcp-plugin-adder 1.0" in shown
    assert "hint:  mcp-host new my-adder   (or: pip uninstall mcp-plugin-adder)" in shown
    assert written(folder) == set()


# What is written


@given(names, st.sampled_from(License), lines | st.none(), lines | st.none())
def test_the_files_of_every_name_and_license_are_sound(
    name: str, license: License, author: str | None, description: str | None
) -> None:
    new = project(name, license=license, author=author, description=description)
    files = new.files()
    settings = tomllib.loads(files["pyproject.toml"])
    about = settings["project"]

    assert about["name"] == canonicalize_name(about["name"]) == f"mcp-plugin-{name}"
    assert about["authors"] == [{"name": author or NOBODY}]
    assert about["description"] == (description or f"The plugin {name} for mcp-host.")
    assert ("license" in about, "license-files" in about, "LICENSE" in files) == (license is not License.NONE,) * 3
    (host,) = map(Requirement, about["dependencies"])
    assert host.name == "mcp-host"
    assert host.specifier.contains(__version__)

    ((entry_point, value),) = about["entry-points"]["mcp.plugins"].items()
    assert entry_point == name
    package, _, attribute = value.partition(":")
    assert package.isidentifier()
    source = files[f"src/{package}/__init__.py"]
    assert attribute in {
        target.id
        for node in ast.parse(source).body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    ast.parse(files["tests/test_plugin.py"])
    (uri,) = re.findall(r'resource\("(.*?)"', source)
    assert has_scheme(uri)
    assert (description or f"The plugin {name} for mcp-host.") in files["README.md"]

    (toml,) = re.findall(r"```toml\n(.*?)```", files["README.md"], re.DOTALL)
    config = parse_config(toml, environ={})
    assert list(config.plugins) == [name]


@pytest.mark.parametrize("license", License)
def test_no_placeholder_is_left(license: License) -> None:
    for path, text in project(license=license).files().items():
        assert "{{" not in path
        assert re.findall(r"(?<!\$)\{\{", text) == [], path


def test_a_placeholder_in_a_value_is_text() -> None:
    readme = project(description="Renders {{name}}.").files()["README.md"]
    assert "Renders {{name}}." in readme


@pytest.mark.parametrize("name", ["http", "file"])
def test_a_scheme_that_clients_fetch_by_themselves_is_avoided(name: str) -> None:
    assert f'"{name}-plugin://entries"' in project(name).files()[f"src/mcp_plugin_{name}/__init__.py"]


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("0.1.0", ">=0.1,<1"),
        ("0.7.3.post1", ">=0.7,<1"),
        ("1.4.2", ">=1.4,<2"),
        ("1.4.2+local", ">=1.4,<2"),
        ("2.0.0rc1", ">=2.0.0rc1,<3"),
        ("0.2.0.dev3+g12ab", ">=0.2.0.dev3,<1"),
    ],
)
def test_the_range_of_hosts_starts_at_this_one_and_ends_before_the_next_major(version: str, expected: str) -> None:
    assert host_range(version) == expected
    assert SpecifierSet(expected).contains(version, prereleases=True)


@pytest.mark.parametrize(
    ("license", "spdx", "owned"),
    [("mit", "MIT", True), ("Apache-2.0", "Apache-2.0", False), ("bsd-3-clause", "BSD-3-Clause", True)],
)
def test_a_license_is_written_out_and_declared(folder: Path, license: str, spdx: str, owned: bool) -> None:
    assert main(["new", "weather", "--license", license, "--author", "Ada Lovelace"]) == 0
    root = folder / "mcp-plugin-weather"
    text = (root / "LICENSE").read_text(encoding="utf-8")
    assert (f"{date.today().year}" in text and "Ada Lovelace" in text) is owned
    assert f'license = "{spdx}"\n' in (root / "pyproject.toml").read_text(encoding="utf-8")
    assert f"[{spdx}](LICENSE)" in (root / "README.md").read_text(encoding="utf-8")


def test_the_apache_license_is_the_text_that_apache_publishes() -> None:
    text = project(license=License.APACHE_2_0, author="Ada").files()["LICENSE"]
    # The file https://www.apache.org/licenses/LICENSE-2.0.txt.
    assert hashlib.sha256(text.encode()).hexdigest() == (
        "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"
    )


def test_without_a_license_the_readme_states_that_there_is_none(folder: Path) -> None:
    assert main(["new", "weather", "--license", "none"]) == 0
    root = folder / "mcp-plugin-weather"
    assert written(root) == FILES - {"LICENSE"}
    assert "license" not in tomllib.loads((root / "pyproject.toml").read_text())["project"]
    assert "It has no license yet" in (root / "README.md").read_text()


def test_the_author_is_the_one_given_else_git_s_user_else_a_placeholder_that_the_readme_names(
    folder: Path, tmp_path: Path
) -> None:
    def author_and_readme(*options: str, directory: str) -> tuple[str, str]:
        assert main(["new", "weather", "-d", directory, *options]) == 0
        settings = tomllib.loads((folder / directory / "pyproject.toml").read_text(encoding="utf-8"))
        ((author,),) = (author.values() for author in settings["project"]["authors"])
        assert f" {author}\n" in (folder / directory / "LICENSE").read_text(encoding="utf-8")
        return author, (folder / directory / "README.md").read_text(encoding="utf-8")

    author, readme = author_and_readme(directory="nobody")
    assert author == NOBODY
    assert f"First put your name in place of `{NOBODY}` in `pyproject.toml` and `LICENSE`." in readme

    (tmp_path / "gitconfig").write_text("[user]\nname = Grace Hopper\n")
    author, readme = author_and_readme(directory="git")
    assert author == "Grace Hopper"
    assert NOBODY not in readme

    odd = r'Ada "the countess" \o/'
    assert author_and_readme("--author", odd, directory="given")[0] == odd


def test_without_git_there_is_no_author(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert main(["new", "weather"]) == 0
    assert NOBODY in (folder / "mcp-plugin-weather/LICENSE").read_text()


@pytest.mark.parametrize("option", ["--author", "--description"])
@pytest.mark.parametrize("text", ["", "  ", "two\nlines", "\x1b[2J", "a" * 201])
def test_an_author_or_description_that_is_not_a_line_is_refused(
    capsys: Capture, folder: Path, option: str, text: str
) -> None:
    assert main(["new", "weather", option, text]) == 2
    shown = capsys.readouterr().err
    assert "is not one line of at most 200 characters" in shown
    assert f"where: command line: {option}\n" in shown
    assert written(folder) == set()


# Where it is written


def test_what_was_written_is_shown_with_what_to_do_next(capsys: Capture, folder: Path) -> None:
    assert main(["new", "mcp-plugin-weather"]) == 0
    shown = capsys.readouterr().out
    assert shown == (
        "Wrote the plugin weather:\n"
        "\n"
        "mcp-plugin-weather/\n"
        "  .github/\n"
        "    workflows/\n"
        "      ci.yml\n"
        "      publish.yml\n"
        "  .gitignore\n"
        "  .mcp.json\n"
        "  .vscode/\n"
        "    mcp.json\n"
        "  CHANGELOG.md\n"
        "  LICENSE\n"
        "  README.md\n"
        "  mcp-host.toml\n"
        "  pyproject.toml\n"
        "  src/\n"
        "    mcp_plugin_weather/\n"
        "      __init__.py\n"
        "      py.typed\n"
        "  tests/\n"
        "    test_contract.py\n"
        "    test_plugin.py\n"
        "\n"
        "Next, in a virtual environment:\n"
        "  cd mcp-plugin-weather\n"
        "  python -m pip install -e . pytest\n"
        "  python -m pytest\n"
        "  mcp-host dev\n"
        "Or with uv:\n"
        "  cd mcp-plugin-weather\n"
        "  uv sync\n"
        "  uv run pytest\n"
        "  uv run mcp-host dev\n"
        "\n"
        "mcp-host dev swaps in what you save. "
        "Claude Code (.mcp.json) and VS Code (.vscode/mcp.json) connect to it.\n"
    )
    assert written(folder / "mcp-plugin-weather") == FILES
    assert [path.name for path in folder.iterdir()] == ["mcp-plugin-weather"]


def test_a_folder_with_something_in_it_is_left_alone(capsys: Capture, folder: Path) -> None:
    (folder / "mcp-plugin-weather").mkdir()
    (folder / "mcp-plugin-weather/notes.txt").write_text("mine")
    assert main(["new", "weather"]) == 2
    shown = capsys.readouterr().err
    assert "mcp-plugin-weather already exists and is not empty" in shown
    assert "hint:  --directory FOLDER" in shown
    assert written(folder) == {"mcp-plugin-weather/notes.txt"}


@pytest.mark.parametrize("directory", [".", "empty"])
def test_an_empty_folder_is_filled(folder: Path, directory: str) -> None:
    (folder / directory).mkdir(exist_ok=True)
    inode = (folder / directory).stat().st_ino
    assert main(["new", "weather", "--directory", directory]) == 0
    assert written(folder / directory) == FILES
    assert (folder / directory).stat().st_ino == inode


@pytest.mark.parametrize("options", [[], ["--git"]])
def test_an_empty_repository_is_filled(folder: Path, options: list[str]) -> None:
    (folder / ".git").mkdir()
    (folder / ".git/HEAD").write_text("ref: refs/heads/mine\n")
    assert main(["new", "weather", "-d", ".", *options]) == 0
    assert written(folder) == FILES | {".git/HEAD"}
    assert (folder / ".git/HEAD").read_text() == "ref: refs/heads/mine\n"


def test_a_folder_is_made_with_its_parents_and_quoted_where_it_is_to_be_typed(capsys: Capture, folder: Path) -> None:
    assert main(["new", "weather", "-d", "my plugins/the weather"]) == 0
    assert written(folder / "my plugins/the weather") == FILES
    assert "  cd 'my plugins/the weather'\n" in capsys.readouterr().out


@pytest.mark.skipif(os.name == "nt", reason="Windows has no modes")
def test_others_may_read_what_is_written(folder: Path) -> None:
    before = os.umask(0o022)
    try:
        assert main(["new", "weather"]) == 0
    finally:
        os.umask(before)
    assert (folder / "mcp-plugin-weather").stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize(
    ("directory", "what"),
    [("file", "file is not a folder"), ("file/below", f"cannot write {Path('file/below')}: ")],
)
def test_a_folder_that_cannot_be_is_refused(capsys: Capture, folder: Path, directory: str, what: str) -> None:
    (folder / "file").write_text("mine")
    assert main(["new", "weather", "--directory", directory]) == 2
    assert what in capsys.readouterr().err
    assert written(folder) == {"file"}


@pytest.mark.parametrize("directory", ["new", "a/b/new", "empty"])
def test_after_a_failure_no_files_remain(
    capsys: Capture, folder: Path, directory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "empty").mkdir()
    monkeypatch.setenv("PATH", "")
    assert main(["new", "weather", "--git", "-d", directory]) == 2
    shown = capsys.readouterr().err
    assert "git is not on PATH" in shown
    assert "hint:  leave --git out, or install git\n" in shown
    assert list(folder.rglob("*")) == [folder / "empty"]


def test_after_a_failure_of_git_no_files_remain(capsys: Capture, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "gitconfig").write_text("[init]\ndefaultBranch = not..a..branch\n")
    assert main(["new", "weather", "--git", "--author", "Ada"]) == 2
    assert "git init failed: " in capsys.readouterr().err
    assert list(folder.iterdir()) == []


def test_what_fails_while_moving_is_moved_back(folder: Path) -> None:
    def occupy(draft: Path) -> None:
        # Another process has created the folder in the meantime, so it cannot be replaced.
        (folder / "there/b").mkdir(parents=True)
        (folder / "there/b/theirs").write_text("")

    (folder / "there").mkdir()
    with pytest.raises(HostError, match="cannot write"):
        write_project(folder / "there", {"a/x": "", "b/x": "", "c/x": ""}, finish=occupy)
    assert written(folder) == {"there/b/theirs"}
    assert [path.name for path in (folder / "there").iterdir()] == ["b"]


def test_a_repository_is_made_only_when_asked_for(folder: Path) -> None:
    assert main(["new", "weather"]) == 0
    assert not (folder / "mcp-plugin-weather/.git").exists()
    assert main(["new", "weather", "--git", "-d", "tracked"]) == 0
    assert (folder / "tracked/.git").is_dir()
    status = subprocess.run(
        ["git", "status", "--porcelain", "--untracked-files=all"],
        cwd=folder / "tracked",
        capture_output=True,
        text=True,
        check=True,
    )
    assert {line.removeprefix("?? ") for line in status.stdout.splitlines()} == FILES


# Its own checks


def run_of(root: Path, workflow: str = "ci") -> list[str]:
    text = (root / f".github/workflows/{workflow}.yml").read_text(encoding="utf-8")
    return [command.removeprefix("uv run ") for command in re.findall(r"- run: (.*)", text)]


def passes(command: str, root: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment["PYTHONPATH"] = str(root / "src")
    done = subprocess.run(
        shlex.split(command), cwd=root, env=environment, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"


def test_the_project_passes_every_check_of_its_ci(folder: Path) -> None:
    assert main(["new", "weather"]) == 0
    root = folder / "mcp-plugin-weather"
    checks = run_of(root)
    assert checks == ["uv sync", "ruff check .", "ruff format --check .", "mypy", "pytest", "uv build"]
    for command in checks[1:-1]:
        passes(command, root)
    passes("python -m build --no-isolation", root)
    assert {path.name for path in (root / "dist").iterdir()} == {
        "mcp_plugin_weather-0.1.0-py3-none-any.whl",
        "mcp_plugin_weather-0.1.0.tar.gz",
    }
    with zipfile.ZipFile(root / "dist/mcp_plugin_weather-0.1.0-py3-none-any.whl") as wheel:
        inside = set(wheel.namelist())
    assert {"mcp_plugin_weather/__init__.py", "mcp_plugin_weather/py.typed"} <= inside
    assert "mcp_plugin_weather-0.1.0.dist-info/licenses/LICENSE" in inside


@pytest.mark.parametrize("name", ["x", "http", LONGEST_NAME])
def test_ruff_and_the_tests_pass_for_any_name(tmp_path: Path, name: str) -> None:
    root = tmp_path / "project"
    write_project(root, project(name, description="Says a lot. " * 10).files())
    # The contract does not depend on the name, and its processes take long.
    for command in ("ruff check .", "ruff format --check .", "pytest tests/test_plugin.py"):
        passes(command, root)


def test_what_pip_is_told_to_install_is_what_uv_installs(folder: Path, capsys: Capture) -> None:
    """pip has `--group` since 25.1, and Python 3.11 and 3.12 come with an older one."""
    assert main(["new", "weather"]) == 0
    root = folder / "mcp-plugin-weather"
    groups = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["dependency-groups"]
    wanted = {Requirement(each).name for each in groups["dev"]}
    readme = (root / "README.md").read_text(encoding="utf-8")
    (everything,) = re.findall(r"`python -m pip install -e \. (.*?)`", readme)
    assert set(everything.split()) == wanted
    (printed,) = re.findall(r"pip install (.*)", capsys.readouterr().out)
    assert set(printed.split()) <= {"-e", ".", *wanted}


def test_the_workflow_that_publishes_needs_no_token(folder: Path) -> None:
    yaml: Any = importlib.import_module("yaml")
    assert main(["new", "weather"]) == 0
    root = folder / "mcp-plugin-weather"
    workflow = yaml.safe_load((root / ".github/workflows/publish.yml").read_text(encoding="utf-8"))
    build, publish = workflow["jobs"]["build"], workflow["jobs"]["publish"]
    assert workflow["permissions"] == {}
    assert build["permissions"] == {"contents": "read"}
    assert publish["permissions"] == {"id-token": "write"}
    assert publish["needs"] == "build"
    assert [step["uses"].partition("@")[0] for step in publish["steps"]] == [
        "actions/download-artifact",
        "pypa/gh-action-pypi-publish",
    ]
    assert "secrets." not in str(workflow)
    assert set(run_of(root, "publish")) < set(run_of(root))
    readme = (root / "README.md").read_text(encoding="utf-8")
    for name in ("`publish.yml`", f"`{publish['environment']['name']}`", "`mcp-plugin-weather`"):
        assert name in readme.partition("## Publish")[2]


@pytest.mark.parametrize("client", ["claude-code", "vscode"])
def test_a_client_that_opens_the_folder_connects_to_what_dev_serves(folder: Path, client: str) -> None:
    assert main(["new", "weather"]) == 0
    root = folder / "mcp-plugin-weather"
    known = load_clients()[client]
    served = parse_config((root / "mcp-host.toml").read_text(encoding="utf-8"), environ={})
    assert list(served.plugins) == ["weather"]
    transport = served.transport
    assert known.project is not None
    written = json.loads((root / known.project).read_text(encoding="utf-8"))
    assert written == {
        known.key: {"weather": known.url_entry(f"http://{transport.host}:{transport.port}{transport.path}")}
    }
