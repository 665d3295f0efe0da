# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Extra variables as they were typed. Ansible splits C(-e 'command=ls -l') at the blank and keeps C(ls); the rest is nobody's. No I/O."""

from __future__ import annotations

import json
import posixpath
import re
import shlex
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
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


def _pair(name: str, value: Any) -> str:
    """One C(-e) that a shell and Ansible read as this pair."""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if text and shlex.quote(text) == text:
        return f"-e {name}={text}"
    if not re.search(r"""['"$`\\!\n]""", text):
        return f"-e \"{name}='{text}'\""
    return f"-e {shlex.quote(json.dumps({name: text}, ensure_ascii=False))}"


def _pairs(entry: str, known: Collection[str]) -> Iterator[tuple[str, str]]:
    """The name and the words of every variable of one C(-e); of a value that is nobody's the name alone, since it may be a secret."""
    if entry.startswith("@"):
        yield entry, f"-e {shlex.quote(entry)}"
        return
    found: dict[str, Any] = {}
    try:
        found = dict(json.loads(entry) if entry.lstrip()[:1] in ("{", "[") else (word.split("=", 1) for word in shlex.split(entry)))
    except (TypeError, ValueError):  # Ansible may read it: YAML, say
        yield entry, "-e …"
    for name, value in found.items():
        shown = name in known and isinstance(value, (str, int, float))
        yield name, _pair(name, value) if shown else f"-e {name}=…"


def again(argv: Sequence[str], more: Mapping[str, object], known: Collection[str]) -> str:
    """The command that was typed, with *more* extra variables, as it can be pasted. *known* are variables that hold no secret."""
    words: list[tuple[str, str]] = []  # a name where it is an extra variable, and what is typed
    rest = iter(argv[1:])
    for word in rest:
        if word in ("-e", "--extra-vars"):
            words += _pairs(next(rest, ""), known)
        elif word.startswith("--extra-vars="):
            words += _pairs(word.partition("=")[2], known)
        elif word.startswith("-e"):
            words += _pairs(word[2:], known)
        else:
            words.append(("", shlex.quote(word)))
    words += [(name, _pair(name, value)) for name, value in more.items()]
    names = [name for name, _text in words]
    last = [text for at, (name, text) in enumerate(words) if not name or name not in names[at + 1 :]]
    return " ".join([posixpath.basename(argv[0]) if argv else "ansible-playbook", *last])
