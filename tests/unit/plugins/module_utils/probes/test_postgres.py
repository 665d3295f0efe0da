# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""postgres through a psql that prints what the real one (15.14) printed for the same arguments."""

from __future__ import annotations

import pytest

HEADER = r"printf 'a\037b\037c\0361\037t\037x y\0362\037f\037two\nlines\n'"


def test_value_rows_and_columns(observe, program):
    program("psql", HEADER)
    base = {"host": "10.0.0.1", "user": "app"}
    assert observe(postgres=base, value=1, rows=2, columns={"a": 1, "b": True, "c": "x y"}).ok
    seen = observe(postgres=base, columns={"a": {"ge": 2}})
    assert (seen.ok, seen.expected, seen.got) == (False, "a >= 2", "a = 1")
    assert not observe(postgres=base, rows={"ge": 3}).ok
    assert not observe(postgres=base, columns={"d": 1}).ok


def test_no_rows(observe, program):
    program("psql", r"printf 'a\n'")
    assert observe(postgres="h:1", rows=0).ok
    seen = observe(postgres="h:1", value=1)
    assert (seen.ok, seen.got) == (False, "value = nothing")


def test_password_goes_by_the_environment_only(observe, program, tmp_path):
    (tmp_path / "pw").write_text("s3cr3t\n")
    arguments = program("psql", f'env > {tmp_path}/environment; echo "FATAL: no s3cr3t" >&2; exit 2')
    seen = observe(postgres="db:5433", user="app", database="app", password_file=str(tmp_path / "pw"))
    assert "s3cr3t" not in arguments.read_text()
    environment = (tmp_path / "environment").read_text()
    assert "PGPASSWORD=s3cr3t" in environment
    assert "PGHOST=db\n" in environment
    assert "PGPORT=5433\n" in environment
    assert seen.got == "FATAL: no ****"
    assert not seen.error


@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+psycopg2", "postgresql+asyncpg", "postgres"])
def test_url_out_of_an_environment_file(observe, program, tmp_path, scheme):
    (tmp_path / "env").write_text(f'DATABASE_URL="{scheme}://app:p%40ss@10.0.0.9:6000/shop"\n')
    program("psql", f"env > {tmp_path}/environment; echo 'fe_sendauth p@ss' >&2; exit 2")
    seen = observe(postgres={"env_file": str(tmp_path / "env")})
    environment = (tmp_path / "environment").read_text()
    for line in ("PGHOST=10.0.0.9", "PGPORT=6000", "PGUSER=app", "PGDATABASE=shop", "PGPASSWORD=p@ss"):
        assert f"{line}\n" in environment
    assert "p@ss" not in str(seen)


@pytest.mark.parametrize(
    "said",
    [
        "ERROR:  cannot execute INSERT in a read-only transaction",
        'psql: error: connection to server at "10.0.0.1", port 5432 failed: session is read-only',
        "ERROR:  recovery is in progress",
    ],
)
def test_a_server_that_takes_no_writes_is_called_read_only(observe, program, tmp_path, said):
    program("psql", f"env > {tmp_path}/environment; echo '{said}' >&2; exit 3")
    seen = observe(postgres="h:1", query="INSERT INTO beat DEFAULT VALUES", writable=True)
    assert not seen.ok
    assert seen.got.startswith("read-only: ")
    assert "a failover is under way" in seen.detail
    assert "PGTARGETSESSIONATTRS=read-write\n" in (tmp_path / "environment").read_text()
    observe(postgres="h:1")
    assert "PGTARGETSESSIONATTRS" not in (tmp_path / "environment").read_text()


def test_refused(observe, program):
    program("psql", "echo 'FATAL:  password authentication failed' >&2; exit 2")
    assert observe(postgres="h:1", refused=True).ok
    program("psql", "exit 3")
    assert not observe(postgres="h:1", refused=True).ok
    program("psql", HEADER)
    assert not observe(postgres="h:1", refused=True).ok


def test_psql_that_hangs_is_ended(observe, program):
    program("psql", "sleep 30 & sleep 30")
    seen = observe(postgres="h:1", timeout=0.4)
    assert seen.got == "no answer within 0.4 s"
    assert seen.latency_ms < 900


def test_psql_is_not_there(observe, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    seen = observe(postgres="h:1")
    assert seen.error
    assert seen.got == "psql is not there"
