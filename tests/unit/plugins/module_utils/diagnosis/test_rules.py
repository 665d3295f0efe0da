# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The language of rules: what is refused, and what holds."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.diagnosis.rules import LOG_LIMIT, chosen, findings, problems

RULE: dict[str, Any] = {
    "name": "full", "title": "The disk of ${path} is full", "each": "disks", "when": {"percent": {"ge": 98}}, "certainty": 95,
    "seen": "${percent} % on ${node}", "means": "nothing can be written", "do": ["make room on ${path}"],
}
LOGGED: dict[str, Any] = {**RULE, "name": "logged", "title": "t", "each": "components", "when": {"state": "failed"}, "seen": "${line}",
                          "do": ["x"]}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"certanty": 1}, "unknown key 'certanty'; did you mean 'certainty'?"),
        ({"each": "disk"}, "'disk' is not one of"),
        ({"each": "disk"}, "did you mean 'disks'?"),
        ({"when": {"precent": 1}}, "when: disks have no field 'precent'; did you mean 'percent'?"),
        ({"when": {"percent": {"gte": 1}}}, "when.percent: unknown operator 'gte' (did you mean ge?)"),
        ({"any": [{"percnt": 1}]}, "any[0]: disks have no field 'percnt'; did you mean 'percent'?"),
        ({"unless": {"percent": {"matches": "("}}}, "unless.percent: '(' is no regular expression"),
        ({"seen": "${percnt} %"}, "seen: ${percnt} is no field of disks; did you mean 'percent'?"),
        ({"do": ["look at ${nodee}"]}, "do: ${nodee} is no field of disks; did you mean 'node'?"),
        ({"log": ["x"]}, "log: disks have no log; there is one with each: components"),
        ({"certainty": 101}, "certainty: must be a whole number from 1 to 100, is 101"),
        ({"certainty": 0}, "certainty: must be a whole number from 1 on, is 0"),
        ({"certainty": "sure"}, "certainty: must be a whole number"),
        ({"explains": ["ful"]}, "explains: unknown rule 'ful'; did you mean 'full'?"),
        ({"when": {}}, "says of no thing when it holds; give when, any or log"),
        ({"do": []}, "'do' is missing"),
        ({"title": None}, "title: is empty; it must be a text"),
    ],
)
def test_what_makes_no_sense_is_refused(change: dict[str, Any], said: str) -> None:
    found = problems("own", [{**RULE, **change}])
    assert [line for line in found if said in line], found
    assert all(line.startswith("own[0] (full)") for line in found), found


def test_two_of_one_name() -> None:
    assert problems("own", [RULE, RULE]) == ["own[1] (full): its name is that of own[0]; names tell rules apart"]


def test_a_pattern_that_is_none() -> None:
    assert "log[0]: '(' is no regular expression" in problems("own", [{**LOGGED, "log": ["("]}])[0]


def test_what_makes_sense_is_not() -> None:
    assert problems("own", [RULE, {**LOGGED, "log": ["no (?P<file>\\w+)"], "seen": "${file} in ${line}", "explains": ["other", "full"]}],
                    ["other"]) == []


def test_a_thing_for_which_it_holds() -> None:
    (found,) = findings([RULE], {"disks": [{"path": "/", "percent": 99.5}, {"path": "/var", "percent": 10}, {"path": "/x"}]}, "n1")
    assert (found["title"], found["seen"], found["do"]) == ("The disk of / is full", "99.5 % on n1", ["make room on /"])
    assert (found["rule"], found["node"], found["certainty"], found["component"]) == ("full", "n1", 95, "")


def test_a_title_that_names_its_node_is_kept_without_it_as_well() -> None:
    """By that the same is known on another node; what else it names tells findings apart."""
    rule = {**RULE, "title": "${path} of ${ node } is full"}
    (found,) = findings([rule], {"disks": [{"path": "/", "percent": 99}]}, "n1")
    assert (found["title"], found["wide_title"]) == ("/ of n1 is full", "/ of ${node} is full")


@pytest.mark.parametrize(("change", "percent", "holds"), [
    ({"when": {}, "any": [{"percent": {"ge": 99}}, {"path": "/other"}]}, 98, False),
    ({"when": {}, "any": [{"percent": {"ge": 99}}, {"path": "/"}]}, 98, True),
    ({"unless": {"path": "/"}}, 99, False),
    ({"unless": {"path": "/", "percent": {"ge": 99.5}}}, 99, True),
])
def test_any_and_unless(change: dict[str, Any], percent: float, holds: bool) -> None:
    assert bool(findings([{**RULE, **change}], {"disks": [{"path": "/", "percent": percent}]}, "n")) is holds


def thing(*log: str, **more: object) -> dict[str, list[dict[str, Any]]]:
    """A component that failed."""
    return {"components": [{"component": "api", "role": "backend", "state": "failed", "log": list(log), **more}]}


def test_the_newest_line_counts_and_its_groups_are_names() -> None:
    rule = {**LOGGED, "log": ["KeyError: '(?P<name>\\w+)'", "is missing"], "seen": "${name}: ${line}"}
    (found,) = findings([rule], thing("KeyError: 'A'", "nothing", "KeyError: 'B'", "end"), "n")
    assert found["seen"] == "B: KeyError: 'B'"
    (found,) = findings([rule], thing("it is missing"), "n")
    assert found["seen"] == "-: it is missing", "a group that was not found has no value"
    assert findings([rule], thing("all is well"), "n") == []


def test_a_pattern_over_several_lines() -> None:
    rule = {**LOGGED, "log": ["error for (?P<what>\\w+)\\n(?P<name>\\w+)\\n"], "seen": "${name} ${line}"}
    (found,) = findings([rule], thing("1 error for Settings", "API_URL", "  Field required"), "n")
    assert found["seen"].startswith("API_URL 1 error for Settings / API_URL")


def test_only_the_end_of_a_long_log_is_searched() -> None:
    assert findings([{**LOGGED, "log": ["old fault"]}], thing("old fault", "x" * LOG_LIMIT), "n") == []


def test_what_evidence_says_is_no_template() -> None:
    """A log that holds what looks like a name, or like an expression, is printed as it is."""
    rule = {**LOGGED, "log": ["odd.*"], "seen": "${line}"}
    (found,) = findings([rule], thing("odd ${node} {{ 7 * 7 }}"), "n")
    assert found["seen"] == "odd ${node} {{ 7 * 7 }}"


def test_an_own_rule_stands_for_one_that_comes_along() -> None:
    own = {**RULE, "title": "mine"}
    assert [rule["title"] for rule in chosen([RULE, LOGGED], [own])] == ["mine", "t"]
