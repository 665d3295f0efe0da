# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.alembic import script as alembic_script
from ansible_collections.phasegate.aistack.plugins.module_utils.alembic.runner import InTree
from ansible_collections.phasegate.aistack.plugins.module_utils.alembic.session import AlembicSession, HelperError, clean, kind_of
from ansible_collections.phasegate.aistack.plugins.module_utils.core.masking import Masker
from ansible_collections.phasegate.aistack.plugins.module_utils.environment.database_url import DatabaseAddress
from ansible_collections.phasegate.aistack.plugins.module_utils.environment.file import NAMES, Declared, read_env
from ansible_collections.phasegate.aistack.plugins.module_utils.migration import locks as migration_locks, plan as alembic_plan, squawk
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres import dump as pg_dump, psql
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.fingerprint import Fingerprint

ADDRESS = DatabaseAddress("db.example", 5433, "app", "sparklio", "hidden-word")

# What squawk 2.70.0 wrote with --reporter json, as it came.
DATA = Path(__file__).parent / "data"


def test_squawks_answer() -> None:
    def found(name: str) -> list[tuple[str, int, str]]:
        findings = squawk.parse((DATA / name).read_text(encoding="utf-8"))
        return [(entry["rule"], entry["line"], entry["level"]) for entry in findings]

    assert found("squawk-2.70.0-findings.json") == [
        ("adding-required-field", 2, "warning"),
        ("require-concurrent-index-creation", 3, "warning"),
    ]
    assert found("squawk-2.70.0-syntax.json") == [("syntax-error", 4, "error"), ("syntax-error", 4, "error")]
    assert squawk.parse("") == []
    with pytest.raises(squawk.LintError, match="JSON"):
        squawk.parse("error: no such file")


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("echo '[]'", None),
        ("echo '[]'; exit 1", None),
        ("echo broken >&2; exit 1", "broken"),
        ("echo panic >&2; exit 101", "101"),
    ],
)
def test_squawks_exit_status_tells_nothing(tmp_path: Path, body: str, problem: str | None) -> None:
    tool = tmp_path / "squawk"
    tool.write_text(f"#!/bin/sh\n{body}\n")
    tool.chmod(0o755)
    if problem is None:
        assert squawk.lint(str(tool), "SELECT 1;") == []
    else:
        with pytest.raises(squawk.LintError, match=problem):
            squawk.lint(str(tool), "SELECT 1;")
    assert not squawk.available(str(tmp_path / "none"))


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ('connection to server at "h", port 5432 failed: FATAL:  password authentication failed for user "app"', "password"),
        ("connection to server at \"h\" failed: fe_sendauth: no password supplied", "password"),
        ('connection to server at "h" failed: Connection refused Is the server running on that host', "unreachable"),
        ("connection to server at \"h\" failed: timeout expired", "unreachable"),
        ('could not translate host name "h" to address: Name or service not known', "unreachable"),
        ('FATAL:  database "x" does not exist', "missing"),
        ('FATAL:  no pg_hba.conf entry for host "1.2.3.4", user "app"', "refused"),
        ("", "refused"),
    ],
)
def test_libpq_in_the_operators_words(said: str, kind: str) -> None:
    problem = psql.explain(ADDRESS, said)
    assert problem.kind == kind
    assert "sparklio on db.example:5433 as app" in str(problem)
    assert "hidden-word" not in str(problem)


def test_the_tools_environment() -> None:
    found = psql.tool_environment(ADDRESS, {"PGSSLROOTCERT": "/ca", "PGOPTIONS": "x", "API_TOKEN": "y", "PGHOST": "other"}, None, "name")
    assert found["PGPASSWORD"] == "hidden-word"
    assert found["PGHOST"] == "db.example"
    assert found["PGSSLROOTCERT"] == "/ca"
    assert "API_TOKEN" not in found
    assert "PGOPTIONS" not in found


def test_secrets_are_masked_in_texts_and_names_stay() -> None:
    masker = Masker.of({"DATABASE_URL": "postgresql://u:p%40ssword@h/d", "API_KEY": "0123456789", "PIN_KEY": "a1", "NAME": "plain"})
    document = {"error": {"message": "no p@ssword 0123456789"}, "steps": {"0123456789": {"sql": "x p%40ssword"}}, "revision": "0123456789"}
    assert clean(document, masker) == {
        "error": {"message": "no **** ****[API_KEY]"},
        "steps": {"0123456789": {"sql": "x ****"}},
        "revision": "0123456789",
    }


def test_kinds() -> None:
    assert kind_of("55P03") == "lock_timeout"
    assert kind_of("57014") == "statement_timeout"
    assert kind_of("42703") == "database"
    assert kind_of("") == "script"


def test_the_locks_number() -> None:
    assert migration_locks.key("a") == migration_locks.key("a")
    assert migration_locks.key("a") != migration_locks.key("b")
    assert -(2**63) <= migration_locks.key("a") < 2**63
    assert migration_locks._mode("AccessExclusiveLock") == "ACCESS EXCLUSIVE"


def session(tmp_path: Path) -> AlembicSession:
    return AlembicSession(InTree(sys.executable, str(tmp_path)), {"DATABASE_URL": "postgresql://u:hidden-word@h/d"}, "backend")


def test_the_helper_answers_what_it_cannot_do(tmp_path: Path) -> None:
    with session(tmp_path) as helper, pytest.raises(HelperError) as caught:
        helper.request("nonsense", 30)
    assert caught.value.kind == "script"
    assert caught.value.facts["type"] == "KeyError"


def test_the_helper_ends_when_nobody_listens(tmp_path: Path) -> None:
    helper = session(tmp_path)
    pid = helper._child.pid
    began = time.monotonic()
    helper.close()
    assert time.monotonic() - began < 5
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_helper_that_dies_is_told(tmp_path: Path) -> None:
    with session(tmp_path) as helper:
        helper.kill()
        with pytest.raises(HelperError, match="ended with -9") as caught:
            helper.request("graph", 30)
    assert caught.value.kind == "ended"


def test_no_interpreter(tmp_path: Path) -> None:
    with pytest.raises(HelperError, match="cannot be run"):
        AlembicSession(InTree(str(tmp_path / "python"), str(tmp_path)), {}, "backend")


def test_no_secret_on_the_command_line(tmp_path: Path) -> None:
    if not Path("/proc/self/cmdline").exists():
        pytest.fail("this test reads /proc")
    with session(tmp_path) as helper:
        line, end = "", time.monotonic() + 10
        while not line and time.monotonic() < end:  # empty for a moment, while the program is being loaded
            line = Path(f"/proc/{helper._child.pid}/cmdline").read_text()
    assert "hidden-word" not in line
    assert "aistack-migrate" in line


REVERSIBLE = [
    ("def downgrade():\n    pass", False),
    ("def downgrade():\n    '''nothing'''", False),
    ("def downgrade():\n    ...", False),
    ("def downgrade():\n    raise NotImplementedError", False),
    ("def downgrade():\n    return", False),
    ("def downgrade() -> None:\n    op.drop_table('t')", True),
    ("", False),
]


@pytest.mark.parametrize(("source", "expected"), REVERSIBLE)
def test_what_is_reversible(tmp_path: Path, source: str, expected: bool) -> None:
    script = tmp_path / "a.py"
    up = "def upgrade():\n    with op.get_context().autocommit_block():\n        pass\n"
    script.write_text(up + source)
    code = alembic_script.HELPER.partition("os.dup2(2, 1)")[0] + f"\nprint(look({str(script)!r}))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert f"'reversible': {expected}" in out
    assert "'autocommit': True" in out


def backup(tmp_path: Path, **changes: object) -> None:
    values: dict[str, object] = {
        "folder": tmp_path / "backups",
        "address": ADDRESS,
        "variables": {},
        "user": None,
        "component": "backend",
        "release": "v1",
        "heads": ("a1", "b2"),
        "fingerprint": Fingerprint({}, {"public.t": 1}),
        "size": 10,
        "min_free": 0,
        "timeout": 10.0,
    }
    pg_dump.make(**{**values, **changes})


def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dump: str, restore: str) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, body in (("pg_dump", f'[ "$1" = --version ] && echo pg_dump 15 && exit\n{dump}'), ("pg_restore", restore)):
        (folder / name).write_text(f"#!/bin/sh\n{body}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


LISTED = "echo '; header'; echo '215; 1259 16 TABLE public t app'; echo '33; 0 16 TABLE DATA public t app'"


@pytest.mark.parametrize(
    ("dump", "restore", "words"),
    [
        ("echo broken >&2; exit 1", LISTED, "broken"),
        ("echo x", "echo 'input file does not appear to be a valid archive' >&2; exit 1", "cannot be read back"),
        ("echo x", "echo '215; 1259 16 TABLE public t app'", "lacks the rows of public.t"),
        ("sleep 5", LISTED, "longer than"),
    ],
)
def test_a_backup_that_is_none_stops_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dump: str, restore: str, words: str
) -> None:
    tools(tmp_path, monkeypatch, dump, restore)
    with pytest.raises(pg_dump.BackupError, match=words):
        backup(tmp_path, timeout=1.0)
    assert list((tmp_path / "backups").iterdir()) == [], "half a backup was left behind"


def test_a_backup_that_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tools(tmp_path, monkeypatch, "echo archive", LISTED)
    (tmp_path / "backups").mkdir()
    (tmp_path / "backups" / ".partial-20260101T000000Z-backend-a-b").mkdir()
    backup(tmp_path)
    (folder,) = (tmp_path / "backups").iterdir()
    manifest = pg_dump.load(str(folder))
    assert manifest is not None
    assert manifest["sha256"] == pg_dump.sha256(folder / "db.dump")
    assert (manifest["entries"], manifest["tables"]) == (2, 1)
    assert folder.name.endswith("-backend-a1-b2")
    assert "hidden-word" not in (folder / "manifest.json").read_text()
    assert oct((folder / "db.dump").stat().st_mode & 0o777) == "0o600"
    assert pg_dump.load(str(tmp_path)) is None


def test_what_another_component_is_dumping_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tools(tmp_path, monkeypatch, "echo x", "echo '1; 0 0 TABLE DATA public t app'")
    others = [tmp_path / "backups" / f".partial-20260131T120000Z-{name}-a-b" for name in ("web-backend", "backends", "other-backend")]
    own = tmp_path / "backups" / ".partial-20260131T120000Z-backend-a-b"
    for path in (*others, own):
        path.mkdir(parents=True)
    backup(tmp_path)
    assert all(path.is_dir() for path in others)
    assert not own.exists()


def test_the_restore_command_names_the_set() -> None:
    told = pg_dump.restore_command("/var/lib/aistack/backups/20260131T120000Z-backend-a1-b2")
    assert told == "ansible-playbook phasegate.aistack.restore -e set=20260131T120000Z-backend-a1-b2 -e terminate=true"


def test_a_session_hides_what_is_declared_secret(tmp_path: Path) -> None:
    (tmp_path / "env").write_text("LICENCE=qwertz-7\nDATABASE_URL=postgresql://app:hunter22@db/shop\n")
    (tmp_path / NAMES).write_text(Declared("s", frozenset({"LICENCE"})).text())
    request = alembic_plan.Request(
        component="web", release="v1", root=str(tmp_path), state_dir=str(tmp_path), env_file=str(tmp_path / "env"),
        release_path=str(tmp_path), python=sys.executable, user=None,
    )
    context = alembic_plan.MigrationContext(read_env(request.env_file), ADDRESS)
    with alembic_plan.start(request, context) as session:
        assert session.masker.mask("licence qwertz-7 on hunter22") == "licence ****[LICENCE] on ****"
