#!/bin/sh
# Installs the programs that some tests need and Python's packages cannot bring, and the npm packages of other people's
# clients. Without root, apt-get or a registry it says what is missing, and those tests skip with that reason.
set -eu
missing=""
need() { # PACKAGE... because a test needs a program that is not there
    missing="$missing $*"
}
command -v nginx >/dev/null 2>&1 || [ -x /usr/sbin/nginx ] || need nginx-light         # the how-to page about it
command -v zsh >/dev/null 2>&1 || need zsh                                             # completion
command -v fish >/dev/null 2>&1 || need fish
command -v rg >/dev/null 2>&1 || need ripgrep                                          # mcp-plugin-files
command -v chromium >/dev/null 2>&1 || need chromium fonts-dejavu-core                 # mcp-plugin-report
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || need postgresql                 # mcp-plugin-sql
[ -x /usr/sbin/mariadbd ] || need mariadb-server-core
if [ -n "$missing" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "Installing$missing ..."
    export DEBIAN_FRONTEND=noninteractive
    # shellcheck disable=SC2086
    if apt-get update -qq && apt-get install -qq --no-install-recommends $missing >/dev/null; then missing=""; fi
fi
[ -z "$missing" ] || echo "Not installed, so that the tests that need them skip:$missing"
.venv/bin/python tools/node.py
