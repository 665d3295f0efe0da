# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tasks of a release in the description: what they refer to is there, and every fault is named with its key."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.stack.check import check_stack

from .test_check import GOOD

TASK: dict[str, Any] = {"name": "seed", "component": "worker", "command": ["{python}", "-m", "app.seed"]}


def stack(*tasks: dict[str, Any], point: str = "after_migration") -> dict[str, Any]:
    """GOOD with tasks."""
    described = copy.deepcopy(GOOD)
    described["applications"]["shop"]["release_tasks"] = {point: list(tasks)}
    described["applications"]["blog"] = {"repo": "/blog.git", "release": "v1"}
    return described


def test_a_component_that_runs_the_release_of_another_has_tasks_as_well() -> None:
    assert check_stack(stack(TASK, {**TASK, "name": "more", "timeout": 60, "always": True})) == []
    assert check_stack(stack(TASK, point="before_migration")) == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"component": "wep"}, "[0] (seed).component: unknown component 'wep'; did you mean 'web'?"),
        ({"component": "db"}, "[0] (seed).component: 'db' runs no release of 'shop'; expected one of worker, beat, web"),
        ({"command": "python -m app.seed"}, "[0] (seed).command: must be a list such as"),
        ({"command": []}, "[0] (seed): 'command' is missing"),
        ({"timeout": 0}, "[0] (seed).timeout: must be a number from 1 on, is 0"),
        ({"once": True}, "[0] (seed): unknown key 'once'"),
    ],
)
def test_a_fault_is_named_with_its_key(change: dict[str, Any], expected: str) -> None:
    (problem,) = check_stack(stack({**TASK, **change}))
    assert problem.startswith("aistack_applications.shop.release_tasks.after_migration" + expected)


def test_a_point_that_there_is_not() -> None:
    (problem,) = check_stack(stack(TASK, point="before_migrate"))
    assert problem == "aistack_applications.shop.release_tasks: unknown key 'before_migrate'; did you mean 'before_migration'?"


def test_names_tell_tasks_apart() -> None:
    (problem,) = check_stack(stack(TASK, TASK))
    assert problem.endswith("[1] (seed).name: after_migration[0] is called so as well; the journal tells tasks apart by their names")


@pytest.mark.parametrize(("kind", "said"), [("static", "is files that nginx serves"), ("node", "has no {python} of its own")])
def test_what_a_component_cannot_run(kind: str, said: str) -> None:
    described = stack({**TASK, "component": "web"})
    described["components"]["web"].update(kind=kind, role=f"own.own.{kind}")
    assert any(".component: 'web' is " in problem and said in problem for problem in check_stack(described))


@pytest.mark.parametrize("word", ["{release_path}/seed.sh", "{tools}/uv"])
def test_a_container_sees_nothing_that_lies_on_the_node(word: str) -> None:
    described = stack({**TASK, "component": "web", "command": ["sh", word]})
    described["components"]["web"].update(kind="image", role="container", runtime="compose")
    said = f"'web' is of kind image, and {word.partition('/')[0]} lies on the node, where its container does not see it"
    assert any(".component: " + said in problem for problem in check_stack(described))
    described["applications"]["shop"]["release_tasks"]["after_migration"][0]["command"] = ["sh", "/srv/seed.sh"]
    assert not any("release_tasks" in problem for problem in check_stack(described))
