# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Nothing hands a proxy's password to the keyword ``environment``, and whatever fetches gets it by a way that nobody sees."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[3]
FILES = sorted([*ROOT.glob("playbooks/**/*.yml"), *ROOT.glob("roles/*/tasks/*.yml")])
HALVES = re.compile(r"aistack_environment \| default\(\{\}\) \| phasegate\.aistack\.(open_environment|secret_environment|apt_conf)\b")
FETCHES = ("get_url", "uri", "unarchive", "pip", "git", "apt", "apt_key", "apt_repository", "npm")
"""Modules of others that would need the password in their environment."""


def tasks(node: Any) -> Iterator[dict[str, Any]]:
    """Every mapping of a file: plays, blocks and tasks among them."""
    for entry in node if isinstance(node, list) else [node]:
        if isinstance(entry, dict):
            yield entry
            for name in ("tasks", "pre_tasks", "block", "rescue", "always"):
                yield from tasks(entry.get(name) or [])


def test_the_environment_is_never_taken_whole() -> None:
    said = [(path, line) for path in FILES for line in path.read_text(encoding="utf-8").splitlines() if "aistack_environment" in line]
    named = [(str(path.relative_to(ROOT)), line) for path, line in said if "{{ aistack_environment" in line]
    assert len(named) > 8
    assert [place for place in named if not HALVES.search(place[1])] == []


def test_the_keyword_gets_the_open_half() -> None:
    keywords = [
        (path.name, str(task["environment"])) for path in FILES for task in tasks(yaml.safe_load(path.read_text(encoding="utf-8")))
        if "aistack_environment" in str(task.get("environment"))
    ]
    assert {name for name, _value in keywords} == {"deploy.yml", "migrate.yml", "phase.yml", "plan.yml", "site.yml"}
    assert [name for name, value in keywords if "open_environment" not in value] == []


def test_what_fetches_is_ours() -> None:
    found = {
        f"{path.parts[-3]}/{path.name}: {module}"
        for path in FILES for task in tasks(yaml.safe_load(path.read_text(encoding="utf-8"))) for module in FETCHES
        if f"ansible.builtin.{module}" in task
    }
    # go_build refuses to use it where the proxy wants a password
    assert found == {"toolchain/apt.yml: apt", "go_build/build.yml: apt"}
