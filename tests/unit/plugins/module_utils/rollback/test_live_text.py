# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is live, as the nodes say it."""

from __future__ import annotations

import json
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.live_text import live_text, schema_lines
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.node_answer import read


def status(*components: dict[str, Any]) -> dict[str, Any]:
    """What the node said."""
    said = json.dumps({"stack": "shop", "applications": {"shop": {"components": list(components)}}})
    return {"answer": read(0, said, "")}


def test_a_row_for_each_component_and_node() -> None:
    live = {"release": "v4.1.0", "slot": "green", "config": "0f3a5c7e9b1d2f40"}
    text = live_text({
        "w1": status({"component": "web", "live": live}),
        "b1": status({"component": "api", "live": live}, {"component": "beat", "live": None}),
        "b2": {"unreachable": True, "msg": "no route to host"},
        "g1": {"answer": read(127, "", "")},
        "g2": {},
    })
    *rows, remedy, _more = text.splitlines()
    assert remedy.startswith("  next: once b2 answers, deploy.yml -e release=TAG with the release that is wanted")
    assert [line.split() for line in rows[4:]] == [
        ["api", "b1", "v4.1.0", "green", "0f3a5c7e9b1d2f40"],
        ["beat", "b1", "—", "—", "—"],
        ["web", "w1", "v4.1.0", "green", "0f3a5c7e9b1d2f40"],
        ["not", "known", "of", "b2:", "not", "reached:", "no", "route", "to", "host"],
    ]


def test_nodes_that_are_apart() -> None:
    new, old = ({"release": release, "slot": "blue", "config": "c"} for release in ("v2", "v1"))
    shown = live_text({
        "a": status({"component": "api", "live": new}, {"component": "web", "live": old}),
        "b": status({"component": "api", "live": old}, {"component": "web", "live": old}),
        "c": status({"component": "api", "live": old}, {"component": "beat", "live": None}),
    })
    assert shown.splitlines()[-2:] == [
        "  api is not at one release: v1 on b, c; v2 on a",
        "  next: deploy.yml -e release=TAG brings all of them to TAG, emergency_rollback.yml to one that all can be at",
    ]
    assert "not at one" not in live_text({"a": status({"component": "api", "live": new}), "b": status({"component": "web", "live": old})})


def test_what_a_node_says_is_not_trusted() -> None:
    live = {"release": "v1\x1b[2J", "slot": "blue", "config": "c"}
    assert "not known of b1: its answer cannot be trusted" in live_text({"b1": status({"component": "api", "live": live})})


def test_nothing_released_is_nothing_said() -> None:
    assert live_text({"b1": {"answer": read(127, "", "")}, "b2": status(), "b3": {"skipped": True}}) == ""


def test_where_a_schema_stays_that_this_run_has_moved() -> None:
    moved = {"changed": True, "from": ["0001"], "current": ["0002"], "noted": {"component": "api"}}
    proof = {"record": {"release": "v4.0.0", "component": "api"}}
    assert schema_lines({"b1": (moved, proof), "b2": ({}, {})}) == [
        "  the schema of api's database stays at 0002, to which this run took it from 0001; v4.0.0 has passed its gate on it"
    ]
    assert schema_lines({"b1": ({**moved, "from": []}, {})}) == [
        "  the schema of api's database stays at 0002, to which this run took it from nothing; no gate has proven what is live on it"
    ]
    assert schema_lines({"b1": ({**moved, "failed": True}, {}), "b2": ({**moved, "current": ["0001"]}, {})}) == []
