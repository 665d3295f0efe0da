# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person reads of verbs that need a node, under Ansible's own callback. The others: tests/integration/seen."""

from __future__ import annotations

import re
from typing import Any


def test_a_plan_that_would_change_nothing(lab: Any) -> None:
    """One line, and no failure is hidden in it."""
    ran = lab.play("playbooks/plan.yml", "-e", "release=v1.0.0").ended_well()
    assert "tiny v1.0.0 is live on gpu-1 with this environment and nothing is pending: deploy.yml would change nothing." in ran.output
    assert "Finalization of task args" not in ran.output


def test_a_plan_of_a_tag_that_does_not_exist(lab: Any) -> None:
    """The page says why, the status that it is a refusal."""
    ran = lab.play("playbooks/plan.yml", "-e", "release=v99.0.0").ended_badly()
    assert "Plan: tiny v1.0.0 → v99.0.0 on the stack tiny" in ran.output
    assert "There is no tag 'v99.0.0'" in " ".join(ran.output.split())
    assert "deploy.yml -e release=v99.0.0 would be refused." in ran.output


def test_the_checklist(lab: Any) -> None:
    """With its evidence."""
    ran = lab.play("playbooks/verify.yml").ended_well()
    assert re.search(r"^system +api: health +gpu-1 +PASS ", ran.output, re.MULTILINE), ran.output
    assert re.search(r"^data +the journal is as it was written +gpu-1 +PASS ", ran.output, re.MULTILINE), ran.output
    assert "\nverified: system " in ran.output


def test_a_rollback_to_a_release_that_was_never_here(lab: Any) -> None:
    """Refused in words, and nothing of any size behind them."""
    ran = lab.play("playbooks/rollback.yml", "-e", "to=v0.0.1").ended_badly()
    assert "The rollback is refused; nothing was touched." in ran.output
    assert "v0.0.1 was never deployed here" in ran.output
    assert all(len(result) < 1500 for result in re.findall(r"FAILED! => (\{.*)", ran.output)), ran.output


def test_what_was_saved(lab: Any) -> None:
    """Its path and its size."""
    ran = lab.play("playbooks/backup.yml", "-e", "reason=seen", "-e", "prune=false").ended_well()
    assert re.search(r"^gpu-1: \S+-seen: verified, [0-9.]+ MB in [0-9.]+ s", ran.output, re.MULTILINE), ran.output
