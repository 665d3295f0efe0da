# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A release whose env.py keeps the revision in a table and a schema of its own: everybody on the node reads that one."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.alembic import version_file
from ansible_collections.phasegate.aistack.plugins.module_utils.backup import catalog
from ansible_collections.phasegate.aistack.plugins.module_utils.drill import text as drill_text
from ansible_collections.phasegate.aistack.plugins.module_utils.migration import (
    migrate as alembic,
    plan as alembic_plan,
    seen as alembic_seen,
)
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback import view as rollback_view

from .conftest import ENV_PY, Stage
from .test_downgrade import DOWN, UP
from .test_drill import Node

OWN = "version_table='shop_migrations', version_table_schema='ops'"


def names(stage: Stage, words: str = OWN) -> None:
    """env.py says where the revision is noted."""
    text = ENV_PY.replace("literal_binds=True", f"literal_binds=True, {words}").replace("=PER_STEP)", f"=PER_STEP, {words})")
    assert text.count(words) == 2
    (stage.release.tree / "migrations" / "env.py").write_text(text)
    stage.sql("CREATE SCHEMA IF NOT EXISTS ops AUTHORIZATION app")


def heads(stage: Stage, state: Any = None) -> list[str]:
    table = version_file.load(state or stage.state_dir, "backend")
    return rollback_view.current_heads(lambda _user: stage.session(), table)


def test_there_again_and_back(stage: Stage) -> None:
    names(stage)
    planned = alembic_plan.inspect(stage.request())
    assert (planned["fresh"], [step["revision"] for step in planned["pending"]]) == (True, ["aaa1"])
    assert not version_file.path_of(stage.state_dir, "backend").exists(), "a plan writes nothing"
    assert alembic.migrate(stage.request())["changed"]
    assert stage.sql("SELECT version_num FROM ops.shop_migrations") == "aaa1"
    assert heads(stage) == ["aaa1"]
    assert not alembic.migrate(stage.request())["changed"]
    seen = alembic_seen.observe(stage.request())
    assert (seen["known"], seen["current"], seen["fresh"], seen["why"]) == (True, ["aaa1"], False, "")
    stage.release.add("bbb2", "aaa1", UP, DOWN)
    done = alembic.migrate(stage.request())
    assert done["fingerprint"]["rows"] == []
    actions = [found["action"] for step in done["plan"]["pending"] for found in step["statements"]]
    assert actions == ["adds a column", "creates a table"], "what Alembic does to its own table is no step's work"
    gone = alembic_plan.inspect(stage.request(state="downgraded", target="aaa1"))
    assert sorted(loss["name"] for loss in gone["losses"]) == ["visits", "workflows.owner"]
    assert alembic.migrate(stage.request(state="downgraded", target="aaa1"))["current"] == ["aaa1"]
    assert heads(stage) == ["aaa1"]
    down = alembic_plan.inspect(stage.request(state="downgraded", target="base", allow_base=True))
    assert [loss["name"] for loss in down["losses"]] == ["workflows"]
    alembic.migrate(stage.request(state="downgraded", target="base", allow_base=True, accept_loss=["workflows"]))
    assert heads(stage) == []


def test_a_name_without_a_schema_is_found_where_it_is(stage: Stage) -> None:
    names(stage, "version_table='shop_migrations'")
    alembic.migrate(stage.request())
    stage.sql("CREATE TABLE ops.alembic_version (version_num varchar(32)); INSERT INTO ops.alembic_version VALUES ('zzz9')")
    assert heads(stage) == ["aaa1"]
    stage.sql("CREATE TABLE ops.shop_migrations (version_num varchar(32))")
    with pytest.raises(rollback_view.DatabaseError, match="there are 2 tables shop_migrations: "):
        heads(stage)
    assert "there are 2 tables shop_migrations" in alembic_seen.observe(stage.request())["why"]


def test_a_recorded_table_that_is_gone_is_said(stage: Stage) -> None:
    names(stage)
    alembic.migrate(stage.request())
    stage.sql("DROP TABLE ops.shop_migrations; CREATE TABLE alembic_version (version_num varchar(32))")
    with pytest.raises(rollback_view.DatabaseError, match=r"there is no table ops\.shop_migrations"):
        heads(stage)
    seen = alembic_seen.observe(stage.request())
    assert (seen["known"], seen["current"]) == (False, [])
    assert "there is no table ops.shop_migrations" in seen["why"]


def test_a_failed_first_migration_leaves_no_record(stage: Stage) -> None:
    names(stage)
    stage.release.add("bbb2", "aaa1", "op.execute('SELECT 1/0')")
    with pytest.raises(alembic_plan.MigrationError):
        alembic.migrate(stage.request())
    assert heads(stage) == []
    assert not version_file.path_of(stage.state_dir, "backend").exists()


def test_sets_and_drills_know_it(stage: Stage) -> None:
    names(stage)
    node = Node(stage)
    where = {"release": "old", "backup": False, "state_dir": str(node.state)}
    alembic.migrate(stage.request(**where))
    stage.sql("INSERT INTO workflows (id, name) SELECT n, 'w' || n FROM generate_series(1, 5) n")
    node.brings(UP, DOWN)
    name = node.save()
    (held,) = [one for one in catalog.listed(node.state) if one["name"] == name]
    assert held["heads"] == {"backend": ["aaa1"]}
    found = node.drill()
    assert (found["verdict"], found["lost"], found["tables"]) == (drill_text.PASSED, [], 1)
    node.clean()
    assert heads(stage, node.state) == ["aaa1"]
    stage.sql("DROP TABLE ops.shop_migrations")
    name = node.save()
    (held,) = [one for one in catalog.listed(node.state) if one["name"] == name]
    assert held["heads"] == {}, "filed under no revision, it would fit a database that has none"
