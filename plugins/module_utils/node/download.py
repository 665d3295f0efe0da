# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files from elsewhere: fetched to a place where nobody looks, proven by their SHA-256, then put where they belong by one rename."""

from __future__ import annotations

import hashlib
import http.client
import os
import tarfile
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

from ansible_collections.phasegate.aistack.plugins.module_utils.core import progress
from ansible_collections.phasegate.aistack.plugins.module_utils.core.durable import move
from ansible_collections.phasegate.aistack.plugins.module_utils.core.masking import Masker, without_credentials
from ansible_collections.phasegate.aistack.plugins.module_utils.core.proc import finish
from ansible_collections.phasegate.aistack.plugins.module_utils.release import tree

ZSTD = b"\x28\xb5\x2f\xfd"
ZIP = b"PK\x03\x04"


class DownloadError(Exception):
    """Nothing was put in place; the message says why, and what to do."""


def is_there(dest: Path, sha256: str, mode: int, unpacked: bool) -> bool:
    """Whether nothing is to do. An unpacked archive is whole where it has its name."""
    if unpacked:
        return dest.is_dir()
    return dest.is_file() and (dest.stat().st_mode & 0o7777) == mode and tree.sha256(dest) == sha256


def fetch(url: str, target: Path, sha256: str, timeout: float, secret: Mapping[str, str]) -> None:
    """Write what *url* gives to *target* (0600); *timeout* is in seconds without an answer.

    Raises:
        DownloadError: it cannot be had, or is something else than expected.
    """
    shown = without_credentials(url)
    digest = hashlib.sha256()
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with open(handle, "wb") as stream, urllib.request.build_opener().open(url, timeout=timeout) as answer:
            size, total = 0, int(answer.headers.get("Content-Length") or 0)
            while block := answer.read(1 << 20):
                digest.update(block)
                stream.write(block)
                size += len(block)
                progress.tell(f"{size / 1e6:.0f}{f' of {total / 1e6:.0f}' if total else ''} MB of {shown}")
            stream.flush()
            os.fsync(stream.fileno())
    except (OSError, http.client.HTTPException, ValueError) as error:
        refused = isinstance(error, urllib.error.HTTPError) and error.code == 407
        remedy = (
            "The proxy wants other credentials: correct them in aistack_environment."
            if refused or "407" in str(error)
            else "Correct the address, or say in aistack_environment how this node gets out (HTTPS_PROXY, NO_PROXY, SSL_CERT_FILE)."
        )
        masker = Masker.of(secret, [name for name, value in secret.items() if "://" not in value])
        said = masker.mask(str(error)).rstrip(".")
        raise DownloadError(f"{shown} could not be fetched: {said}. Nothing was changed. {remedy}") from error
    if digest.hexdigest() != sha256.lower():
        raise DownloadError(
            f"{shown} is not what was expected: expected SHA-256 {sha256.lower()}, got {digest.hexdigest()}. It was thrown away. "
            "Compare with what the project publishes; correct the checksum or the address."
        )


def _plain(archive: Path, beside: Path) -> Path:
    """The archive as a tar that Python reads: zstd is undone by its own program. Raises DownloadError, ValueError."""
    with archive.open("rb") as stream:
        begins = stream.read(4)
    if begins == ZIP:
        return _as_tar(archive, beside)
    if begins != ZSTD:
        return archive
    try:
        with archive.open("rb") as packed, beside.open("xb") as plain:
            done = finish(["zstd", "--decompress", "--stdout"], stdin=packed, stdout=plain)
    except FileNotFoundError as missing:
        raise DownloadError("The archive is packed with zstd, which this node does not have. Install the package zstd.") from missing
    if done.rc != 0:
        raise DownloadError(f"zstd could not unpack the archive: {done.stderr.strip()}")
    return beside


def _as_tar(archive: Path, beside: Path) -> Path:
    """The members of a zip as a tar, which is looked at before it is unpacked. Raises ValueError."""
    try:
        with zipfile.ZipFile(archive) as packed, tarfile.open(beside, "x") as plain:
            for member in packed.infolist():
                entry = tarfile.TarInfo(member.filename)
                entry.type, entry.size = (tarfile.DIRTYPE, 0) if member.is_dir() else (tarfile.REGTYPE, member.file_size)
                entry.mode = 0o755 if member.external_attr >> 16 & 0o100 else 0o644
                with packed.open(member) as content:
                    plain.addfile(entry, content)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
        raise ValueError(f"it is no whole archive: {error}") from error
    return beside


def download(url: str, dest: Path, sha256: str, mode: int, unpacked: bool, timeout: float, secret: Mapping[str, str]) -> None:
    """Put a file, or the folder that an archive holds, at *dest*, owned by who runs this.

    Of what an archive says of owners and modes, only whether a file may be run is kept, and nothing of it lands outside.

    Raises:
        DownloadError: nothing was put in place.
    """
    if not dest.parent.is_dir():
        raise DownloadError(f"There is no folder {dest.parent}, where {dest.name} has to go. Make it first.")
    room = dest.parent / f".{dest.name}.part"
    tree.remove(room)
    room.mkdir(mode=0o700)
    try:
        fetched = room / "fetched"
        fetch(url, fetched, sha256, timeout, secret)
        if unpacked:
            inner = room / "tree"
            inner.mkdir()
            try:
                tree.unpack(_plain(fetched, room / "plain"), inner)
            except ValueError as error:
                raise DownloadError(f"The archive {without_credentials(url)} was not unpacked: {error}.") from error
            inner.chmod(mode)
            tree.sync(inner)
            move(inner, dest)
        else:
            fetched.chmod(mode)
            move(fetched, dest)
    finally:
        tree.remove(room)
