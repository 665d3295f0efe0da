# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts import redis as backup_redis
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts.base import PartError

Program = Callable[[str, str], Path]


def entry(redis: Any, **more: Any) -> dict[str, Any]:
    return {"name": "broker", "host": "127.0.0.1", "port": redis.port, **more}


@pytest.fixture
def checker(program: Program, checked: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Redis' own program is there and finds the file in order."""
    monkeypatch.setattr(backup_redis, "has_checker", lambda: True)
    program("redis-check-rdb", f"case $1 in --version) echo redis-check-rdb 7.0.15 ;; *) cat <<'E'\n{checked}E\nesac")


@pytest.fixture
def no_checker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backup_redis, "has_checker", lambda: False)


@pytest.mark.usefixtures("checker")
def test_the_server_saves_and_its_file_is_copied(redis: Any, rdb: bytes, tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("geheim\n")
    redis.busy_answers = 1
    job = backup_redis.job(entry(redis, username="backup", password_file=str(password)), 5)
    assert job.size() == 1000
    saved = job.save(tmp_path / "set")
    copy = tmp_path / "set" / "redis" / "broker.rdb"
    assert copy.read_bytes() == rdb
    assert copy.stat().st_mode & 0o777 == 0o600
    assert ["AUTH", "backup", "geheim"] in redis.asked
    assert redis.asked.count(["BGSAVE"]) == 2, "another save was under way at first"
    assert saved.facts["databases"] == {"db0": 2}
    assert (saved.facts["keys"], saved.facts["expires"], saved.facts["expired"]) == (2, 1, 0)
    assert saved.facts["layout"]["dbfilename"] == "dump.rdb"
    assert saved.tools["redis-check-rdb"] == "redis-check-rdb 7.0.15"
    part = {"kind": "redis", "name": "broker", "path": "redis/broker.rdb", "facts": saved.facts}
    assert backup_redis.verify(tmp_path / "set", part) == []
    assert "holds 2 keys, expected 9" in backup_redis.verify(tmp_path / "set", {**part, "facts": {"keys": 9}})[0]


@pytest.mark.parametrize(
    ("refuse", "told"),
    [
        ({"BGSAVE": "NOPERM this user has no permissions to run the 'bgsave' command"}, "redis_backup_password of role redis"),
        ({"AUTH": "WRONGPASS invalid username-password pair or user is disabled."}, "Correct its username and password_file"),
    ],
)
def test_a_user_that_may_not(redis: Any, tmp_path: Path, refuse: dict[str, str], told: str) -> None:
    password = tmp_path / "password"
    password.write_text("geheim")
    redis.refuse = refuse
    with pytest.raises(PartError, match=told) as caught:
        backup_redis.job(entry(redis, password_file=str(password)), 5).save(tmp_path / "set")
    assert "geheim" not in str(caught.value)


def test_a_save_that_fails(redis: Any, tmp_path: Path) -> None:
    redis.status = "err"
    with pytest.raises(PartError, match="could not save: rdb_last_bgsave_status is err"):
        backup_redis.job(entry(redis), 5).save(tmp_path / "set")


def test_a_save_that_does_not_end(redis: Any, tmp_path: Path) -> None:
    redis.busy_answers = 10**6
    with pytest.raises(PartError, match=r"is busy with another save or rewrite of its files after 0.3 s"):
        backup_redis.job(entry(redis), 0.3).save(tmp_path / "set")


def test_nobody_listens(tmp_path: Path) -> None:
    with pytest.raises(PartError, match=r"Redis broker on 127.0.0.1:1 cannot be reached: connection refused"):
        backup_redis.job({"name": "broker", "port": 1}, 1).size()


def test_the_server_is_on_another_node(redis: Any, tmp_path: Path) -> None:
    redis.says = "/nowhere/data"
    with pytest.raises(PartError, match=r"its file is /nowhere/data/dump.rdb, which is not on this node. A set is made where"):
        backup_redis.job(entry(redis), 5).save(tmp_path / "set")
    assert not (tmp_path / "set" / "redis").exists()


def test_no_password_file(redis: Any, tmp_path: Path) -> None:
    with pytest.raises(PartError, match="its password cannot be read from /nowhere/password: No such file"):
        backup_redis.job(entry(redis, password_file="/nowhere/password"), 5).size()


@pytest.mark.usefixtures("no_checker")
def test_without_redis_own_program_a_cut_file_is_seen(rdb: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.rdb"
    path.write_bytes(rdb)
    assert backup_redis.check(path) == {"checked": "beginning and end"}
    for content in (rdb[:-12], b"", b"something else altogether" + rdb[-9:]):
        path.write_bytes(content)
        with pytest.raises(PartError, match="is no whole RDB file"):
            backup_redis.check(path)


def test_redis_own_program_says_no(program: Program, monkeypatch: pytest.MonkeyPatch, rdb: bytes, tmp_path: Path) -> None:
    monkeypatch.setattr(backup_redis, "has_checker", lambda: True)
    program("redis-check-rdb", "echo '--- RDB ERROR DETECTED ---'; echo '[offset 9] Unexpected EOF reading RDB file'; exit 1")
    path = tmp_path / "x.rdb"
    path.write_bytes(rdb)
    part = {"kind": "redis", "name": "b", "path": "x.rdb", "facts": {}}
    assert "Unexpected EOF reading RDB file" in backup_redis.verify(tmp_path, part)[0]
    assert backup_redis.verify(tmp_path, {**part, "path": "y.rdb"}) == [f"{tmp_path}/y.rdb is missing"]
