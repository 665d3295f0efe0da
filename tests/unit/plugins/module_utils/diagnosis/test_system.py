# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is read of the node itself, and what of it goes into an archive."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import cast

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.context import Context
from ansible_collections.phasegate.aistack.plugins.module_utils.clients.systemd import Systemd, UnitState
from ansible_collections.phasegate.aistack.plugins.module_utils.core.proc import Ended
from ansible_collections.phasegate.aistack.plugins.module_utils.diagnosis import bundle, components, evidence, system
from ansible_collections.phasegate.aistack.plugins.module_utils.environment.secret_files import Secrets
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.chain import Record
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.lock import Lock

MEMINFO = "MemTotal:  1000 kB\nMemAvailable:  50 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n"


def test_a_file_system_is_told_once(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (found,) = system.disks([str(tmp_path), str(tmp_path / "below"), str(tmp_path / "none")])
    assert found["path"] == str(tmp_path)
    assert 0 <= float(str(found["percent"])) <= 100


def test_who_has_the_most_memory() -> None:
    """This Python takes 200 MiB of what is said to be 1 MB, and is named with its number."""
    script = "x = b'x' * (200 << 20); print(1, flush=True); input()"
    child = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert child.stdout
        child.stdout.readline()
        found = system.processes({}, MEMINFO)
        mine = [row for row in found if child.pid == row["pid"]]
        assert [row["rank"] for row in found] == list(range(1, len(found) + 1))
        assert {row["node_percent"] for row in found} == {95.0}
        assert not mine or float(str(mine[0]["mib"])) > 200
        assert sorted((float(str(row["mib"])) for row in found), reverse=True) == [row["mib"] for row in found]
    finally:
        child.communicate(b"\n")


@pytest.mark.parametrize(("shift", "behind", "ahead"), [(100, 100, 0), (-200, 0, 200), (0, 0, 0)])
def test_the_clock(shift: float, behind: float, ahead: float) -> None:
    found = system.node(time.time() + shift, [], Context())
    assert abs(float(str(found["clock_behind"])) - behind) < 5
    assert abs(float(str(found["clock_ahead"])) - ahead) < 5
    assert "clock_behind" not in system.node(0, [], Context())


def test_a_journal_of_the_future() -> None:
    at = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(time.time() + 3600))
    found = system.node(0, [cast(Record, {"time": at})], Context())
    assert abs(float(str(found["journal_ahead"])) - 3600) < 5


def test_the_lock(tmp_path: Path) -> None:
    assert system.locks(str(tmp_path)) == ([], None)
    Lock(tmp_path).acquire("r1", {"actor": "ann"}, lease_s=900)
    (held,), lease = system.locks(str(tmp_path))
    assert (held["run"], held["expired"], held["working"]) == ("r1", False, False)
    assert lease
    assert "ann" in str(held["holder"])
    Lock(tmp_path).renew("r1", 0.0, {"pid": os.getpid(), "pid_started": None, "what": "x"})
    (held,), _lease = system.locks(str(tmp_path))
    assert (held["expired"], held["working"]) == (True, True)


@pytest.mark.parametrize(("state", "word"), [
    (UnitState("a", load="not-found"), "absent"),
    (UnitState("a", load="loaded", active="failed"), "failed"),
    (UnitState("a", load="loaded", active="activating", sub="auto-restart"), "restarting"),
    (UnitState("a", load="loaded", active="active"), "running"),
    (UnitState("a", load="loaded"), "stopped"),
])
def test_states(state: UnitState, word: str) -> None:
    assert components.word(state) == word


@pytest.mark.parametrize(("active", "old"), [("active", False), ("failed", True)])
def test_the_log_of_what_does_not_run_is_of_any_age(active: str, old: bool) -> None:
    """It may have ended the night before."""
    asked: list[str] = []
    part = components.Part("api", "backend", "blue", ["a.service"], states=[UnitState("a.service", load="loaded", active=active)])
    part.said(Systemd(run=lambda cmd, timeout: asked.extend(cmd) or Ended(0, "", "")), 3600, 10)
    (since,) = (float(word.partition("@")[2]) for word in asked if word.startswith("--since=@"))
    assert (since == 0) is old
    assert old or abs(time.time() - 3600 - since) < 5


def slot(home: Path, name: str) -> None:
    """A slot that holds something."""
    (home / "slots" / name).mkdir(parents=True)
    (home / "config" / name).mkdir(parents=True)
    (home / "config" / name / "env").write_text("A=1\n", encoding="utf-8")
    (home / "slots" / name / "config").symlink_to(f"../../config/{name}")


@pytest.mark.parametrize(("live", "last", "wanted"), [
    ("blue", None, [("blue", True)]),
    ("blue", {"op": "activate", "outcome": "failed"}, [("blue", True), ("green", False)]),
    ("blue", {"op": "revert", "outcome": "ok"}, [("blue", True), ("green", False)]),
    ("blue", {"op": "activate", "outcome": "ok"}, [("blue", True)]),
    ("", None, [("blue", True), ("green", True)]),
])
def test_which_slots_are_looked_at(tmp_path: Path, live: str, last: Record | None, wanted: list[tuple[str, bool]]) -> None:
    """The idle one only where the newest switch went wrong: there is what did not start."""
    home = tmp_path / "root" / "api"
    for name in ("blue", "green"):
        slot(home, name)
    if live:
        (home / "slots" / "live").symlink_to(live)
    (tmp_path / "components").mkdir()
    described = {"format": 1, "component": "api", "root": str(tmp_path / "root"), "unit": "aistack-api@{slot}.service"}
    (tmp_path / "components" / "api.json").write_text(json.dumps(described), encoding="utf-8")
    records = [cast(Record, {**last, "component": "api"})] if last else []
    given = [{"component": "api", "role": "backend"}, {"component": "redis", "role": "redis", "unit": "redis.service"}, {"component": "x"}]
    given.append({"component": "db", "role": "postgres"})
    shown = "postgresql@15-main.service loaded active running PostgreSQL Cluster 15-main\n"
    systemd = Systemd(run=lambda cmd, timeout: Ended(0, shown if "postgresql@*.service" in cmd else "", ""))
    found = components.parts(given, str(tmp_path / "root"), str(tmp_path), records, systemd, [])
    assert [(part.slot, part.live) for part in found] == [*wanted, ("-", True), ("-", True)]
    assert found[-1].units == ["postgresql@15-main.service"]
    assert found[0].env_file.endswith("/config/env")


def test_files_are_cut_to_the_bytes_that_there_are() -> None:
    files = {"small": "s" * 10, "long": "a" * 5000 + "end", "other": "b" * 3000}
    found = bundle.bounded(files, 1000)
    assert sum(len(text.encode()) for text in found.values()) <= 1000
    assert found["small"] == files["small"]
    assert found["long"].startswith("[the beginning is left out")
    assert found["long"].endswith("aend")
    assert bundle.bounded(files, 100000) == files


@pytest.mark.parametrize("limit", [0, 5, 50, 500])
def test_no_limit_is_too_small(limit: int) -> None:
    found = bundle.bounded({"one": "ä" * 400, "two": "x" * 400}, limit)
    assert sum(len(text.encode()) for text in found.values()) <= limit


def test_an_archive_holds_no_secret(tmp_path: Path) -> None:
    """Neither one of a configuration of the time before, nor one that a log spells in another way, nor the key of backup sets."""
    root, state = tmp_path / "root", tmp_path / "state"
    for name, secret in {"old": "0ld+pa$$word/1", "new": "n3w pa\"ss"}.items():
        (root / "api" / "config" / name).mkdir(parents=True)
        quoted = secret.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$")
        (root / "api" / "config" / name / "env").write_text(f'DB_PASSWORD="{quoted}"\nPORT=1\n', encoding="utf-8")
    (root / "api" / "slots" / "blue").mkdir(parents=True)
    (root / "api" / "slots" / "blue" / "config").symlink_to("../../config/new")
    (root / "api" / "slots" / "live").symlink_to("blue")
    (state / "components").mkdir(parents=True)
    described = {"format": 1, "component": "api", "root": str(root), "unit": "a@{slot}"}
    (state / "components" / "api.json").write_text(json.dumps(described), encoding="utf-8")
    (state / "backup.key").write_text("k3y-of-the-sets\n", encoding="utf-8")
    (state / "backup.rclone.conf").write_text("[offsite]\nsecret_access_key = rcl0ne-secret\n", encoding="utf-8")
    said = "old 0ld+pa$$word/1\nquoted n3w%20pa%22ss\nplain n3w pa\"ss\nk3y-of-the-sets rcl0ne-secret\nto https://u:t0ken@host/\n"
    systemd = Systemd(run=lambda cmd, timeout: evidence_run(cmd, said))
    asked = evidence.Asked(str(root), str(state), [{"component": "api", "role": "backend"}])
    found = evidence.gather(asked, systemd)
    text = "".join(bundle.texts(asked, found, 10**6, systemd).values())
    assert "quoted ****" in text
    secrets = ["0ld+pa", "n3w", "k3y-of", "rcl0ne", "t0ken"]
    assert [secret for secret in secrets if secret in text] == []


@pytest.mark.parametrize("odd", ["", "\n\x1e\n"])
def test_all_texts_are_masked_and_stay_in_their_places(odd: str) -> None:
    secrets = Secrets()
    secrets.add("s3cret")
    value = {"a": [{"x": f"one s3cret{odd}", "n": 5, "log": ["two", f"s3cret?token=abc{odd}", ""]}], "b": "https://u:pw@h/", "c": None}
    assert evidence.masked(value, secrets) == {
        "a": [{"x": f"one ****{odd}", "n": 5, "log": ["two", f"****?token=****{odd}", ""]}], "b": "https://u:****@h/", "c": None,
    }
    assert evidence.masked([], secrets) == []


def test_a_configuration_that_calls_something_secret() -> None:
    """A unit or the edge's configuration may hold what no environment of a component does."""
    text = 'Environment="A=1" API_TOKEN=abc1\nEnvironment=PASSWORD="a b"\nExecStart=/x --port=1\n'
    text += "user ann insecure-password pw12\nstats auth ann:pw34\n"
    found = bundle.without_settings(text)
    assert [secret for secret in ("abc1", "a b", "pw12", "pw34") if secret in found] == []
    assert 'Environment="A=1"' in found
    assert "--port=1" in found


def evidence_run(cmd: object, said: str) -> Ended:
    """A unit that runs, with what its log says."""
    words = list(cmd) if isinstance(cmd, (list, tuple)) else []
    return Ended(0, "Id=a@blue\nLoadState=loaded\nActiveState=active\n" if "systemctl" in words else said, "")
