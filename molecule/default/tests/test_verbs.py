# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What operators do every day: look at the health, restart."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ENTERED = "systemctl show %s -p ActiveEnterTimestampMonotonic --value"


def test_healthcheck_reports(lab: Any, tmp_path: Path) -> None:
    """A table for people, JSON for programs, exit status 0."""
    output = tmp_path / "health.json"
    ran = lab.play("playbooks/healthcheck.yml", "-e", f"output={output}", env={"ANSIBLE_STDOUT_CALLBACK": "phasegate.aistack.phases"})
    ran.ended_well()
    rows = json.loads(output.read_text(encoding="utf-8"))
    assert {"component", "node", "verdict", "probes", "passed"} <= set(rows[0])
    for row in rows:
        assert row["component"] in ran.output


def test_healthcheck_fails_where_something_is_down(lab: Any) -> None:
    """Exit status and table say what; put right afterwards."""
    try:
        lab.node("gpu-1").check_output("systemctl stop comfyui.service")
        ran = lab.play("playbooks/healthcheck.yml").ended_badly()
        assert "comfyui" in ran.output
    finally:
        lab.node("gpu-1").check_output("systemctl start comfyui.service")
    lab.play("playbooks/healthcheck.yml", "-e", "deadline=30").ended_well()


def test_restart_one_component(lab: Any) -> None:
    """`-e only=` restarts that component and no other, and proves it."""
    redis = lab.node("backend-1").check_output(ENTERED, "redis-server.service")
    comfyui = lab.node("gpu-1").check_output(ENTERED, "comfyui.service")
    lab.play("playbooks/restart.yml", "-e", "only=comfyui").ended_well()
    assert lab.node("gpu-1").check_output(ENTERED, "comfyui.service") != comfyui
    assert lab.node("backend-1").check_output(ENTERED, "redis-server.service") == redis


def test_restart_in_order(lab: Any) -> None:
    """Dependencies first: each component starts after what it needs."""
    lab.play("playbooks/restart.yml", timeout=900).ended_well()
    order = ["postgresql@*", "redis-server", "aistack-backend@*", "aistack-worker@*", "aistack-beat@*"]
    node = lab.node("backend-1")
    times = [max(int(value) for value in node.check_output(ENTERED, pattern).split() if value) for pattern in order]
    assert times[2] > max(times[:2])
    assert times[3] > times[2]
    assert times[4] > times[3]


def test_verify_on_four_levels(lab: Any, tmp_path: Path) -> None:
    """Every item with its evidence; a stack that is well passes."""
    page = tmp_path / "verification.md"
    lab.play("playbooks/verify.yml", "-e", f"output={page}").ended_well()
    text = page.read_text(encoding="utf-8")
    assert "- [x] backend: foreign keys (backend-1): pass" in text
    assert "public.workflows" in text
    assert "Nothing was asked" not in text  # of any of the four levels
