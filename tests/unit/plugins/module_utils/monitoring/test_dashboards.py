# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A dashboard's file is looked at before it is laid down; what Grafana would leave out without a word is named."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.monitoring import dashboards

PANEL = {"id": 1, "type": "timeseries", "title": "Queue", "targets": [{"expr": 'max(depth{node=~"$node"})', "refId": "A"}]}
NODE = {"name": "node", "type": "query", "query": 'label_values(up{stack="shop"}, node)'}
BOARD = {"uid": "mine", "title": "Mine", "panels": [PANEL], "templating": {"list": [NODE]}}


def wrong(**more: Any) -> list[str]:
    return dashboards.problems(json.dumps({**BOARD, **more}))


def test_a_good_one() -> None:
    assert wrong() == []


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"tittle": "x"}, "unknown key 'tittle'; did you mean 'title'?"),
        ({"uid": "a b"}, "uid: expected letters, digits, - and _, at most 40, by which it is found again; got 'a b'"),
        ({"uid": None}, "uid: expected letters"),
        ({"title": " "}, "title: is missing"),
        ({"panels": []}, "panels: there are none"),
        ({"__inputs": [{"name": "DS"}]}, "__inputs: it was exported to be shared"),
        ({"panels": [{**PANEL, "target": []}]}, "panel 'Queue': unknown key 'target'; did you mean 'targets'?"),
        ({"panels": [{"title": "Queue"}]}, "panel 'Queue': type: is missing"),
        ({"panels": [{"type": "row", "title": "r", "panels": [{**PANEL, "spam": 1}]}]}, "panel 'Queue': unknown key 'spam'"),
        ({"panels": [{**PANEL, "targets": [{"expr": "up{node=~'$nod'}"}]}]}, "panel 'Queue': $nod is no variable of this dashboard"),
        ({"annotations": {"list": [{"name": "moved", "expr": "up == $one"}]}}, "annotation 'moved': $one is no variable"),
    ],
)
def test_what_is_wrong_is_named(more: dict[str, Any], said: str) -> None:
    found = wrong(**more)
    assert len(found) == 1
    assert found[0].startswith(said)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "no JSON: "),
        ("[]", "expected a dashboard, {…}, got list"),
        ('{"dashboard": {}, "meta": {}}', "this is an answer of Grafana's API"),
    ],
)
def test_what_is_no_dashboard(text: str, said: str) -> None:
    (found,) = dashboards.problems(text)
    assert found.startswith(said)


def test_what_it_asks() -> None:
    moved = {"name": "moved", "expr": "changes(up[1m])"}
    folded = {"type": "row", "panels": [PANEL]}
    board = {"panels": [folded], "templating": {"list": [NODE, {"name": "text", "type": "textbox"}]}, "annotations": {"list": [moved]}}
    assert dashboards.questions(board) == [
        ("panel 'Queue'", 'max(depth{node=~"$node"})'), ("annotation 'moved'", "changes(up[1m])"), ("variable 'node'", 'up{stack="shop"}'),
    ]


def test_values_stand_in_the_place_of_variables() -> None:
    asked = 'rate(${name}_total{node=~"$node",slot=~"${slot:regex}",job="[[job]]"}[$__rate_interval])'
    assert dashboards.names(asked) == ["name", "node", "slot", "job", "__rate_interval"]
    values = {"name": "x", "node": ".*", "slot": "a|b", "job": "j", "__rate_interval": "1m"}
    assert dashboards.filled(asked, values) == 'rate(x_total{node=~".*",slot=~"a|b",job="j"}[1m])'
    assert dashboards.names('label_replace(up, "a", "$1", "b", "(5..)$")') == []
    with pytest.raises(KeyError):
        dashboards.filled("up{a='$gone'}", values)
