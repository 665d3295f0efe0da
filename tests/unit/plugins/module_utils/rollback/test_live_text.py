# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is live, as the nodes say it."""

from __future__ import annotations

import json
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.live_text import live_text
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
    })  # fmt: skip
    assert [line.split() for line in text.splitlines()[4:]] == [
        ["api", "b1", "v4.1.0", "green", "0f3a5c7e9b1d2f40"],
        ["beat", "b1", "—", "—", "—"],
        ["web", "w1", "v4.1.0", "green", "0f3a5c7e9b1d2f40"],
        ["not", "known", "of", "b2:", "not", "reached:", "no", "route", "to", "host"],
    ]


def test_what_a_node_says_is_not_trusted() -> None:
    live = {"release": "v1\x1b[2J", "slot": "blue", "config": "c"}
    assert "not known of b1: its answer cannot be trusted" in live_text({"b1": status({"component": "api", "live": live})})


def test_nothing_released_is_nothing_said() -> None:
    assert live_text({"b1": {"answer": read(127, "", "")}, "b2": status(), "b3": {"skipped": True}}) == ""
