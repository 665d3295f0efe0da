# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Back by plan: consent, levels, documents, what is lost, and every reason against it."""

from __future__ import annotations

import json
import re
import time
import urllib.error
from pathlib import Path
from typing import Any

import pytest

from ..faults.world import KILLED, World
from ..refusals.conftest import FINGERPRINT, Lab
from .conftest import AFTER, BEFORE, OperatorLab, backend, bring, config, keep, with_setting


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
        (["-e", "level=everything"], ["everything", "app, config, schema"]),
        (["-e", "to=v9.9.9"], ["v9.9.9 was never deployed here", "deploy.yml -e release=v9.9.9"]),
        (["-e", "to=../v4.1.0"], ["to: expected a name", "Nothing was touched"]),
        ([], ["expected the target's name as consent", f"-e confirm={BEFORE}"]),
        (["-e", "confirm=yes"], ["expected the target's name as consent", "got yes"]),
    ],
    ids=["unknown level", "never deployed", "no name of a release", "no consent", "another consent"],
)
def test_refused_and_nothing_touched(deployed: Lab, arguments: list[str], said: list[str]) -> None:
    before = deployed.on("backend-1", FINGERPRINT)
    outcome = deployed.play("rollback", *arguments)
    assert outcome.rc != 0
    outcome.says(*said)
    assert deployed.serving() == {"backend": AFTER, "frontend": AFTER}
    assert deployed.on("backend-1", FINGERPRINT) == before


def test_already_there_is_a_success_without_a_change(deployed: OperatorLab, tmp_path: Path) -> None:
    seq = deployed.journal()[-1]["seq"]
    outcome = deployed.play("rollback", "-e", f"to={AFTER}", *telling(tmp_path))
    assert outcome.rc == 0, outcome.text
    outcome.says(f"every component is at {AFTER} already; nothing to do", " 0 changes,")
    assert deployed.journal()[-1]["seq"] == seq
    assert not (tmp_path / "told").exists(), "nobody has to know"


def test_killed_after_the_nodes_have_switched_it_is_finished_by_the_same_command(deployed: OperatorLab, tmp_path: Path) -> None:
    asked = ["-e", f"to={BEFORE}", "-e", f"confirm={BEFORE}", "-e", f"documents={tmp_path}", *telling(tmp_path)]
    killed = World().faulty("rollback", asked, {"step": "(5/5) Every gate", "after": 0})
    assert killed.rc == KILLED, killed.text
    assert deployed.serving() == {"backend": BEFORE, "frontend": BEFORE}
    assert [entry["event"] for entry in told(tmp_path)] == ["rollback_started"]
    again = deployed.play("rollback", *asked)
    assert again.rc == 0, again.text
    again.says("this finishes what run", f"everything is back at {BEFORE} (from {AFTER})")
    assert [entry["event"] for entry in told(tmp_path)][1:] == ["rollback_started", "rollback_finished"]
    (post,) = tmp_path.glob("post-mortem-*.md")
    written = post.read_text()
    for part in (f"rollback {AFTER} → {BEFORE}", "| Outcome | complete |", f"{AFTER} is marked bad on backend-1, web-1"):
        assert part in written, written
    assert World().locks() == {}
    seq = deployed.journal()[-1]["seq"]
    done = deployed.play("rollback", *asked)
    assert done.rc == 0, done.text
    done.says("already; nothing to do", " 0 changes,")
    assert deployed.journal()[-1]["seq"] == seq


def test_the_plan_alone(deployed: Lab) -> None:
    seq = deployed.journal()[-1]["seq"]
    plan = deployed.play("rollback", "--check")
    assert plan.rc == 0, plan.text
    plan.says(f"level app: {AFTER} → {BEFORE}", "its slot is", "lost:")
    assert deployed.journal()[-1]["seq"] == seq


@pytest.mark.whole(beside="tests/integration/rollback/test_planned.py")  # one that was killed in between leaves the same papers
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
    assert "beat: nobody does its work for some seconds" in began["text"]
    assert not any("row" in line for line in ended["facts"]["losses"]), ended["text"]
    assert ended["facts"]["done"]


@pytest.mark.whole(beside="tests/integration/alembic/test_downgrade.py")
def test_the_schema_goes_back_where_its_loss_is_accepted_by_name(lab: Lab, tmp_path: Path) -> None:
    bring(lab, BEFORE)
    keep(lab, "v4.0.0")
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


@pytest.mark.whole(beside="tests/unit/plugins/module_utils/rollback/test_plan.py")
def test_the_configuration_goes_back_alone(lab: Lab, tmp_path: Path) -> None:
    bring(lab, BEFORE)
    first, page = config(lab, "backend-1", "backend"), config(lab, "web-1", "frontend")
    value = f"changed-{lab.journal()[-1]['seq']}"
    changed = lab.play("deploy", "-e", f"release={BEFORE}", "-e", "backup=false", *with_setting(tmp_path, "LAB_NOTE", value))
    assert changed.rc == 0, changed.text
    second = config(lab, "backend-1", "backend")
    assert second != first
    asked = ["-e", "level=config", "-e", f"documents={tmp_path}"]
    refused = lab.play("rollback", *asked)
    assert refused.rc != 0
    refused.says(f"level config: {second} → {first}", f"-e confirm={first}")
    assert config(lab, "backend-1", "backend") == second
    went = lab.play("rollback", *asked, "-e", f"confirm={first}")
    assert went.rc == 0, went.text
    assert config(lab, "backend-1", "backend") == config(lab, "backend-1", "worker") == first
    assert config(lab, "web-1", "frontend") == page
    assert lab.serving() == {"backend": BEFORE, "frontend": BEFORE}
    (written,) = tmp_path.glob("post-mortem-*.md")
    assert "within the objective of 300 s" in written.read_text(), written.read_text()
    plan = "\n".join(path.read_text() for path in tmp_path.glob("rollback-*.md"))
    assert "removed LAB_NOTE" in plan
    assert value not in plan, "values of the environment are never told"


@pytest.mark.whole(beside="tests/unit/plugins/module_utils/slots/test_operations.py")
def test_a_drain_that_nobody_ends_ends_by_itself(lab: OperatorLab) -> None:
    """As where the controller is lost while it waits."""
    bring(lab, BEFORE)
    described = json.loads(lab.on("backend-1", "aistack plan --json", check=False))["descriptions"]["backend"]
    asked = {key: described[key] for key in ("unit", "strategy", "ports", "edge")}
    places = {"root": "/opt/aistack", "state_dir": "/var/lib/aistack", "stack": "lab"}
    lab.module("backend-1", "slot", {"component": "backend", "state": "drained", "resume_after": 20, **asked, **places})
    with pytest.raises(urllib.error.HTTPError, match="503"):
        lab.serving()
    end = time.monotonic() + 120
    while backend(lab) != BEFORE:
        assert time.monotonic() < end, lab.on("backend-1", "journalctl -u aistack-backend-resume -n 20 --no-pager")
        time.sleep(0.5)
    assert "nothing to" in lab.on("backend-1", "aistack resume backend")


MARKER = "written-after-the-deployment"
WRITE = (
    "insert into workflows (id, kind, user_request, risk_level, status, spec, created_at)"
    f" values ('{MARKER}', 'marker', 'none', 'low', 'finished', '{{}}', now())"
)


def sql(lab: Lab, query: str) -> str:
    return lab.on("backend-1", f"cd /; runuser -u postgres -- psql -XAtq sparklio <<'EOF'\n{query}\nEOF").strip()


def test_the_whole_system_goes_back_to_the_set_of_the_targets_time(lab: Lab, tmp_path: Path) -> None:
    bring(lab, BEFORE)
    kept = int(sql(lab, "select count(*) from workflows"))
    there = lab.play("deploy", "-e", f"release={AFTER}", "-e", "allow_bad=true")  # with the set that it makes of the time of BEFORE
    assert there.rc == 0, there.text
    sql(lab, WRITE)
    lost = int(sql(lab, "select count(*) from workflows")) - kept
    assert lost >= 1

    asked = ["-e", "level=system", "-e", f"to={BEFORE}", "-e", f"confirm={BEFORE}", "-e", f"documents={tmp_path}"]
    refused = lab.play("rollback", *asked)
    assert refused.rc != 0
    named = re.search(r"Expected the set by its name as well, got nothing\. .* -e accept_set=([\w.-]+)", " ".join(refused.text.split()))
    assert named, refused.text
    counted = re.search(r"public\.workflows: \d+ rows now, \d+ in the set: (\d+) lost", " ".join(refused.text.split()))
    assert counted, refused.text
    assert lost <= int(counted[1]) <= int(sql(lab, "select count(*) from workflows")) - kept, "some may have been written meanwhile"
    refused.says("not part of the set", "ollama", "Nothing that serves was changed")
    assert lab.serving() == {"backend": AFTER, "frontend": AFTER}
    assert sql(lab, f"select count(*) from workflows where id = '{MARKER}'") == "1"

    went = lab.play("rollback", *asked, "-e", f"accept_set={named[1]}", timeout=900)
    assert went.rc == 0, went.text
    went.says(f"everything is back at {BEFORE} (from {AFTER})")
    assert lab.serving() == {"backend": BEFORE, "frontend": BEFORE}
    assert sql(lab, f"select count(*) from workflows where id = '{MARKER}'") == "0"
    assert int(sql(lab, "select count(*) from workflows")) >= kept
    assert "__replaced_" in sql(lab, "select string_agg(datname, ' ') from pg_database"), "what was replaced is kept"
    (post,) = tmp_path.glob("post-mortem-*.md")
    written = post.read_text()
    for part in ("| Level | system (whole system) |", "within the objective of 3600 s", "public.workflows: ", "postgres:sparklio"):
        assert part in written, written
    health = lab.play("healthcheck")
    assert health.rc == 0, health.text


@pytest.mark.whole(beside="tests/integration/restore_step/test_restore_step.py")
def test_a_set_that_is_not_there_is_refused_before_anything_is_touched(deployed: Lab) -> None:
    asked = ["-e", "level=system", "-e", f"to={BEFORE}", "-e", f"confirm={BEFORE}"]
    said = deployed.play("rollback", *asked, "-e", "set=20200101T000000Z-typo")
    assert said.rc != 0
    said.says("20200101T000000Z-typo is not on backend-1", "set=NAME")
    assert deployed.serving() == {"backend": AFTER, "frontend": AFTER}
