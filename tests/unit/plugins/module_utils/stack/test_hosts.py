# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is missing on the hosts of a component is said before anything is done there."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.stack.check import check_stack
from ansible_collections.phasegate.aistack.tests.unit.plugins.module_utils.stack import test_check, test_check_image


def said(good: dict[str, Any], change: dict[str, dict[str, Any]]) -> list[str]:
    stack = copy.deepcopy(good)
    for name, keys in change.items():
        stack["components"][name].update(keys)
    return check_stack(stack)


@pytest.mark.parametrize("strategy", ["bluegreen", {"rolling": {"limit": 1}}])
def test_two_beats_never_run(strategy: object) -> None:
    expected = ("aistack_components.beat.strategy: two beats would run during a switch, and everything would be due twice; "
                "write strategy: recreate")
    assert expected in said(test_check.GOOD, {"beat": {"strategy": strategy}})
    unsaid = copy.deepcopy(test_check.GOOD)
    del unsaid["components"]["beat"]["strategy"]
    unsaid["components"]["beat"]["role"] = "phasegate.aistack.beat"
    assert check_stack(unsaid) == [expected]


def test_a_port_has_an_edge_on_each_host() -> None:
    (line,) = said(test_check.GOOD, {"edge": {"hosts": "one"}, "web": {"hosts": "two"}})
    assert line == ("aistack_components.web.port: no component of role edge runs on b, and requests reach the slots through it; describe "
                    "one with hosts: two")
    assert said(test_check.GOOD, {"edge": {"role": "phasegate.aistack.edge"}}) == []
    assert said(test_check.GOOD, {"edge": {"hosts": "one"}}) == [], "there is none where nothing has a port"


def test_containers_have_docker_on_each_host() -> None:
    stack = copy.deepcopy(test_check_image.GOOD)
    stack["groups"].update(two=["a", "b"], all=["a", "b"])
    assert said(stack, {"api": {"hosts": "two"}, "edge": {"hosts": "two"}}) == [
        "aistack_components.api.runtime: no component of role docker runs on b, and containers need it; describe one with hosts: two"
    ]


def test_a_component_has_a_host() -> None:
    """Ansible takes a group without hosts for nothing to be done: the component would be missing, and nobody would say so."""
    stack = copy.deepcopy(test_check.GOOD)
    stack["groups"]["none"] = []
    (line,) = said(stack, {"worker": {"hosts": "none"}})
    assert line == "aistack_components.worker.hosts: the group 'none' has no hosts; put some into it, or take the component out"
    pooled = {"hosts": "none", "pool": {"edge": "one", "port": "web_pool"}}
    stack["ports"]["web_pool"] = 80
    assert said(stack, {"web": pooled}) == [line.replace("worker", "web")]
