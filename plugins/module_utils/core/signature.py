# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who made a backup set: its manifest is signed (HMAC-SHA256) with a key that only root of this node, or of this stack, has.

The manifest has the checksum of every file, so that its signature is one of the whole set. Restoring a set writes files and runs
SQL as root and as the database's administrator: checksums alone tell that it is whole, not that it is ours.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
from pathlib import Path

from ansible_collections.phasegate.aistack.plugins.module_utils.core.durable import fsync, write_file

KEY = "backup.key"
MANIFEST = "manifest.json"
SIGNATURE = "manifest.sig"
GOOD, NONE, OTHER = "good", "none", "other"
"""What is said of a set: signed with the key of here, not signed, signed with another one (or changed since)."""

_BYTES = 32


class KeyProblem(Exception):
    """There is a key, and it cannot be used."""


def key(state_dir: Path, make: bool = False) -> bytes | None:
    """The key; None where there is none. With ``make`` it is made then. Raises KeyProblem."""
    path = state_dir / KEY
    if make and not path.exists():
        with contextlib.suppress(FileExistsError):  # somebody else makes it at the same moment
            _write(path, secrets.token_hex(_BYTES))
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    except OSError as problem:
        raise KeyProblem(f"the key {path} cannot be read: {problem.strerror}") from problem
    with os.fdopen(handle, "rb") as stream:
        state = os.fstat(stream.fileno())
        if state.st_mode & 0o077 or state.st_uid != os.geteuid():
            raise KeyProblem(
                f"the key {path} is open to others (mode {state.st_mode & 0o777:04o}, owner {state.st_uid}); expected 0600 of root."
                " Remove it if anybody may have read it: the next set makes another one, and sets of before are accepted by name"
            )
        text = stream.read().strip()
    if len(text) < _BYTES:
        raise KeyProblem(f"the key {path} has {len(text)} characters, expected {2 * _BYTES}. Put the right one there")
    return text


def _write(path: Path, text: str) -> None:
    """Make the file, whole or not at all. Raises FileExistsError where it is there."""
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="ascii") as stream:
            stream.write(f"{text}\n")
            stream.flush()
            os.fsync(stream.fileno())
        os.link(beside, path)
    finally:
        beside.unlink()
    fsync(path.parent)  # sets that are signed with it may be on disk before


def _signature(of: bytes, name: str, manifest: bytes) -> str:
    return hmac.new(of, b"aistack backup set\0" + name.encode() + b"\0" + manifest, hashlib.sha256).hexdigest()


def sign(state_dir: Path, folder: Path, name: str) -> None:
    """Sign the manifest in ``folder``, of the set that will be called ``name``. Raises KeyProblem, OSError."""
    known = key(state_dir, make=True)
    if known is None:  # it was removed in between
        raise KeyProblem(f"{state_dir / KEY} is not there")
    text = _signature(known, name, (folder / MANIFEST).read_bytes())
    write_file(folder / SIGNATURE, f"{text}\n", 0o600, named=False)


def judge(state_dir: Path, path: Path) -> str:
    """C(good), C(none) or C(other), of the set in this folder. Raises KeyProblem, OSError."""
    try:
        given = (path / SIGNATURE).read_bytes().strip()
    except FileNotFoundError:
        return NONE
    known = key(state_dir)
    if known is None:
        return OTHER
    return GOOD if hmac.compare_digest(given, _signature(known, path.name, (path / MANIFEST).read_bytes()).encode()) else OTHER
