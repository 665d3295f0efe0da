# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Encrypted parts of a backup set: one tar archive a part, through age, for a recipient whose identity is not on the node.

A restore is given the identity: as text, which goes to age's standard input and touches no disk, or as a file.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts.base import PATH, PartError, tool_version
from ansible_collections.phasegate.aistack.plugins.module_utils.core.proc import NOTHING, PIPE, Child, end_session, start
from ansible_collections.phasegate.aistack.plugins.module_utils.release import tree

PACKAGE = "age"
SUFFIX = ".tar.age"
HEADER = b"age-encryption.org/v1\n"
_TAR = ("tar", "--xattrs", "--xattrs-include=user.*", "--no-same-owner")


def version() -> str:
    """What age says of itself. Raises PartError where it is not on this node."""
    return tool_version(["age", "--version"], PACKAGE)


def _piped(first: Sequence[str], second: Sequence[str], given: bytes, out: Any, what: str) -> None:
    """Run ``first | second``; ``given`` is what the first one reads, ``out`` where the second one writes.

    Raises PartError with the words of the one that failed; the first one's where both did.
    """
    children: list[Child] = []
    with contextlib.ExitStack() as stack:
        said = [stack.enter_context(tempfile.TemporaryFile()) for _one in range(2)]
        try:
            children.append(_start(first, PIPE, PIPE, said[0]))
            flow = children[0].stdout
            children.append(_start(second, flow, out, said[1]))
            if flow is not None:
                flow.close()
            if children[0].stdin is not None:
                with contextlib.suppress(BrokenPipeError):  # it ended early: its exit status and message say why
                    children[0].stdin.write(given)
                    children[0].stdin.close()
            for child in children:
                child.wait()
        except BaseException:
            for child in children:
                end_session(child.pid)
                child.wait()
            raise
        for argv, child, stream in zip((first, second), children, said):
            if child.returncode:
                raise PartError(f"{what}: {argv[0]} ended with {child.returncode}: {_words(stream)}")


def _start(argv: Sequence[str], stdin: Any, stdout: Any, stderr: IO[bytes]) -> Child:
    try:
        return start(argv, {"PATH": PATH, "LC_ALL": "C.UTF-8"}, "/", stdin, stdout, stderr, umask=0o077)
    except FileNotFoundError:
        raise PartError(f"{argv[0]} is not on this node. Role backup installs age for encrypt: run site.yml.") from None


def _words(stream: IO[bytes]) -> str:
    stream.seek(0)
    lines = stream.read().decode("utf-8", "replace").strip().splitlines()
    return lines[0] if lines else "no message"


def encrypt(folder: Path, part: Mapping[str, object], recipient: str) -> dict[str, object]:
    """Replace a part's file or folder by one encrypted archive; returns the part as the manifest has it from then on.

    Raises PartError; the plain part is still there then.
    """
    plain = folder / str(part["path"])
    target = plain.with_name(plain.name + SUFFIX)
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as out:
        _piped(
            [*_TAR, "-C", str(plain.parent), "-cf", "-", "--", plain.name],
            ["age", "--encrypt", "--recipient", recipient],
            b"",
            out,
            f"{part['kind']}:{part['name']} cannot be encrypted for {recipient}",
        )
        os.fsync(out.fileno())
    tree.remove(plain)
    return {**part, "path": f"{part['path']}{SUFFIX}", "encrypted": {"recipient": recipient, "path": str(part["path"])}}


def verify(folder: Path, part: Mapping[str, object]) -> list[str]:
    """What is wrong with what is stored; what is inside can be judged with the identity alone."""
    path = folder / str(part["path"])
    if not path.is_file():
        return [f"{path} is missing"]
    with open(path, "rb") as stream:
        if stream.read(len(HEADER)) != HEADER:
            return [f"{path} is no file that age made"]
    return []


def decrypt(folder: Path, part: Mapping[str, Any], into: Path, identity: str = "", identity_file: str = "") -> dict[str, object]:
    """Put a part, plain, below ``into``; returns it as it was before it was encrypted. Raises PartError."""
    inner = str(part["encrypted"]["path"])
    target = into / inner
    what = f"{part['kind']}:{part['name']} cannot be decrypted"
    if not identity and not identity_file:
        raise PartError(f"{what}: it is encrypted for {part['encrypted']['recipient']}. Give the key that opens it: -e identity_file=FILE.")
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=into, prefix=".opening-") as place:
        _piped(
            ["age", "--decrypt", "-i", "-" if identity else identity_file, str(folder / str(part["path"]))],
            [*_TAR, "-C", place, "-xf", "-"],
            f"{identity}\n".encode() if identity else b"",
            NOTHING,
            what,
        )
        found = [path for path in Path(place).rglob("*") if path.is_symlink() or not (path.is_file() or path.is_dir())]
        if os.listdir(place) != [target.name] or found:
            raise PartError(f"{what}: the archive holds other things than {target.name}; it is not what was saved.")
        os.rename(Path(place) / target.name, target)
    return {**{key: value for key, value in part.items() if key != "encrypted"}, "path": inner}
