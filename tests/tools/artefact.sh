#!/usr/bin/env bash
# Build the collection's archive into build/dist and install it into build/inst, as a user would get it.
# Copyright (c) 2026 phasegate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

rm -rf build/dist build/inst
mkdir -p build/dist build/inst
ansible-galaxy collection build --force --output-path build/dist .
# --no-deps: what the collection depends on comes with the ansible package; Galaxy is not asked
ansible-galaxy collection install build/dist/*.tar.gz -p build/inst --force --no-deps --offline
# ansible-test lists files through the nearest repository above, and this checkout's ignores build/: give it a nearer one
git init -q build/inst/ansible_collections/phasegate/aistack
printf "%s\n" tests/output/ __pycache__/ >build/inst/ansible_collections/phasegate/aistack/.git/info/exclude
