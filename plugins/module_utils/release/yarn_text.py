# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a yarn.lock of Yarn 1 says, and whether it fits the package.json files of its workspace. No I/O.

Yarn 1 does not look at the members of a workspace when it is told to keep the lock as it is: what they ask for in addition is fetched
without a proof (seen with 1.22.22). So that is looked at here, before it runs.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

_HEAD = re.compile(r"^(?P<keys>\"?[^\s#][^\n]*):$", re.MULTILINE)
_KEY = re.compile(r'"([^"]+)"|([^\s,"]+)')
_INTEGRITY = re.compile(r"^  integrity sha(?:256|384|512)-", re.MULTILINE)
_LOCAL = ("file:", "link:", "portal:", "workspace:")


def of_berry(text: str) -> bool:
    """Whether a yarn.lock is one of Yarn 2 or newer."""
    return bool(re.search(r"^__metadata:", text, re.MULTILINE))


def _entries(text: str) -> Iterable[tuple[list[str], str]]:
    """The patterns and the body of each package."""
    heads = list(_HEAD.finditer(text))
    for head, after in zip(heads, [*heads[1:], None]):
        yield [quoted or bare for quoted, bare in _KEY.findall(head["keys"])], text[head.end() : after.start() if after else len(text)]


def without_integrity(text: str) -> list[str]:
    """The packages that are fetched and have no hash that proves them."""
    return [keys[0] for keys, body in _entries(text) if "\n  resolved " in body and not _INTEGRITY.search(body)]


def globs(root: Mapping[str, Any]) -> list[str]:
    """Where the package.json of a workspace says that its members are."""
    said = root.get("workspaces")
    said = said.get("packages") if isinstance(said, Mapping) else said
    return [str(one) for one in said if not str(one).startswith("!")] if isinstance(said, list) else []


def unlocked(text: str, projects: Collection[Mapping[str, Any]]) -> list[str]:
    """What the package.json files ask for and the lock does not know of, as C(name@range); the first of *projects* is the root."""
    known = {key for keys, _body in _entries(text) for key in keys}
    own = {str(project.get("name")) for project in projects}
    # these have ranges of their own in the lock
    settled = {name.rsplit("/", 1)[-1] for project in projects for name in project.get("resolutions") or {}}
    missing = []
    for project in projects:
        for group in ("dependencies", "devDependencies", "optionalDependencies"):
            for name, wanted in (project.get(group) or {}).items():
                if name not in own and name.rsplit("/", 1)[-1] not in settled and not str(wanted).startswith(_LOCAL):
                    missing += [f"{name}@{wanted}"] if f"{name}@{wanted}" not in known else []
    return sorted(set(missing))
