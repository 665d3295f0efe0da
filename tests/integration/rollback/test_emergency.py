# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Back at once: the whole stack by one command, a node by itself, and by nobody at all."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable

import pytest

from ..refusals.conftest import ROOT, Lab
from .conftest import AFTER, BEFORE, backend, bring


def marks(lab: Lab, node: str = "backend-1") -> list[tuple[str, str, str]]:
    records = [record for record in lab.journal(node) if record["op"] == "mark" and record["outcome"] == "ok"]
    return [(record["component"], record["release"], record["detail"]["state"]) for record in records]


def test_the_whole_stack_goes_back_once(deployed: Lab) -> None:
    went = deployed.play("emergency_rollback", "-e", "reason='answers are wrong'")
    assert went.rc == 0, went.text
    went.says(f"everything is back at {BEFORE} (from {AFTER})")
    assert deployed.serving() == {"backend": BEFORE, "frontend": BEFORE}
    assert ("backend", AFTER, "bad") in marks(deployed)[-3:]
    again = deployed.play("emergency_rollback")
    assert again.rc == 0, again.text
    again.says(f"it went back from {AFTER} to {BEFORE}", "does not go back twice", "-e to=TAG", " 0 changes,")
    assert deployed.serving() == {"backend": BEFORE, "frontend": BEFORE}
    refused = deployed.play("deploy", "-e", f"release={AFTER}")
    assert refused.rc != 0, "a release that was left is not deployed again by accident"
    refused.says("bad", "answers are wrong")


@pytest.mark.whole(beside="tests/integration/emergency/test_reach.py")
def test_a_node_that_is_down_is_named_and_the_others_go_back(deployed: Lab, without: Callable[[str], list[str]]) -> None:
    went = deployed.play("emergency_rollback", *without("web-1"))
    assert went.rc != 0, "not everything is back"
    went.says(f"NOT everything is back at {BEFORE}", "web-1", "port 9")
    assert deployed.serving() == {"backend": BEFORE, "frontend": AFTER}
    after = deployed.play("emergency_rollback")
    assert after.rc == 0, after.text
    assert deployed.serving() == {"backend": BEFORE, "frontend": BEFORE}


def test_a_node_goes_back_by_itself_and_the_controller_agrees(deployed: Lab) -> None:
    plan = deployed.on("backend-1", "aistack plan")
    assert f"{AFTER} → {BEFORE}" in plan
    said = deployed.on("backend-1", "aistack rollback --reason 'nobody else is there'")
    assert BEFORE in said
    assert deployed.serving() == {"backend": BEFORE, "frontend": AFTER}
    assert deployed.journal()[-1]["op"] == "lock"
    health = deployed.play("healthcheck")
    assert health.rc == 0, health.text
    health.says(f"backend backend-1 {BEFORE}")


def test_what_was_kept_warm_is_stopped_when_its_time_is_over(lab: Lab) -> None:
    """Its timer was read again by systemd meanwhile, as each deployment has it do; now it fires."""
    slot = "readlink /opt/aistack/backend/slots/live"
    other = f"$([ $({slot}) = blue ] && echo green || echo blue)"
    timer = f"systemctl is-active aistack-backend-retire-{other}.timer"
    if lab.on("backend-1", timer, check=False).strip() != "active":
        bring(lab, BEFORE)
        bring(lab, AFTER)
    live = lab.on("backend-1", slot).strip()
    idle = {"blue": "green", "green": "blue"}[live]
    unit, retire = f"aistack-backend@{idle}.service", f"aistack-backend-retire-{idle}.service"
    assert lab.on("backend-1", f"{timer}; systemctl is-active {unit}").split() == ["active", "active"]
    lab.on("backend-1", f"systemctl daemon-reload; systemctl start --wait {retire}")
    assert lab.on("backend-1", f"systemctl is-active {unit}", check=False).strip() == "inactive"
    assert lab.on("backend-1", f"systemctl is-active aistack-backend@{live}.service").strip() == "active"
    assert lab.on("backend-1", "systemctl list-units --state=failed --plain --no-legend 'aistack-*'").strip() == ""


WITHOUT = pytest.mark.whole(beside="tests/integration/rollback/test_emergency.py")  # with a reboot


@pytest.mark.parametrize("reboot", [pytest.param(False, marks=WITHOUT), True])
def test_what_nobody_confirms_goes_back(lab: Lab, reboot: bool) -> None:
    """The controller is killed after the backend was activated; the node takes it back by itself when its time is over.

    With *reboot* the node is killed as well while its time runs, and goes back after its boot.
    """
    bring(lab, BEFORE)
    seq = lab.journal()[-1]["seq"]
    process = lab.start("deploy", "-e", f"release={AFTER}", "-e", "allow_bad=true", "-e", "confirm_within=8", "-e", "confirm_switch=20")
    lab.wait_for_journal("activate", "backend", "ok", after=seq)
    lab.kill(process)
    assert lab.serving()["backend"] == AFTER
    if reboot:
        subprocess.run(["podman", "kill", "phasegate-backend-1"], check=True, capture_output=True, timeout=60)
        subprocess.run(["lab/bin/lab", "up"], cwd=ROOT, check=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=180)
    end, timers = time.monotonic() + 240, "systemctl list-timers --all --no-legend; ls /etc/systemd/system"
    while "aistack-confirm" in lab.on("backend-1", timers):  # it goes when all is done
        assert time.monotonic() < end, lab.on("backend-1", "aistack status; journalctl -n 30 --no-pager")
        time.sleep(1)
    assert backend(lab) == BEFORE
    reverts = [record for record in lab.journal() if record["op"] == "revert" and record["seq"] > seq]
    assert reverts[-1]["outcome"] == "ok"
    assert "confirm" in json.dumps(reverts[-1]["detail"])
    after = lab.play("deploy", "-e", f"release={BEFORE}")
    assert after.rc == 0, after.text
