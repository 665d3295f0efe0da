# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets never reach the output, however much of it is asked for."""

from __future__ import annotations

import json
from typing import Any

# something to converge for every role that handles a secret
CHANGES = {
    "postgres_settings_extra": {"work_mem": "5MB"},
    "redis_maxmemory": "250mb",
    "minio_environment": {"MINIO_API_REQUESTS_MAX": "200"},
}


def test_output_of_changes_shows_no_secret(lab: Any, secrets: dict[str, str]) -> None:
    """`--check --diff -vvv` where there is something to converge: every argument and every difference, and no secret among them."""
    ran = lab.play("site.yml", "--tags", "phase0", "-e", json.dumps(CHANGES), "--check", "--diff", "-vvv").ended_well()
    assert "250mb" in ran.output
    assert [name for name, secret in secrets.items() if secret in ran.output] == []
