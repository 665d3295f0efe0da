# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Probes run on the node that will use the service."""

from __future__ import annotations

from typing import Any


def test_probe_runs_where_it_says(lab: Any) -> None:
    """With the path from backend to Ollama cut on the backend's side, that probe fails and names its node; the others pass."""
    node = lab.node("backend-1")
    table = "inet cut"
    node.check_output(f"nft add table {table}")
    try:
        node.check_output(f"nft add chain {table} out '{{ type filter hook output priority 0 ; }}'")
        node.check_output(f"nft add rule {table} out ip daddr {lab.addresses['gpu-1']} tcp dport 11434 reject")
        ran = lab.play("playbooks/healthcheck.yml", "-e", "only=ollama").ended_badly()
    finally:
        node.check_output(f"nft delete table {table}")
    assert "backend-1" in ran.output
    lab.play("playbooks/healthcheck.yml", "-e", "only=ollama", "-e", "deadline=20").ended_well()
