# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Room on the disk that is kept for the way back: a release that fills the disk can be taken back all the same.

``<state>/reserve`` is only there to be removed. An ordinary run makes it, an emergency frees it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from pathlib import Path

from ansible_collections.phasegate.aistack.plugins.module_utils.core.durable import fsync, move

NAME = "reserve"
SIZE = 8 * 1024 * 1024
"""Bytes: the lock, the journal's records and the links of some hundred switches."""
NEEDED = 256 * 1024
"""Bytes without which an emergency does not begin before it has freed the reserve."""
_UNABLE = (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS)


def is_full(error: OSError) -> bool:
    """Whether an error says that there is no room, on the disk or within a quota."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def keep(state_dir: str | os.PathLike[str]) -> bool:
    """Have the reserve; False where there is no room for it, or hardly any would be left. Raises OSError for anything else."""
    path = Path(state_dir) / NAME
    with contextlib.suppress(FileNotFoundError):  # then it is made
        if path.stat().st_blocks * 512 >= SIZE:
            return True
    if shutil.disk_usage(path.parent).free < 2 * SIZE or not _made(_beside(path), SIZE):
        return False
    move(_beside(path), path)
    return True


def free(state_dir: str | os.PathLike[str]) -> bool:
    """Free the reserve; False where there is none."""
    try:
        (Path(state_dir) / NAME).unlink()
    except FileNotFoundError:
        return False
    fsync(Path(state_dir))
    return True


def room(state_dir: str | os.PathLike[str]) -> bool:
    """Whether there is room for what an emergency writes; a matter of a millisecond, since nothing has to reach the disk for that."""
    probe = _beside(Path(state_dir) / NAME)
    if not _made(probe, NEEDED, lasting=False):
        return False
    probe.unlink()
    return True


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}")


def _made(path: Path, size: int, lasting: bool = True) -> bool:
    """Make a file whose blocks are really there; False, and no file, where they are not."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            _allocate(handle, size)
            if lasting:
                os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:  # there may be no room for so much as a name
        path.unlink(missing_ok=True)
        if is_full(error):
            return False
        raise
    return True


def _allocate(handle: int, size: int) -> None:
    try:
        os.posix_fallocate(handle, 0, size)
        return
    except OSError as error:
        if error.errno not in _UNABLE:
            raise
    for _turn in range(0, size, 65536):  # a file system that promises nothing: written, and so that it cannot be compressed away
        os.write(handle, os.urandom(65536))
