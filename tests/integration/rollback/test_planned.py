# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Back by plan: consent, levels, documents, what is lost, and every reason against it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ..refusals.conftest import FINGERPRINT, Lab
from .conftest import AFTER, BEFORE, bring


def telling(folder: Path) -> list[str]:
    """Arguments with which a rollback tells a file in this folder."""
    receiver = {"kind": "command", "command": ["sh", "-c", f"cat >> {folder}/told; echo >> {folder}/told"]}
    return ["-e", json.dumps({"aistack_notices": [receiver]})]


def told(folder: Path) -> list[dict[str, Any]]:
    """What it was told, in this order."""
    return [json.loads(line) for line in (folder / "told").read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-e", "level=everything"], ["no level everything", "app, config, schema"]),
        (["-e", "to=v9.9.9"], ["v9.9.9 was never deployed here", "deploy.yml -e release=v9.9.9"]),
        (["-e", f"to={AFTER}"], ["already"]),
        ([], ["expected the target's name as consent", f"-e confirm={BEFORE}"]),
        (["-e", "confirm=yes"], ["expected the target's name as consent", "got yes"]),
    ],
    ids=["unknown level", "never deployed", "already there", "no consent", "another consent"],
)
def test_refused_and_nothing_touched(deployed: Lab, arguments: list[str], said: list[str]) -> None:
    before = deployed.on("backend-1", FINGERPRINT)
    outcome = deployed.play("rollback", *arguments)
    assert outcome.rc != 0
    outcome.says(*said)
    assert deployed.serving() == {"backend": AFTER, "frontend": AFTER}
    assert deployed.on("backend-1", FINGERPRINT) == before


def test_the_plan_alone(deployed: Lab) -> None:
    seq = deployed.journal()[-1]["seq"]
    plan = deployed.play("rollback", "--check")
    assert plan.rc == 0, plan.text
    plan.says(f"level app: {AFTER} → {BEFORE}", "its slot is", "lost:")
    assert deployed.journal()[-1]["seq"] == seq


def test_with_consent_and_documents(deployed: Lab, tmp_path: Path) -> None:
    asked = ["-e", f"confirm={BEFORE}", "-e", "reason='too many errors'", "-e", f"documents={tmp_path}"]
    outcome = deployed.play("rollback", *asked, *telling(tmp_path))
    assert outcome.rc == 0, outcome.text
    outcome.says(f"everything is back at {BEFORE} (from {AFTER})")
    assert deployed.serving() == {"backend": BEFORE, "frontend": BEFORE}
    plan, post = sorted(tmp_path.glob("rollback-*.md")), sorted(tmp_path.glob("post-mortem-*.md"))
    assert len(plan) == len(post) == 1
    assert "too many errors" in plan[0].read_text()
    written = post[0].read_text()
    for part in (f"rollback {AFTER} → {BEFORE}", "too many errors", "## Timeline", "backend-1", "web-1"):
        assert part in written, written
    began, ended = told(tmp_path)
    assert (began["event"], ended["event"]) == ("rollback_started", "rollback_finished")
    assert "Will be lost: nothing" in began["text"]
    assert "Lost: nothing" in ended["text"]
    assert ended["facts"]["done"]


def test_the_schema_goes_back_where_its_loss_is_accepted_by_name(lab: Lab, tmp_path: Path) -> None:
    bring(lab, BEFORE)
    if lab.on("backend-1", "runuser -u postgres -- psql -XAtq sparklio -c 'select count(model) from agent_logs'").strip() == "0":
        assert lab.play("verify").rc == 0  # its acceptance has agents write into their log
    before = lab.on("backend-1", FINGERPRINT)
    assert before.splitlines()[1] == "0002"
    refused = lab.play("rollback", "-e", "level=schema", "-e", "to=v4.0.0", "-e", "confirm=v4.0.0")
    assert refused.rc != 0
    refused.says("The downgrade loses data: column agent_logs.model", "accept_loss")
    assert lab.serving()["backend"] == BEFORE
    assert lab.on("backend-1", FINGERPRINT) == before
    asked = ["-e", "level=schema", "-e", "to=v4.0.0", "-e", "confirm=v4.0.0", "-e", "accept_loss=agent_logs.model"]
    went = lab.play("rollback", *asked, *telling(tmp_path))
    assert went.rc == 0, went.text
    assert any(line.startswith("agent_logs.model: ") for line in told(tmp_path)[-1]["facts"]["losses"]), told(tmp_path)
    assert lab.serving() == {"backend": "v4.0.0", "frontend": "v4.0.0"}
    after = lab.on("backend-1", FINGERPRINT)
    assert after.splitlines()[1] == "0001"
    kept = dict(line.split() for line in after.splitlines()[2:])
    lost = {line.split()[0]: line.split()[1] for line in before.splitlines()[2:]}
    assert all(int(kept[name]) >= int(count) for name, count in lost.items() if name != "workflow_feedback"), "rows went besides"
