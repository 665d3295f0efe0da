#!/usr/bin/env bash
# Install commands that a check needs from the system's own package sources, where they are missing.
# Usage: tests/tools/host-packages.sh COMMAND[=PACKAGE]...   (PACKAGE: where it is not called like the command)
# Copyright (c) 2026 phasegate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
set -euo pipefail
shopt -s nullglob
for folder in /usr/lib/postgresql/*/bin; do # Debian keeps the server's programs out of the way
    PATH=$PATH:$folder
done
missing=()
for name in "$@"; do
    command -v "${name%%=*}" >/dev/null || missing+=("${name#*=}")
done
[[ ${#missing[@]} -eq 0 ]] && exit 0
if [[ $(id -u) -ne 0 ]] || ! command -v apt-get >/dev/null; then
    echo "missing: ${missing[*]}; install them with this system's package manager, then repeat the command" >&2
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive
export RUNLEVEL=1 # a check needs the programs, not the services that come with them
lock=(-o DPkg::Lock::Timeout=300)
apt-get install -qq -y --no-install-recommends "${lock[@]}" "${missing[@]}" >/dev/null 2>&1 || {
    apt-get update -qq "${lock[@]}"
    apt-get install -qq -y --no-install-recommends "${lock[@]}" "${missing[@]}"
}
