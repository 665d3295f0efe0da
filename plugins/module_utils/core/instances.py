# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The processes of a slot and what they are called. The first one has the slot's own name, the second is C(blue-2), and so on.

An instance is what C(%i) is in the units of a slot. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

LIMIT = 64
"""Instances that a slot may have."""

NAME = re.compile(r"(blue|green)(?:-([1-9][0-9]?))?")
_SLOT = "${slot}"

OWN_OPTION = "More processes are its server's own option, as uvicorn's --workers (role backend: options.arguments; an image: its command)"
"""What to do where a component has a port."""


def instance_names(slot: str, number: int) -> list[str]:
    """The names of the first *number* instances of *slot*; of at least one."""
    return [slot, *(f"{slot}-{place}" for place in range(2, number + 1))]


def place_of(instance: str) -> tuple[str, int]:
    """The slot of an instance, and which of them it is, from 1.

    Raises:
        ValueError: it is no name of an instance.
    """
    found = NAME.fullmatch(instance)
    place = int(found[2] or 1) if found else 0
    if not found or place > LIMIT or found[2] == "1":
        raise ValueError(f"{instance} is no slot of a component; expected blue, green, or an instance of one, such as blue-2")
    return found[1], place


def number_of(names: Iterable[str], slot: str) -> int:
    """The highest number of an instance of *slot* among *names* (of files, others are passed over); 1 where there is none."""
    found = [1]
    for name in names:
        match = NAME.fullmatch(name)
        if match and match[1] == slot and match[2]:
            found.append(int(match[2]))
    return max(found)


def for_each(texts: Iterable[object], instances: Sequence[str]) -> list[object]:
    """*texts*, with one for each of *instances* in the place of each that names ``${slot}``; as they are where there is one instance."""
    if len(instances) < 2:
        return list(texts)
    found: list[object] = []
    for text in texts:
        named = isinstance(text, str) and _SLOT in text and "$" + _SLOT not in text
        found += [str(text).replace(_SLOT, name) for name in instances] if named else [text]
    return found


def chosen(said: int, kept: int | None, kept_said: int | None) -> int:
    """How many instances a slot is to have: what was set on the node, as long as the inventory says the same as when it was.

    Args:
        said: the inventory's number of today.
        kept: the number that the node keeps; None where it keeps none.
        kept_said: what the inventory said when that was set; None where that is not known.
    """
    return kept if kept is not None and kept_said == said else said


def alone(ports: Mapping[str, int], strategy: str) -> bool:
    """Whether a slot has one process: it is reached at a port, or never may two of them run."""
    return bool(ports) or strategy == "recreate"


def refusal(component: str, number: int, fronted: bool) -> str:
    """Why a component cannot have *number* instances, and what to do instead; empty where it can. *fronted*: it has a port."""
    if fronted and number != 1:
        return f"{component} has a port, and one process per slot, which is reached there. {OWN_OPTION}"
    if number == 0:
        return (f"{component}: 0 instances would leave nobody to do its work; expected 1 to {LIMIT}. To stop it on a node: systemctl stop "
                f"'aistack-{component}@*'; systemctl disable aistack-{component}@.service; to take it away: remove.yml")
    return "" if 1 <= number <= LIMIT else f"{component}: {number} instances; expected 1 to {LIMIT}"
