#!/bin/sh
# Installs the programs that some tests need and Python packages do not contain, and the npm packages of other clients.
# Without root, apt-get or a registry it prints what is missing; the tests that need it are skipped with that reason.
set -eu
missing=""
need() { # PACKAGE...: a test needs a program of these packages
    missing="$missing $*"
}
command -v nginx >/dev/null 2>&1 || [ -x /usr/sbin/nginx ] || need nginx-light         # the how-to page about it
command -v zsh >/dev/null 2>&1 || need zsh                                             # completion
command -v fish >/dev/null 2>&1 || need fish
command -v rg >/dev/null 2>&1 || need ripgrep                                          # mcp-plugin-files
command -v chromium >/dev/null 2>&1 || need chromium fonts-dejavu-core                 # mcp-plugin-report
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || need postgresql                 # mcp-plugin-sql
[ -x /usr/sbin/mariadbd ] || need mariadb-server-core
[ -x /usr/sbin/pgbouncer ] || need pgbouncer
if [ -n "$missing" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "Installing$missing ..."
    export DEBIAN_FRONTEND=noninteractive
    # shellcheck disable=SC2086
    if apt-get update -qq && apt-get install -qq --no-install-recommends $missing >/dev/null; then missing=""; fi
fi
[ -z "$missing" ] || echo "Not installed, so the tests that need them are skipped:$missing"
.venv/bin/python tools/node.py
