# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What of a repository is laid down to build a component, and where in it the component lies. No I/O."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.release.tree_names import leads_out


@dataclass(frozen=True)
class Place:
    """All paths are relative to the repository, but for ``inner``.

    Attributes:
        base: the folder that becomes the top of the tree; empty is the repository itself.
        inner: the component's folder below ``base``; empty where that is the component's own.
        parts: the folders that are laid down; empty: all of ``base``.
        whole: whether the release keeps the others as well; else only the component's folder stays when it is built.
    """

    base: str = ""
    inner: str = ""
    parts: tuple[str, ...] = ()
    whole: bool = False


@dataclass(frozen=True)
class Include:
    """Another folder of the repository that is built as well, and what of that becomes a part of the component.

    Attributes:
        path: the folder, below the top of the tree.
        output: the folder below it that its build leaves; ``to``: where that goes, below the component's folder.
        lock: its lock file, of npm, pnpm or Yarn, in that folder; ``build``: the commands that build it.
    """

    path: str
    output: str
    to: str
    lock: str
    build: tuple[tuple[str, ...], ...]


def includes_of(given: Iterable[Mapping[str, Any]], base: str) -> tuple[Include, ...]:
    """The parts of a component as its description has them; ``base`` is the folder of the repository that becomes the top of the tree."""
    found = []
    for one in given:
        path = plain(str(one["path"]))
        build = tuple(tuple(str(word) for word in argv) for argv in one.get("build") or [["npm", "run", "build"]])
        lock = str(one.get("lock") or "package-lock.json")
        found.append(Include(path[len(base) :].strip("/") if base else path, str(one["output"]), str(one["to"]), lock, build))
    return tuple(found)


def include_problem(include: Mapping[str, Any], kind: str) -> str:
    """Why a component of *kind* cannot have such a part; empty where it can."""
    if kind not in ("python", "node"):
        return f"nothing reads it of a component of kind {kind}, which is built itself: lock, build, output"
    for key in (key for key in ("path", "output", "to") if key in include):
        value = str(include[key])
        if leads_out(value) or not plain(value):
            whose = {"path": "the repository", "output": "its path", "to": "the component's folder"}[key]
            return f"{key} '{value}' is no folder in {whose}"
    lock = str(include.get("lock") or "package-lock.json")
    if "/" in lock:
        return f"lock '{lock}' does not lie in its path; a part has a lock file of its own there, such as package-lock.json"
    return ""


def plain(path: str) -> str:
    """A folder of the repository in one spelling; empty is the repository itself."""
    cleaned = posixpath.normpath(path.strip("/") or ".")
    return "" if cleaned == "." else cleaned


def lock_folder(path: str, lock: str) -> str:
    """The folder of the repository that holds a lock file, which is named relative to the component's folder."""
    return plain(posixpath.dirname(posixpath.normpath(posixpath.join(plain(path), lock))))


def place_of(path: str, lock: str | None = None, context: Sequence[str] = (), beside: Sequence[str] = ()) -> Place:
    """Where a component of *path* is built: a lock file above it brings its folder, the workspace; *context* is what else there is, and
    *beside* what is there while it is built.
    """
    own = plain(path)
    root = lock_folder(path, lock) if lock and lock.startswith("../") else own
    wanted = _outermost([own, root, *(plain(folder) for folder in (*context, *beside))])
    base = _common(wanted)
    inner = own[len(base) :].strip("/") if base else own
    return Place(base, inner, () if wanted == [base] else tuple(wanted), bool(context) and bool(inner))


def problem(path: str, context: Iterable[str]) -> str:
    """Why *context* names no folders of the repository that a component of *path* can have beside it; empty where it does."""
    for folder in context:
        if leads_out(str(folder)):
            return f"'{folder}' leads out of the repository; expected a folder in it, named from its root, such as libs/shared"
        if _below(plain(str(folder)), plain(path)):
            return f"'{folder}' is a part of the component's folder {plain(path) or '(the whole repository)'} already; leave it out"
    return ""


def _below(folder: str, above: str) -> bool:
    return not above or folder == above or folder.startswith(f"{above}/")


def _outermost(folders: Iterable[str]) -> list[str]:
    """The folders of which none lies in another one of them, sorted."""
    named = sorted(set(folders))
    return [folder for folder in named if not any(_below(folder, other) for other in named if other != folder)]


def _common(folders: Sequence[str]) -> str:
    """The innermost folder that holds all of them."""
    parts = [folder.split("/") if folder else [] for folder in folders]
    shared = []
    for names in zip(*parts):
        if len(set(names)) > 1:
            break
        shared.append(names[0])
    return "/".join(shared)
