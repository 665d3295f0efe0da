# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is printed, and what stays of a result."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.plugin_utils import pages


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    lines: list[str] = []
    monkeypatch.setattr(pages, "display", SimpleNamespace(display=lines.append))
    return lines


def test_a_page_is_printed_without_what_a_terminal_would_obey(printed: list[str]) -> None:
    task: Any = SimpleNamespace(no_log=False)
    pages.show(task, "one\x1b]0;title\x07\ntwo\n\n")
    assert printed == ["one\N{REPLACEMENT CHARACTER}]0;title\N{REPLACEMENT CHARACTER}\ntwo"]


@pytest.mark.parametrize(("text", "no_log"), [("", False), (" \n", False), ("a secret", True)])
def test_what_is_empty_or_not_to_be_seen_is_not_printed(printed: list[str], text: str, no_log: bool) -> None:
    task: Any = SimpleNamespace(no_log=no_log)
    pages.show(task, text)
    assert printed == []


def test_a_judgement_that_failed_says_what_did_not_pass() -> None:
    bad = {"name": "page", "component": "api", "verdict": "fail", "expected": "200", "got": "503", "history": [1] * 99, "where": "n1"}
    answer = {"failed": True, "verdict": "fail", "msg": "all of it", "contexts": {"api": {}}, "probes": [{**bad, "verdict": "pass"}, bad]}
    kept = {"name": "page", "component": "api", "verdict": "fail", "expected": "200", "got": "503", "where": "n1"}
    assert pages.brief(answer, "probes") == {"failed": True, "verdict": "fail", "msg": "all of it", "probes": [kept]}


@pytest.mark.parametrize("answer", [{"failed": False, "probes": [{"history": []}], "contexts": {}}, {"failed": True, "msg": "no answer"}])
def test_any_other_one_is_as_it_is(answer: dict[str, Any]) -> None:
    assert pages.brief(answer, "probes") == answer
