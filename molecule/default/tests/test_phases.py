# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Phases: each one alone, from the repository's root, as a newcomer types it."""

from __future__ import annotations

from typing import Any

import pytest

OWNED = "find /opt/aistack /var/lib/aistack /etc/systemd/system /etc/haproxy /etc/postgresql /etc/redis -xdev -type f"
# everything that a plan must leave alone: content of what the collection owns, units, and the journal
STATE = f"{OWNED} -size -256k -not -name '*.pyc' -print0 2>/dev/null | sort -z | xargs -0 sha256sum | sha256sum"
# services that run, and since when; what a timer starts comes and goes by itself
RUNNING = "systemctl list-units --plain --no-legend --type=service --state=running 'aistack-*' haproxy.service redis-server.service"
UNITS = f"{RUNNING} | cut -d' ' -f1 | xargs systemctl show -p Id,ActiveEnterTimestampMonotonic | sort"


def state(lab: Any) -> dict[str, str]:
    """What a node's files and units look like, per node."""
    state_of = {name: (lab.node(name).check_output(STATE), lab.node(name).check_output(UNITS)) for name in lab.names}
    assert all("aistack-" in units for _files, units in state_of.values()), "there are services to look at"
    return {name: f"{files}\n{units}" for name, (files, units) in state_of.items()}


@pytest.mark.parametrize("phase", ["phase0", "phase1", "phase2", "phase3", "phase4", "phase5"])
def test_phase_passes(lab: Any, phase: str) -> None:
    """It proves the phases before it, has nothing to change, and its acceptance probes pass."""
    ran = lab.play("site.yml", "--tags", phase).ended_well()
    assert ran.changed
    assert set(ran.changed.values()) == {0}


def test_one_phase_from_the_root(lab: Any) -> None:
    """The line that the owner asked for; phases that were not asked for do not run."""
    ran = lab.play("site.yml", "--tags", "phase3").ended_well()
    assert "TASK [What answers now: phase0, phase1, phase2, phase3]" in ran.output
    assert "TASK [Accept: workflow_dag]" in ran.output
    assert "TASK [Accept: router_route, router_health]" not in ran.output


def test_workflow_ran_in_parallel(lab: Any) -> None:
    """Start and end times of the last workflow overlap: copywriter and vision ran side by side."""
    query = (
        "SELECT count(*) FROM workflow_nodes a JOIN workflow_nodes b USING (workflow_id) WHERE a.node_id = 'copywriter' "
        "AND b.node_id = 'vision' AND a.started_at < b.finished_at AND b.started_at < a.finished_at"
    )
    assert int(lab.node("backend-1").check_output("runuser -u postgres -- psql -qAtX -d sparklio -c %s", query)) > 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["site.yml"],
        ["playbooks/deploy.yml", "-e", "release=v4.10.0"],
        ["playbooks/migrate.yml", "-e", "release=v4.1.0"],
        ["playbooks/restart.yml"],
        ["playbooks/healthcheck.yml"],
        ["playbooks/plan.yml", "-e", "release=v4.1.0"],
    ],
    ids=lambda arguments: arguments[0].rpartition("/")[2],
)
def test_check_mode_changes_nothing(lab: Any, secrets: dict[str, str], arguments: list[str]) -> None:
    """`--check --diff -vvv` ends well, leaves files, units and journal as they were, and shows every argument but no secret."""
    before = state(lab)
    ran = lab.play(*arguments, "--check", "--diff", "-vvv").ended_well()
    assert state(lab) == before
    assert len(ran.output) > 2000
    assert [name for name, secret in secrets.items() if secret in ran.output] == []


def test_second_run_changes_nothing(lab: Any) -> None:
    """Nor does running it again for real."""
    before = state(lab)
    ran = lab.play("site.yml").ended_well()
    assert set(ran.changed.values()) == {0}
    assert state(lab) == before
