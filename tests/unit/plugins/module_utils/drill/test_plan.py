# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A drilled rollback: the way of a set to its start, the verdict, and what is told of it."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.drill import plan as drill, text as drill_text
from ansible_collections.phasegate.aistack.plugins.module_utils.drill.plan import DrillRun, Way, judge
from ansible_collections.phasegate.aistack.plugins.module_utils.migration.revision_graph import RevisionGraph
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.row_compare import Shape
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.plan import RollbackRequest, plan
from ansible_collections.phasegate.aistack.plugins.modules.drill import DOCUMENTATION
from ansible_collections.phasegate.aistack.tests.unit.plugins.module_utils.rollback.test_plan import Node

TAGS = ("v1", "v2")


def graph(*names: str, **below: str) -> RevisionGraph:
    """Revisions, each on the one before it unless ``below`` says otherwise."""
    before = dict(zip(names[1:], names))
    entries = [{"revision": name, "down_revisions": [down] if (down := below.get(name, before.get(name))) else []} for name in names]
    return RevisionGraph.of(entries)


OLD, NEW = graph("a", "b"), graph("a", "b", "c", "d")


@pytest.mark.parametrize(
    ("held", "expected"), [(["b"], ""), (["a"], "up"), ([], "up"), (["d"], "down"), (["c"], "down")], ids=str
)
def test_the_way_to_the_start(held: list[str], expected: str) -> None:
    assert drill.way(held, OLD, NEW, TAGS) == Way(expected)


@pytest.mark.parametrize(
    ("held", "older", "newer", "said"),
    [
        (["x"], OLD, NEW, "its database is at x, which neither v1 (at b) nor v2 contains"),
        (["b"], graph("a", "z"), NEW, "v2 does not contain z"),
        (["b"], OLD, graph("a", "b", "c", "d", d="b"), "v2 has 2 heads (c, d)"),
    ],
)
def test_no_way(held: list[str], older: RevisionGraph, newer: RevisionGraph, said: str) -> None:
    assert said in drill.way(held, older, newer, TAGS).problem


def observe(**tables: Any) -> dict[str, Any]:
    """A look at tables: rows and, by column, values and their sum."""
    return {
        "fingerprint": {
            "objects": {f"table public.{name}": "r p f" for name in tables},
            "rows": {**{f"public.{name}": rows for name, (rows, _columns) in tables.items()}, "public.alembic_version": 1},
            "checksums": {f"public.{name}": str(sorted(columns.items())) for name, (_rows, columns) in tables.items()},
        },
        "columns": {f"public.{name}": columns for name, (_rows, columns) in tables.items()},
    }


START = observe(users=(3, {"id": [3, "11"], "mail": [2, "22"]}), orders=(2, {"id": [2, "33"]}))


def after(change: Any) -> dict[str, Any]:
    changed = copy.deepcopy(START)
    change(changed)
    return changed


def judged(last: dict[str, Any], **more: Any) -> dict[str, Any]:
    return judge(DrillRun(first=START, last=last, seconds={"restore": 3.0, "downgrade": 1.5}, **more))


def test_all_as_before() -> None:
    found = judged(after(lambda now: now["fingerprint"]["rows"].update({"public.alembic_version": 2})), goes=["table visits (0 rows)"])
    assert (found["verdict"], found["recovery_s"], found["why"], found["differences"]) == ("passed", 1.5, "", [])
    assert found["goes"] == ["table visits (0 rows)"]


def _rows(now: dict[str, Any]) -> None:
    now["fingerprint"]["rows"]["public.users"] = 1
    now["columns"]["public.users"] = {"id": [1, "5"], "mail": [1, "6"]}


def _emptied(now: dict[str, Any]) -> None:
    now["columns"]["public.users"]["mail"] = [0, "0"]


def _others(now: dict[str, Any]) -> None:
    now["columns"]["public.users"]["mail"] = [2, "23"]


def _both(now: dict[str, Any]) -> None:
    now["fingerprint"]["rows"]["public.users"] = 2
    now["columns"]["public.users"] = {"id": [2, "9"], "mail": [0, "0"]}


@pytest.mark.parametrize(
    ("change", "lost"),
    [
        (_rows, ["public.users: 2 of 3 rows are gone"]),
        (_emptied, ["public.users: column mail: 2 of 2 values are gone"]),
        (_both, ["public.users: 1 of 3 rows are gone", "public.users: column mail: 2 of 2 values are gone"]),
        (_others, ["public.users: column mail: its values are others than before"]),
        (
            lambda now: now["fingerprint"]["checksums"].update({"public.users": "other"}),
            ["public.users: its rows are put together differently than before"],
        ),
    ],
)
def test_what_is_lost_is_named(change: Any, lost: list[str]) -> None:
    found = judged(after(change))
    assert (found["verdict"], found["lost"], found["recovery_s"]) == ("loses", lost, 1.5)
    assert found["why"] == f"lost: {'; '.join(lost)}"


def _gone(now: dict[str, Any]) -> None:
    del now["fingerprint"]["objects"]["table public.orders"], now["fingerprint"]["rows"]["public.orders"]


def _more(now: dict[str, Any]) -> None:
    now["fingerprint"]["rows"]["public.users"] = 4


@pytest.mark.parametrize(
    ("change", "said", "lost"),
    [
        (_gone, "gone: table public.orders", ["public.orders: the table is gone, with 2 rows"]),
        (_more, "public.users: 1 row more than the 3 before", []),
        (lambda now: now["fingerprint"]["objects"].update({"index public.left": "x"}), "new: index public.left", []),
    ],
)
def test_a_schema_or_rows_that_were_not_there_have_failed(change: Any, said: str, lost: list[str]) -> None:
    found = judged(after(change))
    assert (found["verdict"], found["lost"], found["recovery_s"]) == ("failed", lost, None)
    assert said in found["why"]


def test_what_the_newer_release_wrote_is_compared_with_what_comes_again() -> None:
    held = observe(visits=(3, {"id": [3, "7"]}), orders=(2, {"id": [2, "1"]}))
    again = observe(visits=(0, {"id": [0, "0"]}), orders=(2, {"id": [2, "1"]}))
    found = judged(START, held=held, again=again)
    assert (found["verdict"], found["lost"]) == ("loses", ["public.visits (written by the newer release): 3 of 3 rows are gone"])


def test_stuck_and_broken() -> None:
    stuck = judge(DrillRun(seconds={"restore": 3.0}, stuck="c does nothing"))
    assert (stuck["verdict"], stuck["recovery_s"], stuck["why"]) == ("irreversible", 3.0, "c does nothing")
    broken = judge(DrillRun(first=START, seconds={"restore": 3.0, "upgrade": 1.0}, broken="it broke"))
    assert (broken["verdict"], broken["recovery_s"], broken["why"]) == ("failed", None, "it broke")
    with pytest.raises(ValueError, match="before and after"):
        judge(DrillRun(first=START))


def test_every_verdict_is_documented() -> None:
    known = {drill_text.PASSED, drill_text.LOSES, drill_text.IRREVERSIBLE, drill_text.FAILED, drill_text.UNNEEDED}
    assert known == {"passed", "loses", "irreversible", "failed", "unneeded"}
    assert "O(from)" in DOCUMENTATION


def test_many_columns_are_asked_in_several_questions() -> None:
    names = tuple(f"c{number}" for number in range(95))
    queries = drill.columns_queries(Shape("public", "wide", names, ()))
    assert len(queries) == 3
    assert all(query.count("json_build_array") <= drill.AT_ONCE for query in queries)
    assert all(any(f'"{name}"' in query for query in queries) for name in names)
    odd = drill.columns_queries(Shape("public", "t", ("it's",), ()))[0]
    assert "'it''s', json_build_array(count(t.\"it's\")" in odd


def test_the_name_of_the_copy() -> None:
    assert drill.scratch_name("sparklio") == "sparklio__drill"
    with pytest.raises(ValueError, match="64 bytes"):
        drill.scratch_name("d" * 57)


RECORD = {"time": "2026-01-31T12:00:00.000Z", "from": "v2", "to": "v1", "verdict": "passed", "recovery_s": 12.34, "why": "", "goes": []}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, "drilled 2026-01-31: 12.3 s, nothing lost"),
        ({"goes": ["column t.x (0 rows hold something there)"]}, "nothing lost; what v2 writes into these goes: column t.x"),
        ({"verdict": "loses", "why": "lost: t: 2 of 3 rows are gone"}, "drilled 2026-01-31: 12.3 s, lost: t: 2 of 3 rows are gone"),
        ({"verdict": "irreversible", "why": "c does nothing"}, "cannot be taken back (c does nothing); restoring its database took 12.3 s"),
        ({"verdict": "failed", "why": "it broke", "recovery_s": None}, "drilled 2026-01-31: FAILED: it broke"),
    ],
)
def test_a_line_for_a_plan(change: dict[str, Any], said: str) -> None:
    record = {**RECORD, **change}
    assert said in drill_text.line(record)
    assert drill_text.for_plan({"v2": {"v1": record}}, "backend", "v2", "v1") == f"backend: {drill_text.line(record)}"


def test_a_plan_says_where_there_was_no_drill() -> None:
    told = drill_text.for_plan({"v2": {"v0": RECORD}}, "backend", "v2", "v1")
    assert "was never drilled" in told
    assert "drill.yml -e component=backend -e from=v2 -e to=v1" in told


def test_a_plan_that_takes_the_schema_back_tells_of_its_drill() -> None:
    story = Node("backend").migrated("v2", "", "bb").switched("v2").migrated("v3", "bb", "cc").switched("v3")
    view = story.view()
    made = plan(view, RollbackRequest(level="schema"))
    assert any("going back from v3 to v2 was never drilled; drill.yml" in text for text in made["warnings"])
    record = {"time": "2026-01-02T00:00:00Z", "verdict": "passed", "recovery_s": 2.5, "from": "v3", "to": "v2"}
    view["components"]["backend"]["drills"] = {"v3": {"v2": record}}
    made = plan(view, RollbackRequest(level="schema"))
    assert "backend: drilled 2026-01-02: 2.5 s, nothing lost" in made["warnings"]
    assert not any("drill" in text for text in plan(view, RollbackRequest(level="app"))["warnings"]), "no schema moves there"


def test_a_page() -> None:
    found = judged(after(_rows), goes=["table visits (0 rows)"])
    result = {**found, "component": "backend", "node": "n1", "from": "v2", "to": "v1", "tables": 2, "record": "/r/v2.drill.json",
              "steps": {"downgrade": "d → b, by the code of v2"}}
    text = drill_text.pages([result, {"component": "other", "from": "v2", "to": "v1", "msg": "would be"}])
    assert text.startswith("Drill of backend on n1: v2 → v1: LOSES\n  lost: public.users: 2 of 3 rows are gone\n  recovery by the downgr")
    for part in ("downgrade  1.5      d → b, by the code of v2", "public.users  3            1           2 of 3 rows are gone",
                 "1 other table: rows and contents as before", "  - table visits (0 rows)", "written into /r/v2.drill.json"):
        assert part in text, text
    assert text.endswith("\n\nDrill of other: v2 → v1: would be")
    broken = judge(DrillRun(seconds={"restore": 1.0}, broken="b"))
    failed = drill_text.page({**broken, "component": "x", "from": "v2", "to": "v1", "tables": 4})
    assert "as before" not in failed, "nothing is said of tables that were not compared"
