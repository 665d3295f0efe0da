# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The release's Alembic, psql and pg_dump reach the same database by one address, whatever its driver and its form."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.environment.dsn import dsn
from ansible_collections.phasegate.aistack.plugins.module_utils.migration import migrate as alembic
from ansible_collections.phasegate.aistack.plugins.module_utils.migration.plan import MigrationError
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.version_table import ASSUMED
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback import view as rollback_view

from ..conftest import PASSWORD, Cluster, _as_postgres
from .conftest import ENV_PY, QUOTED, Stage
from .test_migrate import columns

ASYNC = '''
def work(connection):
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()


def online():
    import asyncio
    from sqlalchemy.ext.asyncio import create_async_engine

    async def run():
        engine = create_async_engine(os.environ["DATABASE_URL"], poolclass=pool.NullPool)
        async with engine.connect() as connection:
            await connection.run_sync(work)
            await connection.commit()

    asyncio.run(run())


PER_STEP = False
'''


@pytest.fixture(scope="module")
def encrypted(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The server speaks TLS and logs who comes; the certificate that it is to be checked by."""
    data, root = cluster.folder / "data", tmp_path_factory.mktemp("tls") / "root.crt"
    argv = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1", "-addext"]
    argv += ["subjectAltName=IP:127.0.0.1", "-keyout", str(data / "server.key"), "-out", str(data / "server.crt")]
    made = subprocess.run(argv, capture_output=True, text=True, check=False, cwd="/", **_as_postgres())
    assert made.returncode == 0, made.stderr
    (data / "server.key").chmod(0o600)
    shutil.copyfile(data / "server.crt", root)

    def switched(value: str) -> None:
        for name in ("ssl", "log_connections"):  # the files of other tests decide again afterwards
            cluster.admin(f"ALTER SYSTEM SET {name} = on" if value == "on" else f"ALTER SYSTEM RESET {name}")
        cluster.admin("SELECT pg_reload_conf()")
        end = time.monotonic() + 20
        while cluster.admin("SHOW ssl") != value:
            assert time.monotonic() < end, (cluster.folder / "log").read_text()[-2000:]
            time.sleep(0.1)

    switched("on")
    yield root
    switched("off")


def reach(stage: Stage, url: str, **environment: str) -> None:
    """A second revision, with a backup; then the heads as a node asks for them."""
    if "asyncpg" in url:
        before, _start, rest = ENV_PY.partition("def online():")
        text = before + ASYNC + rest.partition("PER_STEP = False\n")[2]
        (stage.release.tree / "migrations" / "env.py").write_text(text)
    stage.env(DATABASE_URL=url, **environment)
    assert alembic.migrate(stage.request(backup=False))["changed"]
    stage.sql("INSERT INTO workflows (id, name) VALUES (1, 'one')")
    stage.release.add("bbb2", "aaa1", "op.add_column('workflows', sa.Column('owner', sa.Text))")
    done = alembic.migrate(stage.request())
    assert (done["changed"], done["plan"]["database"]["name"], columns(stage)) == (True, stage.database, "id,name,owner")
    manifest = json.loads((Path(done["backup"]["path"]) / "manifest.json").read_text())
    assert manifest["fingerprint"]["rows"]["public.workflows"] == 1
    env = stage.root / "root" / "backend" / "slots" / "live" / "config"
    env.mkdir(parents=True)
    shutil.copy(stage.root / "env", env / "env")
    asked = rollback_view.HeadsQuery(str(stage.root / "root"), "backend", "DATABASE_URL", ASSUMED)
    assert asked.answer() == (["bbb2"], "")
    assert PASSWORD not in json.dumps(done, default=str)
    assert QUOTED not in json.dumps(done, default=str)


@pytest.mark.parametrize("driver", ["postgresql+psycopg2", "postgresql+psycopg", "postgresql+asyncpg"])
def test_a_socket(stage: Stage, driver: str) -> None:
    reach(stage, f"{driver}://app:{QUOTED}@/{stage.database}?host={stage.cluster.folder}&port={stage.cluster.port}")


def test_all_in_the_query(stage: Stage) -> None:
    place = f"host={stage.cluster.folder}&port={stage.cluster.port}"
    reach(stage, f"postgresql+psycopg2:///{stage.database}?{place}&user=app&password={QUOTED}")


def test_several_hosts_of_which_the_second_answers(stage: Stage) -> None:
    reach(stage, f"postgresql+psycopg2://app:{QUOTED}@/{stage.database}?host=127.0.0.1:1&host=127.0.0.1:{stage.cluster.port}")


def test_a_schema_of_its_own(stage: Stage) -> None:
    """The tables are looked for where the application has them, and another tenant's are nobody's business."""
    stage.sql("CREATE SCHEMA tenant1 AUTHORIZATION app")
    stage.env(DATABASE_URL=f"{stage.url()}?options=-csearch_path%3Dtenant1")
    done = alembic.migrate(stage.request(tables=["workflows"]))
    assert (done["to"], done["plan"]["tables"]["missing"]) == (["aaa1"], [])
    assert stage.sql("SELECT to_regclass('tenant1.workflows') IS NOT NULL AND to_regclass('public.workflows') IS NULL") == "t"
    assert alembic.migrate(stage.request(tables=["workflows"]))["changed"] is False


def test_a_schema_that_the_tools_would_not_see_is_refused_before_anything(stage: Stage) -> None:
    stage.env(DATABASE_URL=f"{stage.url()}?schema=tenant1")
    with pytest.raises(MigrationError, match="csearch_path%3Dtenant1") as caught:
        alembic.migrate(stage.request())
    assert caught.value.code == "bad_url"
    assert stage.sql("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == "0"


@pytest.mark.parametrize(
    ("driver", "words"),
    [
        ("postgresql+asyncpg", "ssl=require"),
        ("postgresql+psycopg", "sslmode=verify-full&sslrootcert={root}"),
        ("postgresql+psycopg2", "sslmode=verify-full&sslrootcert={root}"),
    ],
)
def test_an_encrypted_one_whose_password_is_percent_encoded(stage: Stage, encrypted: Path, driver: str, words: str) -> None:
    other = {"PGSSLMODE": "disable", **({"PGSSLROOTCERT": "/nowhere"} if "{root}" in words else {})}  # the address goes first
    reach(stage, f"{stage.url(driver=driver)}?{words.format(root=encrypted)}", **other)
    log = (stage.cluster.folder / "log").read_text()
    came = [line for line in log.splitlines() if f"authorized: user=app database={stage.database} " in line]
    assert all(any(name in line for line in came) for name in ("aistack-migrate-lock", "aistack-backup", "aistack-plan")), came
    assert all("SSL enabled" in line for line in came), came


def test_sqlalchemy_reads_what_the_filter_dsn_builds(python: str) -> None:
    passwords = ["p@ss:w/rd'\"$x%y#z \u00e9", "Zm9vYmFy/K58+n91UW5==", 'pa"ss\\word-12chars', "100%25+?&"]
    urls = [dsn(password, scheme="postgresql+psycopg2", user="us/er", host="db", port=5433, database="shop") for password in passwords]
    script = (
        "import json, sys; from sqlalchemy.engine import make_url; "
        "print(json.dumps([[u.username, u.password, u.host, u.port, u.database] for u in map(make_url, json.load(sys.stdin))]))"
    )
    read = subprocess.run([python, "-c", script], input=json.dumps(urls), capture_output=True, text=True, check=True)
    assert json.loads(read.stdout) == [["us/er", password, "db", 5433, "shop"] for password in passwords]
