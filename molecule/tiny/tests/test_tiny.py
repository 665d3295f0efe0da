# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An application that nobody tuned for is deployed, proven and checked by the same playbooks."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any


def test_every_gate_passes(lab: Any, tmp_path: Path) -> None:
    """Its health check has rows, and all of them pass."""
    output = tmp_path / "health.json"
    lab.play("playbooks/healthcheck.yml", "-e", f"output={output}", "-e", "deadline=20").ended_well()
    rows = json.loads(output.read_text(encoding="utf-8"))
    assert sum(row["probes"] for row in rows) > 0
    assert {row["verdict"] for row in rows} == {"pass"}, rows


def test_nothing_of_the_first_application_came_along(lab: Any) -> None:
    """Its root holds its own component and the tools, and nothing else."""
    variables = lab.inventory / "group_vars" / "all"
    text = "\n".join(path.read_text(encoding="utf-8") for path in sorted(variables.glob("*.yml")))
    for word in ("sparklio", "postgres", "redis", "celery", "ollama"):
        assert word not in text


def test_its_own_tests_saw_nothing_of_the_node(lab: Any) -> None:
    """They ran in the sandbox, as their user, with a made-up variable and none but their own processes in sight."""
    node = lab.node("gpu-1")
    tests = json.loads(node.file("/opt/tiny/api/slots/live/release/release.json").content_string)["tests"]
    assert [test["sandbox"] for test in tests] == ["systemd"]
    words = re.fullmatch(r"(\S+), (\S+) sees (\d+) processes", tests[0]["summary"])
    assert words, tests
    assert words[1] == "xxxxxxxx", "the value of production is hello"
    assert words[2] == "aistack-test"
    assert int(words[3]) < 10, "it saw the processes of others"
