# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a run remembers of what it has proven, and who may be told of it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

from ansible_collections.phasegate.aistack.plugins.action.stack import ActionModule
from ansible_collections.phasegate.aistack.plugins.plugin_utils.run_facts import remembered, this_process

FACTS: dict[str, Any] = {"aistack_accepted": ["order"], "aistack_proven": {"redis": 90.0, "api": 60.0}}


def test_what_was_not_asked_again_keeps_its_time() -> None:
    found = remembered(FACTS, ["page"], ["redis", "api", "web"], False, 100.0, 30.0)
    assert found == {"aistack_accepted": ["order", "page"], "aistack_proven": {"redis": 90.0, "api": 100.0, "web": 100.0}}


def test_after_a_change_older_proofs_count_no_more() -> None:
    assert remembered(FACTS, [], ["web"], True, 100.0, 30.0)["aistack_proven"] == {"web": 100.0}


def test_a_run_starts_with_nothing() -> None:
    assert remembered({}, [], ["web"], False, 5.0, 30.0) == {"aistack_accepted": [], "aistack_proven": {"web": 5.0}}


def test_a_process_is_named_by_its_start_as_well() -> None:
    pid, started = this_process().split(":", 1)
    assert int(pid) > 0
    assert started not in ("", "None")


@pytest.fixture
def stack() -> ActionModule:
    """The action, with what it fills templates in with."""
    action = ActionModule.__new__(ActionModule)
    action._templar = Templar(loader=DataLoader(), variables={"place": "https://chat.example.com/s3cret"})
    return action


def test_receivers_that_can_be_told(stack: ActionModule) -> None:
    page = {"kind": "command", "command": ["page", "ops"]}
    hook = {"kind": "webhook", "url": trust_as_template("{{ place }}"), "events": ["deploy_failed"]}
    assert stack._notice_problems(None) == []
    assert stack._notice_problems([hook, page]) == []


@pytest.mark.parametrize(
    ("notices", "problem"),
    [
        ({"kind": "webhook"}, "aistack_notices: must be a list, is a mapping"),
        ([{"kind": "mial"}], "aistack_notices[0].kind: 'mial' is unknown; there are command, mail, webhook"),
        (
            [{"kind": "webhook", "url": trust_as_template("{{ place }} twice")}],
            "aistack_notices[0].url: is no http or https address",
        ),
        (
            [{"kind": "webhook", "url": trust_as_template("{{ vault_is_closed }}")}, {"kind": "command", "comand": ["page"]}],
            "aistack_notices[1]: unknown key 'comand' for a command; did you mean 'command'?",
        ),
    ],
    ids=["no list", "no such kind", "an address once filled in", "behind one that cannot be filled in now"],
)
def test_a_receiver_that_makes_no_sense_is_named_before_the_first_task(stack: ActionModule, notices: Any, problem: str) -> None:
    found = stack._notice_problems(notices)
    assert found[0] == problem
    assert "s3cret" not in str(found)
    assert "vault_is_closed" not in str(found)


def test_a_pool_is_looked_at_as_its_hosts_are(stack: ActionModule) -> None:
    """Variables of each host, filled in: where the edges of a pool and of its hosts do not fit, no host is asked anything."""
    hosts = {
        "w": {"aistack_address": trust_as_template("10.0.0.{{ number }}"), "number": 11, "edge_tls": {"certificate": "/c", "key": "/k"}},
        "f": {"aistack_address": "10.0.0.5", "aistack_ca": "/ca"},
    }
    web = {"role": "backend", "hosts": "web", "application": "shop", "port": "web", "pool": {"edge": "front", "port": "public"}}
    described = {"components": {"web": web}, "groups": {"web": ["w"], "front": ["f"]}}
    stack._loader = DataLoader()

    def told(**w: Any) -> list[str]:
        given = {**hosts, "w": {**hosts["w"], **w}}
        return stack._environment_problems(described, {"hostvars": SimpleNamespace(raw_get=given.__getitem__)})

    assert len(told()) == 1
    assert "the edge of w speaks TLS, and edge_tls.names of it has no host name (10.0.0.11)" in told()[0]
    assert told(edge_tls={}) == told(edge_tls={"certificate": "/c", "key": "/k", "names": ["shop.example.com"]}) == []
