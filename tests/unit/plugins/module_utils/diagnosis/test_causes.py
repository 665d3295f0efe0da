# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which finding is a cause, which follows from it, in which order; and the page."""

from __future__ import annotations

from typing import Any, cast

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.diagnosis.causes import failed, nodes_of, page, ranked, unreachable, words
from ansible_collections.phasegate.aistack.plugins.module_utils.diagnosis.rules import Finding


def finding(rule: str, certainty: int = 80, **more: Any) -> Finding:
    """A finding of *rule*."""
    found: Finding = {
        "rule": rule, "node": "n1", "component": "", "role": "", "title": rule, "certainty": certainty, "seen": f"{rule} was seen",
        "means": "it means", "do": ["do it"], "blames": [], "explains": [], "symptom": False, "wide_title": more.get("title", rule),
    }
    return cast(Finding, {**found, **more})


def clock(node: str, certainty: int = 30) -> Finding:
    """A hint whose title names its node."""
    titles = {"title": f"The clock of {node} is free", "wide_title": "The clock of ${node} is free"}
    return finding("clock", certainty, node=node, do=["ntp"], **titles)


def order(*found: Finding) -> list[str]:
    """Causes in their order."""
    return [cause["rule"] for cause in ranked(found)]


def test_the_surest_is_the_first() -> None:
    assert order(finding("a", 60), finding("b", 95), finding("c", 30)) == ["b", "a", "c"]


def test_the_same_on_several_nodes_is_one_cause() -> None:
    (cause,) = ranked([finding("a", do=["on n1"]), finding("a", node="n2", do=["on n2"]), finding("a", do=["on n1"])])
    assert cause["seen"] == [("n1", "a was seen"), ("n2", "a was seen")]
    assert cause["do"] == ["on n1", "on n2"]


@pytest.mark.parametrize(
    ("nodes", "title"),
    [
        (["n1"], "The clock of n1 is free"),
        (["n1", "n1"], "The clock of n1 is free"),
        (["n1", "n2"], "The clock of n1 and n2 is free"),
        (["n1", "n2", "n3"], "The clock of n1, n2 and n3 is free"),
        ([f"n{number}" for number in range(1, 9)], "The clock of n1, n2, n3, n4 and 4 others is free"),
    ],
)
def test_a_title_that_names_its_node_names_all_of_them(nodes: list[str], title: str) -> None:
    (cause,) = ranked([clock(node) for node in nodes])
    assert (cause["title"], [node for node, _seen in cause["seen"]], cause["do"]) == (title, list(dict.fromkeys(nodes)), ["ntp"])


def test_what_holds_on_several_nodes_stands_where_its_certainty_is() -> None:
    """And what follows from it on one of them stands below it, with that node's own title."""
    found = [clock("n1"), finding("a", 60), clock("n2"), finding("b", 95), {**clock("n3", 20), "explains": ["late"]},
             finding("late", 10, node="n3", title="n3 is late", wide_title="${node} is late")]
    causes = ranked(cast("list[Finding]", found))
    assert [cause["title"] for cause in causes] == ["b", "a", "The clock of n1, n2 and n3 is free"]
    assert (causes[2]["certainty"], causes[2]["follows"]) == (30, ["n3: n3 is late"])


def test_what_a_rule_explains_follows_from_it_on_its_node() -> None:
    full = finding("full", 70, explains=["down"])
    (cause, other) = ranked([finding("down", 95), full, finding("down", 95, node="n2")])
    assert (cause["rule"], cause["seen"][0][0]) == ("down", "n2"), "on the other node nothing explains it"
    assert other["follows"] == ["n1: down"]


def test_a_symptom_follows_from_any_other_cause_of_its_component() -> None:
    symptom = finding("symptom", 60, component="api", symptom=True)
    (cause,) = ranked([symptom, finding("port", 55, component="api")])
    assert cause["follows"] == ["n1: symptom"]
    assert order(symptom, finding("port", 55, component="worker")) == ["symptom", "port"]
    assert order(symptom, finding("hint", 40, component="api")) == ["symptom", "hint"], "a hint explains nothing"


def test_who_blames_a_role_follows_from_a_cause_there() -> None:
    seen_by_worker = finding("broker_down", 90, node="n2", component="worker", role="worker", blames=["redis"])
    (cause,) = ranked([seen_by_worker, finding("port_taken", 80, component="redis", role="redis")])
    assert (cause["rule"], cause["follows"]) == ("port_taken", ["n2: broker_down"])


def test_a_server_that_does_not_run_is_the_same_seen_from_its_own_node() -> None:
    seen_by_worker = finding("broker_down", 90, node="n2", component="worker", role="worker", blames=["redis"])
    (cause,) = ranked([seen_by_worker, finding("unit", 60, component="redis", role="redis", symptom=True)])
    assert (cause["rule"], cause["follows"]) == ("broker_down", ["n1: unit"])


def test_a_chain_stands_below_its_beginning() -> None:
    found = [finding("a", explains=["b"]), finding("b", 90, explains=["c"]), finding("c", 99)]
    (cause,) = ranked(found)
    assert (cause["rule"], cause["follows"]) == ("a", ["n1: b", "n1: c"])


@pytest.mark.parametrize("circle", [
    [finding("a", 60, explains=["b"]), finding("b", 90, explains=["a"])],
    [finding("a", 60, explains=["b"]), finding("b", 70, explains=["c"]), finding("c", 90, explains=["a"])],
])
def test_a_circle_has_a_beginning(circle: list[Finding]) -> None:
    """Rules of somebody else's may explain one another: the surest is a cause all the same."""
    assert order(*circle)[0] == circle[-1]["rule"]


def test_hints_are_no_failure() -> None:
    assert failed(ranked([finding("a", 50)]))
    assert not failed(ranked([finding("a", 49)]))
    said = [words(number) for number in (95, 70, 50, 49)]
    assert said == ["sure, 95 of 100", "likely, 70 of 100", "possible, 50 of 100", "a hint, 49 of 100"]


def test_the_page() -> None:
    broken = finding("a", 90, component="api", title="it is broken")
    results: dict[str, dict[str, Any]] = {
        "n1": {"findings": [broken], "problems": ["the journal: damaged"], "lock": "ann", "asked": True},
        "n2": {"unreachable": True, "msg": "no route\n"},
        "n3": {"findings": [], "problems": [], "lock": "", "asked": False},
    }
    nodes = nodes_of(results)
    text = page("shop", ranked([unreachable("n2", nodes["n2"]["silent"]), broken]), nodes)
    assert "2. api: it is broken (sure, 90 of 100)\n     seen   n1: a was seen\n     means  it means\n" in text
    assert "     means  it means\n     do     do it\n     rule   a\n" in text
    assert "1. n2 does not answer (sure, 90 of 100)\n     seen   n2: no route\n" in text
    assert "not seen on n1: the journal: damaged\n" in text
    assert "the lock of n1 is held by ann\n" in text
    assert text.splitlines()[-1] == "2 causes on 1 node; the likeliest: n2 does not answer"


def test_a_page_without_a_cause() -> None:
    nodes = nodes_of({"n1": {"findings": [], "asked": True}, "n2": {"findings": [], "asked": True}})
    assert page("shop", [], nodes).splitlines()[-1] == "No cause of a fault was found on 2 nodes"
    assert page("shop", ranked([finding("a", 40)]), nodes).splitlines()[-1] == "No cause of a fault was found on 2 nodes, 1 hint"
