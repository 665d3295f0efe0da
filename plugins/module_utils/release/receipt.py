# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Receipts: from what a component was last converged, and what its files were then.

A component whose inputs and files are as its receipt says needs no convergence.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import TypedDict

from ansible_collections.phasegate.aistack.plugins.module_utils.core.durable import write_file
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.file import utc_now


class Receipt(TypedDict, total=False):
    """What a role was last converged from, C(<state>/receipts/<component>.json): :func:`save` writes it, :func:`load` reads it.

    Attributes:
        time: UTC, ISO 8601.
        inputs: hash of what the role was given.
        files: each file that it manages, with its :func:`fingerprint`; None where there is none.
    """

    time: str
    inputs: str
    files: dict[str, str | None]


def fingerprint(path: str | os.PathLike[str]) -> str | None:
    """Return ``sha256:mode`` of a file, ``link:target`` or ``dir:mode``, or None when there is nothing."""
    target = Path(path)
    try:
        status = target.lstat()
        if stat.S_ISLNK(status.st_mode):
            return f"link:{os.readlink(target)}"
        mode = f"{stat.S_IMODE(status.st_mode):04o}"
        if stat.S_ISDIR(status.st_mode):
            return f"dir:{mode}"
        if not stat.S_ISREG(status.st_mode):
            return f"special:{mode}"
        digest = hashlib.sha256()
        with target.open("rb") as stream:
            for block in iter(lambda: stream.read(1 << 20), b""):
                digest.update(block)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return f"{digest.hexdigest()}:{mode}"


def receipt_path(state_dir: str | os.PathLike[str], component: str) -> Path:
    """Return where a component's receipt is kept."""
    return Path(state_dir) / "receipts" / f"{component}.json"


def compose(inputs: str, files: Iterable[str]) -> Receipt:
    """Return a receipt for the files as they are now, without the time."""
    return {"inputs": inputs, "files": {str(path): fingerprint(path) for path in sorted(set(files))}}


def load(state_dir: str | os.PathLike[str], component: str) -> Receipt | None:
    """Return a receipt, or None when there is none that can be read."""
    try:
        value: Receipt = json.loads(receipt_path(state_dir, component).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def save(state_dir: str | os.PathLike[str], component: str, receipt: Receipt) -> None:
    """Write a receipt by rename."""
    write_file(receipt_path(state_dir, component), json.dumps({"time": utc_now(), **receipt}, sort_keys=True, indent=1), 0o640)


def judge(state_dir: str | os.PathLike[str], component: str, inputs: str) -> tuple[bool, str]:
    """Tell whether a component is as its receipt says, and why not."""
    receipt = load(state_dir, component)
    if receipt is None:
        return False, "no receipt: it was not converged here yet"
    if receipt.get("inputs") != inputs:
        return False, f"inputs changed since {receipt.get('time')}"
    for path, before in sorted((receipt.get("files") or {}).items()):
        now = fingerprint(path)
        if now == before:
            continue
        if now is None:
            return False, f"file {path} is missing"
        if before is None:
            return False, f"file {path} appeared"
        same_content = before.rpartition(":")[0] == now.rpartition(":")[0]
        return False, f"file {path} changed" + (f" its mode to {now.rpartition(':')[2]}" if same_content else "")
    return True, f"as converged at {receipt.get('time')}"
