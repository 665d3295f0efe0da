# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files that are there whole or not at all, and still there after the power was lost. Nobody else renames a file into its place."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


def fsync(path: Path) -> None:
    """Bring a file to disk, or the names that a folder holds: what was made, renamed or removed in it."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def move(path: Path, to: Path) -> None:
    """Give a file or a folder the name ``to``; the name, not the content, is on disk before this returns. Raises OSError."""
    os.rename(path, to)
    fsync(to.parent)


@contextlib.contextmanager
def replacing(
    path: Path, mode: int, owner: tuple[int, int] | None = None, lasting: bool = True, named: bool = True
) -> Iterator[BinaryIO]:
    """A new file, closed to others, that takes the place of *path* when the body has written it; where it raises, nothing has changed.

    Args:
        path: in a folder that is there.
        mode: what the file has in the end; no umask takes of it.
        owner: a user's and a group's number; None leaves both as they come.
        lasting: the content is on disk before this returns. Not for what may be lost with the power.
        named: so is the name. Not where a folder that nobody knows yet is filled, or where an older content is as good.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    handle = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(handle, "wb") as out:
            yield out
            out.flush()
            if owner is not None:
                os.fchown(handle, *owner)
            os.fchmod(handle, mode)
            if lasting:
                os.fsync(handle)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):  # what made us give it up is raised
            os.unlink(temporary)
        raise
    if lasting and named:
        fsync(path.parent)


def write_file(path: Path, text: str, mode: int, owner: tuple[int, int] | None = None, lasting: bool = True, named: bool = True) -> None:
    """Replace *path* by *text* (see :func:`replacing`); its folder is made where it is not there."""
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    with replacing(path, mode, owner, lasting, named) as out:
        out.write(text.encode())


def replace_link(path: Path, target: str | os.PathLike[str]) -> None:
    """Make *path* a link to *target*: the former one or this one, never none; on disk before this returns."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)  # only a dead process with our number leaves one
    temporary.symlink_to(target)
    os.replace(temporary, path)
    fsync(path.parent)
