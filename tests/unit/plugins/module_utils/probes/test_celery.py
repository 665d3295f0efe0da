# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""celery: the question that the release's Python is asked, and what is made of its answer."""

from __future__ import annotations

import json
import os
import pwd
import sys
from dataclasses import replace

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.systemd import UnitState
from ansible_collections.phasegate.aistack.plugins.module_utils.core.probe_spec import ProbeError
from ansible_collections.phasegate.aistack.plugins.module_utils.probes import celery

ME = pwd.getpwuid(os.geteuid()).pw_name
ANSWER = {
    "workers": {"worker@backend-1": {"queues": ["celery", "video"], "active": 1}},
    "schedule": {"trend-collector": {"task": "app.tasks.collect_trends", "schedule": "<crontab: 0 2 * * *>"}},
}


@pytest.fixture
def release(tmp_path, monkeypatch):
    """A release whose Python answers as the script would."""
    folder = tmp_path / "release"
    folder.mkdir()
    (tmp_path / "env").write_text('REDIS_URL="redis://:hush-hush@10.0.0.1/0"\n')

    def answers(text, rc=0, err=""):
        python = folder / "python"
        python.write_text(
            f"#!/bin/sh\nprintf '%s\\n' \"$@\" > {tmp_path}/args\ncat > {tmp_path}/stdin\n"
            f"env > {tmp_path}/environment\npwd > {tmp_path}/pwd\n"
            f"cat <<'X'\n{text}\nX\necho '{err}' >&2\nexit {rc}\n"
        )
        python.chmod(0o755)
        return {"python": str(python), "cwd": str(folder), "env_file": str(tmp_path / "env"), "user": ME}

    return answers


def test_the_user_of_the_component_asks(observe, release, monkeypatch):
    base = {**release("aistack-celery-answer:" + json.dumps(ANSWER)), "user": ""}
    asked = []
    monkeypatch.setattr(celery, "service_user", lambda *names: asked.append(names) or ME)
    seen = observe(celery="app", component="worker", count=1, names={"unit": "aistack-worker@blue.service"}, **base)
    assert seen.ok, seen
    assert asked == [("worker", "aistack-worker@blue.service")]


def test_a_broker_instead_of_the_application(observe, release, tmp_path):
    base = release("aistack-celery-answer:" + json.dumps(ANSWER))
    assert observe(celery="app.celery_app", **base, workers=["worker@backend-1"], broker="REDIS_URL").ok
    assert json.loads((tmp_path / "stdin").read_text())["broker"] == "REDIS_URL"
    seen = observe(celery="app.celery_app", **base, workers=["worker@backend-1"], broker="AMQP_URL")
    assert seen.error
    assert "has no variable AMQP_URL" in seen.got
    with pytest.raises(ProbeError, match="only the application knows its schedule"):
        observe(celery="app.celery_app", **base, schedule=["x"], broker="REDIS_URL")


def test_workers_queues_active_and_schedule(observe, release, tmp_path):
    base = release("noise\naistack-celery-answer:" + json.dumps(ANSWER))
    seen = observe(
        celery="app.celery_app", **base, workers=["worker@backend-1"], queues=["video", "celery"], active={"le": 1},
        schedule={"trend-collector": "app.tasks.collect_trends"},
    )
    assert seen.ok, seen
    asked = json.loads((tmp_path / "stdin").read_text())
    assert (asked["workers"], asked["app"], asked["active"]) == (["worker@backend-1"], "app.celery_app", True)
    assert "hush-hush" not in (tmp_path / "args").read_text()
    assert "REDIS_URL=redis://:hush-hush@" in (tmp_path / "environment").read_text()
    assert (tmp_path / "pwd").read_text().strip() == base["cwd"]


@pytest.mark.parametrize(
    ("probe", "got"),
    [
        ({"workers": ["worker@backend-1", "worker@backend-2"]}, "workers = [worker@backend-1]"),
        ({"count": 2}, "workers = 1 (worker@backend-1)"),
        ({"workers": ["worker@backend-1"], "queues": ["celery"]}, "queues of worker@backend-1 = [celery, video]"),
        ({"workers": ["worker@backend-1"], "active": 0}, "active = 1"),
        ({"schedule": ["nightly"]}, "schedule = [trend-collector]"),
        ({"schedule": {"trend-collector": "other"}}, "schedule trend-collector: task = app.tasks.collect_trends"),
    ],
)
def test_not_as_expected(observe, release, probe, got):
    base = release("aistack-celery-answer:" + json.dumps(ANSWER))
    seen = observe(celery="app", **base, **probe)
    assert not seen.ok
    assert seen.got == got


RUNNING = UnitState("w@blue.service", "loaded", "active", "running", entered=1e-6)
NOBODY = "aistack-celery-answer:" + json.dumps({"workers": {}, "schedule": {}})


@pytest.mark.parametrize(
    ("unit", "connections", "more", "ok"),
    [
        (RUNNING, 2, {"busy": True}, True),
        (RUNNING, 2, {}, False),
        (RUNNING, 0, {"busy": True}, False),
        (replace(RUNNING, restarts=1), 2, {"busy": True}, False),
        (replace(RUNNING, active="failed"), 2, {"busy": True}, False),
        (RUNNING, 2, {"busy": True, "workers": ["worker@backend-1", "worker@backend-2"]}, False),
    ],
    ids=["busy", "not said to be", "no broker", "restarted", "failed", "two of them"],
)
def test_a_worker_that_is_busy_is_counted_by_its_unit_and_its_connections(observe, release, monkeypatch, unit, connections, more, ok):
    base = release(NOBODY)
    monkeypatch.setattr(celery.journald, "show", lambda _unit, _context: unit)
    monkeypatch.setattr(celery, "connected", lambda name, port: connections if (name, port) == ("w@blue.service", 6379) else 0)
    seen = observe(celery="app", names={"unit": "w@blue.service"}, **{**base, "workers": ["worker@backend-1"], **more})
    assert seen.ok is ok
    if ok:
        assert "worker@backend-1 does not answer; counted by its unit (w@blue.service, running for" in seen.got
        assert "2 connections to the broker's port 6379" in seen.got


def test_who_is_not_named_is_not_busy(observe, release):
    with pytest.raises(ProbeError, match="busy needs workers"):
        observe(celery="app", **release(NOBODY), count=1, busy=True)


def test_application_that_cannot_be_imported(observe, release):
    base = release("", rc=1, err="RuntimeError: no hush-hush")
    seen = observe(celery="app", **base, count=1)
    assert not seen.ok
    assert seen.got == "no answer: RuntimeError: no ****"


def test_paths_come_from_the_slot(observe, release, tmp_path):
    base = release("aistack-celery-answer:" + json.dumps(ANSWER))
    names = {"release_path": base["cwd"], "config_path": str(tmp_path)}
    assert observe(celery="app", component="worker", python=base["python"], user=ME, count=1, names=names).ok
    seen = observe(celery="app", component="worker", count=1, names={"missing": "nothing is live on here"})
    assert seen.error
    assert "nothing is live" in seen.got


@pytest.mark.parametrize(
    ("probe", "said"),
    [
        ({}, "needs workers, count or schedule"),
        ({"workers": ["worker"]}, "no name of a worker"),
        ({"count": 1}, "'python' is missing"),
    ],
)
def test_definitions_that_make_no_sense(observe, probe, said):
    with pytest.raises(ProbeError) as caught:
        observe(celery="app", **probe)
    assert said in str(caught.value)


@pytest.fixture
def slow(tmp_path):
    """An application whose import takes long, with the real question."""
    tree = tmp_path / "celery" / "app"
    tree.mkdir(parents=True)
    for folder in (tree, tree.parent):
        (folder / "__init__.py").write_text("")
    (tmp_path / "env").write_text("")

    def takes(importing, asking=0.0):
        (tree / "utils.py").write_text(
            "import time, types\n"
            "def active_queues():\n"
            f"    time.sleep({asking})\n    return {{'worker@a': [{{'name': 'celery'}}]}}\n"
            "inspect = types.SimpleNamespace(active_queues=active_queues)\n"
            "control = types.SimpleNamespace(inspect=lambda **_: inspect)\n"
            "conf = types.SimpleNamespace(beat_schedule={})\n"
            f"def find_app(name):\n    time.sleep({importing})\n    return types.SimpleNamespace(control=control, conf=conf)\n"
        )
        places = {"python": sys.executable, "cwd": str(tmp_path), "env_file": str(tmp_path / "env")}
        return {"celery": "shop", "workers": ["worker@a"], **places}

    return takes


def test_importing_the_application_does_not_count_against_the_time_of_an_attempt(observe, slow):
    seen = observe(**slow(3.0), timeout=2.5)
    assert seen.ok, seen


def test_an_application_that_is_not_loaded_is_told_from_workers_that_do_not_answer(observe, slow, monkeypatch):
    monkeypatch.setattr(celery, "IMPORT_TIMEOUT", 0.5)
    seen = observe(**slow(30.0), timeout=60)
    assert seen.got.startswith("no answer: the application shop was not loaded within 0.5 s. What it imports takes that long"), seen
    monkeypatch.setattr(celery, "IMPORT_TIMEOUT", 60.0)
    seen = observe(**slow(0.0, 30.0), timeout=0.5)
    assert seen.got == "no answer within 0.5 s"


SEVERAL = {"slot": "blue", "unit": "w@blue.service", "instances": ["blue", "blue-2"], "units": ["w@blue.service", "w@blue-2.service"]}


def test_a_name_with_the_slot_stands_for_all_of_its_instances():
    spec = {"type": "celery", "target": "app", "workers": ["worker-${slot}@a", "video@a"]}
    assert celery.Celery.for_instances(spec, ["blue", "blue-2"])["workers"] == ["worker-blue@a", "worker-blue-2@a", "video@a"]
    assert celery.Celery.for_instances(spec, []) == spec
    assert celery.Celery.for_instances({"count": 1}, ["blue", "blue-2"]) == {"count": 1}


@pytest.mark.parametrize(("restarts", "ok"), [(0, True), (1, False)])
def test_each_of_several_that_are_busy_is_counted_by_its_own_unit(observe, release, monkeypatch, restarts, ok):
    asked = []

    def show(unit, _context):
        asked.append(unit)
        return replace(RUNNING, restarts=restarts if unit == "w@blue-2.service" else 0)

    monkeypatch.setattr(celery.journald, "show", show)
    monkeypatch.setattr(celery, "connected", lambda unit, port: 1)
    workers = ["worker-blue@a", "worker-blue-2@a"]
    seen = observe(celery="app", **release(NOBODY), component="worker", workers=workers, busy=True, names=SEVERAL)
    assert seen.ok is ok, seen
    assert sorted(asked) == ["w@blue-2.service", "w@blue.service"]
    if ok:
        assert "worker-blue-2@a does not answer; counted by its unit (w@blue-2.service" in seen.got
    strange = observe(celery="app", **release(NOBODY), component="worker", workers=["other@a"], busy=True, names=SEVERAL)
    assert not strange.ok, "it is none of this slot"
