#!/usr/bin/env bash
# Make the programs that tests/integration/store needs, in build/store-tools: MinIO and its client as role minio pins them (Go builds
# them once, minutes), cyclonedx-py by its hashes, and cosign from the system's own package sources (Debian 13 has it).
# Copyright (c) 2026 phasegate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
set -euo pipefail
cd "$(dirname "$0")/../.."
place=$PWD/build/store-tools
mkdir -p "$place"
for name in minio mc; do
    [[ -x $place/$name ]] && continue
    go=$(tests/tools/go.sh "roles/minio/files/$name")
    echo "building $name (minutes)"
    (cd "roles/minio/files/$name" && CGO_ENABLED=0 GOWORK=off GOTOOLCHAIN=local "$go" build -mod=readonly -trimpath -ldflags "-s -w" \
        -o "$place/$name.part" "github.com/minio/$name")
    mv "$place/$name.part" "$place/$name"
done
if [[ ! -x $place/cyclonedx-py ]]; then
    .venv/bin/uv venv --quiet --clear "$place/sbom"
    .venv/bin/uv pip sync --quiet --require-hashes --python "$place/sbom/bin/python" tests/integration/store/requirements.txt
    ln -sf sbom/bin/cyclonedx-py "$place/cyclonedx-py"
fi
[[ -x $place/cosign ]] || command -v cosign >/dev/null || tests/tools/host-packages.sh cosign || {
    echo "missing: cosign, which this system has no package of (Debian 13 has); put one on the PATH, or into build/store-tools" >&2
    exit 1
}
