# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What actions say to people, the same under every way of output.

A callback shows nothing of what a task that went well returned, and of one that failed all of it, as JSON. So a page for people is
printed by the action itself, and results are small: a failure says in C(msg) what a person reads, and has besides what playbooks need.
Data for programs goes into the file that somebody asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.playbook.task import Task
from ansible.utils.display import Display

from ansible_collections.phasegate.aistack.plugins.module_utils.core.names import printable

JUDGED = ("component", "name", "source", "where", "verdict", "severity", "expected", "got")
"""What of a probe or a condition stays in a result that failed; the rest stands in its C(msg)."""

display = Display()


def show(task: Task, text: str) -> None:
    """Print a page, unless nothing of the task may be seen. An action runs once where its task does, and so does this."""
    if text.strip() and not task.no_log:
        display.display(printable(text.rstrip("\n")))


def refusal(msg: str, **small: Any) -> dict[str, object]:
    """A result that failed: the text that a person reads, and the few *small* things that a playbook asks it."""
    return {"failed": True, "changed": False, "msg": msg, **small}


def brief(answer: Mapping[str, Any], rows: str) -> dict[str, object]:
    """A judgement that failed, with what is said of those of its *rows* that did not pass; any other one as it is."""
    if not answer.get("failed") or rows not in answer:
        return dict(answer)
    bad = [row for row in answer[rows] if row.get("verdict") not in ("pass", "skipped")]
    short = {key: value for key, value in answer.items() if key != "contexts"}
    return {**short, rows: [{key: row[key] for key in JUDGED if row.get(key)} for row in bad]}
