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
    go=$(../../../../tests/tools/go.sh .)
    echo "building VictoriaLogs (a minute)" >&2
    mkdir -p "${kept%/*}"
    CGO_ENABLED=0 GOWORK=off GOTOOLCHAIN=local "$go" build -mod=readonly -trimpath -ldflags "-s -w" -o "$kept.$$" \
        github.com/VictoriaMetrics/VictoriaLogs/app/victoria-logs >&2
    mv "$kept.$$" "$kept"
fi
echo "$kept"
