#!/usr/bin/env bash
# Seconds, not minutes: what `make hooks` installs as git's pre-commit hook.
# Copyright (c) 2026 phasegate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
set -euo pipefail
cd "$(git rev-parse --show-toplevel)"
.venv/bin/ruff check -q .
.venv/bin/yamllint --strict .
.venv/bin/python -m pytest -q -x tests/unit tests/docs
