#!/usr/bin/env bash
# Print the path of a Go that is as new as the go.mod in a folder asks for: this machine's, or else one of .venv, with its hash in
# requirements/go.txt.
# Usage: go.sh FOLDER
# Copyright (c) 2026 phasegate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
set -euo pipefail
wanted=$(sed -n 's/^go //p' "$1/go.mod")
found=$(GOTOOLCHAIN=local go env GOVERSION 2>/dev/null || true)  # nothing where there is no Go
if [[ -n $found && $(printf '%s\n' "$wanted" "${found#go}" | sort -V | head -n 1) == "$wanted" ]]; then
    command -v go
    exit
fi
cd "$(dirname "$0")/../.."
lab/nodes/venv.py go >&2
echo "$PWD/.venv/go/bin/go"
