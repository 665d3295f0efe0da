# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Extra variables as they were typed. Ansible splits C(-e 'command=ls -l') at the blank and keeps C(ls); the rest is nobody's. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

REST = "_raw_params"
"""The variable that Ansible puts what stands behind a blank into."""

_PAIR = re.compile(r"\s*([A-Za-z_]\w*)=(.*)", re.DOTALL)


def whole(entries: Iterable[Any], name: str) -> str | None:
    """Everything behind ``name=`` in the last of the C(-e) that begins so; None where none does. Quotes around all of it go."""
    found = None
    for entry in entries:
        text = entry.decode("utf-8", "replace") if isinstance(entry, bytes) else str(entry)
        pair = _PAIR.fullmatch(text)
        if pair and pair[1] == name:
            found = pair[2].strip()
            if len(found) > 1 and found[0] == found[-1] and found[0] in "\"'" and found[0] not in found[1:-1]:
                found = found[1:-1]
    return found


def rest_problem(verb: Mapping[str, Any], rest: Any) -> str:
    """One line about words that belong to no variable; empty where there are none."""
    if not isinstance(rest, str) or not rest.strip():
        return ""
    names = [str(parameter["name"]) for parameter in verb.get("parameters", ())]
    example = names[0] if names else "name"
    return f"{rest.strip()}: stands behind a blank and belongs to no variable; quote a value twice: -e \"{example}='two words'\""
