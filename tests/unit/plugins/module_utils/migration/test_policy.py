# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.migration import policy as migration_policy, text as migration_text
from ansible_collections.phasegate.aistack.plugins.module_utils.migration.data_loss import Down, Loss
from ansible_collections.phasegate.aistack.plugins.module_utils.migration.policy import Policy, Step, Verdict
from ansible_collections.phasegate.aistack.plugins.module_utils.migration.revision_graph import Revision


def step(sql: str | None = "BEGIN; ALTER TABLE t ADD COLUMN a TEXT; COMMIT;", **changes: Any) -> Step:
    revision = Revision(changes.pop("name", "a1"), doc="title", reversible=changes.pop("reversible", True))
    return Step(revision, sql=sql, lint_run=True, **changes)


def codes(steps: list[Step], policy: dict[str, Any] | None = None, **how: Any) -> list[str]:
    verdict = migration_policy.judge(migration_policy.analyse(steps), Policy.of(policy), **how)
    for refusal in verdict.refusals:
        assert refusal.reason
        assert refusal.remedy
    return [refusal.code for refusal in verdict.refusals]


DROPS = "ALTER TABLE t DROP COLUMN a"
FINDING = [{"rule": "adding-required-field", "message": "no default", "help": "", "level": "warning", "line": 1}]


@pytest.mark.parametrize(
    ("given", "policy", "expected"),
    [
        (step(), {}, []),
        (step(DROPS), {}, ["contract"]),
        (step(DROPS), {"contract": "allow"}, []),
        (step(DROPS), {"accept": ["a1"]}, []),
        (step(DROPS), {"accept": ["b2"]}, ["contract"]),
        (step(reversible=False), {}, ["irreversible"]),
        (step(reversible=False), {"irreversible": "allow"}, []),
        (step(None, sql_error="no"), {}, ["unknown_sql"]),
        (step(None), {"unknown_sql": "allow"}, []),
        (step("BEGIN; SELECT 1; COMMIT; SELECT 2; COMMIT"), {}, []),
        (step("BEGIN; SELECT 1; COMMIT; SELECT 2; COMMIT"), {"autocommit": "refuse"}, ["autocommit"]),
        (step(findings=list(FINDING)), {}, ["lint"]),
        (step(findings=list(FINDING)), {"lint": []}, []),
    ],
)
def test_one_step(given: Step, policy: dict[str, Any], expected: list[str]) -> None:
    assert codes([given], policy) == expected


def test_what_an_earlier_step_made_is_nobodys_yet() -> None:
    assert codes([step("CREATE TABLE n (a int)"), step("ALTER TABLE n DROP COLUMN a", name="b2")]) == []
    assert codes([step("CREATE TABLE n (a int)"), step("ALTER TABLE t DROP COLUMN a", name="b2")]) == ["contract"]


def test_an_empty_database_allows_everything_but_too_many_steps() -> None:
    assert codes([step(DROPS, reversible=False)], fresh=True) == []
    assert codes([step(), step(name="b2")], {"max_steps": 1}, fresh=True) == ["too_many_steps"]


def lost(rows: int | None = 3, **accepted: Any) -> Down:
    return Down((Loss("a1", "column", "t", "a", rows),), **accepted)


@pytest.mark.parametrize(
    ("given", "down", "expected"),
    [
        (step(DROPS), lost(), ["data_loss"]),
        (step(DROPS), None, ["data_loss"]),  # nobody has looked
        (step(DROPS), lost(None), ["data_loss"]),
        (step(DROPS), lost(0), []),
        (step(DROPS), lost(accept_loss=("t.a",)), []),
        (step(DROPS), lost(accept_loss=("t",)), ["data_loss"]),
        (step(DROPS), lost(accept_loss=("a1",)), ["data_loss"]),
        (step("ALTER TABLE t ALTER COLUMN a SET NOT NULL"), None, []),  # contracting is what a downgrade is for
        (step("", reversible=False), None, ["irreversible"]),
        (step("", reversible=False), Down((), accept_loss=("a1",)), []),
        (step(None, sql_error="no"), None, ["unknown_sql"]),
        (step(None), Down((), accept_loss=("a1",)), []),
        (step(), Down((), to_base=True), ["to_base"]),
        (step(), Down((), to_base=True, allow_base=True), []),
    ],
)
def test_what_refuses_a_downgrade(given: Step, down: Down | None, expected: list[str]) -> None:
    assert codes([given], direction="downgrade", down=down) == expected
    assert codes([given], {"accept": ["a1"], "irreversible": "allow", "unknown_sql": "allow"}, direction="downgrade", down=down) == expected


def test_lint_that_did_not_run() -> None:
    given = step()
    given.lint_run = False
    assert codes([given]) == []
    assert codes([given], {"lint_missing": "refuse"}) == ["lint_missing"]


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        ({"contracts": "allow"}, ["contracts", "contract"]),
        ({"contract": "maybe"}, ["policy.contract", "maybe", "allow, refuse"]),
        ({"lint": "one"}, ["policy.lint", "list"]),
        ({"max_steps": "few"}, ["policy.max_steps", "few"]),
    ],
)
def test_a_policy_that_is_none(policy: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(ValueError, match=r"policy") as caught:
        Policy.of(policy)
    for word in words:
        assert word in str(caught.value)


def page(steps: list[Step], verdict: Verdict) -> str:
    return migration_text.plan_text(
        {
            "known": True,
            "component": "backend",
            "release": "v2",
            "direction": "upgrade",
            "database": {"name": "app", "host": "h", "port": 5432, "user": "u"},
            "current": ["a0"],
            "target": ["a1"],
            "pending": [entry.as_dict() for entry in steps],
            "verdict": verdict.as_dict(),
        }
    )


def test_the_page() -> None:
    steps = migration_policy.analyse([step(DROPS, reversible=False)])
    text = page(steps, migration_policy.judge(steps, Policy()))
    for words in ("backend to release v2", "1. run a1  title", "NOT reversible", "ACCESS EXCLUSIVE lock", DROPS, "Refused:", "Fix:"):
        assert words in text
    assert "Nothing to do" in page([], Verdict())
    assert "not staged" in migration_text.plan_text({"known": False, "why": "not staged"})
