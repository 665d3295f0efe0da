# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.report.refusals import grouped


def refusal(component: str | None, reason: str, remedy: str = "deploy it") -> dict[str, Any]:
    return {"code": "c", "component": component, "reason": reason, "remedy": remedy}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([("b1", refusal("api", "api: no v9"))], ["b1: api: no v9"]),
        ([("b1", refusal("api", "no v9"))], ["b1: api: no v9"]),
        ([("", refusal("api", "api: no v9")), ("", refusal("beat", "beat: no v9"))], ["api, beat: no v9"]),
        (
            [("b1", refusal("api", "api: no v9")), ("w1", refusal("web", "web: no v9")), ("b1", refusal("beat", "beat: no v9"))],
            ["b1 (api, beat), w1 (web): no v9"],
        ),
        ([("b1", refusal(None, "silent")), ("w1", refusal(None, "silent"))], ["b1, w1: silent"]),
        ([("", refusal(None, "no such level"))], ["no such level"]),
        ([("b1", refusal("api", "no v9")), ("b1", refusal("beat", "no v9", "choose v1"))], ["b1: api: no v9", "b1: beat: no v9"]),
    ],
    ids=["named in the reason", "named beside it", "several components", "several nodes", "nodes alone", "nobody", "another remedy"],
)
def test_one_reason_stands_once(given: list[tuple[str, dict[str, Any]]], said: list[str]) -> None:
    assert [sentence for sentence, _refusal in grouped(given)] == said


def test_each_sentence_has_its_remedy() -> None:
    assert [entry["remedy"] for _sentence, entry in grouped([("", refusal("a", "x", "1")), ("", refusal("b", "x", "2"))])] == ["1", "2"]
