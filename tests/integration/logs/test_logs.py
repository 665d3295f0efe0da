# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines arrive with their labels and without secrets; a store that is killed has each of them afterwards, and twice is counted."""

from __future__ import annotations

import datetime
import json
import shutil
import signal
import time
import urllib.error
from contextlib import suppress
from pathlib import Path

import pytest

from .conftest import KEEP_FREE, PASSWORD, TOKEN, World, wait

LINES = 6000
RATE = 1500
"""Lines a second."""


def test_what_the_roles_write(world: World) -> None:
    """Run again they change nothing; the journal's bound is there, journald was told once, and no password is where it may be read."""
    assert (world.folder / "etc/journald/aistack.conf").read_text().splitlines()[1:] == [
        "[Journal]", "Storage=persistent", "SystemMaxUse=1G", "RateLimitIntervalSec=1s", "RateLimitBurst=20000",
    ]
    assert world.systemctl_log.read_text() == "restart systemd-journald.service\n"
    world.journald_since.write_text(str(int(time.time())))
    again = world.configure()
    assert again.returncode == 0
    assert "1 node, 0 changes" in again.stdout, again.stdout
    assert world.systemctl_log.read_text() == "restart systemd-journald.service\n"
    for name in ("victorialogs.service", "log-shipper.service", "etc/shipper/settings.json"):
        assert PASSWORD not in (world.folder / name).read_text()
    kept = {"etc/password": 0o640, "etc/shipper/password": 0o600, "credentials/victorialogs": 0o600}
    assert {name: (world.folder / name).stat().st_mode & 0o777 for name in kept} == kept
    assert PASSWORD not in again.stdout


def test_lines_arrive_with_their_labels(world: World) -> None:
    world.journal.append({"op": "activate", "component": "api", "release": "v1", "outcome": "started", "detail": {"slot": "blue"}})
    time.sleep(0.01)
    world.write("the first line")
    world.write("what nobody asked for", unit="ssh.service")
    world.write("Main process exited, code=killed", unit="init.scope", pid=1, priority=5, more="UNIT=aistack-api@blue.service")
    world.journal.append({"op": "prepare", "component": "api", "release": "v2", "outcome": "started", "detail": {"slot": "green"}})
    time.sleep(0.01)
    world.write("from the other slot", unit="aistack-api@green.service", priority=3)
    world.write("from the store", unit="victorialogs.service")
    assert wait(lambda: len(world.ask("*")) == 4), world.ask("*")  # a new stream is counted before it is shown
    rows = {row["_msg"]: row for row in world.ask("*")}
    first = rows["the first line"]
    assert {key: first[key] for key in ("stack", "node", "component", "slot", "release", "unit", "level", "process")} == {
        "stack": "shop", "node": "localhost", "component": "api", "slot": "blue", "release": "v1", "unit": "aistack-api@blue.service",
        "level": "info", "process": "uvicorn",
    }
    assert '{component="api",node="localhost",release="v1",slot="blue",stack="shop"}' in first["_stream"]
    assert rows["Main process exited, code=killed"]["component"] == "api"
    other = rows["from the other slot"]
    assert (other["slot"], other["release"], other["level"]) == ("green", "v2", "error")
    assert rows["from the store"]["component"] == "logs"
    assert "slot" not in rows["from the store"]


def test_what_is_secret_does_not_arrive(world: World) -> None:
    said = json.dumps({"component": "another", "token": TOKEN})
    world.write(f"began with {TOKEN}", said, "postgresql://app:hunter22@db/shop")
    assert wait(lambda: world.count('~"[*]{4}"') == 3), world.ask("*")
    assert world.count(f'"{TOKEN}" OR hunter22') == 0
    assert world.count("component:another") == 0, "a line that is JSON is a line, and gives no labels"


def test_what_happened_arrives_as_an_event(world: World) -> None:
    """Out of the node's own journal: with its labels, masked, and no line of the component in the eyes of a gate."""
    detail = {"report": {"probe": "health", "expected": "status 200", "got": f"status 503 {TOKEN}"}}
    world.journal.append({"op": "drill", "component": "quiet", "release": "v2", "outcome": "ok", "detail": {"verdict": "passed"}})
    world.journal.append({"op": "activate", "component": "quiet", "release": "v2", "outcome": "failed", "run": "r7", "detail": detail})
    assert wait(lambda: len(world.ask("event:*")) == 2), world.said()
    rows = {row["event"]: row for row in world.ask("event:*")}
    gate = rows["gate"]
    assert gate["_msg"] == "gate quiet v2 failed: health: expected status 200, got status 503 ****[API_TOKEN] (run r7)"
    assert '{component="quiet",event="gate",node="localhost",release="v2",stack="shop"}' in gate["_stream"]
    assert (gate["level"], gate["outcome"], gate["run"], rows["drill"]["level"]) == ("error", "failed", "r7", "notice")
    when = world.journal.read()[-1]["time"]
    assert when.startswith(gate["_time"].rstrip("Z")), "the store leaves out noughts at the end"
    silent = world.probe(components=["quiet"], username="reader", password_file=str(world.password))
    assert silent.got == "lines of quiet = 0"


def test_gates_ask_the_store(world: World) -> None:
    login = {"username": "reader", "password_file": str(world.password)}
    world.write("one more")
    assert wait(lambda: world.probe(components=["api"], stack="shop", **login).ok)
    assert world.probe(units=["aistack-api@blue.service"], lines=2, **login).ok
    silent = world.probe(components=["api", "worker"], **login)
    assert not silent.ok
    assert "lines of worker = 0" in silent.got
    assert world.probe(components=["api"]).got.startswith("status 401")


def test_nobody_asks_or_sends_without_the_password(world: World) -> None:
    with pytest.raises(urllib.error.HTTPError, match="401"):
        world.ask("*", login="")
    with pytest.raises(urllib.error.HTTPError, match="401"):
        world.ask("*", login="reader:wrong")


def test_a_store_and_a_shipper_that_are_killed_lose_no_line(world: World) -> None:
    """The store is killed under load for a while and then once more, while nobody sends; and the shipper, in the middle of it."""
    began = time.monotonic()
    for number in range(LINES):
        world.write(f"counted {number}")
        if number == LINES // 4:
            world.kill_store()
            world.journal.append({"op": "rollback", "component": "counted", "release": "v1", "outcome": "ok"})
        if number == LINES // 2:
            world.stop_shipper(signal.SIGKILL)
            world.start_shipper()
        if number == LINES * 3 // 4:
            world.start_store()
        time.sleep(max(0.0, began + number / RATE - time.monotonic()))
    every = "component:api counted"
    assert wait(lambda: world.count(every, "count_uniq(id)") == LINES), world.said()
    time.sleep(1.2)  # by now most of it is on the store's disk, and the shipper does not rely on it yet
    world.kill_store()
    world.start_store()
    last = wait(lambda: world.ask(f'"counted {LINES - 1}" | fields id'))[0]["id"]
    assert wait(lambda: world.settled() >= int(last.partition("-")[2], 16)), world.said()
    assert world.count(every, "count_uniq(id)") == world.count(every, "count_uniq(_msg)") == LINES, world.said()
    twice = world.count(every) - LINES
    assert twice == 0, "what it has is asked before anything is sent again"
    assert "is away" in world.said()
    assert "takes lines again" in world.said()
    assert PASSWORD not in world.said()
    events = world.ask("event:rollback component:counted")
    assert events, "what happened while the store was away"
    assert len({row["id"] for row in events}) == 1
    print(f"{LINES} lines, 0 lost, {twice} twice")


def test_lines_of_a_clock_that_jumps_are_not_lost(world: World) -> None:
    """The store drops what is days before or after its own clock, and answers as if it had taken it."""
    world.write("said a week ahead", micros=time.time_ns() // 1000 + 7 * 86400 * 1_000_000)
    world.write("said by the right clock again")
    assert wait(lambda: world.count('"said a week ahead" OR "right clock again"') == 2), world.said()
    (row,) = world.ask('"said a week ahead"')
    ahead = datetime.datetime.fromisoformat(row["said_at"].replace("Z", "+00:00"))
    assert 6.9 < (ahead - datetime.datetime.now(datetime.timezone.utc)).total_seconds() / 86400 < 7.1


def test_a_store_whose_disk_is_full_gets_everything_later(world: World) -> None:
    """Below the bytes that stay free it says no; where others fill the disk to the last byte it falls over, and is started again."""
    assert wait(lambda: world.settled() > 0)
    filler, began = world.folder / "data/of-others", len(world.said())
    fill(filler, world.folder / "data", leave=KEEP_FREE // 2)
    time.sleep(3)  # it looks every two seconds
    world.write("said while there is no room")
    assert wait(lambda: "takes nothing (status 429" in world.said()[began:]), world.said()
    assert "there may be no room on the disk of the store" in world.said()[began:]
    silent = world.probe(units=["aistack-api@blue.service"], seconds=1, username="reader", password_file=str(world.password))
    assert not silent.ok
    filler.unlink()
    assert wait(lambda: world.count('"said while there is no room"') == 1), world.said()
    numbers = range(300)
    for number in numbers:
        world.write(f"to the last byte {number} " + 500 * "x")
        if number == 100:
            fill(filler, world.folder / "data", leave=0)
        time.sleep(0.005)
    time.sleep(3)
    print("the store fell over" if world.store and world.store.poll() is not None else "the store went on")
    filler.unlink()
    if world.store and world.store.poll() is not None:
        world.start_store()
    every = '"to the last byte"'
    assert wait(lambda: world.count(every, "count_uniq(id)") == len(numbers)), world.said()
    assert world.count(every) == len(numbers), "none twice"


def fill(path: Path, disk: Path, leave: int) -> None:
    """Have a file take what is free on a disk, but for some bytes."""
    with path.open("ab", buffering=0) as file, suppress(OSError):  # there is no room for the last of it, which is what is wanted
        while (free := shutil.disk_usage(disk).free - leave) > 0:
            file.write(b"x" * min(free, 65536))


def test_what_waits_in_the_journal_has_the_release_of_its_time(world: World) -> None:
    world.stop_shipper()
    early = time.time_ns() // 1000
    time.sleep(0.01)
    world.journal.append({"op": "prepare", "component": "api", "release": "v3", "outcome": "started", "detail": {"slot": "blue"}})
    world.write("of before", micros=early)
    time.sleep(0.01)
    world.write("of after")
    world.write("of after a boot", boot=2)
    world.start_shipper()

    def releases() -> dict[str, str]:
        return {row["_msg"]: row["release"] for row in world.ask('"of before" OR "of after"')}

    assert wait(lambda: releases() == {"of before": "v1", "of after": "v3", "of after a boot": "v3"}), releases()
