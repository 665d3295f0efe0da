# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What was done once for a release, as the journal tells it. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.journal.chain import Record

TASK = "task"
"""The operation: a task of a release, called by ``task`` and ``point`` in its detail."""

_WITH_DATA = ("schema", "system")
"""Levels of a rollback that take data back: what a task has written may be gone with it."""


def _detail(record: Record) -> dict[str, Any]:
    detail = record.get("detail")
    return detail if isinstance(detail, dict) else {}


def called(record: Record) -> tuple[str, ...]:
    """What names a task: its component, the release, the point and its own name."""
    detail = _detail(record)
    return str(record.get("component")), str(record.get("release")), str(detail.get("point")), str(detail.get("task"))


def takes_back(record: Record) -> bool:
    """Whether a record says that data was taken back, or may have been.

    By a set that was restored, a schema that went down by hand, or a rollback that moves data.
    """
    if record.get("op") == "restore":
        return bool(record.get("outcome") == "ok")
    if record.get("op") == "migrate":
        return bool(record.get("outcome") == "ok" and _detail(record).get("state") == "downgraded")
    if (record.get("op"), record.get("component")) != ("phase", "rollback"):
        return False
    return record.get("outcome") != "failed" and _detail(record).get("level") in _WITH_DATA


def done(records: Sequence[Record], component: str, release: str, point: str, task: str) -> Record | None:
    """The record that says that a task was done for a release; None where it has to be done.

    What was begun and has no end is not done, nor is what was done before data was taken back.
    """
    wanted = (component, release, point, task)
    since = next((at for at in range(len(records), 0, -1) if takes_back(records[at - 1])), 0)
    ended = (one for one in records[since:] if one.get("op") == TASK and one.get("outcome") == "ok" and called(one) == wanted)
    return next(ended, None)


def cut_off(records: Sequence[Record], component: str, release: str) -> bool:
    """Whether the run that made a release live has no good end behind that: it was cut off, and what was to come did not.

    A restart makes nothing live. Of what a journal does not know, nobody says so.
    """
    switches = [
        at for at, one in enumerate(records)
        if (one.get("op"), one.get("outcome"), one.get("component"), one.get("release")) == ("activate", "ok", component, release)
        and not _detail(one).get("restart")
    ]
    if not switches:
        return False
    run = records[switches[-1]].get("run")
    behind = records[switches[-1] :]
    return not any((one.get("op"), one.get("outcome"), one.get("run")) == ("phase", "ok", run) for one in behind)
