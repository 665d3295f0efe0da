# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.migration import history
from ansible_collections.phasegate.aistack.plugins.module_utils.migration.revision_graph import Revision, RevisionGraph

OLD = RevisionGraph({"a1": Revision("a1"), "b2": Revision("b2", ("a1",))})


def record(outcome: str, before: list[str], after: list[str], **detail: Any) -> dict[str, Any]:
    full = {"state": "upgraded", "phase": "expand", "from": before, "to": after, "steps": after, **detail}
    return {"op": "migrate", "component": "backend", "release": "v2", "outcome": outcome, "detail": full}


UP = [record("started", ["b2"], ["c3"]), record("ok", ["b2"], ["c3"])]
UP2 = [record("started", ["c3"], ["d4"]), record("ok", ["c3"], ["d4"])]


@pytest.mark.parametrize(
    ("records", "current", "steps"),
    [
        (UP, ["c3"], ("c3",)),
        (UP + UP2, ["d4"], ("c3", "d4")),
        (UP[:1], ["c3"], ("c3",)),  # killed between the commit and the record
    ],
)
def test_older_code_runs_on_it(records: list[Any], current: list[str], steps: tuple[str, ...]) -> None:
    found = history.ahead(records, "backend", current, OLD)
    assert found is not None
    assert found.steps == steps
    assert found.base == ("b2",)
    assert "v2" in found.text()


@pytest.mark.parametrize(
    ("records", "current"),
    [
        ([], ["c3"]),
        ([record("ok", ["b2"], ["c3"], phase="contract")], ["c3"]),
        ([record("ok", ["b2"], ["c3"], state="stamped")], ["c3"]),
        ([record("failed", ["b2"], ["c3"])], ["c3"]),
        (UP, ["z9"]),
        ([record("ok", ["y8"], ["c3"])], ["c3"]),
        ([record("started", ["b2"], ["c3"]), record("ok", ["a1"], ["b2"])], ["c3"]),
        ([{**UP[1], "component": "other"}], ["c3"]),
    ],
)
def test_nothing_proves_that_it_does(records: list[Any], current: list[str]) -> None:
    assert history.ahead(records, "backend", current, OLD) is None


def test_interrupted() -> None:
    assert history.interrupted(UP, "backend") is None
    assert history.interrupted([*UP, UP2[0]], "backend") == UP2[0]
    assert history.interrupted([UP[0]], "other") is None
