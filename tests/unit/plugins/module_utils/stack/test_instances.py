# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose slots may have several processes, by the description and by what scale.yml asks for."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.core.instances import OWN_OPTION
from ansible_collections.phasegate.aistack.plugins.module_utils.stack.check import check_stack
from ansible_collections.phasegate.aistack.plugins.module_utils.stack.instances import scale_problems
from ansible_collections.phasegate.aistack.tests.unit.plugins.module_utils.stack.test_check import GOOD

CONTAINER = {"role": "container", "hosts": "one", "application": "shop", "kind": "image", "runtime": "compose"}


def described(name: str, **keys: Any) -> list[str]:
    stack = copy.deepcopy(GOOD)
    stack["components"][name].update(keys)
    return [line for line in check_stack(stack) if "instances" in line]


def test_a_worker_may_have_several() -> None:
    assert described("worker", instances=4) == []
    assert described("worker", instances=4, role="phasegate.aistack.worker") == []
    assert described("web", instances=1) == []


@pytest.mark.parametrize(
    ("name", "keys", "said"),
    [
        ("web", {"instances": 2}, f"reached there. {OWN_OPTION}. Write 1, or drop the key"),
        ("beat", {"instances": 2}, "with strategy recreate exactly one process runs at any time"),
        ("beat", {"instances": 2, "strategy": "bluegreen"}, "a component with role beat has one process per slot; expected role container"),
        ("worker", {"instances": 0}, "aistack_components.worker.instances: must be a whole number from 1 on, is 0"),
        ("worker", {"instances": 65}, "aistack_components.worker.instances: must be a whole number from 1 to 64, is 65"),
        ("worker", {"instances": "65"}, "aistack_components.worker.instances: must be a whole number from 1 to 64, is 65"),
        ("web", {"instances": "2"}, "aistack_components.web.instances: it has a port, and one process per slot"),
        ("worker", {"instances": "many"}, "aistack_components.worker.instances: must be a whole number"),
        ("db", {"instances": 2}, "aistack_components.db.instances: nothing reads it, since postgres runs no release; drop it"),
    ],
)
def test_others_are_refused_with_what_to_do(name: str, keys: dict[str, Any], said: str) -> None:
    assert any(said in line for line in described(name, **keys)), described(name, **keys)


def test_what_scale_asks_for() -> None:
    components = {**GOOD["components"], "render": CONTAINER}
    assert scale_problems(components, ["worker"], 4) == scale_problems(components, ["render"], "64") == []
    (said,) = scale_problems(components, ["web"], 4)
    assert said.startswith("component: web cannot be scaled: it has a port, and one process per slot")
    assert scale_problems(components, ["db"], 4) == ["component: db cannot be scaled: it runs no release, and only that has slots"]
    assert "remove.yml" in scale_problems(components, ["worker"], 0)[0]
    assert scale_problems(components, ["worker"], 65) == ["instances: worker: 65 instances; expected 1 to 64"]
    assert scale_problems(components, ["worker"], "many") == [], "the parameters of the verb say so"
    assert scale_problems(components, [], 4) == []


def test_one_process_alone_may_be_gone_back_to() -> None:
    """As where the number was kept on the node, and the strategy says since that one runs alone."""
    components = {"render": {**CONTAINER, "strategy": "recreate"}}
    assert scale_problems(components, ["render"], 1) == scale_problems(components, ["render"], "1") == []
    (said,) = scale_problems(components, ["render"], 2)
    assert said.startswith("component: render cannot be scaled: with strategy recreate")
