# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What of a repository is laid down to build a component, and where in it the component lies. No I/O."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

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


def plain(path: str) -> str:
    """A folder of the repository in one spelling; empty is the repository itself."""
    cleaned = posixpath.normpath(path.strip("/") or ".")
    return "" if cleaned == "." else cleaned


def lock_folder(path: str, lock: str) -> str:
    """The folder of the repository that holds a lock file, which is named relative to the component's folder."""
    return plain(posixpath.dirname(posixpath.normpath(posixpath.join(plain(path), lock))))


def place_of(path: str, lock: str | None = None, context: Sequence[str] = ()) -> Place:
    """Where a component of *path* is built: a lock file above it brings its folder, the workspace; *context* is what else there is."""
    own = plain(path)
    root = lock_folder(path, lock) if lock and lock.startswith("../") else own
    wanted = _outermost([own, root, *(plain(folder) for folder in context)])
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
