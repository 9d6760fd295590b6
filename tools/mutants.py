"""Changes one operator at a time in the modules that guard something, and lists the changes that no test notices.

Runs with `make mutants`, or for some modules: `make mutants ARGS="rules.py guard.py"`. cosmic-ray changes the files of
this checkout and restores them: commit first.
"""

from __future__ import annotations

import argparse
import ast
import os
import random
import re
import shlex
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

COSMIC_RAY = ".cache/mutants/bin/cosmic-ray"
CALLS = "test_middleware.py test_dispatch.py test_limits.py test_observers.py test_elicitation.py test_outgoing.py"
FILES = "test_listing.py test_read.py test_write.py test_own_files.py test_resources.py test_settings.py"
SQL = "test_statement.py test_sqlite.py test_tools.py test_settings.py"
MODULES = {
    "host/mcp_host/calls/dispatch.py": ("tests/host/calls", CALLS),
    "host/mcp_host/plugins/bulkhead.py": ("tests/host", "calls/test_limits.py server/test_plaincalls.py"),
    "host/mcp_host/plugins/breaker.py": ("tests/host", "plugins/test_breaker.py calls/test_limits.py"),
    "host/mcp_host/server/auth/auth.py": ("tests/host/server", "test_auth.py"),
    "host/mcp_host/server/auth/jwks.py": ("tests/host/server", "test_auth.py"),
    "host/mcp_host/server/auth/jwtverifier.py": ("tests/host/server", "test_auth.py"),
    "host/mcp_host/net/addresses.py": ("tests/host/net", ""),
    "host/mcp_host/net/guard.py": ("tests/host/net", ""),
    "host/mcp_host/net/rules.py": ("tests/host/net", ""),
    "host/mcp_host/catalog/generations.py": ("tests/host/server", "test_reload.py"),
    "plugins/mcp-plugin-files/src/mcp_plugin_files/folders.py": ("tests/plugins/files", FILES + " test_containment.py"),
    "plugins/mcp-plugin-files/src/mcp_plugin_files/own.py": ("tests/plugins/files", "test_own_files.py"),
    "plugins/mcp-plugin-files/src/mcp_plugin_files/paths.py": ("tests/plugins/files", FILES + " test_containment.py"),
    "plugins/mcp-plugin-files/src/mcp_plugin_files/roots.py": ("tests/plugins/files", FILES + " test_containment.py"),
    "plugins/mcp-plugin-sql/src/mcp_plugin_sql/backends/sqlite.py": ("tests/plugins/sql", SQL),
    "plugins/mcp-plugin-sql/src/mcp_plugin_sql/checks.py": ("tests/plugins/sql", "test_settings.py test_postgres.py"),
    "plugins/mcp-plugin-sql/src/mcp_plugin_sql/statement.py": ("tests/plugins/sql", SQL),
}
"""Each module, the folder of its tests, and the files there; all of the folder without names."""

KEPT = re.compile(
    r"AddNot|True|False|Delete_Not|AndWithOr|OrWithAnd|Break|Continue|Exception|Number|ZeroIteration"
    r"|_(Add_Sub|Sub_Add|BitOr_BitAnd|BitAnd_BitOr|RShift_LShift|Eq_NotEq|NotEq_Eq|Is_IsNot|IsNot_Is"
    r"|Lt_LtE|Lt_GtE|LtE_Lt|LtE_Gt|Gt_GtE|Gt_LtE|GtE_Gt|GtE_Lt)$"
)
"""cosmic-ray's operators without the ones that differ little from another one."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("modules", nargs="*", help="the ends of paths, such as net/rules.py (default: all modules)")
    parser.add_argument("--most", type=int, default=250, help="the most mutants of a module; a seeded sample of more")
    parser.add_argument("--seconds", type=float, default=120, help="the most seconds for the tests of one mutant")
    parser.add_argument("--pytest", default=".venv/bin/pytest", help="the command that runs the tests")
    parser.add_argument("--tests", help="other tests than the ones of the table")
    options = parser.parse_args()
    for module in [module for module in MODULES if not options.modules or module.endswith(tuple(options.modules))]:
        folder, files = MODULES[module]
        tests = options.tests or " ".join(f"{folder}/{file}" for file in files.split()) or folder
        run(module, f"{options.pytest} -q -x -p no:cacheprovider {tests}", options.most, options.seconds)


def run(module: str, command: str, most: int, seconds: float) -> None:
    """Run the tests on each mutant of one module and print the ones that survive."""
    # A compiled file of one mutant must not serve for the next one.
    environ = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run(shlex.split(command), check=True, stdout=subprocess.DEVNULL, env=environ)
    with TemporaryDirectory() as folder:
        config, session = Path(folder, "config.toml"), Path(folder, "session.sqlite")
        config.write_text(
            f'[cosmic-ray]\nmodule-path = "{module}"\ntimeout = {seconds}\nexcluded-modules = []\n'
            f'test-command = "{command}"\n[cosmic-ray.distributor]\nname = "local"\n'
        )
        subprocess.run([COSMIC_RAY, "init", config, session], check=True)
        with closing(sqlite3.connect(session)) as database, database:
            sample(database, module, most)
        subprocess.run([COSMIC_RAY, "exec", config, session], check=True, env=environ)
        with closing(sqlite3.connect(session)) as database:
            report(database, module)


def sample(database: sqlite3.Connection, module: str, most: int) -> None:
    """Skip mutants that change no behaviour, and all but `most` of the rest."""
    quiet = set(quiet_positions(ast.parse(Path(module).read_text(encoding="utf-8"))))
    chosen: list[tuple[str]] = []
    skipped: list[tuple[str]] = []
    found = (
        "SELECT job_id, operator_name, start_pos_row, start_pos_col FROM mutation_specs ORDER BY 2, 3, 4, occurrence"
    )
    for job_id, operator, row, column in database.execute(found):
        (chosen if KEPT.search(operator) and (row, column) not in quiet else skipped).append((job_id,))
    random.Random(0).shuffle(chosen)
    skip = "INSERT INTO work_results (job_id, worker_outcome) VALUES (?, 'SKIPPED')"
    database.executemany(skip, skipped + chosen[most:])
    print(f"{module}: {len(chosen[:most])} of {len(chosen)} mutants", flush=True)


def quiet_positions(tree: ast.Module) -> Iterator[tuple[int, int]]:
    """Yield the positions in annotations, in calls of a logger and in constants that are numbers."""
    for node in ast.walk(tree):
        inside: list[ast.AST | None] = []
        if isinstance(node, ast.arg | ast.AnnAssign):
            inside.append(node.annotation)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            inside.append(node.returns)
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("logger."):
            inside.append(node)
        if isinstance(node, ast.AnnAssign) and node in tree.body and isinstance(node.value, ast.Constant | ast.BinOp):
            inside.append(node.value)
        if isinstance(node, ast.Assign) and node in tree.body and ast.unparse(node.value).startswith("Callable["):
            inside.append(node.value)
        for part in inside:
            for line, start, end in spans(part):
                yield from ((line, column) for column in range(start, end))


def spans(node: ast.AST | None) -> Iterator[tuple[int, int, int]]:
    """Yield the lines of a node, each with its first and last column."""
    if isinstance(node, ast.expr) and node.end_lineno is not None and node.end_col_offset is not None:
        for line in range(node.lineno, node.end_lineno + 1):
            start = node.col_offset if line == node.lineno else 0
            yield line, start, node.end_col_offset if line == node.end_lineno else 200


def report(database: sqlite3.Connection, module: str) -> None:
    """Print how many mutants the tests noticed, and the others as changes of the source."""
    results = "SELECT test_outcome, diff, output FROM work_results WHERE worker_outcome != 'SKIPPED'"
    outcomes = database.execute(results).fetchall()
    alive = [diff or output for outcome, diff, output in outcomes if outcome == "SURVIVED"]
    print(f"{module}: {len(outcomes)} mutants, {len(alive)} survived", *alive, sep="\n", flush=True)


if __name__ == "__main__":
    main()
