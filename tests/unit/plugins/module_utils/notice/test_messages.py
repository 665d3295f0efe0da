# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is told what."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.notice import messages as notice

HOOK = {"kind": "webhook", "url": "https://chat.example.com/hooks/s3cret"}
MAIL = {"kind": "mail", "host": "mail", "from": "a@example.com", "to": ["b@example.com"]}
RUN = {"kind": "command", "command": ["/bin/page", "ops"]}
FACTS = {
    "stack": "shop",
    "level": "schema",
    "from": "v4.2.0",
    "to": "v4.1.0",
    "reason": "agents fail, 25 %",
    "owner": "ann@laptop",
    "run": "r1",
    "nodes": ["a", "b"],
    "seconds": 72.4,
    "expected_s": 60,
    "objective_s": 3600,
    "done": ["backend: v4.1.0 serves"],
    "losses": ["table visits (4 rows)"],
    "warnings": ["b was not reached"],
    "next": ["fix v4.2.0"],
    "document": "/tmp/postmortem.md",
}


def test_a_good_list() -> None:
    assert notice.problems([HOOK, MAIL, RUN, {**HOOK, "name": "chat", "events": ["rollback_failed"], "timeout": 3, "headers": {}}]) == []
    assert notice.problems([]) == []


@pytest.mark.parametrize(
    ("entries", "problem"),
    [
        ("https://x", "aistack_notices: must be a list, is a text"),
        (["x"], "aistack_notices[0]: must be a mapping, is a text"),
        ([{}], "aistack_notices[0].kind: is missing; there are command, mail, webhook"),
        ([HOOK, {"kind": "chat"}], "aistack_notices[1].kind: 'chat' is unknown; there are command, mail, webhook"),
        ([{"kind": "webhook"}], "aistack_notices[0]: 'url' is missing: http or https address"),
        ([{**HOOK, "ulr": "x"}], "aistack_notices[0]: unknown key 'ulr' for a webhook; did you mean 'url'?"),
        ([{**HOOK, "url": "ftp://s3cret"}], "aistack_notices[0].url: is no http or https address"),
        ([{**HOOK, "url": "https://a/s3 cret"}], "aistack_notices[0].url: is no http or https address"),
        ([{**HOOK, "url": "https://[s3cret"}], "aistack_notices[0].url: is no http or https address"),
        ([{**HOOK, "headers": "s3cret"}], "aistack_notices[0].headers: must be a mapping"),
        ([{**HOOK, "events": "all"}], "aistack_notices[0].events: must be a list"),
        ([{**HOOK, "events": ["rollback_done"]}], "aistack_notices[0].events[0]: 'rollback_done' is not one of deploy_started"),
        ([{**HOOK, "timeout": 0}], "aistack_notices[0].timeout: must be a number above 0"),
        ([{**MAIL, "to": "b@example.com"}], "aistack_notices[0].to: must be a list of addresses"),
        ([{**MAIL, "security": "ssl"}], "aistack_notices[0].security: 'ssl' is not one of starttls, tls, none"),
        ([{**MAIL, "user": "u", "password": "s3cret", "security": "none"}], "aistack_notices[0].security: a password is sent over"),
        ([{**MAIL, "user": "u"}], "aistack_notices[0]: user and password go together"),
        ([{**RUN, "command": "page ops"}], "aistack_notices[0].command: must be a list"),
    ],
)
def test_what_is_wrong_is_named_and_no_value_is_shown(entries: Any, problem: str) -> None:
    found = notice.problems(entries)
    assert len(found) == 1, found
    assert found[0].startswith(problem)
    assert "s3cret" not in found[0]


def test_who_wants_what() -> None:
    assert all(notice.wanted(HOOK, event) for event in notice.EVENTS)
    assert not notice.wanted({**HOOK, "events": ["rollback_failed"]}, "rollback_started")
    assert notice.wanted({**HOOK, "events": ["rollback_failed"]}, "rollback_failed")


def test_a_receiver_is_never_called_by_its_address() -> None:
    names = [notice.label(entry, index) for index, entry in enumerate([HOOK, {**MAIL, "name": "ops"}, {"kind": "s3cret"}, "s3cret"])]
    assert names == ["webhook 1", "ops", "notice 3", "notice 4"]


def test_what_a_finished_rollback_says() -> None:
    told = notice.message("rollback_finished", FACTS)
    assert (told["event"], told["status"], told["stack"]) == ("rollback_finished", "finished", "shop")
    assert told["title"] == "[shop] rollback finished: v4.2.0 → v4.1.0 (level schema)"
    assert told["text"].splitlines() == [
        "Situation: agents fail, 25 %",
        "Action: rollback finished: v4.2.0 → v4.1.0 (level schema); took 72 s, objective 3600 s",
        "Nodes: a, b",
        "Owner: ann@laptop",
        "Run: r1",
        "Done:",
        "  - backend: v4.1.0 serves",
        "Lost:",
        "  - table visits (4 rows)",
        "To know:",
        "  - b was not reached",
        "Next:",
        "  - fix v4.2.0",
        "More: /tmp/postmortem.md",
    ]
    assert told["facts"] == FACTS


@pytest.mark.parametrize(
    ("event", "facts", "lines"),
    [
        ("rollback_started", FACTS, ["Will be lost:", "  - table visits (4 rows)"]),
        ("rollback_started", FACTS, ["Action: rollback started: v4.2.0 → v4.1.0 (level schema); expected 60 s, objective 3600 s"]),
        ("rollback_finished", {"to": "v1"}, ["Lost: nothing", "Action: rollback finished: v1"]),
        ("rollback_failed", {"error": "gate", "serving": "v4.2.0"}, ["Error: gate", "Serving now: v4.2.0"]),
        ("rollback_failed", {}, ["Lost, as far as it is known: nothing"]),
    ],
)
def test_lines_of_other_events(event: str, facts: dict[str, Any], lines: list[str]) -> None:
    text = notice.message(event, facts)["text"].splitlines()
    for line in lines:
        assert line in text


def test_a_deployment_loses_nothing_and_does_not_say_so() -> None:
    assert "ost" not in notice.message("deploy_started", {"to": "v2", "from": "v1"})["text"]
    with pytest.raises(ValueError, match=r"'rollback_begun' is unknown.*"):
        notice.message("rollback_begun", {})


def test_a_watch_that_failed_says_why_and_what_to_do() -> None:
    facts = {"stack": "shop", "reason": "errors above 5 % on b1: 0.3", "nodes": ["b1"], "next": ["errors: run it"]}
    told = notice.message("watch_failed", facts)
    assert told["title"] == "[shop] watch failed"
    assert told["text"].splitlines() == [
        "Situation: errors above 5 % on b1: 0.3", "Action: watch failed", "Nodes: b1", "Next:", "  - errors: run it",
    ]


def test_before_a_rollback_it_says_what_would_be_lost() -> None:
    told = notice.message("before_rollback", FACTS)
    assert told["title"] == "[shop] rollback asked for: v4.2.0 → v4.1.0 (level schema)"
    assert "Will be lost:\n  - table visits (4 rows)" in str(told["text"])
    assert "rollback asked for: v4.2.0 → v4.1.0 (level schema); expected 60 s" in str(told["text"])


def test_only_a_command_can_be_asked() -> None:
    webhook = {"kind": "webhook", "url": "https://chat.example.com/x", "events": ["before_deploy", "deploy_failed"]}
    said = "[0].events: before_deploy asks, and only a command can answer; a webhook is told of deploy_started"
    assert notice.problems([webhook]) == [f"aistack_notices{said}"]
    hook = {"kind": "command", "command": ["true"], "events": ["before_deploy"]}
    assert notice.problems([hook]) == []
    assert not any(notice.wanted({"kind": "command", "command": ["true"]}, event) for event in notice.ASKED)
