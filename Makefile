# `make run` serves mcp-host.toml; `make test` runs every check. Both need only Python >= 3.11, git and make.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PLUGINS := $(wildcard plugins/*)
PROJECTS := pyproject.toml $(wildcard plugins/*/pyproject.toml) constraints.txt
EDITABLE := -e . $(addprefix -e ./,$(PLUGINS))

INSTALL := $(BIN)/python -m pip install --quiet
# pip gives up when an index does not answer, and then names a package that it did not find.
OR_EXPLAIN = || { echo "The packages could not be installed. Can this machine reach the package index? Above is what pip has tried." >&2; exit 1; }

export PIP_CONSTRAINT := $(CURDIR)/constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: run test lint types layers programs tests coverage docs bench fuzz oracle soak mutants clean

run: $(VENV)/.run
	@$(BIN)/mcp-host run

test: lint types layers docs tests

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.test
	$(BIN)/mypy

layers: $(VENV)/.test
	$(BIN)/lint-imports --no-logo

programs: $(VENV)/.test
	@sh tools/programs.sh

tests: $(VENV)/.test programs
	$(BIN)/pytest -n auto $(ARGS)

coverage: $(VENV)/.test programs
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -n auto $(ARGS)
	$(BIN)/coverage combine -q
	$(BIN)/coverage report --fail-under=95

docs: $(VENV)/.test
	$(BIN)/python tools/docs/picture.py
	PYTHONPATH=tools/docs $(BIN)/zensical build --strict --clean

bench: $(VENV)/.test
	$(BIN)/python bench/neighbour.py $(ARGS)
	$(BIN)/python bench/calls.py $(ARGS)
	$(BIN)/python bench/forwarding.py $(ARGS)
	$(BIN)/python bench/ten.py

fuzz: $(VENV)/.test
	MCP_HOST_FUZZ_EXAMPLES=$(or $(EXAMPLES),2000) $(BIN)/pytest -n auto tests/fuzz $(ARGS)

# All CSV files of the data packages, not every tenth.
oracle: $(VENV)/.test
	MCP_HOST_ORACLE_EVERY=1 $(BIN)/pytest tests/plugins/stats/test_oracle.py $(ARGS)

soak: $(VENV)/.test
	PYTHONPATH=tests $(BIN)/python -m soak run --seconds $(or $(SECONDS),3600)

# cosmic-ray has a virtual environment of its own: it is no part of the project's tests.
mutants: $(VENV)/.test
	$(BIN)/python -m venv .cache/mutants
	PIP_CONSTRAINT= .cache/mutants/bin/pip install --quiet cosmic-ray==8.7.0
	$(BIN)/python tools/mutants.py $(ARGS)

$(VENV)/.venv:
	@$(PYTHON) -c 'import sys; sys.exit("mcp-host needs Python 3.11 or newer; try: make PYTHON=python3.12 ...") if sys.version_info < (3, 11) else 0'
	@$(PYTHON) -m venv $(VENV)
	@$(INSTALL) --upgrade pip $(OR_EXPLAIN)
	@touch $@

$(VENV)/.run: $(VENV)/.venv $(PROJECTS)
	@echo "Installing mcp-host and its plugins into $(VENV) (once) ..."
	@$(INSTALL) $(EDITABLE) $(OR_EXPLAIN)
	@touch $@

$(VENV)/.test: $(VENV)/.venv $(PROJECTS)
	@$(INSTALL) --group test $(EDITABLE) $(OR_EXPLAIN)
	@touch $@ $(VENV)/.run

clean:
	rm -rf $(VENV) .coverage* .mypy_cache .ruff_cache .pytest_cache .import_linter_cache site .cache
