#!/usr/bin/env bash
# galaxy-importer's check of the built archive. It is built again elsewhere, so warnings about a missing repository are none.
# Copyright (c) 2026 phasegate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
shopt -s nullglob
archives=("$PWD"/build/dist/*.tar.gz)
[[ ${#archives[@]} -eq 1 ]] || {
    echo "importer: expected one archive in build/dist, got ${#archives[@]}; run: make artefact" >&2
    exit 1
}
python=$PWD/.venv/importer/bin/python
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
log=$scratch/log
cd "$scratch" # it leaves importer_result.json where it stands
PATH=$(dirname "$python"):$PATH "$python" -m galaxy_importer.main "${archives[0]}" 2>&1 | tee "$log"
if grep -E '^(ERROR|CRITICAL)' "$log"; then
    echo "importer: the lines above are errors" >&2
    exit 1
fi
