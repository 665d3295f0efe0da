# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names of what stands beside a live database or table: what was restored, and what was replaced. No I/O.

C(<name>__restore_<stamp>) is a restored one, C(<name>__replaced_<stamp>) what gave way to one. State is read from these names.
"""

from __future__ import annotations

import calendar
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass

RESTORE = "restore"
REPLACED = "replaced"
LONGEST = 63
"""Bytes after which PostgreSQL cuts a name."""

_NAME = re.compile(r"^(?P<base>.+)__(?P<kind>restore|replaced)_(?P<stamp>\d{8}t\d{6}z)\Z", re.S)


@dataclass(frozen=True)
class Beside:
    """A name taken apart; ``stamp`` is UTC, C(20260131t120000z), and sorts by time."""

    base: str
    kind: str
    stamp: str


def stamp(seconds: float | None = None) -> str:
    """A moment (seconds since 1970; now if left out) as it stands in names."""
    return time.strftime("%Y%m%dt%H%M%Sz", time.gmtime(seconds))


def beside(base: str, kind: str, when: str) -> str:
    """The name of what stands beside ``base``.

    Raises ValueError where PostgreSQL would cut it.
    """
    name = f"{base}__{kind}_{when}"
    over = len(name.encode()) - LONGEST
    if over > 0:
        raise ValueError(
            f"{name} has {over} bytes too many: PostgreSQL cuts names after {LONGEST}. Names of what is restored may have"
            f" {LONGEST - len(name.encode()) + len(base.encode())} bytes."
        )
    return name


def shortened(base: str, kind: str, when: str) -> str:
    """Like :func:`core.beside` for names that nobody looks up (of indexes): ``base`` is cut where it has to be."""
    end = f"__{kind}_{when}"
    return base.encode()[: LONGEST - len(end)].decode("utf-8", "ignore") + end


def split(name: str) -> Beside | None:
    """What a name says, None where it is no such name."""
    found = _NAME.fullmatch(name)
    return Beside(found["base"], found["kind"], found["stamp"]) if found else None


def age(when: str, now: float) -> float:
    """Seconds since that stamp."""
    return now - calendar.timegm(time.strptime(when, "%Y%m%dt%H%M%Sz"))


def aged(names: Iterable[str], older_than: float, now: float) -> list[str]:
    """Which of these were restored or replaced ``older_than`` seconds ago or earlier; other names do not count."""
    parts = {name: split(name) for name in names}
    return sorted(name for name, beside in parts.items() if beside and age(beside.stamp, now) >= older_than)


def to_drop(names: list[str], older_than: float | None, keep: int, now: float) -> list[str]:
    """Which of the replaced ones go: those older than ``older_than`` seconds, except the newest ``keep`` of each base."""
    by_base: dict[str, list[tuple[str, str]]] = {}
    for name in names:
        parts = split(name)
        if parts and parts.kind == REPLACED:
            by_base.setdefault(parts.base, []).append((parts.stamp, name))
    gone = []
    for entries in by_base.values():
        old = sorted(entries, reverse=True)[keep:]
        gone += [name for when, name in old if older_than is None or age(when, now) >= older_than]
    return sorted(gone)
