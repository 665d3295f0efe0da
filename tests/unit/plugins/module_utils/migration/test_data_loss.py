# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a downgrade takes away is named, counted and accepted by name."""

from __future__ import annotations

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.migration import (
    data_loss,
    policy as migration_policy,
    text as migration_text,
)
from ansible_collections.phasegate.aistack.plugins.module_utils.migration.data_loss import Down, Loss
from ansible_collections.phasegate.aistack.plugins.module_utils.migration.policy import Step
from ansible_collections.phasegate.aistack.plugins.module_utils.migration.revision_graph import Revision


def step(sql: str | None, name: str = "a1") -> Step:
    return migration_policy.analyse([Step(Revision(name, doc="title"), sql=sql, lint_run=True)])[0]


@pytest.mark.parametrize(
    ("sql", "kinds", "queries"),
    [
        ("ALTER TABLE t DROP COLUMN a;", ["column t.a"], ["SELECT to_json(count(a)) FROM t"]),
        (
            "ALTER TABLE IF EXISTS ONLY s.t DROP COLUMN IF EXISTS a CASCADE, DROP b, ADD COLUMN c text",
            ["column s.t.a", "column s.t.b"],
            ["SELECT to_json(count(a)) FROM s.t", "SELECT to_json(count(b)) FROM s.t"],
        ),
        ("ALTER TABLE t DROP CONSTRAINT ck, DROP COLUMN a", ["column t.a"], ["SELECT to_json(count(a)) FROM t"]),
        (
            'ALTER TABLE "Odd" DROP COLUMN "two words"',
            ["column Odd.two words"],
            ['SELECT to_json(count("two words")) FROM "Odd"'],
        ),
        ("DROP TABLE t", ["table t"], ["SELECT to_json(count(*)) FROM t"]),
        (
            "DROP TABLE IF EXISTS t, s.u CASCADE",
            ["table t", "table s.u"],
            ["SELECT to_json(count(*)) FROM t", "SELECT to_json(count(*)) FROM s.u"],
        ),
        ("TRUNCATE t", ["rows t"], ["SELECT to_json(count(*)) FROM t"]),
        ("DELETE FROM t WHERE a = 1", ["rows t"], ["SELECT to_json(count(*)) FROM t"]),
        ("DROP SCHEMA s CASCADE", ["schema s"], [""]),
        ("ALTER TABLE t DROP CONSTRAINT ck; DROP INDEX i; DELETE FROM alembic_version WHERE version_num = 'a1'", [], []),
        ("CREATE TABLE n (a int); DROP TABLE n", [], []),
    ],
)
def test_what_statements_take(sql: str, kinds: list[str], queries: list[str]) -> None:
    losses = data_loss.found([step(sql)])
    assert [f"{loss.kind} {loss.name}" for loss in losses] == kinds
    assert [loss.query() for loss in losses] == queries


@pytest.mark.parametrize(
    ("loss", "text"),
    [
        (Loss("a1", "column", "t", "a", 1), "column t.a (1 row holds something there)"),
        (Loss("a1", "column", "t", "a", 12), "column t.a (12 rows hold something there)"),
        (Loss("a1", "table", "t", rows=1), "table t (1 row)"),
        (Loss("a1", "rows", "t", rows=7), "rows of t (up to 7 rows)"),
        (
            Loss("a1", "table", "t", why="not counted within 60 s"),
            "table t (how many rows hold something there is not known: not counted within 60 s)",
        ),
    ],
)
def test_words(loss: Loss, text: str) -> None:
    assert loss.text() == text
    assert loss.as_dict()["text"] == text


def test_a_refusal_names_everything_that_is_still_open_and_how_to_accept_it() -> None:
    down = Down(
        (Loss("a1", "table", "visits", rows=4), Loss("a1", "column", "logs", "language", 9), Loss("a1", "column", "logs", "unused", 0)),
        accept_loss=("visits", "vists"),
    )
    refusals, warnings = data_loss.judge([step("DROP TABLE visits")], down)
    assert [refusal.code for refusal in refusals] == ["data_loss"]
    assert refusals[0].reason == "The downgrade loses data: column logs.language (9 rows hold something there)."
    assert "the same command with -e accept_loss=logs.language" in refusals[0].remedy
    assert warnings == [
        "Goes for good: table visits (4 rows). Accepted by -e accept_loss.",
        "Goes, and holds nothing: column logs.unused (0 rows hold something there).",
        "-e accept_loss names what this downgrade does not touch: vists.",
    ]


def test_what_cannot_be_judged_is_said() -> None:
    _refusals, warnings = data_loss.judge([step("DO $$ BEGIN PERFORM 1; END $$")], Down(()))
    assert warnings == ["Revision a1: whether this takes data away cannot be told: DO $$ BEGIN PERFORM 1; END $$"]


def test_base_names_every_revision() -> None:
    refusals, _warnings = data_loss.judge([step("", "b2"), step("", "a1")], Down((), to_base=True))
    assert refusals[0].code == "to_base"
    assert "b2, a1" in refusals[0].reason
    assert "allow_base" in refusals[0].remedy


def test_the_page_lists_it() -> None:
    loss = Loss("a1", "table", "visits", rows=4)
    verdict = migration_policy.judge([step("DROP TABLE visits")], migration_policy.Policy(), "downgrade", down=Down((loss,)))
    page = migration_text.plan_text(
        {
            "known": True,
            "direction": "downgrade",
            "pending": [step("DROP TABLE visits").as_dict()],
            "losses": [loss.as_dict()],
            "verdict": verdict.as_dict(),
        }
    )
    assert "Takes away:\n  - table visits (4 rows)" in page
    assert "Refused:\n  - The downgrade loses data" in page
