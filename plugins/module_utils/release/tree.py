# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Trees of files: hashing, sealing, sharing what is the same, measuring, removing."""

from __future__ import annotations

import contextlib
import errno
import filecmp
import gzip
import hashlib
import os
import shutil
import stat
import tarfile
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path

from ansible_collections.phasegate.aistack.plugins.module_utils.core.proc import finish

INSTALLED = (".venv", "node_modules", "__pycache__")
"""Folders that are made from the lock file; their content is vouched for by its hashes, not by the tree's."""

OWN_FILES = ("release.json", "release.files.json")


def walk(root: Path, installed: bool = True) -> Iterator[Path]:
    """Yield every file and link below ``root``; ``installed`` says whether INSTALLED folders are entered."""
    for folder, names, files in os.walk(root):
        if not installed:
            names[:] = [name for name in names if name not in INSTALLED]
        names.sort()
        for name in sorted(files):
            yield Path(folder) / name
        for name in names:
            if (Path(folder) / name).is_symlink():
                yield Path(folder) / name


def file_hashes(root: Path, inner: str = "") -> dict[str, str]:
    """Return relative path to ``x|- sha256`` or ``-> target`` for what the tree hash covers; ``inner`` is the component's folder.

    Folders of INSTALLED, compiled Python and the release's own manifest are left out. Of a mode, only
    whether the owner may execute is kept: sealing changes the rest.
    """
    hashes: dict[str, str] = {}
    own = {f"{inner}/{name}" if inner else name for name in OWN_FILES}
    for path in walk(root, installed=False):
        relative = path.relative_to(root).as_posix()
        if relative in own or path.suffix == ".pyc":
            continue
        if path.is_symlink():
            hashes[relative] = f"-> {os.readlink(path)}"
            continue
        flag = "x" if path.stat().st_mode & stat.S_IXUSR else "-"
        hashes[relative] = f"{flag} {sha256(path)}"
    return hashes


def sha256(path: Path) -> str:
    """Return a file's SHA-256 in hex."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def tree_hash(hashes: dict[str, str]) -> str:
    """Return one SHA-256 over the sorted lines ``path NUL hash`` of :func:`file_hashes`."""
    digest = hashlib.sha256()
    for relative in sorted(hashes):
        digest.update(f"{relative}\0{hashes[relative]}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def differences(before: dict[str, str], now: dict[str, str]) -> list[str]:
    """Return ``changed X``, ``added X``, ``missing X``, sorted by path."""
    found = []
    for relative in sorted(set(before) | set(now)):
        if relative not in now:
            found.append(f"missing {relative}")
        elif relative not in before:
            found.append(f"added {relative}")
        elif before[relative] != now[relative]:
            found.append(f"changed {relative}")
    return found


def unpack(archive: Path, target: Path, goals: Collection[str] = ()) -> None:
    """Unpack a tar archive into an existing folder. Nothing is written through a link, be it of the archive or on disk.

    Links are made last, when all else is written. What is made belongs to who runs this; of a mode, only whether the owner may
    execute is kept. ``goals`` are the places outside where a link may lead. What is refused leaves a tree that has to be removed.

    Raises:
        ValueError: a member would land, or point, outside of it; or the archive is not whole.
    """
    kinds: dict[str, bool] = {}
    links: list[tuple[list[str], tarfile.TarInfo]] = []
    folders = _Folders(target)
    try:
        with tarfile.open(archive) as bundle:
            for member in bundle:
                parts = _parts(member, kinds)
                if member.issym():
                    links.append((parts, member))
                elif member.isdir():
                    folders.open(parts, member)
                else:
                    _write_file(bundle, member, folders.open(parts[:-1], member), parts[-1])
        _make_links(target, folders, links, goals)
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"it is no whole archive: {error}") from error
    finally:
        folders.close()


_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def _refused(member: tarfile.TarInfo, why: str) -> ValueError:
    shown = member.name + (f" -> {member.linkname}" if member.linkname else "")
    return ValueError(f"{' '.join(shown.splitlines())} is not a file, folder or link inside the release ({why})")


def _parts(member: tarfile.TarInfo, kinds: dict[str, bool]) -> list[str]:
    """Return the names that lead to a member; ``kinds`` says of each path that came before whether it is a folder."""
    parts = [part for part in member.name.split("/") if part not in ("", ".")]
    plain = member.type in (tarfile.REGTYPE, tarfile.AREGTYPE) and member.sparse is None
    if not (plain or member.isdir() or member.issym()):
        raise _refused(member, "it is of another kind")
    if member.name.startswith("/") or ".." in parts or not (parts or member.isdir()):
        raise _refused(member, "its name leads elsewhere")
    if any(sign in member.name + member.linkname for sign in "\n\0"):
        raise _refused(member, "its name has more than one line")
    if member.mode & 0o7000 and not member.issym():
        raise _refused(member, f"its mode is {member.mode:o}")
    for end in range(1, len(parts)):
        if not kinds.setdefault("/".join(parts[:end]), True):
            raise _refused(member, f"{'/'.join(parts[:end])} is no folder")
    path = "/".join(parts)
    if path in kinds and not (kinds[path] and member.isdir()):
        raise _refused(member, "there is another of this name")
    kinds[path] = member.isdir()
    return parts


class _Folders:
    """Folders below a root, opened without following a link on the way, and made where they are missing.

    The last one stays open: members of one folder mostly come one after the other.
    """

    def __init__(self, root: Path) -> None:
        self._root = self._last = os.open(root, _FOLDER)
        self._parts: list[str] = []

    def open(self, parts: list[str], member: tarfile.TarInfo) -> int:
        """Return a handle that is good until the next call."""
        if parts == self._parts:
            return self._last
        self._leave()
        for number, part in enumerate(parts, start=1):
            inner = self._enter(part, member)
            self._leave()
            self._last, self._parts = inner, parts[:number]
        return self._last

    def _enter(self, part: str, member: tarfile.TarInfo) -> int:
        try:
            return os.open(part, _FOLDER, dir_fd=self._last)
        except FileNotFoundError:  # the first member below it makes it
            os.mkdir(part, dir_fd=self._last)
            inner = os.open(part, _FOLDER, dir_fd=self._last)
            os.fchmod(inner, 0o755)
            return inner
        except OSError as error:
            if error.errno not in (errno.ENOTDIR, errno.ELOOP):
                raise
            raise _refused(member, f"{part} is no folder on disk") from error

    def _leave(self) -> None:
        if self._last != self._root:
            os.close(self._last)
        self._last, self._parts = self._root, []

    def close(self) -> None:
        self._leave()
        os.close(self._root)


def _write_file(bundle: tarfile.TarFile, member: tarfile.TarInfo, folder: int, name: str) -> None:
    try:
        handle = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder)
    except FileExistsError as error:
        raise _refused(member, "another of this name is on disk") from error
    with open(handle, "wb") as stream:
        source = bundle.extractfile(member)
        if source is not None:
            shutil.copyfileobj(source, stream, 1 << 20)
        if stream.tell() != member.size:
            raise tarfile.ReadError(f"{member.name} has {stream.tell()} bytes of {member.size}")
        stream.flush()
        os.fchmod(handle, 0o755 if member.mode & stat.S_IXUSR else 0o644)
        seconds = min(max(0, int(member.mtime)), 1 << 32)
        os.utime(handle, (seconds, seconds))


def _make_links(target: Path, folders: _Folders, links: list[tuple[list[str], tarfile.TarInfo]], goals: Collection[str]) -> None:
    """Make the links, then see where each really leads: one may go by way of another."""
    base = os.path.realpath(target)
    outside = {os.path.realpath(goal) for goal in goals}
    for parts, member in links:
        try:
            os.symlink(member.linkname, parts[-1], dir_fd=folders.open(parts[:-1], member))
        except FileExistsError as error:
            raise _refused(member, "another of this name is on disk") from error
    for parts, member in links:
        real = os.path.realpath(target.joinpath(*parts))
        inside = (real == base or real.startswith(f"{base}{os.sep}")) and not os.path.isabs(member.linkname)
        if not inside and real not in outside:
            raise _refused(member, "it leads elsewhere")


def taken(root: Path, mode: int = 0o700) -> Iterator[tuple[int, str, os.stat_result, str]]:
    """Yield what is below ``root``: the handle of its folder, its name, its status, its path in the tree. No link is followed.

    Where this is root, a folder is taken from its owner before it is looked into, ``root`` first. So whoever has it up to then, and may
    have processes yet that know of no end, cannot put a link in the place of what was looked at. ``mode`` is for the folders below
    ``root``, which itself is closed.
    """
    handle = os.open(root, _FOLDER)
    try:
        yield from _entries(handle, "", 0o700, mode)
    finally:
        os.close(handle)


def _entries(handle: int, place: str, own: int, mode: int) -> Iterator[tuple[int, str, os.stat_result, str]]:
    status = os.fstat(handle)
    if os.geteuid() == 0 and (status.st_uid, status.st_gid) != (0, 0):
        os.fchown(handle, 0, 0)
    if stat.S_IMODE(status.st_mode) != own:
        os.fchmod(handle, own)
    for name in sorted(os.listdir(handle)):
        status = os.stat(name, dir_fd=handle, follow_symlinks=False)
        yield handle, name, status, place + name
        if stat.S_ISDIR(status.st_mode):
            if os.geteuid() != 0:  # root needs no leave to look
                os.chmod(name, 0o700, dir_fd=handle)
            inner = os.open(name, _FOLDER, dir_fd=handle)
            try:
                yield from _entries(inner, f"{place}{name}/", mode, mode)
            finally:
                os.close(inner)


def seal(root: Path, gid: int | None = None) -> None:
    """Make every file read-only and readable for the service, owned by root where we are root.

    With ``gid``, others cannot enter the tree at all: a build may have put secrets into it.
    """
    privileged = os.geteuid() == 0
    for folder, name, status, _path in taken(root, 0o755):
        if stat.S_ISDIR(status.st_mode):
            continue
        if privileged and (status.st_uid, status.st_gid) != (0, 0):
            os.chown(name, 0, 0, dir_fd=folder, follow_symlinks=False)
        mode = 0o555 if status.st_mode & 0o111 else 0o444
        if not stat.S_ISLNK(status.st_mode) and stat.S_IMODE(status.st_mode) != mode:
            os.chmod(name, mode, dir_fd=folder)
    if gid is not None and privileged:
        os.chown(root, 0, gid)
        os.chmod(root, 0o750)
    else:
        os.chmod(root, 0o755)


def link_identical(root: Path, previous: Path) -> int:
    """Replace files that are the same in ``previous`` by hard links to them; returns the bytes shared.

    The same means: same relative path, size, mode and content. Both trees have to be sealed.
    """
    shared = 0
    for path in walk(root):
        other = previous / path.relative_to(root)
        try:
            mine, theirs = path.lstat(), other.lstat()
        except OSError:  # the older tree has no such file: nothing to share
            continue
        alike = stat.S_ISREG(mine.st_mode) and (mine.st_size, mine.st_mode) == (theirs.st_size, theirs.st_mode)
        if not alike or (mine.st_uid, mine.st_dev) != (theirs.st_uid, theirs.st_dev):
            continue
        if mine.st_ino == theirs.st_ino:
            shared += mine.st_blocks * 512
            continue
        if not mine.st_size or not filecmp.cmp(path, other, shallow=False):
            continue
        temporary = path.with_name(f".{path.name}.link")
        try:
            os.link(other, temporary)
        except OSError:  # too many links to it already: keep the copy
            continue
        os.rename(temporary, path)
        shared += mine.st_blocks * 512
    filecmp.clear_cache()
    return shared


def usage(root: Path, previous: Path | None = None) -> tuple[int, int]:
    """Return the bytes on disk of a tree, and how many of them are not shared with ``previous``."""

    def inodes(tree: Path) -> dict[tuple[int, int], int]:
        found: dict[tuple[int, int], int] = {}
        for folder, _names, files in os.walk(tree):
            for path in [Path(folder), *(Path(folder) / name for name in files)]:
                status = path.lstat()
                found[(status.st_dev, status.st_ino)] = status.st_blocks * 512
        return found

    mine = inodes(root)
    theirs = inodes(previous) if previous is not None and previous.is_dir() else {}
    return sum(mine.values()), sum(size for key, size in mine.items() if key not in theirs)


def sync(root: Path) -> None:
    """Bring a tree to disk: the whole filesystem at once, which is cheaper than thousands of files."""
    done = None
    with contextlib.suppress(OSError):  # no such program: everything is brought to disk then
        done = finish(["sync", "-f", str(root)])
    if done is None or done.rc != 0:
        os.sync()


def remove(path: Path) -> None:
    """Remove a tree so that a half-removed one is never taken for a release. Missing is fine."""
    if not os.path.lexists(path):
        return
    if path.is_symlink() or not path.is_dir():
        path.unlink()
        return
    hidden = path if path.name.startswith(".") else path.with_name(f".removing-{path.name}-{os.getpid()}")
    if hidden is not path:
        os.rename(path, hidden)
    for _entry in taken(hidden):
        pass
    shutil.rmtree(hidden)
