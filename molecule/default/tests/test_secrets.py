# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets never reach the output, however much of it is asked for."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

# something to converge for every role that handles a secret
CHANGES = {
    "postgres_settings_extra": {"work_mem": "5MB"},
    "redis_maxmemory": "250mb",
    "minio_environment": {"MINIO_API_REQUESTS_MAX": "200"},
}


@pytest.mark.parametrize(
    "arguments",
    [
        ["site.yml", "--tags", "phase0", "-e", json.dumps(CHANGES)],
        ["playbooks/deploy.yml", "-e", "release=v4.10.0"],
        ["playbooks/healthcheck.yml"],
    ],
    ids=["site.yml", "deploy.yml", "healthcheck.yml"],
)
def test_output_shows_no_secret(lab: Any, root: Path, arguments: list[str]) -> None:
    """`--check --diff -vvv`: every argument and every difference, and no secret among them."""
    folder = Path(os.environ.get("AISTACK_SECRETS_DIR") or root / ".lab" / "secrets")
    secrets = {path.name: path.read_text(encoding="utf-8").split()[0] for path in folder.iterdir() if path.is_file()}
    assert len(secrets) >= 5
    ran = lab.play(*arguments, "--check", "--diff", "-vvv")
    assert len(ran.output) > 2000
    assert [name for name, secret in secrets.items() if secret in ran.output] == []
