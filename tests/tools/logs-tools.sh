#!/usr/bin/env bash
# Make VictoriaLogs as role victorialogs pins it, which tests/integration/logs needs, and print its path. Go builds it once (a minute);
# it is kept beside what the role go_build keeps.
# Copyright (c) 2026 phasegate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
set -euo pipefail
cd "$(dirname "$0")/../../roles/victorialogs/files/victorialogs"
pin=$(cat go.mod go.sum | sha256sum | cut -c1-16)
kept=${XDG_CACHE_HOME:-$HOME/.cache}/phasegate/go/test-victoria-logs-$pin
if [[ ! -x $kept ]]; then
    wanted=$(sed -n 's/^go //p' go.mod)
    found=$(GOTOOLCHAIN=local go env GOVERSION 2>/dev/null || true)
    if [[ -z $found || $(printf '%s\n' "$wanted" "${found#go}" | sort -V | head -n 1) != "$wanted" ]]; then
        echo "missing: go $wanted, which builds VictoriaLogs (found: ${found:-none}); put one on the PATH, then repeat the command" >&2
        exit 1
    fi
    echo "building VictoriaLogs (a minute)" >&2
    mkdir -p "${kept%/*}"
    CGO_ENABLED=0 GOWORK=off GOTOOLCHAIN=local go build -mod=readonly -trimpath -ldflags "-s -w" -o "$kept.$$" \
        github.com/VictoriaMetrics/VictoriaLogs/app/victoria-logs >&2
    mv "$kept.$$" "$kept"
fi
echo "$kept"
