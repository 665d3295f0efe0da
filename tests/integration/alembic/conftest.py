# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Python with Alembic, and small releases to migrate with."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.backup import restore as restore_set
from ansible_collections.phasegate.aistack.plugins.module_utils.environment.database_url import DatabaseAddress
from ansible_collections.phasegate.aistack.plugins.module_utils.migration.plan import Request
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres import psql as psql_module

from ..conftest import PASSWORD, Cluster

HERE = Path(__file__).parent
QUOTED = "s3cret%2Fwith%40odd%3Achars"

ENV_PY = '''
import os
from alembic import context
from sqlalchemy import create_engine, pool

config = context.config


def offline():
    context.configure(url=os.environ["DATABASE_URL"], literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()


def online():
    engine = create_engine(os.environ["DATABASE_URL"], poolclass=pool.NullPool)
    with engine.connect() as connection:
        context.configure(connection=connection, transaction_per_migration=PER_STEP)
        with context.begin_transaction():
            context.run_migrations()


PER_STEP = False
print("env.py says hello to", os.environ["DATABASE_URL"])
offline() if context.is_offline_mode() else online()
'''

SCRIPT = '''"""{doc}"""
import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = {down!r}
branch_labels = None
depends_on = None


def upgrade():
{up}


def downgrade():
{down_body}
'''


@pytest.fixture(scope="session")
def python() -> str:
    """An interpreter with Alembic: AISTACK_TEST_PYTHON, or one made here from the locked list."""
    given = os.environ.get("AISTACK_TEST_PYTHON")
    if given:
        return given
    home = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "phasegate-aistack" / "test-alembic"
    interpreter = home / "bin" / "python"
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}")
    if not uv:
        pytest.fail("a Python with Alembic is needed: install uv beside this interpreter, or set AISTACK_TEST_PYTHON to one")
    if not interpreter.exists():
        subprocess.run([uv, "venv", "-q", "--python", sys.executable, home], check=True)
    sync = [uv, "pip", "sync", "-q", "--require-hashes", "--compile-bytecode", "--python", interpreter, HERE / "requirements.txt"]
    subprocess.run(sync, check=True)
    return str(interpreter)


@dataclass
class Release:
    """A staged tree with its scripts."""

    tree: Path
    scripts: list[str] = field(default_factory=list)

    def add(
        self, revision: str, down: str | tuple[str, ...] | None, up: str, down_body: str = "op.execute('SELECT 1')", doc: str = ""
    ) -> Release:
        """A script; bodies are indented here."""

        def indent(body: str) -> str:
            return "\n".join("    " + line for line in body.splitlines())

        text = SCRIPT.format(revision=revision, down=down, up=indent(up), down_body=indent(down_body), doc=doc or revision)
        (self.tree / "migrations" / "versions" / f"{revision}.py").write_text(text)
        return self


@dataclass
class Stage:
    """A database, a release and what a request about them needs."""

    cluster: Cluster
    database: str
    release: Release
    root: Path
    python: str

    @property
    def state_dir(self) -> Path:
        return self.root / "state"

    def url(self, password: str = QUOTED, port: int | None = None, driver: str = "postgresql+psycopg2") -> str:
        return f"{driver}://app:{password}@127.0.0.1:{port or self.cluster.port}/{self.database}"

    def env(self, **values: str) -> Path:
        path = self.root / "env"
        content = {"DATABASE_URL": self.url(), "API_TOKEN": "tok-abcdef123", **values}
        path.write_text("".join(f'{name}="{value}"\n' for name, value in content.items()))
        path.chmod(0o600)
        return path

    def request(self, **changes: Any) -> Request:
        values: dict[str, Any] = {
            "component": "backend",
            "release": "v1",
            "release_path": str(self.release.tree),
            "python": self.python,
            "env_file": str(self.root / "env"),
            "user": None,
            "state_dir": str(self.state_dir),
            "budget": 20.0,
            "lock_timeout": 0.3,
            "lock_wait": 5.0,
            "min_free_bytes": 1024,
            "run": "run-1",
        }
        values.update(changes)
        return Request(**values)

    def sql(self, text: str) -> str:
        return self.cluster.admin(text, self.database)

    def restore(self, command: str) -> None:
        """Do what the printed command does on the node, with the consent that it asks for."""
        (name,) = re.findall(r"^ansible-playbook phasegate\.aistack\.restore -e set=(\S+) -e terminate=true$", command)
        base = self.root / "backend"
        (base / "slots" / "blue").mkdir(parents=True)
        (base / "config" / "c1").mkdir(parents=True)
        (base / "config" / "c1" / "env").write_text((self.root / "env").read_text())
        (base / "slots" / "blue" / "config").symlink_to("../../config/c1")
        entry = {"name": "db", "component": "backend", "admin": {"host": str(self.cluster.folder)}}
        (self.state_dir / "backup.json").write_text(json.dumps({"stack": "lab", "postgres": [entry]}))
        request = restore_set.Request(self.state_dir, name, self.root, terminate=True, wait=0.2, min_free=1024)
        done = restore_set.restore(request, name)["done"]["postgres:db"]
        self.cluster.admin(f"DROP DATABASE {done['replaced']}")

    def session(self, application: str = "elsewhere") -> psql_module.Psql:
        """A session of the application's user, as another program would have it."""
        return psql_module.Psql(DatabaseAddress("127.0.0.1", self.cluster.port, "app", self.database, PASSWORD), {}, None, application)


@pytest.fixture
def stage(cluster: Cluster, python: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Stage]:
    """An own database and a release whose base makes the table C(workflows)."""
    database = f"t{abs(hash(request.node.nodeid)) % 10**10}"
    cluster.admin(f"CREATE DATABASE {database} OWNER app")
    tree = tmp_path / "tree"
    (tree / "migrations" / "versions").mkdir(parents=True)
    (tree / "alembic.ini").write_text("[alembic]\nscript_location = %(here)s/migrations\n")
    (tree / "migrations" / "env.py").write_text(ENV_PY)
    release = Release(tree)
    release.add(
        "aaa1",
        None,
        "op.create_table('workflows', sa.Column('id', sa.Integer, primary_key=True), sa.Column('name', sa.Text, nullable=False))",
        "op.drop_table('workflows')",
        "first tables",
    )
    here = Stage(cluster, database, release, tmp_path, python)
    here.env()
    yield here
    cluster.admin(f"DROP DATABASE {database} WITH (FORCE)")
