# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dump from before a migration put back as any set is: by the command that the failed migration prints."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.backup import restore as restore_set
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts import postgres_restore as restore_postgres
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.sets import BackupSetError
from ansible_collections.phasegate.aistack.plugins.module_utils.environment.database_url import DatabaseAddress
from ansible_collections.phasegate.aistack.plugins.module_utils.migration.plan import take_fingerprint
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres import dump as pg_dump
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.psql import Psql

from ..conftest import PASSWORD, Cluster
from .conftest import Node

ROOT = Path(__file__).resolve().parents[3]


@dataclass
class Dump:
    """A database with a second schema, and a dump of it; since then somebody wrote and a migration made a table."""

    cluster: Cluster
    node: Node
    name: str
    database: str

    def sql(self, text: str) -> str:
        return self.cluster.admin(text, self.database)

    def request(self, **more: Any) -> restore_set.Request:
        return restore_set.Request(self.node.state, self.name, self.node.root, min_free=1024, run="run-2", **more)

    def manifest(self, **changes: Any) -> None:
        """As another version would have written it."""
        path = self.node.state / "backups" / self.name / "manifest.json"
        manifest = {**json.loads(path.read_text()), **changes}
        path.write_text(json.dumps({key: value for key, value in manifest.items() if value is not None}))


@pytest.fixture
def dump(cluster: Cluster, node: Node, request: pytest.FixtureRequest) -> Iterator[Dump]:
    name = f"d{abs(hash(request.node.nodeid)) % 10**10}"
    cluster.admin(f"CREATE DATABASE {name} OWNER app")
    cluster.admin(
        "SET ROLE app; CREATE SCHEMA tenant; CREATE TABLE orders (id serial PRIMARY KEY); CREATE TABLE tenant.people (id int PRIMARY KEY);"
        "INSERT INTO orders VALUES (1), (2); INSERT INTO tenant.people VALUES (1)",
        name,
    )
    base = node.root / "backend"
    (base / "config" / "c1").mkdir(parents=True)
    url = f"postgresql+psycopg2://app:{quote(PASSWORD, safe='')}@127.0.0.1:{cluster.port}/{name}"
    (base / "config" / "c1" / "env").write_text(f'APP_DB="{url}"\n')
    (base / "slots" / "blue").mkdir(parents=True)
    (base / "slots" / "blue" / "config").symlink_to("../../config/c1")
    address = DatabaseAddress("127.0.0.1", cluster.port, "app", name, PASSWORD)
    with Psql(address, {}, None, "test") as psql:
        seen = take_fingerprint(psql)
        cluster.admin("INSERT INTO orders VALUES (3)", name)  # the application writes while it is dumped
        folder = node.state / "backups"
        made = pg_dump.make(folder, address, {}, None, "backend", "v2", ("a", "b"), seen, 10**6, 1024, 60, "run-1", "APP_DB", "public")
    cluster.admin("INSERT INTO orders VALUES (4); SET ROLE app; CREATE TABLE tenant.half (id int)", name)
    admin = {"host": str(cluster.folder)}
    node.describe(postgres=[{"name": "shop", "component": "backend", "url_variable": "APP_DB", "admin": admin}])
    yield Dump(cluster, node, made.path.name, name)
    for left in cluster.admin(f"SELECT datname FROM pg_database WHERE datname LIKE '{name}%'").splitlines():
        cluster.admin(f"DROP DATABASE {left} WITH (FORCE)")


def test_the_printed_command_puts_it_back(dump: Dump, tmp_path: Path) -> None:
    variables = {
        "aistack_name": "lab", "aistack_root": str(dump.node.root), "aistack_state": str(dump.node.state), "aistack_address": "127.0.0.1",
        "aistack_ports": {}, "aistack_components": {"toolchain": {"role": "toolchain", "hosts": "aistack"}},
        "aistack_phases": {"phase0": {"title": "Ground", "components": ["toolchain"]}},
        "ansible_connection": "local", "ansible_python_interpreter": sys.executable,
    }
    hosts = tmp_path / "hosts.json"
    hosts.write_text(json.dumps({"all": {"vars": variables, "children": {"aistack": {"hosts": {"node-1": {}}}}}}))
    words = shlex.split(pg_dump.restore_command(str(dump.node.state / "backups" / dump.name)))
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "MOLECULE_"))}

    def play(*more: str) -> tuple[int, str]:
        done = subprocess.run(
            [str(ROOT / ".venv/bin" / words[0]), "-i", str(hosts), *words[1:], *more],
            cwd=ROOT, text=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=300, check=False,
            env={**clean, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default"},
        )
        (tmp_path / "said").write_text(done.stdout + done.stderr)
        assert max(map(len, re.findall(r"=> (\{.*)", done.stdout)), default=0) < 1500, done.stdout
        return done.returncode, " ".join((done.stdout + done.stderr).split())

    rc, said = play()
    assert rc != 0
    assert f"-e confirm={dump.name}" in said, said
    assert "1 rows are lost" in said, said
    assert dump.sql("SELECT count(*) FROM orders") == "4"
    rc, said = play("-e", f"confirm={dump.name}")
    assert rc == 0, said
    assert "  public.orders: 4 rows now, 3 in the set: 1 lost (4)\n" in (tmp_path / "said").read_text()
    assert re.search(rf"node-1: put back postgres:shop; what was there is kept: {dump.database}__\S+ ", said), said
    assert dump.sql("SELECT count(*) FROM orders") == "3"
    assert dump.sql("SELECT count(*) FROM tenant.people") == "1"
    assert dump.sql("SELECT to_regclass('tenant.half') IS NULL") == "t"


def test_check_mode_tells_about_how_much(dump: Dump) -> None:
    planned = restore_set.plan(dump.request(), check=True)
    assert "about 3 rows of the set take the place of what is there" in planned["lines"][0]
    assert [part["part"] for part in planned["parts"]] == ["postgres:shop"]
    assert not list((dump.node.state / "backups").glob(".partial-*"))


def test_one_table_comes_back(dump: Dump) -> None:
    restore_set.restore(dump.request(what=["postgres:shop"], tables=["public.orders"]), dump.name)
    assert dump.sql("SELECT count(*) FROM orders") == "3"
    assert dump.sql("SELECT to_regclass('tenant.half') IS NULL") == "f", "nothing else was touched"


def test_of_the_version_before_and_where_nobody_said_what_to_save(dump: Dump, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restore_postgres, "SOCKETS", str(dump.cluster.folder))
    dump.manifest(size=None, search_path=None, node=None)
    (dump.node.state / "backups" / dump.name / "manifest.sig").unlink()
    (dump.node.state / "backup.json").unlink()
    with pytest.raises(BackupSetError, match="is not signed"):
        restore_set.restore(dump.request(), dump.name)
    done = restore_set.restore(dump.request(accept_unsigned=[dump.name]), dump.name)["done"]
    assert list(done) == ["postgres:backend"]
    assert dump.sql("SELECT count(*) FROM orders") == "3"


def test_refusals(dump: Dump) -> None:
    backend = dump.node.root / "backend/config/c1/env"
    text = backend.read_text()
    backend.write_text(text.replace(dump.database, "elsewhere"))
    with pytest.raises(BackupSetError, match=rf"the dump is of .*/{dump.database}, component backend works on .*/elsewhere today"):
        restore_set.restore(dump.request(), dump.name)
    backend.write_text(text)
    dump.cluster.admin(f"ALTER DATABASE {dump.database} RENAME TO {dump.database}_away")
    with pytest.raises(BackupSetError, match=r"does not say how it was made. Nothing was changed. Name it in postgres_databases"):
        restore_set.restore(dump.request(), dump.name)
    dump.manifest(file="../../../etc/passwd")
    with pytest.raises(BackupSetError):
        restore_set.restore(dump.request(accept_unsigned=[dump.name]), dump.name)
