# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lines of systemd's journal, and events of the node's own, as a store of logs gets them: with their component, slot and release. Pure."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any

FIELDS = ("MESSAGE", "PRIORITY", "SYSLOG_IDENTIFIER", "_PID", "_SYSTEMD_UNIT", "UNIT", "OBJECT_SYSTEMD_UNIT", "COREDUMP_UNIT")
"""What is read of an entry."""
LEVELS = ("emerg", "alert", "crit", "error", "warning", "notice", "info", "debug")
"""By syslog's number."""
LONGEST = 60_000
"""Characters of a line that are sent, of up to four bytes each. Stores drop what is longer than 256 KiB, all of it."""
WRONG = 3600 * 1_000_000
"""Microseconds; a clock that is off by more is wrong."""
_SLOT = re.compile(r"@(blue|green)(?:-[1-9][0-9]?)?\.service\Z")
_CURSOR = re.compile(r"s=([0-9a-f]+);i=([0-9a-f]+);")


@dataclass(frozen=True)
class Line:
    """One entry of the journal, or one event.

    Attributes:
        cursor: where it stands in the journal; of an event what tells it from every other.
        time: microseconds since 1970.
        component: whose it is; empty where it is of none that is sent.
        slot: empty where the component has none.
        process: what calls itself so.
        said: the journal's own time, where C(time) is another one.
        event: what ended, C(deployment) for example; empty for what a unit said.
        release: of an event; that of a line is the one that its slot had.
        more: what stands beside an event, besides.
    """

    cursor: str
    time: int
    text: str
    level: str = ""
    unit: str = ""
    component: str = ""
    slot: str = ""
    process: str = ""
    said: int = 0
    event: str = ""
    release: str = ""
    more: Mapping[str, str] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """What tells it from every other line, also where it was sent twice: the journal's own number, and which journal."""
        found = _CURSOR.match(self.cursor)
        return f"{found[1]}-{found[2]}" if found else self.cursor


class Units:
    """Which component a unit is of.

    Args:
        patterns: as of a shell, to components; the first that fits counts.
        rest: the component of everything else; empty: it is not sent.
    """

    def __init__(self, patterns: Mapping[str, str], rest: str = "") -> None:
        self._patterns, self._rest = dict(patterns), rest
        self._known: dict[str, tuple[str, str]] = {}

    def of(self, unit: str) -> tuple[str, str]:
        """Component and slot of a unit; both may be empty."""
        if unit not in self._known:
            component = next((name for pattern, name in self._patterns.items() if unit and fnmatchcase(unit, pattern)), self._rest)
            slot = _SLOT.search(unit)
            self._known[unit] = (component, slot[1] if slot and component != self._rest else "")
        return self._known[unit]


def _text(value: Any) -> str:
    """A field as journalctl writes it in JSON: a text, the bytes of what is no plain text, null; of a list of these the last one counts."""
    if isinstance(value, list):
        if value and not all(isinstance(one, int) for one in value):
            return _text(value[-1])
        return bytes(value).decode("utf-8", "replace")
    return "" if value is None else str(value)


def _unit(entry: Mapping[str, Any]) -> str:
    """The unit that an entry is about: who wrote it, or whom the service manager or a dump of memory speaks of."""
    own = _text(entry.get("_SYSTEMD_UNIT"))
    if _text(entry.get("_PID")) == "1":
        return _text(entry.get("UNIT")) or own
    if own.startswith("systemd-coredump@"):
        return _text(entry.get("COREDUMP_UNIT")) or own
    return _text(entry.get("OBJECT_SYSTEMD_UNIT")) or own


def parse(raw: bytes, units: Units) -> Line:
    """An entry as C(journalctl --output=json) writes it.

    Raises:
        ValueError, KeyError: it is none.
    """
    entry = json.loads(raw)
    if not isinstance(entry, dict):
        raise ValueError("no object")
    unit = _unit(entry)
    component, slot = units.of(unit)
    cursor, moment = str(entry["__CURSOR"]), int(entry["__REALTIME_TIMESTAMP"])
    if not component:
        return Line(cursor, moment, "")
    level = _text(entry.get("PRIORITY"))
    text = _text(entry.get("MESSAGE"))
    if len(text) > LONGEST:
        text = f"{text[:LONGEST]}… ({len(text) - LONGEST} more characters)"
    level = LEVELS[int(level)] if level.isdigit() and int(level) < len(LEVELS) else ""
    return Line(cursor, moment, text, level, unit, component, slot, _text(entry.get("SYSLOG_IDENTIFIER")))


def with_texts(lines: Iterable[Line], texts: Iterable[str]) -> list[Line]:
    """*lines* with other texts."""
    return [replace(line, text=text) for line, text in zip(lines, texts)]


def set_right(line: Line, now: int, ahead: int) -> Line:
    """A line with a time that a store takes, which drops what is said days before or after its own clock, without a word.

    Args:
        now: this node's clock, in microseconds since 1970.
        ahead: microseconds by which it is ahead of the store's.
    """
    if abs(ahead) > WRONG and abs(line.time - now) <= WRONG:  # said just now, by a clock that is wrong
        return replace(line, time=line.time - ahead, said=line.time)
    if line.time > now - ahead + WRONG:  # by one that was ahead, and is right again
        return replace(line, time=now - ahead, said=line.time)
    return line


def body(lines: Sequence[Line], stack: str, node: str, release: Callable[[Line], str]) -> bytes:
    """What is pushed, as Loki takes it and VictoriaLogs as well: a stream for each set of labels, and beside each line what belongs to it
    alone. A text that is empty is sent as a space, since a line without one is none.
    """
    streams: dict[tuple[str, str, str, str], list[list[Any]]] = {}
    for line in lines:
        more = {"id": line.id, "unit": line.unit, "level": line.level, "process": line.process, "said_at": _moment(line.said), **line.more}
        value = [str(line.time * 1000), line.text or " ", {name: text for name, text in more.items() if text}]
        streams.setdefault((line.component, line.slot, line.release or release(line), line.event), []).append(value)
    pushed = [
        {"stream": {name: text for name, text in (("stack", stack), ("node", node), ("component", component), ("slot", slot),
                                                  ("release", tag), ("event", event)) if text},
         "values": values}
        for (component, slot, tag, event), values in streams.items()
    ]
    return json.dumps({"streams": pushed}, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace")


def _moment(micros: int) -> str:
    """A time as people read it; empty for none."""
    if not micros:
        return ""
    moment = datetime.datetime.fromtimestamp(0, datetime.timezone.utc) + datetime.timedelta(microseconds=micros)
    return moment.isoformat().replace("+00:00", "Z")


def gone(before: str, first: str) -> int:
    """How many entries the journal no longer had, by the cursor that reading went on from and that of the first entry which came."""
    last, then = _CURSOR.match(before), _CURSOR.match(first)
    if not last or not then or last[1] != then[1]:
        return 0
    return max(0, int(then[2], 16) - int(last[2], 16) - 1)
