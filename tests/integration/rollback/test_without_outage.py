# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Passwords of servers are changed while users ask: none notices, the former one is refused, and no way back needs it."""

from __future__ import annotations

import os
import threading
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ..refusals.conftest import BACKEND, ROOT
from .conftest import AFTER, BEFORE, OperatorLab, config

USERS = 8
"""More than the application keeps connections for, so that it logs in again all the time."""


@dataclass
class Users:
    """Users who ask for what needs the database, for as long as the block runs."""

    asked: int = 0
    failed: list[str] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Users:
        self._threads = [threading.Thread(target=self._ask) for _number in range(USERS)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        while not self._over.wait(0.2):
            try:
                urllib.request.urlopen(f"http://{BACKEND}:8000/readyz", timeout=10).read()
                self.asked += 1
            except OSError as problem:
                self.failed.append(str(problem))


def may_log_in(lab: OperatorLab, password: str) -> bool:
    """Whether PostgreSQL lets the application's user in with that password, from the application's node."""
    # a refused login ends psql with an error, and is an answer here
    # the script goes to the node on standard input, and the password from there into psql's environment
    said = lab.on("backend-1", f"PGPASSWORD={password} psql -XAtw -h {BACKEND} -U sparklio -d sparklio -c 'select 1' 2>&1 || true")
    assert said.strip() == "1" or "password authentication failed" in said, said
    return said.strip() == "1"


def redis_lets_in(lab: OperatorLab, password: str) -> bool:
    """Whether Redis lets the application's user in with that password."""
    # a refused login may end the client with an error, and is an answer here
    said = lab.on("backend-1", f"REDISCLI_AUTH={password} redis-cli --user sparklio PING 2>&1 || true")
    assert "PONG" in said or "NOAUTH" in said, said
    return "WRONGPASS" not in said and "PONG" in said


def minio_lets_in(lab: OperatorLab, secret: str) -> bool:
    """Whether the S3 server lets the application's key in with that secret."""
    # a refused login ends the client with an error, and is an answer here
    said = lab.on("backend-1", f"MC_HOST_s3=http://sparklio:{secret}@{BACKEND}:9000 /opt/aistack/minio/bin/mc ls s3 2>&1 || true")
    assert "sparklio-assets" in said or "signature" in said, said
    return "signature" not in said


def secrets_file(name: str) -> Path:
    return Path(os.environ.get("AISTACK_SECRETS_DIR") or ROOT / ".lab" / "secrets") / name


@pytest.mark.whole(beside="tests/integration/rollback/test_without_outage.py")
@pytest.mark.parametrize(
    ("secret", "name", "lets_in"), [("redis", "redis", redis_lets_in), ("minio", "minio_app", minio_lets_in)], ids=["redis", "minio"]
)
def test_a_servers_password_changes_under_load(
    lab: OperatorLab, secret: str, name: str, lets_in: Callable[[OperatorLab, str], bool]
) -> None:
    file = secrets_file(name)
    old = file.read_text().strip()
    assert lets_in(lab, old)
    with Users() as users:
        done = lab.play("rotate", "-e", f"secret={secret}")
    assert done.rc == 0, done.text
    assert users.failed == []
    assert users.asked > 50
    new = file.read_text().strip()
    assert new != old
    assert (lets_in(lab, new), lets_in(lab, old)) == (True, False)
    assert sorted(path.name for path in file.parent.glob(f"{name}.*")) == []
    assert not any(value in done.text + lab.on("backend-1", "cat /var/lib/aistack/journal.jsonl") for value in (old, new))
    seen = lab.play("healthcheck")
    assert seen.rc == 0, seen.text


def environment(lab: OperatorLab, component: str) -> str:
    return lab.on("backend-1", f"cat /opt/aistack/{component}/slots/live/config/env")


def goes_back_with_the_new_one(lab: OperatorLab, new: str, old: str) -> None:
    """The release behind the live one was live with the former password alone, which the server refuses."""
    seq = lab.journal()[-1]["seq"]
    plan = lab.on("backend-1", "aistack plan")
    assert "=DATABASE_URL (as today)" in " ".join(plan.split()), plan
    went = lab.play("emergency_rollback", "-e", "reason='after the password was changed'")
    assert went.rc == 0, went.text
    went.says(f"everything is back at {BEFORE} (from {AFTER})")
    assert lab.serving() == {"backend": BEFORE, "frontend": BEFORE}
    lab.get(f"http://{BACKEND}:8000/readyz")  # raises where the database refuses it
    records = lab.journal()
    reverts = {record["component"]: record["detail"]["config"] for record in records if record["op"] == "revert" and record["seq"] > seq}
    earlier = {record["detail"].get("config") for record in records if record["op"] == "activate" and record["release"] == BEFORE}
    for component in ("backend", "worker", "beat"):
        holds = [secret in environment(lab, component) for secret in (new, old)]  # a failure must not show them
        assert holds == [True, False], f"{component} has another password than that of today"
        assert reverts[component] == config(lab, "backend-1", component)
        assert reverts[component] not in earlier
    assert not any(secret in plan + went.text + lab.on("backend-1", "cat /var/lib/aistack/journal.jsonl") for secret in (old, new))


def test_the_databases_password_changes_under_load(deployed: OperatorLab) -> None:
    lab = deployed
    file = secrets_file("postgres")
    old, seq = file.read_text().strip(), lab.journal()[-1]["seq"]
    planned = lab.play("rotate", "-e", "secret=postgres", "--check")
    assert planned.rc == 0, planned.text
    planned.says("postgres: add a second login and prove it;", "withdraw the second login")
    assert file.read_text().strip() == old
    assert lab.journal()[-1]["seq"] == seq
    with Users() as users:
        done = lab.play("rotate", "-e", "secret=postgres")
    assert done.rc == 0, done.text
    assert users.failed == []
    assert users.asked > 50
    new = file.read_text().strip()
    assert new != old
    assert (may_log_in(lab, new), may_log_in(lab, old)) == (True, False)
    assert sorted(path.name for path in file.parent.glob("postgres.*")) == []
    records = [record for record in lab.journal() if record["op"] == "rotate" and record["seq"] > seq]
    assert [record["outcome"] for record in records] == ["started", "ok"]
    assert not any(secret in done.text + lab.on("backend-1", "cat /var/lib/aistack/journal.jsonl") for secret in (old, new))
    goes_back_with_the_new_one(lab, new, old)
