# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of the repository itself share."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.phasegate.aistack.plugins.module_utils.stack.check import check_stack

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository's root."""
    return ROOT


@pytest.fixture(scope="session")
def files() -> list[Path]:
    """Every file of the repository, relative to its root: what git tracks, and what is new and not ignored."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    found = [Path(name) for name in listing.split("\0") if name]
    return [path for path in found if (ROOT / path).is_file() and not (ROOT / path).is_symlink()]


@pytest.fixture(scope="session")
def described() -> Callable[[str], dict[str, Any]]:
    """By the name of a guide: the description of its stack, its first block of YAML, which has passed the check."""

    def read(guide: str) -> dict[str, Any]:
        block = re.findall(r"^```yaml\n(.*?)^```$", (ROOT / "docs" / guide).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)[0]
        said: dict[str, Any] = yaml.safe_load(block)
        stack = {key: said[f"aistack_{key}"] for key in ("phases", "components", "applications", "ports", "env")}
        assert check_stack({**stack, "acceptance": {}, "groups": {"aistack": ["node-1"], "all": ["node-1"]}}) == []
        return said

    return read
