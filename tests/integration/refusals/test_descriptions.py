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
