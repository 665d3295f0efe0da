# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which releases run side by side: what may be said, what a deployment would break of it, and the words of that."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.core.schema import examine
from ansible_collections.phasegate.aistack.plugins.module_utils.rollout import compatible

COMPONENTS: dict[str, dict[str, Any]] = {
    "gateway": {"application": "shop"}, "worker": {"release_from": "gateway"}, "mail": {"application": "mail"}, "redis": {},
}
RANGE = {"ge": "v4.1.0", "lt": "v5.0.0"}


def wrong(runs_with: Any, name: str = "worker") -> list[str]:
    kept, found = examine(f"{name}.runs_with", runs_with, compatible.RUNS_WITH)
    return found or compatible.problems(name, name, {**COMPONENTS, name: {**COMPONENTS[name], "runs_with": kept}})


@pytest.mark.parametrize("runs_with", [
    {}, {"gateway": "major"}, {"gateway": "minor", "mail": "major"}, {"gateway": RANGE}, {"mail": {"ne": "mail/v1.2.0"}},
    {"gateway": {"ge": "v5.0.0", "le": "v5.0.0"}}, {"gateway": {"gt": "v5.0.0-rc.1", "lt": "v5.0.0"}},
])
def test_what_may_be_said(runs_with: Any) -> None:
    assert wrong(runs_with) == []


@pytest.mark.parametrize(("runs_with", "said"), [
    ("major", "worker.runs_with: must be a mapping of components to major, minor or a range such as {ge: v4.1.0, lt: v5.0.0}"),
    ({"gateway": "mayor"}, "worker.runs_with.gateway: 'mayor' is not one of major, minor; did you mean 'major'?"),
    ({"gateway": ["major"]}, "worker.runs_with.gateway: must be major, minor or a range such as {ge: v4.1.0, lt: v5.0.0}, is a list"),
    ({"gateway": {"geq": "v4"}}, "worker.runs_with.gateway: unknown key 'geq'; did you mean 'ge'?"),
    ({"gateway": {"ge": 4.1}}, "worker.runs_with.gateway.ge: must be a text, is 4.1 to YAML; quote it"),
    ({"gateway": {"ge": "nightly"}}, "worker.runs_with.gateway.ge: 'nightly' is no version; expected one such as v4.1.0"),
    ({"gateway": {}}, "worker.runs_with.gateway: an empty range says nothing; expected one such as {ge: v4.1.0, lt: v5.0.0}"),
    ({"gateway": {"ge": "v5.0.0", "lt": "v4.0.0"}},
     "worker.runs_with.gateway: no version is >= v5.0.0, < v4.0.0; expected a range such as {ge: v4.1.0, lt: v5.0.0}"),
    ({"gateway": {"gt": "v5.0.0", "le": "v5.0.0"}}, "worker.runs_with.gateway: no version is > v5.0.0, <= v5.0.0; expected"),
    ({"gateway": {"ge": "v5.0.0", "le": "v5.0.0", "ne": "v5.0.0"}}, "worker.runs_with.gateway: no version is >= v5.0.0, <= v5.0.0, not"),
    ({"gatway": "major"}, "worker.runs_with.gatway: unknown component 'gatway'; did you mean 'gateway'?"),
    ({"worker": "major"}, "worker.runs_with.worker: is the component itself; name another one"),
    ({"redis": "major"}, "worker.runs_with.redis: 'redis' has no releases, so that nothing of it can be compared; drop it"),
    ({"gateway": "same"}, "worker.runs_with.gateway: 'same' is not one of major, minor"),  # no deployment could keep it
    ({"mail": "same"}, "worker.runs_with.mail: 'same' is not one of major, minor"),
])
def test_what_is_wrong_with_it(runs_with: Any, said: str) -> None:
    (line,) = wrong(runs_with)
    assert line.startswith(said), line


@pytest.mark.parametrize(("own", "other", "rule", "runs"), [
    ("v4.1.0", "v4.9.2", "major", True), ("v4.1.0", "v5.0.0", "major", False), ("v4.1.0", "gateway..v4.0.0", "major", True),
    ("v4.1.0", "v4.1.7", "minor", True), ("v4.1.0", "v4.2.0", "minor", False), ("v4.1.0", "v5.1.0", "minor", False),
    ("nightly", "nightly", "major", True), ("nightly", "v4.1.0", "major", False),
    ("v1.0.0", "v4.1.0", RANGE, True), ("v1.0.0", "v4.10.0", RANGE, True), ("v1.0.0", "v5.0.0", RANGE, False),
    ("v1.0.0", "v4.0.9", RANGE, False), ("nightly", "v4.1.0", RANGE, True), ("v4.1.0", "nightly", RANGE, False),
    ("v1.0.0", "v4.1.0-rc.1", RANGE, False), ("v1.0.0", "v5.0.0-rc.1", RANGE, True),
    ("v1", "v2", {"gt": "v2"}, False), ("v1", "v3", {"gt": "v2"}, True), ("v1", "v2", {"le": "v2"}, True),
    ("v1", "v3", {"le": "v2"}, False),
    ("v1", "v2.0.0", {"ne": "v2"}, False), ("v1", "v2.0.1", {"ne": "v2"}, True), ("v2", "v2", {"ne": "v2"}, False),
])
def test_which_releases_run_side_by_side(own: str, other: str, rule: Any, runs: bool) -> None:
    assert compatible.holds(own, other, rule) is runs


@pytest.mark.parametrize(("own", "other", "rule", "tags"), [
    ("nightly", "v4.1.0", "major", ["nightly"]), ("nightly", "api..daily", "minor", ["nightly", "api/daily"]), ("nightly", "v1", RANGE, []),
    ("v1", "nightly", RANGE, ["nightly"]), ("nightly", "nightly", "major", []),
    ("nightly", "nightly", RANGE, ["nightly"]),
])
def test_what_nobody_can_tell(own: str, other: str, rule: Any, tags: list[str]) -> None:
    assert compatible.unreadable(own, other, rule) == tags


def judged(rules: dict[str, dict[str, Any]], order: list[str], live: dict[str, set[str]], target: str = "v5.0.0") -> list[str]:
    components = {name: {**one, "runs_with": rules.get(name)} for name, one in COMPONENTS.items()}
    return [one.reason for one in compatible.broken(compatible.rules_of(components, order), order, target, live)]


MAJOR = "worker runs with gateway of the same major version (aistack_components.worker.runs_with.gateway)"


def test_a_rule_counts_whichever_of_the_two_is_deployed() -> None:
    rules, live = {"worker": {"mail": "major"}}, {"worker": {"v4.2.0"}, "mail": {"v4.0.0"}}
    said = "worker runs with mail of the same major version (aistack_components.worker.runs_with.mail)"
    assert judged(rules, ["gateway", "worker"], live) == [f"worker would be at v5.0.0 beside mail, which stays at v4.0.0; {said}"]
    assert judged(rules, ["mail"], live) == [f"mail would be at v5.0.0 beside worker, which stays at v4.2.0; {said}"]
    assert judged(rules, ["mail"], live, "v4.9.0") == []
    assert judged(rules, ["redis"], live) == [], "a run that moves neither of the two"


def test_the_moment_between_two_switches_is_judged() -> None:
    live = {"gateway": {"v4.1.0"}, "worker": {"v4.1.0"}}
    rules = {"worker": {"gateway": "major"}}
    assert judged(rules, ["gateway", "worker"], live) == [f"gateway would switch to v5.0.0 while worker is still at v4.1.0; {MAJOR}"]
    assert judged(rules, ["worker", "gateway"], live) == [f"worker would switch to v5.0.0 while gateway is still at v4.1.0; {MAJOR}"]
    assert judged(rules, ["gateway", "worker"], live, "v4.2.0") == []


def test_a_range_is_about_the_other_one_alone() -> None:
    """With worker first the old gateway meets the new worker; the other way round only the new gateway has to be in the range."""
    live, rules = {"gateway": {"v4.1.0"}, "worker": {"nightly"}}, {"worker": {"gateway": {"ge": "v5.0.0"}}}
    assert judged(rules, ["gateway", "worker"], live) == []
    (said,) = judged(rules, ["worker", "gateway"], live)
    assert said.startswith("worker would switch to v5.0.0 while gateway is still at v4.1.0; worker runs with gateway >= v5.0.0 (")
    (said,) = judged({"worker": {"gateway": RANGE}}, ["worker", "gateway"], live)
    assert said.startswith("worker and gateway would both be at v5.0.0; worker runs with gateway >= v4.1.0, < v5.0.0 (")


def test_every_release_that_is_live_on_some_host_counts() -> None:
    live = {"gateway": {"v4.1.0", "v3.9.0"}, "worker": {"v4.1.0"}}
    assert judged({"worker": {"gateway": "major"}}, ["worker"], live, "v4.2.0") == [
        f"worker would be at v4.2.0 beside gateway, which stays at v3.9.0; {MAJOR}"
    ]


def test_what_is_live_already_and_what_is_not_live_is_not_judged() -> None:
    rules = {"worker": {"gateway": "major"}}
    assert judged(rules, ["worker"], {"gateway": {"v4.1.0"}, "worker": {"v5.0.0"}}) == [], "they run side by side already"
    assert judged(rules, ["gateway", "worker"], {}) == [], "a first installation"
    assert judged({"worker": {"gateway": RANGE}}, ["gateway", "worker"], {"redis": {"v1"}}) == []
    assert judged(rules, ["worker"], {"gateway": {"v4.1.0"}}), "the first release of one beside the other"
    assert judged(rules, ["worker"], {"worker": {"v4.1.0"}}) == [], "the other one is not there"


def test_a_tag_without_a_version_is_refused_with_words() -> None:
    live = {"gateway": {"nightly"}, "worker": {"nightly"}}
    (said,) = judged({"worker": {"gateway": "major"}}, ["gateway", "worker"], live)
    assert said.startswith(f"gateway would switch to v5.0.0 while worker is still at nightly; {MAJOR}, and nightly names no version, so")
    assert judged({"mail": {"gateway": "major"}}, ["mail"], {"gateway": {"nightly"}, "mail": {"daily"}}, "nightly") == []


def test_what_is_told_besides() -> None:
    components = {**COMPONENTS, "worker": {**COMPONENTS["worker"], "runs_with": {"gateway": "major"}}}
    found = compatible.broken(compatible.rules_of(components, ["gateway"]), ["gateway"], "v5", {"worker": {"v4"}})
    assert compatible.refusal(found) == (
        "Refused. Nothing was touched: releases would run side by side that are not made for it.\n"
        f"  - gateway would be at v5 beside worker, which stays at v4; {MAJOR}\n"
        "    Fix: bring worker to a release first that is of the same major version; or, if they do run side by side, say so by a range in"
        " aistack_components.worker.runs_with.gateway\n"
        "  Where that is taken into account, say so: -e runs_with=ignore"
    )
    assert compatible.beside(components, ["gateway"]) == compatible.beside(components, ["worker"]) == ["gateway", "worker"]
    assert compatible.beside(components, ["mail"]) == []
    hosts = {"gateway": ["a", "b"], "worker": ["a"]}
    assert compatible.not_asked(["gateway", "worker"], hosts, ["a"]) == (
        "runs_with is not judged of what is live where nobody was asked: b (gateway)"
    )
    assert compatible.not_asked(["gateway", "worker"], hosts, ["a", "b"]) == ""


def test_a_way_back_is_told_what_it_leaves_side_by_side() -> None:
    components = {**COMPONENTS, "worker": {**COMPONENTS["worker"], "runs_with": {"mail": "major"}}}
    rules = compatible.rules_of(components, COMPONENTS)
    live = {"worker": {"v5.0.0"}, "mail": {"v5.1.0"}}
    (said,) = compatible.broken_back(rules, {"worker": {"v4.0.0"}, "mail": {"v5.1.0"}}, live)
    assert said.startswith("worker will be at v4.0.0, and mail at v5.1.0; worker runs with mail of the same major version (aistack_")
    assert compatible.broken_back(rules, {"worker": {"v5.0.0"}, "mail": {"v5.0.0"}}, live) == []


def test_the_way_out_of_a_moment_depends_on_the_rule() -> None:
    def remedy(rule: Any) -> str:
        live = {"gateway": {"v4.1.0"}, "worker": {"v4.1.0"}}
        (found,) = compatible.broken([("worker", "gateway", rule)], ["worker", "gateway"], "v5.0.0", live)
        return found.remedy

    first = "deploy a release in between first, which runs with both; where these two do, "
    assert remedy({"ge": "v5.0.0"}) == f"{first}correct aistack_components.worker.runs_with.gateway"
    assert remedy("major") == NO_WAY.format("gateway", "major")


NO_WAY = (
    "by '{1}' no release in between runs with both: say so by a range in aistack_components.worker.runs_with.{0}, if these two do run "
    "side by side"
)


def test_of_two_applications_a_word_lets_neither_go_first() -> None:
    """Whichever is told to be brought along first would be refused for the other one's old release."""

    def remedy(rule: Any, moves: str, live: dict[str, set[str]]) -> str:
        (found,) = compatible.broken([("worker", "mail", rule)], [moves], "v5.0.0", live)
        return found.remedy

    both = {"worker": {"v4.1.0"}, "mail": {"v4.1.0"}}
    assert remedy("major", "mail", both) == remedy("major", "worker", both) == NO_WAY.format("mail", "major")
    assert remedy("minor", "worker", both) == NO_WAY.format("mail", "minor")
    apart = "bring mail to a release first that is of the same major version; or, if they do run side by side, say so by a range in "
    assert remedy("major", "worker", {"worker": {"v5.1.0"}, "mail": {"v4.1.0"}}).startswith(apart), "worker is there already"
    assert remedy("major", "worker", {"mail": {"v4.1.0"}}).startswith(apart), "a first release of worker"
    assert remedy({"ge": "v5.0.0"}, "worker", both) == (
        "bring mail to a release first that runs with both; or correct aistack_components.worker.runs_with.mail, if they do run side by "
        "side"
    )
