#!/usr/bin/env bash
# Make what tests/integration/traces needs: Jaeger as role jaeger pins it, whose path is printed (Go builds it once, minutes; it is kept in
# the cache of the lab), and in build/traces-tools an environment with an application's packages and OpenTelemetry's.
# Copyright (c) 2026 phasegate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
set -euo pipefail
cd "$(dirname "$0")/../.."
place=$PWD/build/traces-tools
if [[ ! -e $place/complete || tests/integration/traces/requirements.txt -nt $place/complete ]]; then
    mkdir -p "$place"
    .venv/bin/uv venv --quiet --clear "$place/app" >&2
    .venv/bin/uv pip sync --quiet --require-hashes --python "$place/app/bin/python" tests/integration/traces/requirements.txt >&2
    touch "$place/complete"
fi
cd roles/jaeger/files/jaeger
pin=$(cat go.mod go.sum | sha256sum | cut -c1-16)
kept=${XDG_CACHE_HOME:-$HOME/.cache}/phasegate-lab/go/test-jaeger-$pin
if [[ ! -x $kept ]]; then
    go=$(../../../../tests/tools/go.sh .)
    echo "building Jaeger (minutes)" >&2
    mkdir -p "${kept%/*}"
    CGO_ENABLED=0 GOWORK=off GOTOOLCHAIN=local "$go" build -mod=readonly -trimpath -ldflags "-s -w" -o "$kept.$$" \
        github.com/jaegertracing/jaeger/cmd/jaeger >&2
    mv "$kept.$$" "$kept"
fi
echo "$kept"
