# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command C(aistack) as one file: this code with a command line, runnable by the system's Python and nothing else.

The controller packs the sources (the same bytes wherever and whenever it is done); the node compiles them for its own Python into
the file that it installs, because reading compiled code takes half the time. Where Python was replaced since, the sources beside the
compiled code are read.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import json
import marshal
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path

PACKAGE = "ansible_collections/phasegate/aistack/plugins/module_utils"
MAIN = b"""\
# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from ansible_collections.phasegate.aistack.plugins.module_utils.cli.main import main

raise SystemExit(main())
"""
STAMP = "aistack.json"
"""Member that says from which sources and for which Python the file was made."""
_TIME = (1980, 1, 1, 0, 0, 0)
_UNCHECKED = 1
"""Flags of a compiled file that is named after the hash of its source, which is not to be compared."""


def sources(folder: Path) -> dict[str, bytes]:
    """Everything that goes into the file, by its name there. *folder* is that of ``module_utils``."""
    found = {f"{PACKAGE}/{path.relative_to(folder).as_posix()}": path.read_bytes() for path in folder.rglob("*.py")}
    parts = PACKAGE.split("/")
    for depth in range(1, len(parts)):
        found[f"{'/'.join(parts[:depth])}/__init__.py"] = b""
    found["__main__.py"] = MAIN
    return dict(sorted(found.items()))


def digest(members: Mapping[str, bytes]) -> str:
    """SHA-256 over names and contents."""
    total = hashlib.sha256()
    for name in sorted(members):
        total.update(f"{name}\0{len(members[name])}\0".encode())
        total.update(members[name])
    return total.hexdigest()


def pack(members: Mapping[str, bytes]) -> bytes:
    """A zip archive; the same members give the same bytes. Compiled code is stored as it is, so that it is read at once."""
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w") as archive:
        for name in sorted(members):
            entry = zipfile.ZipInfo(name, _TIME)
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_STORED if name.endswith(".pyc") else zipfile.ZIP_DEFLATED
            archive.writestr(entry, members[name])
    return raw.getvalue()


def unpack(archive: str | os.PathLike[str]) -> dict[str, bytes]:
    """The members of an archive.

    Raises:
        OSError, ValueError: it cannot be read, or is none.
    """
    try:
        with zipfile.ZipFile(archive) as found:
            return {name: found.read(name) for name in found.namelist()}
    except zipfile.BadZipFile as error:
        raise ValueError(f"{os.fspath(archive)}: {error}") from error


def compiled(members: Mapping[str, bytes]) -> dict[str, bytes]:
    """*members* and, for each source, what this Python makes of it."""
    found = dict(members)
    for name, source in members.items():
        if name.endswith(".py") and name != "__main__.py":
            code = compile(source, name, "exec", dont_inherit=True)
            head = importlib.util.MAGIC_NUMBER + _UNCHECKED.to_bytes(4, "little") + importlib.util.source_hash(source)
            found[f"{name}c"] = head + marshal.dumps(code)
    return found


def magic() -> str:
    """What tells the compiled code of this Python from that of another."""
    return importlib.util.MAGIC_NUMBER.hex()


def stamp_of(command: str | os.PathLike[str]) -> dict[str, str]:
    """From which sources and for which Python an installed file was made: ``source``, ``magic``, ``python``; empty where it is none."""
    try:
        with zipfile.ZipFile(command) as found:
            stamp = json.loads(found.read(STAMP))
    except (OSError, zipfile.BadZipFile, KeyError, ValueError):
        return {}
    return {str(key): str(value) for key, value in stamp.items()} if isinstance(stamp, dict) else {}


def program(archive: str | os.PathLike[str], source: str, python: str) -> bytes:
    """The file to install: a line that names *python*, then the archive with compiled code.

    Raises:
        ValueError: the archive does not hold the sources with the digest *source*.
    """
    members = unpack(archive)
    got = digest(members)
    if got != source:
        raise ValueError(f"the archive of the command arrived damaged: expected sources with SHA-256 {source}, got {got}")
    stamp = {"source": source, "magic": magic(), "python": python}
    members = {**compiled(members), STAMP: json.dumps(stamp, sort_keys=True).encode()}
    # nothing but the standard library: no variables, no folder of the user (-I), no packages and their hooks (-S)
    return f"#!{python} -IS\n".encode() + pack(members)
