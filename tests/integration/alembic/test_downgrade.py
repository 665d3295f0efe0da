# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Downgrades of a real database: what they take away is counted, and refused until it is accepted by name."""

from __future__ import annotations

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.journal.file import Journal
from ansible_collections.phasegate.aistack.plugins.module_utils.migration import migrate as alembic, plan as alembic_plan

from .conftest import Stage
from .test_migrate import ADD, DROP, columns, first, refused

UP = f"{ADD}\nop.create_table('visits', sa.Column('id', sa.Integer, primary_key=True))"
DOWN = f"op.drop_table('visits')\n{DROP}"


def held(stage: Stage) -> None:
    """One revision up, and three rows that hold something in what it added."""
    first(stage)
    stage.release.add("bbb2", "aaa1", UP, DOWN, "owner and visits")
    alembic.migrate(stage.request())
    stage.sql("UPDATE workflows SET owner = 'me'; INSERT INTO workflows (name) VALUES ('two'); INSERT INTO visits VALUES (1), (2)")


def down(stage: Stage, target: str = "aaa1", **changes: object) -> dict[str, object]:
    return alembic.migrate(stage.request(state="downgraded", target=target, **changes))


def test_what_holds_something_is_refused_with_its_rows(stage: Stage) -> None:
    held(stage)
    problem = refused(stage, state="downgraded", target="aaa1", policy={"accept": ["bbb2"], "contract": "allow"})
    assert problem.code == "data_loss"
    assert "table visits (2 rows)" in str(problem)
    assert "column workflows.owner (1 row holds something there)" in str(problem)
    assert "-e accept_loss=visits,workflows.owner." in str(problem)
    assert columns(stage) == "id,name,owner"
    plan = alembic_plan.inspect(stage.request(state="downgraded", target="aaa1"))
    assert {loss["name"]: loss["rows"] for loss in plan["losses"]} == {"visits": 2, "workflows.owner": 1}
    assert "Takes away:" in plan["text"]


def test_a_part_that_was_accepted_does_not_take_the_rest_along(stage: Stage) -> None:
    held(stage)
    problem = refused(stage, state="downgraded", target="aaa1", accept_loss=["visits"])
    assert "-e accept_loss=workflows.owner." in str(problem)
    assert stage.sql("SELECT count(*) FROM visits") == "2"


def test_accepted_by_name_it_goes_and_the_journal_says_how_much(stage: Stage) -> None:
    held(stage)
    result = down(stage, accept_loss=["visits", "workflows.owner"])
    assert result["changed"]
    assert columns(stage) == "id,name"
    assert stage.sql("SELECT to_regclass('visits')") == ""
    last = Journal.of(stage.state_dir).read()[-1]
    assert (last["outcome"], last["detail"]["losses"]) == ("ok", {"visits": 2, "workflows.owner": 1})


def test_what_holds_nothing_needs_no_consent(stage: Stage) -> None:
    first(stage)
    stage.release.add("bbb2", "aaa1", UP, DOWN)
    alembic.migrate(stage.request())
    result = down(stage, "-1")
    assert (result["changed"], result["current"]) == (True, ["aaa1"])


def test_rows_that_cannot_be_counted_count_as_lost(stage: Stage) -> None:
    held(stage)
    stage.sql("ALTER TABLE visits OWNER TO postgres")
    plan = alembic_plan.inspect(stage.request(state="downgraded", target="aaa1"))
    visits = next(loss for loss in plan["losses"] if loss["name"] == "visits")
    assert visits["rows"] is None
    assert "permission denied" in visits["why"]
    assert not plan["verdict"]["allowed"]


def test_counting_does_not_go_on_for_ever(stage: Stage) -> None:
    held(stage)
    stage.sql("CREATE FUNCTION slow() RETURNS int LANGUAGE sql VOLATILE AS 'SELECT 1 FROM pg_sleep(5)'; DROP TABLE visits;"
              "CREATE VIEW visits AS SELECT slow() AS id; GRANT SELECT ON visits TO app; ")
    with stage.session() as session:
        losses = alembic_plan.counted(session, [alembic_plan.Loss("bbb2", "table", "visits", "id")], timeout=0.3)
        assert losses[0].why == "not counted within 0.3 s"
        assert session.query("SELECT to_json(current_setting('statement_timeout'))") == "0"


def test_base_needs_its_own_word(stage: Stage) -> None:
    first(stage)
    problem = refused(stage, state="downgraded", target="base", accept_loss=["workflows"])
    assert problem.code == "to_base"
    assert "-e migrate_allow_base=true" in str(problem)
    assert columns(stage) == "id,name"
    problem = refused(stage, state="downgraded", target="base", allow_base=True)
    assert problem.code == "data_loss"
    assert down(stage, "base", accept_loss=["workflows"], allow_base=True)["current"] == []
    assert stage.sql("SELECT to_regclass('workflows')") == ""


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        ("pass", "irreversible", "Restore the database from a backup set"),
        ("op.get_bind().execute(sa.text('SELECT 1')).scalar()", "unknown_sql", "cannot be told"),
    ],
)
def test_a_way_back_that_is_none(stage: Stage, body: str, code: str, words: str) -> None:
    first(stage)
    stage.release.add("bbb2", "aaa1", "op.execute('UPDATE workflows SET name = upper(name)')", body, "loud")
    alembic.migrate(stage.request(policy={"irreversible": "allow"}))
    problem = refused(stage, state="downgraded", target="aaa1", policy={"irreversible": "allow", "unknown_sql": "allow"})
    assert problem.code == code
    assert words in str(problem)
    assert stage.sql("SELECT version_num FROM alembic_version") == "bbb2"
    assert down(stage, accept_loss=["bbb2"])["current"] == ["aaa1"]
    assert stage.sql("SELECT name FROM workflows") == "ONE"
