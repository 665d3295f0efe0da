# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Work of root in a folder that somebody else owns.

Its owner may exchange every name in it at any moment, by a link to a file of root's as well. So nothing is done by path: the folder
is opened once, link by link judged on the way, and everything in it is done by that handle. Modes and owners are set on open files,
which have another name, or are in a folder of root's, until they are whole.
"""

from __future__ import annotations

import contextlib
import errno
import os
import pwd
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts.base import PartError, copy_stream
from ansible_collections.phasegate.aistack.plugins.module_utils.core.service_user import TOOLS_USER

LINKS = 40
"""Links on the way to a folder, as the kernel counts them."""

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True)
class Place:
    """An open folder: its handle, and the path by which it was reached (for messages)."""

    handle: int
    path: Path

    def lstat(self, name: str) -> os.stat_result | None:
        """What has this name, a link itself and not what it points at; None where nothing has."""
        with contextlib.suppress(FileNotFoundError):
            return os.stat(name, dir_fd=self.handle, follow_symlinks=False)
        return None

    def read(self, name: str) -> BinaryIO:
        """A regular file, for reading. Raises PartError for anything else, OSError."""
        try:
            handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=self.handle)
        except OSError as problem:
            if problem.errno == errno.ELOOP:
                raise PartError(f"{self.path / name} is a link; expected a file. Declare what it points at.") from None
            raise OSError(problem.errno, problem.strerror, str(self.path / name)) from problem
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            raise PartError(f"{self.path / name} is no regular file.")
        return os.fdopen(handle, "rb")

    def create(self, name: str) -> BinaryIO:
        """A new file of root's alone, for writing."""
        return os.fdopen(os.open(name, _NEW, 0o600, dir_fd=self.handle), "wb")

    def put(self, name: str, reading: BinaryIO, mode: int, owner: tuple[int, int]) -> None:
        """Make ``name`` a file with this content, mode and owner, whole or not at all."""
        owner = self.heir(*owner)
        beside = f".{name}.restore"
        self.remove(beside)
        with self.create(beside) as writing:
            copy_stream(reading, writing)
            give(writing.fileno(), mode, owner)
        self._rename(beside, name)

    def link(self, name: str, target: str, owner: tuple[int, int]) -> None:
        """Make ``name`` a link to ``target``."""
        owner = self.heir(*owner)
        beside = f".{name}.restore"
        self.remove(beside)
        os.symlink(target, beside, dir_fd=self.handle)
        if os.geteuid() == 0:
            os.chown(beside, *owner, dir_fd=self.handle, follow_symlinks=False)
        self._rename(beside, name)

    def heir(self, user: int, group: int) -> tuple[int, int]:
        """Who owns something here that a set has as this owner's.

        Sets that an earlier version made have files of the one user that all components ran as; systemd has given their folders to the
        component's own user since.
        """
        around = os.fstat(self.handle)
        try:
            before = pwd.getpwnam(TOOLS_USER)
        except KeyError:
            return user, group
        moved = user == before.pw_uid and around.st_gid == before.pw_gid and around.st_uid != 0
        return (around.st_uid, around.st_gid) if moved else (user, group)

    def _rename(self, before: str, after: str) -> None:
        os.rename(before, after, src_dir_fd=self.handle, dst_dir_fd=self.handle)
        os.fsync(self.handle)

    def move(self, name: str, to: Place) -> None:
        """Rename something into another open folder."""
        os.rename(name, name, src_dir_fd=self.handle, dst_dir_fd=to.handle)

    @contextlib.contextmanager
    def made(self, name: str, mode: int = 0o700) -> Iterator[Place]:
        """A new folder of root's own in this one."""
        os.mkdir(name, mode, dir_fd=self.handle)
        with self.folder(name) as place:
            state = os.fstat(place.handle)
            if state.st_uid != os.geteuid() or os.listdir(place.handle):
                raise PartError(f"{place.path} was just made and is another folder now: somebody works in {self.path}.")
            yield place

    @contextlib.contextmanager
    def folder(self, name: str) -> Iterator[Place]:
        """A folder in this one."""
        handle = os.open(name, _FOLDER, dir_fd=self.handle)
        try:
            yield Place(handle, self.path / name)
        finally:
            os.close(handle)

    def remove(self, name: str) -> None:
        """Remove a file or a whole folder; missing is fine."""
        try:
            os.unlink(name, dir_fd=self.handle)
            return
        except FileNotFoundError:
            return
        except (IsADirectoryError, PermissionError):  # what Linux and others say of a folder
            pass
        with self.folder(name) as inner:
            for entry in os.listdir(inner.handle):
                inner.remove(entry)
        os.rmdir(name, dir_fd=self.handle)


def give(handle: int, mode: int, owner: tuple[int, int]) -> None:
    """Set the owner, then the mode, of an open file or folder; on disk when this returns. Without root's rights only the mode."""
    if os.geteuid() == 0:
        os.fchown(handle, *owner)
    os.fchmod(handle, mode & 0o777)
    os.fsync(handle)


@contextlib.contextmanager
def opened(path: Path, make: bool = False) -> Iterator[Place]:
    """An absolute path as an open folder; ``make`` makes what is missing on the way (0755; in a folder of somebody else's, theirs).

    Raises PartError for a link in a folder where others than root make names, OSError.
    """
    handle = os.open("/", _FOLDER)
    names = list(path.parts[1:])
    links = 0
    try:
        while names:
            name = names.pop(0)
            made = False
            if make:
                with contextlib.suppress(FileExistsError):  # then it is opened as it is
                    os.mkdir(name, 0o755, dir_fd=handle)
                    made = True
            try:
                inner = os.open(name, _FOLDER, dir_fd=handle)
            except OSError as problem:
                target = _trusted_link(handle, name, path)
                if not target:
                    raise OSError(problem.errno, problem.strerror, str(path)) from problem
                links += 1
                if links > LINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path)) from None
                names = [*(part for part in Path(target).parts if part != "/"), *names]
                inner = os.open("/" if target.startswith("/") else ".", _FOLDER, dir_fd=handle)
            around = os.fstat(handle)
            if made and around.st_uid:
                give(inner, stat.S_IMODE(around.st_mode), (around.st_uid, around.st_gid))
            os.close(handle)
            handle = inner
        yield Place(handle, path)
    finally:
        os.close(handle)


@contextlib.contextmanager
def holding(path: Path) -> Iterator[tuple[Place, str]]:
    """The open folder that a file is in, and its name there; where the file is a link of root's, those of what it points at.

    Raises PartError, OSError.
    """
    for _link in range(LINKS):
        with opened(path.parent) as place:
            target = _trusted_link(place.handle, path.name, path)
            if not target:
                yield place, path.name
                return
        path = path.parent / target
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))


def become(uid: int, gid: int) -> None:
    """Give root's rights up for good, for those of somebody else; nothing without them."""
    if os.geteuid() == 0 and uid:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)


def in_child(work: Callable[[], None]) -> None:
    """Do something in a child process. Raises PartError with the words of the one that was raised there."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        said = ""
        try:
            work()
        except BaseException as problem:  # noqa: BLE001 - the parent raises it again
            said = str(problem) or type(problem).__name__
        os.write(writing, said.encode()[:4000])
        os._exit(1 if said else 0)
    os.close(writing)
    with os.fdopen(reading, "rb") as stream:
        said = stream.read().decode("utf-8", "replace")
    _pid, status = os.waitpid(child, 0)
    if status:
        raise PartError(said or f"the child that was to do it ended with status {status}.")


def _trusted_link(folder: int, name: str, path: Path) -> str:
    """Where a link points that nobody but root could have made; empty where it is none. Raises PartError for any other link."""
    try:
        state = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return ""
    if not stat.S_ISLNK(state.st_mode):
        return ""
    around = os.fstat(folder)
    own = (0, os.geteuid())
    shared = around.st_mode & 0o022
    if around.st_uid not in own or (shared and not (around.st_mode & stat.S_ISVTX and state.st_uid in own)):
        raise PartError(
            f"{path}: {name} on the way there is a link, in a folder where others than root make names. It is not followed: what root"
            " writes could end anywhere. Nothing was changed. Declare the place that it points at."
        )
    return os.readlink(name, dir_fd=folder)
