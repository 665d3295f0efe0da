# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a node says of its own stack in Prometheus' text format: names, what they mean, and how a page of them is written.

The command C(aistack figures) fills it in (:mod:`node.figures`), the exporter of the node shows the page, the usual rules read it. Times
are seconds since 1970. What is not known is left out: a rule must not take it for nought.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

WRITTEN = "aistack_figures_written_seconds"
LIVE = "aistack_live_release_info"
LIVE_SINCE = "aistack_live_release_since_seconds"
BAD = "aistack_release_bad"
INTACT = "aistack_journal_intact"
VERIFIED = "aistack_journal_verified_seconds"
LOCK = "aistack_lock_held"
LOCK_SINCE = "aistack_lock_since_seconds"
SET = "aistack_backup_set_seconds"
SET_FAILED = "aistack_backup_failed"
LAST = "aistack_last_operation_seconds"
EVENT = "aistack_event_seconds"
DRILLED = "aistack_drill_passed_seconds"
DRILL_SINCE = "aistack_drill_wanted_since_seconds"
BROKER = "aistack_broker_answers"
LENGTH = "aistack_queue_length"
WORKERS = "aistack_queue_workers"

HELP: Mapping[str, str] = {
    WRITTEN: "When these figures were written.",
    LIVE: "What serves: release, slot and configuration of a component.",
    LIVE_SINCE: "Since when that release serves.",
    BAD: "A release that is here and marked bad.",
    INTACT: "Whether the chain of the journal held when it was checked last, archived parts included.",
    VERIFIED: "When it was checked last.",
    LOCK: "Whether a run holds the lock of this node.",
    LOCK_SINCE: "Since when it does; missing where none does.",
    SET: "When the newest verified backup set was made.",
    SET_FAILED: "Whether the last daily set could not be made.",
    LAST: "When the newest operation of a kind ended, by how it ended.",
    EVENT: "When something ended that moved a release, or tried to; shown for some hours.",
    DRILLED: "When going back from a release was last rehearsed and lost nothing.",
    DRILL_SINCE: "Since when a component whose database is migrated serves here.",
    BROKER: "Whether the broker of a component lets it in.",
    LENGTH: "Tasks that wait in a queue of Celery.",
    WORKERS: "Workers on this node whose unit runs and that take from a queue.",
}
"""Each figure, in the order in which they are written. All are gauges."""

_SAMPLE = re.compile(r"([a-z_]+)(?:\{[^}]*\})? (\S+)\Z")


@dataclass(frozen=True)
class Sample:
    """One line: the name of a figure, its value, and what it is told apart by."""

    name: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def page(stack: str, samples: Iterable[Sample]) -> str:
    """The page of a stack: each figure with its help, and each series once, with the label ``stack``."""
    lines: list[str] = []
    series: dict[str, dict[str, float]] = {}
    for sample in samples:
        labels = ",".join(f'{name}="{_escaped(str(value))}"' for name, value in {"stack": stack, **sample.labels}.items())
        series.setdefault(sample.name, {})[labels] = sample.value
    for name, told in HELP.items():
        if name in series:
            lines += [f"# HELP {name} {told}", f"# TYPE {name} gauge"]
            lines += [f"{name}{{{labels}}} {value:.3f}".replace(".000", "") for labels, value in series[name].items()]
    return "\n".join(lines) + "\n"


def value_of(text: str, name: str) -> float | None:
    """The value that a page has of a figure, the first of its series; None where it has none."""
    for line in text.splitlines():
        found = _SAMPLE.match(line)
        if found and found[1] == name:
            try:
                return float(found[2])
            except ValueError:
                return None
    return None


def seconds(time: object) -> float | None:
    """Seconds since 1970 of a time as the journal writes it (UTC, ISO 8601); None where it is none."""
    try:
        found = datetime.datetime.strptime(str(time)[:19], "%Y-%m-%dT%H:%M:%S")
    except ValueError:
        return None
    return found.replace(tzinfo=datetime.timezone.utc).timestamp()
