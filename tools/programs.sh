#!/bin/sh
# Installs the programs that some tests need and Python's packages cannot bring: nginx for the how-to page about it,
# zsh and fish for completion, the npm packages of other people's clients. Without root, apt-get or a registry it says
# what is missing, and those tests skip with that reason.
set -eu
missing=""
command -v nginx >/dev/null 2>&1 || [ -x /usr/sbin/nginx ] || missing="$missing nginx-light"
for shell in zsh fish; do
    command -v "$shell" >/dev/null 2>&1 || missing="$missing $shell"
done
if [ -n "$missing" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "Installing$missing ..."
    export DEBIAN_FRONTEND=noninteractive
    # shellcheck disable=SC2086
    if apt-get update -qq && apt-get install -qq --no-install-recommends $missing >/dev/null; then missing=""; fi
fi
[ -z "$missing" ] || echo "Not installed, so that the tests that need them skip:$missing"
.venv/bin/python tools/node.py
