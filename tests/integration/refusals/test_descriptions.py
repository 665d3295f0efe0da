# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Descriptions that make no sense are refused before any node is touched."""

from __future__ import annotations

import json
from typing import Any

import pytest

from .conftest import Lab


def overriding(**variables: Any) -> list[str]:
    """Command-line arguments that put variables in the place of the inventory's."""
    return ["-e", json.dumps(variables)]


@pytest.mark.whole(beside="tests/unit/plugins/module_utils/stack/test_check.py")
@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"aistack_phases": {"phase0": {"titel": "x"}}}, ["aistack_phases.phase0: unknown key 'titel'; did you mean 'title'?"]),
        ({"aistack_phases": {"phase0": {"requires": ["phase1"]}, "phase1": {}}}, ["'phase1' does not come before 'phase0'"]),
        ({"aistack_components": {"a": {"role": "redis", "hosts": "backend", "after": ["b"]},
                                 "b": {"role": "redis", "hosts": "backend", "after": ["a"]}}}, ["a cycle: a -> b -> a"]),
        ({"aistack_ports": {"one": 8000, "two": 8000}}, ["aistack_ports.two: 8000 is already the port of 'one'"]),
        ({"aistack_acceptance": {"smoke": {"htttp": "http://x", "from": "backend"}}}, ["htttp"]),
    ],
    ids=["unknown key", "later phase", "cycle", "port twice", "probe without a type"],
)
@pytest.mark.usefixtures("untouched")
def test_a_description_that_makes_no_sense(lab: Lab, variables: dict[str, Any], said: list[str]) -> None:
    outcome = lab.play("site.yml", "--tags", "phase1", *overriding(**variables))
    assert outcome.rc != 0
    outcome.says("cannot be used", "Nothing was touched", *said)


@pytest.mark.usefixtures("untouched")
def test_a_phase_that_does_not_exist(lab: Lab) -> None:
    outcome = lab.play("phase", "-e", "aistack_phase=phase33")
    outcome.says("no phase 'phase33'; did you mean 'phase3'?")
    assert outcome.rc != 0


@pytest.mark.usefixtures("untouched")
def test_a_component_that_does_not_exist(lab: Lab) -> None:
    outcome = lab.play("restart", "-e", "only=bakend")
    outcome.says("unknown component 'bakend'; did you mean 'backend'?")
    assert outcome.rc != 0


@pytest.mark.usefixtures("untouched")
def test_a_release_that_can_mean_something_else_tomorrow(lab: Lab) -> None:
    outcome = lab.play("deploy", "-e", "release=latest")
    outcome.says("'latest' can mean something else tomorrow")
    assert outcome.rc != 0


@pytest.mark.whole(beside="tests/unit/plugins/module_utils/stack/test_extra_vars.py")
@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-e", "relase=v4.1.0"], ["relase: deploy.yml knows no such variable; did you mean 'release'?", "Nothing was touched"]),
        (["-e", "release=v4.1.0", "-e", "confirm_within=abc"], ["confirm_within: expected a whole number of at least 1, got abc"]),
        ([], ["no release was named", "-e release=TAG", "Nothing was touched"]),
        (["-e", "release=v4.0.0", "--limit", "web-1"], ["Not in this run: backend-1", "-e partial=true", "Nothing was touched"]),
    ],
    ids=["mistyped", "wrong type", "no release", "half of the hosts"],
)
def test_a_deployment_that_was_not_meant_so(lab: Lab, arguments: list[str], said: list[str]) -> None:
    seq = lab.journal()[-1]["seq"]
    outcome = lab.play("deploy", *arguments)
    assert outcome.rc != 0
    outcome.says(*said)
    assert lab.journal()[-1]["seq"] == seq
