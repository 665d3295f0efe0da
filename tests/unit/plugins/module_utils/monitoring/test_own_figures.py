# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The page in which a node tells of its own stack, and the alerts about it: those whose figures somebody writes, with its bounds."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.monitoring import figures, rules, targets
from ansible_collections.phasegate.aistack.plugins.module_utils.monitoring.description import bounds, queues_of
from ansible_collections.phasegate.aistack.plugins.module_utils.monitoring.figures import Sample
from ansible_collections.phasegate.aistack.plugins.module_utils.monitoring.own_rules import own_rules

COMPONENTS: dict[str, dict[str, Any]] = {
    "api": {"role": "backend", "hosts": "all", "application": "shop", "migrations": {}},
    "worker": {"role": "worker", "hosts": "all", "release_from": "api", "options": {"queues": ["celery", "mail"]}},
    "exporters": {"role": "exporters", "hosts": "all"},
}


def stack(*without: str, **limits: float) -> targets.Stack:
    components = {name: component for name, component in COMPONENTS.items() if name not in without}
    return targets.Stack("shop", components, {"all": ["one"]}, bounds=limits)


def test_a_page_has_each_figure_with_its_help_and_each_series_once() -> None:
    text = figures.page("shop", [
        Sample(figures.LENGTH, 3, {"queue": "mail"}), Sample(figures.INTACT, 1), Sample(figures.LENGTH, 4, {"queue": "mail"}),
        Sample(figures.LENGTH, 0.5, {"queue": 'a"b\\c\n'}),
    ])
    assert text.splitlines() == [
        f"# HELP aistack_journal_intact {figures.HELP[figures.INTACT]}", "# TYPE aistack_journal_intact gauge",
        'aistack_journal_intact{stack="shop"} 1',
        f"# HELP aistack_queue_length {figures.HELP[figures.LENGTH]}", "# TYPE aistack_queue_length gauge",
        'aistack_queue_length{stack="shop",queue="mail"} 4', 'aistack_queue_length{stack="shop",queue="a\\"b\\\\c\\n"} 0.500',
    ]
    assert figures.value_of(text, figures.INTACT) == 1
    assert figures.value_of(text, figures.VERIFIED) is None
    assert figures.value_of("aistack_journal_intact much", figures.INTACT) is None


def test_times_as_the_journal_has_them() -> None:
    assert figures.seconds("1970-01-02T00:00:01.500Z") == 86401
    assert [figures.seconds(wrong) for wrong in ("", None, "yesterday")] == [None, None, None]


def test_alerts_are_about_what_nodes_say() -> None:
    of_nodes = {"FiguresTooOld", "JournalBroken", "LockHeldLong"}
    drills, queues = {"DrillOverdue", "DrillFailed"}, {"BrokerRefuses", "QueueGrows", "QueueWithoutWorker"}
    assert {rule.alert for rule in own_rules(stack())} == of_nodes | drills | queues
    assert {rule.alert for rule in own_rules(stack("worker"))} == of_nodes | drills
    assert {rule.alert for rule in own_rules(stack("api"))} == of_nodes | queues
    assert {rule.alert for rule in own_rules(stack(drill_days=0))} == of_nodes | queues, "nobody wants to be told"
    assert own_rules(stack("exporters")) == [], "nobody shows them"


def test_each_has_a_verb_and_a_case_that_fires_and_one_that_does_not() -> None:
    found = own_rules(stack())
    assert rules.untested({"own": found}) == []
    assert all(rule.verb.startswith("ansible-playbook phasegate.aistack.") and rule.quiet for rule in found)
    assert {rule.alert: rule.verb.split()[1] for rule in found}["DrillOverdue"] == "phasegate.aistack.drill"


@pytest.mark.parametrize(
    ("limit", "alert", "said"),
    [
        ({"drill_days": 14}, "DrillOverdue", " > 1209600"),
        ({"lock_hours": 0.5}, "LockHeldLong", " > 1800"),
        ({"queue_length": 7}, "QueueGrows", 'aistack_queue_length{stack="shop"} > 7 and deriv('),
    ],
)
def test_a_stack_has_its_own_bounds(limit: dict[str, float], alert: str, said: str) -> None:
    (rule,) = [rule for rule in own_rules(stack(**limit)) if rule.alert == alert]
    assert said in rule.expr
    (usual,) = [rule for rule in own_rules(stack()) if rule.alert == alert]
    assert said not in usual.expr


def test_bounds_that_are_not_given_are_the_usual_ones() -> None:
    assert bounds({"drill_days": 3}) == {**bounds(None), "drill_days": 3}
    assert queues_of(COMPONENTS["worker"]) == ["celery", "mail"]
