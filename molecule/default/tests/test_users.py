# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each component runs as a user of its own, and is no business of the others."""

from __future__ import annotations

from typing import Any

import pytest

SLOTTED = [("backend-1", "backend"), ("backend-1", "worker"), ("backend-1", "beat"), ("web-1", "frontend")]
TOGETHER = ["backend", "worker", "beat"]  # on one node
# Arguments: user, process, environment file. What the user can do there, a word a line; a refusal is no word.
ATTEMPT = """cd /; runuser -u %s -- sh -c '
    grep -qz ^AISTACK_SLOT= "/proc/$0/environ" 2>/dev/null && echo reads
    kill -0 "$0" 2>/dev/null && echo signals
    cat "$1" >/dev/null 2>&1 && echo opens
    true' %s %s"""


def process(lab: Any, name: str, component: str) -> str:
    """The main process of the live slot."""
    node = lab.node(name)
    slot = node.check_output("readlink /opt/aistack/%s/slots/live", component)
    pid: str = node.check_output("systemctl show --property=MainPID --value %s", f"aistack-{component}@{slot}.service")
    assert int(pid) > 1
    return pid


def environment(component: str) -> str:
    """The environment of the live slot, as a file."""
    return f"/opt/aistack/{component}/slots/live/config/env"


@pytest.mark.parametrize(("name", "component"), SLOTTED)
def test_a_component_runs_as_its_own_user(lab: Any, name: str, component: str) -> None:
    """With the group that reads the trees of releases, and no other; nobody logs in as it."""
    node = lab.node(name)
    owner = node.check_output("stat --format='%%U %%G' /proc/%s", process(lab, name, component))
    assert owner == f"aistack-{component} aistack"
    user = node.user(f"aistack-{component}")
    assert (user.groups, user.shell) == (["aistack"], "/usr/sbin/nologin")


def test_no_two_components_have_one_number(lab: Any) -> None:
    """Names that differ are users that differ."""
    assert len({0} | {lab.node("backend-1").user(f"aistack-{component}").uid for component in TOGETHER}) == 1 + len(TOGETHER)


@pytest.mark.parametrize("component", TOGETHER)
def test_no_component_sees_into_another(lab: Any, component: str) -> None:
    """Neither environment nor file of it, nor can it end the other; what it can do with its own process shows that it was asked."""
    node, pid = lab.node("backend-1"), process(lab, "backend-1", component)
    found = {user: node.check_output(ATTEMPT, f"aistack-{user}", pid, environment(component)).split() for user in TOGETHER}
    assert found == {user: ["reads", "signals"] if user == component else [] for user in TOGETHER}


@pytest.mark.parametrize("user", ["aistack", "aistack-build", "aistack-test"])
def test_nor_does_anybody_else_of_the_stack(lab: Any, user: str) -> None:
    """Who runs PostgreSQL's tools, builds or tests."""
    node = lab.node("backend-1")
    for component in TOGETHER:
        assert node.check_output(ATTEMPT, user, process(lab, "backend-1", component), environment(component)) == ""
