# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A playbook that leaves a trace: what a store gets of it, and what an operator reads where there is none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import trust_as_template

from ansible_collections.phasegate.aistack.plugins.callback import traces
from ansible_collections.phasegate.aistack.tests.unit.plugins.module_utils.probes.conftest import WebServer

COLLECTIONS = next(parent for parent in Path(traces.__file__).parents if parent.name == "ansible_collections").parent
PLAY = """
- hosts: all
  gather_facts: false
  tasks:
    - name: Asked
      phasegate.aistack.report: {kind: page, text: s3cret}
      ignore_errors: true
    - name: Quick
      ansible.builtin.debug: {msg: s3cret}
    - name: Broken
      ansible.builtin.fail: {msg: s3cret}
"""


@pytest.fixture
def web() -> Iterator[WebServer]:
    server = WebServer()
    yield server
    server.close()


def played(folder: Path, given: Any, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a playbook with the callback, on a host whose inventory has *given* as C(aistack_traces)."""
    (folder / "ansible.cfg").write_text("")
    (folder / "book.yml").write_text(PLAY)
    variables = {"aistack_name": "{{ 'sh' ~ 'op' }}", "ansible_connection": "local", "ansible_python_interpreter": sys.executable,
                 **({"aistack_traces": given} if given is not None else {})}  # fmt: skip
    (folder / "hosts.yml").write_text(json.dumps({"all": {"hosts": {"n1": {}}, "vars": variables}}))
    env = {**os.environ, "ANSIBLE_CONFIG": str(folder / "ansible.cfg"), "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
           "ANSIBLE_NOCOLOR": "1", "ANSIBLE_CALLBACKS_ENABLED": "phasegate.aistack.traces",
           "ANSIBLE_STDOUT_CALLBACK": "phasegate.aistack.phases", "ANSIBLE_LOCAL_TEMP": str(folder / "tmp")}  # fmt: skip
    command = [sys.executable, "-m", "ansible.cli.playbook", "-i", "hosts.yml", "book.yml", *words]
    return subprocess.run(command, cwd=folder, env=env, text=True, capture_output=True, check=False, timeout=60)


def test_a_run_leaves_its_trace(tmp_path: Path, web: WebServer) -> None:
    web.routes["/v1/traces"] = (200, {"partialSuccess": {}})
    done = played(tmp_path, {"url": "{{ 'http' }}" + web.url.removeprefix("http")}, "--check")
    assert done.returncode == 2, done.stderr
    body = web.seen[-1][3].decode()
    spans = json.loads(body)["resourceSpans"][0]["scopeSpans"][0]["spans"]
    root = spans[0]
    found = {entry["key"]: entry["value"] for entry in root["attributes"]}
    assert (root["name"], root["status"]) == ("book.yml", {"code": 2})
    assert found == {"aistack.stack": {"stringValue": "shop"}, "aistack.check": {"boolValue": True}}
    assert {span["name"] for span in spans[1:]} >= {"Asked", "Broken"}
    assert {span["parentSpanId"] for span in spans[1:]} == {root["spanId"]}
    assert "s3cret" not in body
    assert f"Trace {root['traceId']}, {len(spans)} spans, is at {web.url}." in done.stdout


def test_a_store_that_is_away_is_one_warning_and_no_failure(tmp_path: Path) -> None:
    done = played(tmp_path, {"url": "http://127.0.0.1:9"})
    told = " ".join((done.stdout + done.stderr).split())
    assert "The trace of this run was not kept: connection refused" in told
    assert told.count("WARNING") == 1
    assert "Failed on n1" in told, "the run ends as it would without"


def asked(monkeypatch: pytest.MonkeyPatch, **known: Any) -> tuple[traces.CallbackModule, list[str]]:
    """The callback after a first play whose host has these variables, and what it warned of."""
    manager = SimpleNamespace(_inventory=SimpleNamespace(get_hosts=lambda _pattern: ["n1"]), get_vars=lambda **_given: known)
    play = SimpleNamespace(get_variable_manager=lambda: manager, get_loader=DataLoader)
    callback, said = traces.CallbackModule(), []
    monkeypatch.setattr(callback, "_display", SimpleNamespace(warning=said.append))
    callback.v2_playbook_on_play_start(play)
    callback.v2_playbook_on_play_start(play)
    return callback, said


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"url": "10.0.0.1"}, "aistack_traces: url: '10.0.0.1' does not begin with http:// or https://; this run leaves no trace"),
        ({"timeout": 2}, "aistack_traces: url: '' does not begin with http:// or https://; this run leaves no trace"),
        ("x", "aistack_traces: it is no mapping; this run leaves no trace"),
        ({"url": "http://x", "timeout": "soon"}, "could not convert string to float: 'soon'; this run leaves no trace"),
    ],
)
def test_what_makes_no_sense_is_one_warning(monkeypatch: pytest.MonkeyPatch, given: Any, said: str) -> None:
    callback, told = asked(monkeypatch, aistack_traces=given)
    assert len(told) == 1
    assert said in told[0]
    assert callback.disabled


def test_what_cannot_be_filled_in_is_one_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    template = trust_as_template("{{ nobody_knows }}")
    callback, told = asked(monkeypatch, aistack_traces={"url": template})
    assert len(told) == 1
    assert "'nobody_knows' is undefined" in told[0]
    assert callback.disabled


def test_without_a_store_nothing_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    callback, told = asked(monkeypatch, aistack_name="shop")
    assert (callback.disabled, told) == (True, [])
    callback.v2_playbook_on_stats(SimpleNamespace())
    assert told == []


def test_how_long_it_waits_and_for_which_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    callback, told = asked(monkeypatch, aistack_name="shop", aistack_traces={"url": "https://x", "timeout": "0.5"})
    assert (callback._timeout, told) == (0.5, [])
    assert callback._trace is not None
    assert callback._trace.root.attributes == {"aistack.stack": "shop"}
