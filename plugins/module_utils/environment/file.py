# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""systemd's EnvironmentFile syntax, and the configuration folders it is kept in.

Writing quotes every value, so that systemd, a POSIX shell and :func:`parse_env` read the same.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.phasegate.aistack.plugins.module_utils.core.durable import fsync, move, write_file
from ansible_collections.phasegate.aistack.plugins.module_utils.core.places import Home

_ESCAPED = '"\\`$'
"""What systemd and a shell let a backslash escape inside double quotes."""
NAMES = "secrets.json"
"""Beside an environment: which of its variables the schema declares secret, and the schema's version. Names only."""
STAGING = ".staging-"
"""What the folder of a configuration is called, with its hash and the process's number behind, until it is whole."""


def quote(value: str) -> str:
    """Return a value in double quotes; newlines stand as they are, which both readers accept."""
    return '"' + "".join("\\" + char if char in _ESCAPED else char for char in value) + '"'


def render_env(values: Mapping[str, str]) -> str:
    """Return the file's text, sorted by name."""
    return "".join(f"{name}={quote(values[name])}\n" for name in sorted(values))


def parse_env(text: str) -> dict[str, str]:
    """Parse EnvironmentFile syntax as systemd does (compared with 252 and 257).

    Comments begin with ``#`` or ``;`` at the start of a line; values may be bare, or in single or
    double quotes, one after the other; a backslash at a line's end joins lines. A later assignment
    wins. Before 255 a backslash continued comments, too; here it does not.
    """
    values: dict[str, str] = {}
    position, end = 0, len(text)
    while position < end:
        while position < end and text[position] in " \t\r\n":
            position += 1
        if position >= end:
            break
        if text[position] in "#;":
            while position < end and text[position] != "\n":
                position += 1
            continue
        stop = position
        while stop < end and text[stop] not in "=\n":
            stop += 1
        if stop >= end or text[stop] == "\n":
            position = stop + 1  # no assignment: systemd ignores such a line
            continue
        name = text[position:stop].strip()
        value, position = _value(text, stop + 1)
        values[name] = value
    return values


def _value(text: str, position: int) -> tuple[str, int]:
    end = len(text)
    kept: list[str] = []
    bare = False  # quotes inside a bare value are characters like any other
    trailing = 0  # whitespace at the end of a bare value is dropped
    while position < end and text[position] not in "\r\n":
        char = text[position]
        if not bare and char in " \t":
            position += 1
        elif not bare and char == "'":
            close = text.find("'", position + 1)
            close = end if close < 0 else close
            kept.append(text[position + 1 : close])
            position = close + 1
        elif not bare and char == '"':
            quoted, position = _double(text, position + 1)
            kept.append(quoted)
        elif char == "\\":
            if position + 1 < end and text[position + 1] != "\n":
                kept.append(text[position + 1])
                trailing = 0
            bare = True
            position += 2
        else:
            bare = True
            kept.append(char)
            trailing = trailing + 1 if char in " \t" else 0
            position += 1
    value = "".join(kept)
    return (value[: len(value) - trailing] if trailing else value), position


def _double(text: str, position: int) -> tuple[str, int]:
    kept: list[str] = []
    end = len(text)
    while position < end and text[position] != '"':
        char = text[position]
        if char == "\\" and position + 1 < end:
            follower = text[position + 1]
            if follower in _ESCAPED:
                kept.append(follower)
            elif follower != "\n":
                kept.append(char + follower)
            position += 2
            continue
        kept.append(char)
        position += 1
    return "".join(kept), position + 1


def read_env(path: str | os.PathLike[str]) -> dict[str, str]:
    """Read an environment file. A missing or unreadable one raises OSError."""
    return parse_env(Path(path).read_text(encoding="utf-8"))


def config_hash(content: str, schema_version: str) -> str:
    """Return the 16 hex digits that name a configuration."""
    return hashlib.sha256(f"{schema_version}\n{content}".encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Declared:
    """What the schema of a configuration said: its version, and the names of the variables that it declares secret."""

    schema_version: str
    secrets: frozenset[str]

    def text(self) -> str:
        """As it is written beside the environment."""
        return json.dumps({"format": 1, "schema_version": self.schema_version, "secrets": sorted(self.secrets)}, sort_keys=True) + "\n"


def declared_beside(path: str | os.PathLike[str]) -> Declared | None:
    """What was declared of the environment file *path*; None where that was not written down, or cannot be read."""
    try:
        found = json.loads((Path(path).parent / NAMES).read_text(encoding="utf-8"))
        return Declared(str(found["schema_version"]), frozenset(str(name) for name in found["secrets"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def secrets_beside(path: str | os.PathLike[str]) -> frozenset[str]:
    """Names of the variables of the environment file *path* that are declared secret; none where nobody wrote that down."""
    found = declared_beside(path)
    return found.secrets if found else frozenset()


@dataclass(frozen=True)
class Config:
    """A configuration on disk: its hash, the env file, whether it is already as it has to be, and what its schema declares."""

    hash: str
    path: Path
    present: bool
    declared: Declared | None = None


def locate(
    root: str | os.PathLike[str], component: str, content: str, schema_version: str, secrets: Collection[str] | None = None
) -> Config:
    """Return where a configuration belongs and whether it is there, unchanged and closed to others.

    ``secrets`` are the names that its schema declares so; None writes none down, and leaves what stands there.
    """
    name = config_hash(content, schema_version)
    path = Home(root, component).env(name)
    declared = None if secrets is None else Declared(schema_version, frozenset(secrets))
    wanted = {path: content, **({path.parent / NAMES: declared.text()} if declared else {})}
    try:
        same = all(file.read_text(encoding="utf-8") == text and file.stat().st_mode & 0o777 == 0o600 for file, text in wanted.items())
    except (OSError, ValueError):
        same = False
    return Config(name, path, same, declared)


def write_config(config: Config, content: str, owner: tuple[int, int] | None = None) -> None:
    """Write a configuration beside its place and rename it there; durable when this returns.

    ``owner`` is the user's and the group's number; None leaves both as they come.
    """
    folder = config.path.parent
    parent = folder.parent
    parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    files = {**({NAMES: config.declared.text()} if config.declared else {}), "env": content}
    if folder.is_dir():  # it was tampered with, or lacks a file: only the files are replaced, the folder may be in use
        for name, text in files.items():
            write_file(folder / name, text, 0o600, owner)
        return
    staging = parent / f"{STAGING}{config.hash}-{os.getpid()}"
    shutil.rmtree(staging, ignore_errors=True)  # of a dead process with our number; what cannot go makes mkdir fail
    staging.mkdir(mode=0o750)
    os.chmod(staging, 0o750)
    for name, text in files.items():
        write_file(staging / name, text, 0o600, owner, named=False)
    if owner is not None:
        os.chown(staging, *owner)
    fsync(staging)
    move(staging, folder)


def live_env(root: str | os.PathLike[str], component: str) -> dict[str, str]:
    """Return the environment that the live slot runs with; empty where nothing is live."""
    try:
        return read_env(Home(root, component).live_env)
    except OSError:
        return {}
