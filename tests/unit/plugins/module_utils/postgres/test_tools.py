# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib
import io
import os
import time
from pathlib import Path

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.core.proc import Ended, alive
from ansible_collections.phasegate.aistack.plugins.module_utils.environment.database_url import DatabaseAddress
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres import restore as pg_restore, table as pg_table, tools as pg_tool
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.admin import RestoreError
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.tools import Tool, ToolError

ADDRESS = DatabaseAddress("db.example", 5433, "app", "sparklio", "hidden-word")

NOBODY = ""
# What pg_restore 15 --list printed; some entries have no owner.
LISTING = f""";
; Archive created at 2026-11-21 12:36:00 UTC
;     dbname: s1
;
; Selected TOC Entries:
;
5; 2615 2200 SCHEMA - public pg_database_owner
2; 3079 16386 EXTENSION - pgcrypto {NOBODY}
3363; 0 0 COMMENT - EXTENSION pgcrypto {NOBODY}
218; 1259 16432 TABLE public orders app
3351; 0 16432 TABLE DATA public orders app
3352; 0 16440 TABLE DATA public odd "name" app
3353; 0 16441 TABLE DATA away a table its owner
"""


def test_a_list() -> None:
    held = pg_tool.read_archive(LISTING)
    assert len(held.entries) == 7
    assert held.tables == 3
    assert held.lacks(["public.orders", 'public.odd "name"', "away.a table"]) == []
    assert held.lacks(["public.orders", "public.lines", "public.ord"]) == ["public.lines", "public.ord"]
    assert held.owners_missing(["pg_database_owner", "app", "its owner"]) == []
    assert held.owners_missing(["pg_database_owner", "its owner"]) == [
        "TABLE public orders app",
        "TABLE DATA public orders app",
        'TABLE DATA public odd "name" app',
    ]


def test_no_archive(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="is not there"):
        pg_tool.archive(tmp_path / "none")


def test_no_tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolError, match="Install PostgreSQL's client package"):
        pg_tool.version("pg_dump")
    with pytest.raises(ToolError, match="Install PostgreSQL's client package"):
        pg_tool.archive(tmp_path)
    with pytest.raises(ToolError, match="pg_dump cannot be run"):
        Tool(["pg_dump"], ADDRESS, {}, None, "t")


def test_a_tool_says_what_it_said() -> None:
    script = 'echo "$PGUSER $PGAPPNAME $PGOPTIONS"; echo bad >&2; exit 3'
    with Tool(["sh", "-c", script], ADDRESS, {}, None, "me", options="-c a=b") as tool:
        ended = tool.wait(20)
    assert (ended.rc, ended.stdout, ended.stderr, ended.timed_out) == (3, "app me -c a=b\n", "bad", False)


def test_a_tool_is_ended_in_time_and_so_are_its_children() -> None:
    began = time.monotonic()
    with Tool(["sh", "-c", "sleep 60 & echo $!; wait"], ADDRESS, {}, None, "t") as tool:
        ended = tool.wait(0.3)
    assert ended.timed_out
    assert time.monotonic() - began < 20
    while alive(int(ended.stdout), None) and time.monotonic() < began + 40:
        time.sleep(0.05)
    assert not alive(int(ended.stdout), None)


@pytest.mark.parametrize(("end", "timeout"), [("exit 0", 30), ("sleep 300", 3)])
def test_a_daemon_that_a_tool_leaves_behind_holds_nobody_up(end: str, timeout: float) -> None:
    began = time.monotonic()
    with Tool(["sh", "-c", f"setsid sleep 300 & echo $!; {end}"], ADDRESS, {}, None, "t") as tool:
        ended = tool.wait(timeout)
    assert time.monotonic() - began < 25
    assert ended.timed_out == (end != "exit 0")
    while alive(int(ended.stdout), None) and time.monotonic() < began + 40:
        time.sleep(0.05)
    assert not alive(int(ended.stdout), None)


def test_a_tool_that_does_not_want_to_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pg_tool, "PATIENCE", 0.3)
    with Tool(["sh", "-c", "trap '' TERM; echo on; sleep 60"], ADDRESS, {}, None, "t") as tool:
        time.sleep(0.3)
        ended = tool.wait(0.1)
    assert ended.timed_out
    assert ended.rc == -9


def test_a_tool_that_nobody_waits_for_does_not_stay() -> None:
    with Tool(["sleep", "60"], ADDRESS, {}, None, "t") as tool:
        pid = tool._child.pid
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_hashes(tmp_path: Path) -> None:
    (tmp_path / "part").mkdir()
    (tmp_path / "part" / "a").write_bytes(b"x" * 3_000_000)
    (tmp_path / "part" / "b").write_bytes(b"")
    (tmp_path / "beside").write_bytes(b"not of it")
    found = pg_tool.hash_files(tmp_path, tmp_path / "part", 2)
    assert found == {
        "part/a": {"sha256": hashlib.sha256(b"x" * 3_000_000).hexdigest(), "bytes": 3_000_000},
        "part/b": {"sha256": hashlib.sha256(b"").hexdigest(), "bytes": 0},
    }
    (tmp_path / "link").symlink_to(tmp_path / "beside")
    with pytest.raises(OSError, match="symbolic"):
        pg_tool.sha256(tmp_path / "link")


def test_memory_is_bounded() -> None:
    assert 16 * 1024 <= pg_restore.memory(2) <= pg_restore.MEMORY
    assert pg_restore.memory(10**6) == 16 * 1024


def test_only_the_first_copy_goes_on() -> None:
    dump = b"SET x;\n\nCOPY public.t (a, \"b c\") FROM stdin;\n1\tx\n2\t\\N\n\\.\n\n\nCOPY public.u (a) FROM stdin;\n9\n\\.\n"
    out = io.BytesIO()
    assert pg_table._pump(io.BytesIO(dump), out, '"s"."t"')
    assert out.getvalue() == b'COPY "s"."t" (a, "b c") FROM stdin;\n1\tx\n2\t\\N\n\\.\n'
    assert not pg_table._pump(io.BytesIO(b"SET x;\n"), io.BytesIO(), "t")


@pytest.mark.parametrize(
    ("ends", "found", "code"),
    [
        ([("psql", Ended(0, "", "", 1.0))], False, "damaged"),
        ([("psql", Ended(3, "", "bad row", 1.0))], True, "restore"),
        ([("psql", Ended(0, "", "", 1.0)), ("pg_restore", Ended(-15, "", "", 9.0))], True, "timeout"),
        ([("psql", Ended(-9, "", "", 9.0, True))], True, "timeout"),
    ],
)
def test_how_a_copy_ends(ends: list[tuple[str, Ended]], found: bool, code: str) -> None:
    with pytest.raises(RestoreError) as caught:
        pg_table._judge(ends, found, "public.t", 9.0)
    assert caught.value.code == code
    pg_table._judge([("psql", Ended(0, "", "", 1.0))], True, "public.t", 9.0)
