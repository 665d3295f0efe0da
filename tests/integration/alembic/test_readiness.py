# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is not ready for a migration is known, or waited for, before anything begins; and what failed can be put back."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.migration import migrate as alembic, plan as alembic_plan
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres import tools as pg_tool
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.psql import DatabaseError

from .conftest import Stage
from .test_migrate import ADD, DROP, first, refused


def read_only(stage: Stage, on: bool) -> None:
    """For new sessions, as a database is while another server takes over."""
    change = "SET default_transaction_read_only = on" if on else "RESET default_transaction_read_only"
    stage.cluster.admin(f"ALTER DATABASE {stage.database} {change}")


def test_a_database_that_is_read_only_for_a_while_is_waited_for(stage: Stage) -> None:
    first(stage)
    stage.release.add("bbb2", "aaa1", ADD, DROP)
    read_only(stage, True)
    later = threading.Timer(1.5, read_only, (stage, False))
    later.start()
    try:
        assert alembic.migrate(stage.request(lock_wait=60.0))["to"] == ["bbb2"]
    finally:
        later.join()
    read_only(stage, True)
    assert alembic.migrate(stage.request())["changed"] is False, "with nothing to do nobody waits"
    read_only(stage, False)


def test_one_that_stays_read_only_is_named(stage: Stage) -> None:
    first(stage)
    stage.release.add("bbb2", "aaa1", ADD, DROP)
    read_only(stage, True)
    try:
        problem = refused(stage, lock_wait=0.5)
        with stage.session() as psql, pytest.raises(DatabaseError, match=r"is read-only: .*failover") as caught:
            psql.query("CREATE TABLE t (id int)")
    finally:
        read_only(stage, False)
    assert problem.code == "read_only"
    assert "default_transaction_read_only is on" in str(problem)
    assert "Nothing was migrated" in str(problem)
    assert caught.value.kind == "read_only"
    assert alembic.migrate(stage.request())["to"] == ["bbb2"]


def test_one_that_becomes_read_only_on_the_way_is_tried_again(stage: Stage) -> None:
    """The scripts run once it takes writes again, within the budget."""
    first(stage)
    body = (
        "import pathlib\nif not op.get_context().as_sql and not pathlib.Path('over').exists():\n    pathlib.Path('over').touch()\n"
        "    op.execute('SET default_transaction_read_only = on')\n    op.execute('COMMIT')\n"
    )
    body += ADD
    stage.release.add("bbb2", "aaa1", body, DROP)
    done = alembic.migrate(stage.request())
    assert [entry["outcome"] for entry in done["attempts"]] == ["read_only", "ok"]


def test_an_extension_without_a_package_is_known_before(stage: Stage) -> None:
    first(stage)
    stage.release.add("bbb2", "aaa1", "op.execute('CREATE EXTENSION IF NOT EXISTS vectorx')", DROP)
    problem = refused(stage)
    assert problem.code == "extension_missing"
    assert "makes the extension vectorx, which the server does not have. " in str(problem).replace("\n    Fix:", "")
    assert "postgresql-15-vectorx" in str(problem) or "-vectorx, or postgresql-contrib" in str(problem)


def test_a_dump_tool_that_is_too_old_is_known_before(stage: Stage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(pg_tool, "version", lambda tool: f"{tool} (PostgreSQL) 9.6.24")
    problem = refused(stage)
    assert problem.code == "tool"
    assert "pg_dump on this node is older (9) than the server" in str(problem)
    assert "postgresql-client-" in str(problem)
    with pytest.raises(alembic_plan.MigrationError, match="older"):
        alembic.migrate(stage.request(), check=True)
    assert alembic.migrate(stage.request(backup=False))["changed"]


def test_what_the_superuser_put_into_the_database_does_not_stop_the_way_back(stage: Stage) -> None:
    """The command of a failed migration works, although the application's role may not make the extension again."""
    first(stage)
    stage.cluster.admin("CREATE EXTENSION pg_stat_statements", stage.database)
    body = "with op.get_context().autocommit_block():\n    op.execute('DROP TABLE workflows')\nraise RuntimeError('half way')"
    stage.release.add("bbb2", "aaa1", body)
    accepted = {"policy": {"accept": ["bbb2"]}}
    problem = refused(stage, **accepted)
    assert problem.facts["database_state"] == "changed"
    stage.restore(problem.facts["restore_command"])
    assert stage.sql("SELECT name FROM workflows") == "one"
    assert stage.sql("SELECT count(*) FROM pg_extension WHERE extname = 'pg_stat_statements'") == "1"
    assert stage.sql("SELECT pg_get_userbyid(relowner) FROM pg_class WHERE relname = 'workflows'") == "app"
