# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.phasegate.aistack.plugins.action import rollback_plan


def test_code_is_told_for_switches_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other steps go from one schema to another, or name a set."""
    monkeypatch.setattr(rollback_plan.Source, "changes", lambda self, newer, older: [f"{self.repo}: {older}..{newer}"])
    switch = {"commit": {"v2": "b", "v1": "a"}, "from": {"release": "v2"}, "release": "v1"}
    steps = [
        {"do": "downgrade", "component": "web", "detail": {"from": ["0002"], "to": ["0001"], "release": "v2"}},
        {"do": "restore", "component": None, "detail": {"set": "s"}},
        {"do": "switch", "component": "web", "detail": switch},
        {"do": "switch", "component": "page", "detail": {**switch, "commit": {"v2": None, "v1": "a"}}},
    ]
    assert rollback_plan.code({"n": {"steps": steps}, "idle": {}}, ["/srv/r.git"]) == ["/srv/r.git: a..b"]
