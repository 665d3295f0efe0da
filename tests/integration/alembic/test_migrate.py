# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Migrations of a real database by a real Alembic: what goes well, what is refused, what fails, what is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, cast

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.journal.chain import Record
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.file import Journal
from ansible_collections.phasegate.aistack.plugins.module_utils.migration import migrate as alembic, plan as alembic_plan, schema_path
from ansible_collections.phasegate.aistack.plugins.module_utils.migration.plan import MigrationError
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback import facts as rollback_facts

from .conftest import PASSWORD, QUOTED, Stage

ADD = "op.add_column('workflows', sa.Column('owner', sa.Text))"
DROP = "op.drop_column('workflows', 'owner')"


def first(stage: Stage) -> None:
    """The base revision is applied (as Alembic would, but at once), and there is a row to lose."""
    stage.sql(
        "SET ROLE app; CREATE TABLE workflows (id serial PRIMARY KEY, name text NOT NULL);"
        "CREATE TABLE alembic_version (version_num varchar(32) CONSTRAINT alembic_version_pkc PRIMARY KEY);"
        "INSERT INTO alembic_version VALUES ('aaa1'); INSERT INTO workflows (name) VALUES ('one')"
    )


def refused(stage: Stage, **changes: Any) -> MigrationError:
    with pytest.raises(MigrationError) as caught:
        alembic.migrate(stage.request(**changes))
    assert PASSWORD not in str(caught.value)
    assert QUOTED not in str(caught.value)
    assert PASSWORD not in json.dumps(caught.value.facts, default=str)
    assert QUOTED not in json.dumps(caught.value.facts, default=str)
    return caught.value


def outcomes(stage: Stage) -> list[str]:
    return [entry["outcome"] for entry in Journal.of(stage.state_dir).read() if entry["op"] == "migrate"]


def columns(stage: Stage) -> str:
    return stage.sql(
        "SELECT string_agg(attname, ',' ORDER BY attname) FROM pg_attribute"
        " WHERE attrelid = 'workflows'::regclass AND attnum > 0 AND NOT attisdropped"
    )


def test_from_nothing_to_head_and_again(stage: Stage) -> None:
    predicted = alembic.migrate(stage.request(), check=True)
    assert predicted["changed"]
    assert "CREATE TABLE workflows" in predicted["diff"]["after"]
    assert not stage.state_dir.exists(), "check mode left something behind"
    result = alembic.migrate(stage.request(tables=["workflows"]))
    assert result["changed"]
    assert (result["from"], result["to"]) == ([], ["aaa1"])
    assert result["plan"]["fresh"]
    manifest = json.loads((Path(result["backup"]["path"]) / "manifest.json").read_text())
    assert manifest["sha256"] == result["backup"]["sha256"]
    assert os.stat(Path(result["backup"]["dump"])).st_mode & 0o077 == 0
    assert outcomes(stage) == ["started", "ok"]
    assert not alembic.migrate(stage.request(), check=True)["changed"]
    again = alembic.migrate(stage.request(tables=["workflows"]))
    assert not again["changed"]
    assert outcomes(stage) == ["started", "ok"]


def test_additive(stage: Stage) -> None:
    first(stage)
    stage.release.add("bbb2", "aaa1", ADD, DROP, "owner of a workflow")
    plan = alembic_plan.inspect(stage.request())
    assert [step["revision"] for step in plan["pending"]] == ["bbb2"]
    assert plan["pending"][0]["statements"][0]["lock"] == "ACCESS EXCLUSIVE"
    assert plan["verdict"]["allowed"]
    assert "owner of a workflow" in plan["text"]
    result = alembic.migrate(stage.request(tables=["workflows"]))
    assert result["fingerprint"]["differences"] == ["new: column public.workflows.owner"]
    assert result["fingerprint"]["after"]["rows"]["public.workflows"] == 1
    assert columns(stage) == "id,name,owner"
    noted = result["noted"]  # what other hosts write down, and plan their way back by
    assert (noted["op"], noted["release"], noted["outcome"]) == ("migrate", stage.request().release, "ok")
    told = rollback_facts.migrations([cast(Record, noted)], noted["component"])
    assert schema_path.way_back(noted["component"], ["aaa1"], ["bbb2"], told, []).lost == ("bbb2",)
    assert "backup" not in noted["detail"], "which is on the node that ran it"
    back = alembic.migrate(stage.request(state="downgraded", target="aaa1"))
    assert back["changed"]
    assert columns(stage) == "id,name"


def test_two_heads(stage: Stage) -> None:
    first(stage)
    stage.release.add("bbb2", "aaa1", ADD, DROP, "owner").add("ccc3", "aaa1", ADD.replace("owner", "tag"), DROP, "tag")
    problem = refused(stage)
    assert problem.code == "several_heads"
    assert "alembic merge" in str(problem)
    assert "bbb2" in str(problem)
    assert "ccc3" in str(problem)
    stage.release.add("ddd4", ("bbb2", "ccc3"), "pass", "op.execute('SELECT 1')", "merge")
    assert alembic.migrate(stage.request())["to"] == ["ddd4"]
    assert columns(stage) == "id,name,owner,tag"


def test_fails_half_way_and_is_as_before(stage: Stage) -> None:
    first(stage)
    stage.release.add("bbb2", "aaa1", ADD, DROP).add("ccc3", "bbb2", "op.execute('UPDATE workflows SET name = nonsense')", doc="bad")
    problem = refused(stage)
    assert "revision ccc3 (bad) failed at migrations/versions/ccc3.py" in str(problem)
    assert "nonsense" in str(problem)
    assert "The database is as before" in str(problem)
    assert problem.facts["database_state"] == "unchanged"
    assert columns(stage) == "id,name"
    assert outcomes(stage)[-2:] == ["started", "failed"]


def test_commits_part_way_and_fails(stage: Stage) -> None:
    first(stage)
    inside = "op.execute('CREATE INDEX CONCURRENTLY ix ON workflows (owner)')"
    up = f"{ADD}\nwith op.get_context().autocommit_block():\n    {inside}\nop.execute('SELECT nonsense')"
    stage.release.add("bbb2", "aaa1", up, DROP, "part-way")
    plan = alembic_plan.inspect(stage.request())
    assert plan["pending"][0]["autocommit"]
    problem = refused(stage)
    assert problem.facts["database_state"] == "changed"
    assert "new: column public.workflows.owner" in str(problem)
    assert "new: index public.ix" in str(problem)
    command = problem.facts["restore_command"]
    assert command in str(problem)
    before = alembic_plan.take_fingerprint
    stage.restore(command)
    with stage.session() as session:
        now = before(session)
    assert now.hash == problem.facts["fingerprint"]["before"]["hash"]
    assert now.rows["public.workflows"] == 1


def test_waits_for_a_lock_longer_than_allowed(stage: Stage) -> None:
    first(stage)
    stage.release.add("bbb2", "aaa1", ADD, DROP, "owner")
    with stage.session("reporting") as other:
        other.query("BEGIN")
        other.query("SELECT to_json(count(*)) FROM workflows")
        problem = refused(stage, budget=4.0)
        assert f"pid {other.pid}" in str(problem)
    assert problem.code == "lock_timeout"
    assert "application reporting" in str(problem)
    assert "ACCESS EXCLUSIVE lock on workflows" in str(problem)
    assert "user app" in str(problem)
    assert len(problem.facts["attempts"]) >= 2
    assert problem.facts["database_state"] == "unchanged"
    assert alembic.migrate(stage.request())["changed"]


def test_gets_its_lock_at_a_later_try(stage: Stage) -> None:
    first(stage)
    stage.release.add("bbb2", "aaa1", ADD, DROP, "owner")
    with stage.session("reporting") as other:
        other.query("BEGIN")
        other.query("LOCK TABLE workflows IN ACCESS SHARE MODE")

        def let_go() -> None:
            while stage.sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'") == "0":
                time.sleep(0.05)
            time.sleep(0.6)  # twice the lock_timeout
            other.query("COMMIT")

        helper = threading.Thread(target=let_go)
        helper.start()
        result = alembic.migrate(stage.request())
        helper.join()
    assert [entry["outcome"] for entry in result["attempts"]][-1] == "ok"
    assert len(result["attempts"]) >= 2


def test_budget_ends_the_work_on_the_server_too(stage: Stage) -> None:
    first(stage)
    stage.release.add("bbb2", "aaa1", f"{ADD}\nop.execute('SELECT pg_sleep(1)')\n" * 6, DROP)
    with stage.session("aistack-migrate/worker/0badcafe") as other, stage.session("aistack-migrate") as older:
        problem = refused(stage, budget=1.5)
        assert [one.query("SELECT to_json(1)") for one in (other, older)] == [1, 1], "another component's session was ended"
    assert problem.code in ("budget", "script", "database")
    assert problem.facts["database_state"] == "unchanged"
    assert stage.sql("SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'aistack-migrate/%'") == "0"


def test_database_ahead_of_the_code(stage: Stage) -> None:
    first(stage)
    stage.sql("UPDATE alembic_version SET version_num = 'fff9'")
    problem = refused(stage)
    assert problem.code == "database_ahead"
    assert "fff9" in str(problem)
    assert "aaa1" in str(problem)


def test_older_code_on_a_database_that_was_only_expanded(stage: Stage) -> None:
    first(stage)
    stage.release.add("bbb2", "aaa1", ADD, DROP)
    alembic.migrate(stage.request(release="v2"))
    (stage.release.tree / "migrations" / "versions" / "bbb2.py").unlink()
    result = alembic.migrate(stage.request(tables=["workflows"]))
    assert not result["changed"]
    assert "ahead by bbb2 of release v2" in result["msg"]


def test_older_code_on_a_database_that_was_contracted(stage: Stage) -> None:
    first(stage)
    stage.release.add("bbb2", "aaa1", "op.drop_column('workflows', 'name')")
    alembic.migrate(stage.request(release="v2", policy={"contract": "allow"}))
    (stage.release.tree / "migrations" / "versions" / "bbb2.py").unlink()
    assert refused(stage).code == "database_ahead"


def test_wrong_password(stage: Stage) -> None:
    stage.env(DATABASE_URL=stage.url(password="wrong-word-1"))
    problem = refused(stage)
    assert problem.code == "password"
    assert f"database {stage.database} on 127.0.0.1:{stage.cluster.port} as app" in str(problem)
    assert "wrong-word-1" not in str(problem)


def test_unreachable(stage: Stage) -> None:
    stage.env(DATABASE_URL=stage.url(port=1))
    problem = refused(stage)
    assert problem.code == "unreachable"
    assert "127.0.0.1:1" in str(problem)
    plan = alembic_plan.inspect(stage.request())
    assert not plan["known"]
    assert "127.0.0.1:1" in plan["why"]


def test_bare_node(stage: Stage) -> None:
    plan = alembic_plan.inspect(stage.request(release_path="/nowhere"))
    assert not plan["known"]
    assert "not staged" in plan["why"]
    assert not alembic.migrate(stage.request(env_file="/nowhere/env"), check=True)["changed"]
    assert refused(stage, env_file="/nowhere/env").code == "not_yet"


@pytest.mark.parametrize(
    ("up", "down", "code"),
    [
        ("op.drop_column('workflows', 'name')", "op.add_column('workflows', sa.Column('name', sa.Text))", "contract"),
        ("op.alter_column('workflows', 'name', new_column_name='title')", "op.execute('SELECT 1')", "contract"),
        (ADD, "pass", "irreversible"),
        ("op.get_bind().execute(sa.text('SELECT 1')).scalar()", "op.execute('SELECT 1')", "unknown_sql"),
    ],
)
def test_policy_refuses_and_accepts(stage: Stage, up: str, down: str, code: str) -> None:
    first(stage)
    stage.release.add("bbb2", "aaa1", up, down, "title of it")
    problem = refused(stage)
    assert problem.code == code
    assert "Revision bbb2 (title of it)" in str(problem)
    assert "accept: [bbb2]" in str(problem)
    assert problem.facts["plan"]["verdict"]["allowed"] is False
    assert alembic.migrate(stage.request(policy={"accept": ["bbb2"]}))["changed"]


def test_backup_is_needed(stage: Stage, tmp_path: Path) -> None:
    problem = refused(stage, min_free_bytes=10**18)
    assert problem.code == "backup"
    assert "bytes free" in str(problem)
    assert stage.sql("SELECT to_regclass('workflows')") == ""
    assert list((stage.state_dir / "backups").glob("*")) == []


def test_missing_tables(stage: Stage) -> None:
    first(stage)
    problem = refused(stage, tables=["workflows", "agent_logs"])
    assert problem.code == "missing_tables"
    assert "agent_logs" in str(problem)


@pytest.mark.parametrize("component", ["backend", "another component of the same database"])
def test_second_run_waits_and_names_the_first(stage: Stage, component: str) -> None:
    from ansible_collections.phasegate.aistack.plugins.module_utils.migration import locks as migration_locks

    with stage.session("aistack-migrate-lock") as other:
        migration_locks.take(other, stage.database, component, 1)
        problem = refused(stage, lock_wait=1.0)
        assert problem.code == "lock_held"
        assert f"pid {other.pid}" in str(problem)
        assert "aistack-migrate-lock" in str(problem)
    assert alembic.migrate(stage.request())["changed"]


RUNNER = """
import json, sys
from ansible_collections.phasegate.aistack.plugins.module_utils.migration import migrate as alembic, plan as alembic_plan
print(alembic.migrate(alembic_plan.Request(**json.loads(sys.argv[1]))))
"""


def killed(stage: Stage, moment: str, **changes: Any) -> None:
    """Runs a migration in a process of its own and kills it with SIGKILL once ``moment`` (SQL) is true."""
    values = vars(stage.request(**changes))
    root = Path(__file__).parents[3] / ".collections"
    child = subprocess.Popen(
        [sys.executable, "-c", RUNNER, json.dumps(values)], env={**os.environ, "PYTHONPATH": str(root)}, stderr=subprocess.PIPE
    )
    end = time.monotonic() + 20
    while stage.sql(f"SELECT {moment}") != "t":
        assert child.poll() is None, child.stderr and child.stderr.read().decode()
        assert time.monotonic() < end, "the moment did not come"
        time.sleep(0.05)
    child.send_signal(signal.SIGKILL)
    child.wait()


SLEEPS = "EXISTS (SELECT FROM pg_stat_activity WHERE application_name LIKE 'aistack-migrate/%' AND query LIKE '%pg_sleep%')"


def test_killed_half_way_then_again(stage: Stage) -> None:
    first(stage)
    stage.release.add("bbb2", "aaa1", f"{ADD}\nop.execute('SELECT pg_sleep(30)')", DROP)
    killed(stage, SLEEPS, run="run-killed")
    assert outcomes(stage)[-1] == "started"
    stage.release.add("bbb2", "aaa1", ADD, DROP)
    began = time.monotonic()
    result = alembic.migrate(stage.request(run="run-next", lock_wait=15.0))
    assert time.monotonic() - began < 12, "the server went on working for the dead run"
    assert result["changed"]
    assert result["resumed"] == "run-killed"
    assert columns(stage) == "id,name,owner"
    assert outcomes(stage)[-4:] == ["started", "failed", "started", "ok"]
    assert Journal.of(stage.state_dir).verify() == []


def test_killed_after_a_part_was_committed(stage: Stage) -> None:
    first(stage)
    up = f"{ADD}\nwith op.get_context().autocommit_block():\n    op.execute('SELECT pg_sleep(30)')"
    stage.release.add("bbb2", "aaa1", up, DROP)
    killed(stage, SLEEPS, run="run-killed", policy={"unknown_sql": "allow"})
    problem = refused(stage, lock_wait=15.0, policy={"unknown_sql": "allow"})
    assert problem.code == "interrupted"
    assert "run-killed" in str(problem)
    assert "new: column public.workflows.owner" in str(problem)
    stage.restore(problem.facts["restore_command"])
    stage.release.add("bbb2", "aaa1", ADD, DROP)
    assert alembic.migrate(stage.request())["resumed"] == "run-killed"


def test_killed_between_commit_and_record(stage: Stage) -> None:
    first(stage)
    record = {"op": "migrate", "component": "backend", "release": "v1", "run": "old", "outcome": "started"}
    Journal.of(stage.state_dir).append({**record, "detail": {"from": [], "to": ["aaa1"]}})
    result = alembic.migrate(stage.request())
    assert not result["changed"]
    assert result["resumed"] == "old"
    assert outcomes(stage)[-1] == "ok"


def test_stamp(stage: Stage) -> None:
    first(stage)
    stage.release.add("bbb2", "aaa1", ADD, DROP)
    assert alembic.migrate(stage.request(state="stamped"), check=True)["changed"]
    assert alembic.migrate(stage.request(state="stamped"))["current"] == ["bbb2"]
    assert not alembic.migrate(stage.request(state="stamped"))["changed"]
    stage.sql("UPDATE alembic_version SET version_num = 'fff9'")
    assert alembic.migrate(stage.request(state="stamped", target="aaa1"))["current"] == ["aaa1"]


def test_what_the_release_prints_shows_no_secret(stage: Stage) -> None:
    first(stage)
    stage.release.add("bbb2", "aaa1", "raise RuntimeError('no: ' + __import__('os').environ['DATABASE_URL'])")
    assert "RuntimeError: no: postgresql+psycopg2://app:****@127" in str(refused(stage))
    problem = refused(stage, policy={"unknown_sql": "allow"})
    assert "env.py says hello" in problem.facts["output"]
    assert "RuntimeError: no: postgresql+psycopg2://app:****@127.0.0.1" in str(problem)


def test_the_search_path_of_the_address_counts(stage: Stage) -> None:
    """The tables that are expected are looked for where the application looks for them."""
    stage.sql("CREATE SCHEMA tenant AUTHORIZATION app")
    address = f"{stage.url()}?options=-csearch_path%3Dtenant"
    stage.env(DATABASE_URL=address)
    result = alembic.migrate(stage.request(tables=("workflows",)))
    assert result["changed"] is True
    assert stage.sql("SELECT version_num FROM tenant.alembic_version") == "aaa1"
