# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the trace of a run goes, and what an operator reads where that makes no sense; whole runs are in tests/integration/monitoring."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import trust_as_template

from ansible_collections.phasegate.aistack.plugins.callback import traces


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
