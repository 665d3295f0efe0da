# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real pgbouncer between the migration and its server."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.environment.database_url import DatabaseAddress
from ansible_collections.phasegate.aistack.plugins.module_utils.migration import migrate as alembic, plan as alembic_plan
from ansible_collections.phasegate.aistack.plugins.module_utils.migration.plan import MigrationError
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.psql import Psql

from ..conftest import PASSWORD, _as_postgres, _free_port
from .conftest import Stage
from .test_migrate import ADD, first

Pooler = Callable[..., int]


@pytest.fixture
def pooled(stage: Stage) -> Iterator[Pooler]:
    """Start a pgbouncer in a pool mode, with so many connections to the server; returns its port."""
    running: list[subprocess.Popen[bytes]] = []
    folder = Path(f"{stage.cluster.folder}/pooler-{stage.database}")
    binary = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin")
    assert binary, "pgbouncer is needed: tests/tools/host-packages.sh pgbouncer"

    def start(mode: str, size: int) -> int:
        port = _free_port()
        folder.mkdir(exist_ok=True)
        (folder / "users").write_text(f'"app" "{PASSWORD}"\n')
        (folder / "ini").write_text(
            f"[databases]\n* = host=127.0.0.1 port={stage.cluster.port}\n[pgbouncer]\nlisten_addr=127.0.0.1\nlisten_port={port}\n"
            f"unix_socket_dir=\nauth_type=scram-sha-256\nauth_file={folder}/users\npool_mode={mode}\ndefault_pool_size={size}\n"
            "ignore_startup_parameters=extra_float_digits\n"
        )
        running.append(
            subprocess.Popen(
                [binary, "-q", str(folder / "ini")], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                cwd="/", **_as_postgres(),
            )
        )
        end = time.monotonic() + 30
        while time.monotonic() < end:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return port
            time.sleep(0.05)
        raise AssertionError("pgbouncer does not listen")

    yield start
    for process in running:
        process.kill()
        process.wait()
    if folder.exists():
        shutil.rmtree(folder)


@pytest.mark.parametrize(("mode", "size"), [("transaction", 5), ("transaction", 1)])
def test_a_pooler_that_shares_connections_is_refused(stage: Stage, pooled: Pooler, mode: str, size: int) -> None:
    first(stage)
    stage.release.add("bbb2", "aaa1", ADD)
    stage.env(DATABASE_URL=stage.url(port=pooled(mode, size)))
    with pytest.raises(MigrationError) as caught:
        alembic.migrate(stage.request())
    assert caught.value.code == "pooler"
    assert "pool_mode=transaction" in str(caught.value)
    assert "migrations.database" in str(caught.value)
    assert PASSWORD not in json.dumps([str(caught.value), caught.value.facts], default=str)
    assert stage.sql("SELECT version_num FROM alembic_version") == "aaa1"
    assert stage.sql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == "0"
    assert stage.sql("SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'") == "0"


def test_a_pooler_that_keeps_a_session_together_will_do(stage: Stage, pooled: Pooler) -> None:
    first(stage)
    stage.release.add("bbb2", "aaa1", ADD)
    stage.env(DATABASE_URL=stage.url(port=pooled("session", 8)))
    assert alembic.migrate(stage.request())["changed"] is True
    assert stage.sql("SELECT version_num FROM alembic_version") == "bbb2"


def test_a_direct_address_of_its_own_is_taken(stage: Stage, pooled: Pooler) -> None:
    """The remedy that the refusal names."""
    first(stage)
    stage.release.add("bbb2", "aaa1", ADD)
    stage.env(DATABASE_URL=stage.url(port=pooled("transaction", 5)), DIRECT_URL=stage.url())
    env = stage.release.tree / "migrations" / "env.py"
    env.write_text(env.read_text().replace('os.environ["DATABASE_URL"]', 'os.environ["DIRECT_URL"]'))
    assert alembic.migrate(stage.request(url_variable="DIRECT_URL"))["changed"] is True


def test_what_only_looks_leaves_no_limit_on_the_applications_sessions(stage: Stage, pooled: Pooler) -> None:
    """A pool of one connection: whoever comes next gets the one that the plan and the refused migration had."""
    first(stage)
    stage.release.add("bbb2", "aaa1", ADD)
    port = pooled("transaction", 1)
    stage.env(DATABASE_URL=stage.url(port=port))
    assert alembic_plan.inspect(stage.request())["target"] == ["bbb2"]
    with pytest.raises(MigrationError, match="pool_mode=transaction"):
        alembic.migrate(stage.request())
    with Psql(DatabaseAddress("127.0.0.1", port, "app", stage.database, PASSWORD), {}, None, "the application") as psql:
        asked = "SELECT json_build_array(current_setting('lock_timeout'), current_setting('statement_timeout'))"
        assert psql.query(asked) == ["0", "0"]


def test_an_engine_that_env_py_keeps_is_limited_as_well(stage: Stage) -> None:
    """Its connection is as old as the first question to the release; the limits hold when steps run on it."""
    first(stage)
    env = stage.release.tree / "migrations" / "env.py"
    text = env.read_text().replace("from sqlalchemy import create_engine, pool", "from kept import engine")
    env.write_text(text.replace('engine = create_engine(os.environ["DATABASE_URL"], poolclass=pool.NullPool)', ""))
    (stage.release.tree / "kept.py").write_text(
        "import os\nfrom sqlalchemy import create_engine\nengine = create_engine(os.environ['DATABASE_URL'])\n"
    )
    check = "if not op.get_context().as_sql:\n    assert op.get_bind().execute(sa.text('SHOW lock_timeout')).scalar() == '300ms'\n"
    stage.release.add("bbb2", "aaa1", check + ADD)
    assert alembic.migrate(stage.request())["to"] == ["bbb2"]
