# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names: the nearest known ones to what was mistyped, tags and what they are called as releases, and which hosts a role names."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

PART_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z")
"""What may be the name of a part of a backup set: it becomes a folder's."""

PART_WORDS = "a letter or a digit, then letters, digits and . _ -, 100 at most"
"""The same for people."""

RELEASE_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,99}\Z")
"""What may be a release's name: it becomes a directory's name on the nodes."""

RELEASE_WORDS = "a letter or a digit, then letters, digits and . _ + -, 100 at most"
"""The same for people."""

_MOVING = ("latest", "HEAD", "main", "master", "dev", "develop")
"""Names of a release that can mean something else tomorrow."""

_APART = ".."
"""Stands for the / of a tag in the name of its release: no tag of git has it, so that one leads back to the other."""


def release_name(tag: str) -> str:
    """What the release of a tag is called on nodes, where it is a folder: C(backend/v1.2.0) is C(backend..v1.2.0). A name stays one."""
    return tag.replace("/", _APART)


def tag_of(name: str) -> str:
    """The tag in the repository that a release's name stands for. A tag stays one."""
    return name.replace(_APART, "/")


COMPONENT_NAME = re.compile(r"^[a-z0-9][a-z0-9_-]{0,63}\Z")
"""What may be a component's name: units, sections of the edge and files are called after it."""

COMPONENT_WORDS = "a letter or a digit, then a-z, 0-9, _ and -, 64 at most"
"""The same for people."""

STACK_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
"""What may be a stack's name as a whole (``fullmatch``): units and files are called after it."""

NODE_PATH = re.compile(r"(?:/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._+@-]+)+/?")
"""What may be a folder of a stack on its nodes as a whole (``fullmatch``): units and commands name it."""

OWN_UNITS = frozenset({"reconcile", "backup", "backup-failed"})
"""Of which nodes have units ``aistack-<name>@<stack>``: no released component is called so."""


def task_unit(component: str) -> str:
    """The service that a task of a release runs in, of which a component has one at a time."""
    return f"aistack-task-{component}.service"


COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
"""A commit of git as a whole (``fullmatch``)."""

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]|\x1b(?!\[[0-9;]*m)")


def printable(text: str) -> str:
    """*text* that somebody else wrote, without what a terminal would obey: escape sequences but colours, returns, turned directions."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


def nearest(name: str, known: Iterable[str], count: int = 3, cutoff: float = 0.4) -> list[str]:
    """Return up to ``count`` of the ``known`` names that resemble ``name``, best first.

    Case is ignored for the comparison; the known spelling is returned.
    """
    folded: dict[str, str] = {}
    for candidate in known:
        folded.setdefault(candidate.casefold(), candidate)
    hits = difflib.get_close_matches(name.casefold(), sorted(folded), n=count, cutoff=cutoff)
    return [folded[hit] for hit in hits]


def did_you_mean(name: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """Return ``" (did you mean X?)"`` for the nearest known name, or an empty string."""
    hits = nearest(name, known, count=1, cutoff=cutoff)
    return f" (did you mean {hits[0]}?)" if hits else ""


def version_key(tag: str) -> tuple[tuple[int, int, str], ...]:
    """Sort key in which ``v4.10.0`` comes after ``v4.9.0`` and ``v4.0.0-rc1`` before ``v4.0.0``."""
    parts: list[tuple[int, int, str]] = []
    for number, word in re.findall(r"(\d+)|([A-Za-z]+)", tag):
        if number:
            parts.append((2, int(number), ""))
        elif not parts and word.casefold() in ("v", "release", "version", "r"):
            continue
        else:
            parts.append((0, 0, word.casefold()))
    parts.append((1, 0, ""))
    return tuple(parts)


def newest(tags: Iterable[str]) -> str | None:
    """Return the tag with the highest version, or None when there are none."""
    ordered = sorted(tags, key=version_key)
    return ordered[-1] if ordered else None


def unfit_release(where: str, release: object) -> list[str]:
    """Why *release*, the tag or the name of one that stands at *where*, is refused for what it is called; empty where it is not."""
    if release in _MOVING:
        return [f"{where}: '{release}' can mean something else tomorrow; name a tag, such as v1.2.3"]
    tag = tag_of(str(release or ""))
    if not tag or (RELEASE_NAME.match(release_name(tag)) and not re.search(r"(^|/)[./]|/$", tag)):
        return []
    return [f"{where}: '{release}' can be the name of no release; expected {RELEASE_WORDS}, or such names with / between them"]


def application_of(name: str, components: Mapping[str, Mapping[str, Any]]) -> str:
    """The application that a component comes to a release with, its own or that of whom it has its releases; empty where it has none."""
    own = components.get(name) or {}
    return str((components.get(own.get("release_from") or name) or {}).get("application") or "")


def hosts_with(role: str, components: Mapping[str, Any], groups: Mapping[str, Sequence[str]]) -> set[str]:
    """Hosts that run a component of this role, or of one that is called so elsewhere."""
    described = [one for one in components.values() if isinstance(one, Mapping)]
    named = [one.get("hosts") for one in described if str(one.get("role")).rpartition(".")[2] == role]
    return {host for group in named for host in groups.get(str(group), ())}
