# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A closer watch of what is live: it holds, it says when it cannot know, it names what fails, and goes back once where it may."""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from ..refusals.conftest import BACKEND, ROOT, WEB, Lab
from .conftest import BEFORE, bring

pytestmark = pytest.mark.whole(beside="tests/unit/plugins/action/test_metric_gate.py")

FAULTY = "v4.16.0"
"""Healthy, and 500 on the router's route from the fiftieth decision of a process on."""
SHORT = ("-e", "interval=5", "-e", "window=20")


def ask() -> None:
    """What a user does: one decision of the router, one page."""
    body = json.dumps({"request_text": "a slogan for spring"}).encode()
    decision = urllib.request.Request(
        f"http://{BACKEND}:8000/api/v1/router/route", body, {"Content-Type": "application/json"}
    )
    for request in (decision, f"http://{WEB}:3000/"):
        with contextlib.suppress(urllib.error.HTTPError):  # an error is what HAProxy is to count
            urllib.request.urlopen(request, timeout=10).read()


@contextlib.contextmanager
def users() -> Iterator[None]:
    """Several requests of each kind in a second, for as long as the block runs."""
    over = threading.Event()

    def use() -> None:
        while not over.wait(0.1):
            with contextlib.suppress(OSError, http.client.HTTPException):  # one that got nothing comes again
                ask()

    thread = threading.Thread(target=use)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@pytest.fixture
def only(tmp_path: Path) -> Callable[..., tuple[str, str]]:
    """Arguments that leave, of the stack's own triggers, those with one of the sources: how busy this machine is is not the test."""

    def arguments(*sources: str) -> tuple[str, str]:
        page = yaml.safe_load((ROOT / "inventories/lab/group_vars/all/triggers.yml").read_text())
        kept = [one for one in page["aistack_triggers"] if one["source"] in sources]
        assert {one["source"] for one in kept} == set(sources)
        for one in kept:
            if "times" in one:
                one["times"] = {"lt": 200}  # other tests' load makes many times as much of a few milliseconds
        overlay = tmp_path / "triggers.json"
        overlay.write_text(json.dumps({"aistack_triggers": kept}))
        return ("-e", f"@{overlay}")

    return arguments


def test_a_good_release_is_watched_to_the_end(lab: Lab, only: Callable[..., tuple[str, str]]) -> None:
    bring(lab, BEFORE)
    with users():
        recorded = lab.play("watch", *only("haproxy", "metrics", "manual"), *SHORT, "-e", "record=true")
        assert recorded.rc == 0, recorded.text
        recorded.says("PASS backend-1 answers take twice as long: baseline")
        baseline = json.loads(lab.on("backend-1", "cat /var/lib/aistack/baselines/answers-take-twice-as-long.json"))
        assert (baseline["release"], baseline["window"], baseline["value"] > 0) == (BEFORE, 20, True)
        began = time.monotonic()
        watched = lab.play("watch", *only("haproxy", "metrics", "manual"), *SHORT, "-e", "minutes=0.6")
    assert watched.rc == 0, watched.text
    assert time.monotonic() - began > 30
    watched.says(
        "PASS backend-1 backend errors above 5 %: 0 (", "PASS web-1 frontend errors above 5 %: 0 (",
        "PASS backend-1 answers take twice as long", "times its baseline", "PASS backend-1 agents failing above 20 %: 0 (",
        "a vulnerability is found: not measured", "No trigger failed.", "of 36 s",
    )


def test_without_requests_it_does_not_know(lab: Lab, only: Callable[..., tuple[str, str]]) -> None:
    watched = lab.play("watch", *only("haproxy"), *SHORT, "-e", "minutes=0.8", "-e", "act=true")
    assert watched.rc != 0
    watched.says("???? backend-1 backend errors above 5 %: too few to judge: saw", "at least 20 are needed", "ended with inconclusive",
                 "Nothing was touched")


def test_a_release_that_fails_under_use_is_named_and_then_left(
    lab: Lab, only: Callable[..., tuple[str, str]], tmp_path: Path
) -> None:
    bring(lab, BEFORE)
    bring(lab, FAULTY)
    for _turn in range(60):
        ask()
    with users():
        began = time.monotonic()
        receiver = {"kind": "command", "command": ["sh", "-c", f"cat > {tmp_path}/told"]}
        notices = ("-e", json.dumps({"aistack_notices": [receiver]}))
        told = lab.play("watch", *only("haproxy", "manual"), *SHORT, "-e", "minutes=5", *notices)
        assert told.rc != 0
        assert time.monotonic() - began < 240, "it ends early"
        told.says("FAIL backend-1 backend errors above 5 %:", "(expected hrsp_5xx / req_tot <= 0.05", "What to do:",
                  "ansible-playbook phasegate.aistack.emergency_rollback", "because another host failed", "Nothing was touched")
        page = json.loads((tmp_path / "told").read_text())
        assert page["event"] == "watch_failed"
        for part in ("errors above 5 %", "emergency_rollback"):
            assert part in page["text"], page["text"]
        assert lab.serving() == {"backend": FAULTY, "frontend": FAULTY}
        went = lab.play("watch", *only("haproxy", "manual"), *SHORT, "-e", "minutes=5", "-e", "act=true")
    assert went.rc != 0, "a trigger failed, so the watch did"
    went.says("Going back now, once, because backend errors above 5 % on backend-1", f"everything is back at {BEFORE} (from {FAULTY})",
              "The emergency rollback was started")
    assert lab.serving() == {"backend": BEFORE, "frontend": BEFORE}
    reverts = [record for record in lab.journal() if record["op"] == "rollback" and record["outcome"] == "started"]
    assert "watch: backend errors above 5 %" in json.dumps(reverts[-1]["detail"])
