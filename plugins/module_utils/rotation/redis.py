# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Passwords of Redis' users: a user may have several, so that a new one is valid beside the former one while it is brought everywhere.

What the server knows and what it reads when it starts are kept alike: the file of users that role redis wrote is changed with it.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts.base import PartError
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts.redis import Server
from ansible_collections.phasegate.aistack.plugins.module_utils.core.durable import write_file


class LoginError(Exception):
    """Not done; the message says why and what to do."""


@dataclass(frozen=True)
class Seen:
    """What there is of one user.

    Attributes:
        exists: whether the server knows it.
        value: whether the given password is valid, today and after a restart.
        bridge: whether another one is valid as well, today or after a restart.
    """

    exists: bool
    value: bool
    bridge: bool

    def as_dict(self) -> dict[str, bool]:
        return asdict(self)


def digest(password: str) -> str:
    """What Redis keeps of a password: 64 hex digits."""
    return hashlib.sha256(password.encode()).hexdigest()


def _of_server(server: Server, user: str) -> list[str] | None:
    """Hashes of a user's passwords; None where there is no such user."""
    reply = server.ask("ACL", "GETUSER", user)
    if not isinstance(reply, list):
        return None
    found = dict(zip(reply[::2], reply[1::2]))
    return [str(item) for item in found.get("passwords") or []]


def _of_file(text: str, user: str) -> list[str] | None:
    for line in text.splitlines():
        words = line.split()
        if words[:2] == ["user", user]:
            return [word[1:] for word in words[2:] if word.startswith("#")]
    return None


def with_hashes(text: str, user: str, hashes: list[str]) -> str:
    """The file of users with exactly these passwords for one of them.

    Raises:
        LoginError: the user is not in there.
    """
    lines = text.splitlines(keepends=True)
    for index, line in enumerate(lines):
        words = line.split()
        if words[:2] == ["user", user]:
            rest = [word for word in words[2:] if not word.startswith("#")]
            lines[index] = " ".join(["user", user, rest[0], *(f"#{item}" for item in hashes), *rest[1:]]) + "\n"
            return "".join(lines)
    raise LoginError(f"{user} is not in the file of users; run site.yml for the component once, then this again")


def _keep(path: Path, user: str, hashes: list[str]) -> bool:
    before, kept = path.read_text(encoding="utf-8"), path.stat()
    after = with_hashes(before, user, hashes)
    if after == before:
        return False
    write_file(path, after, kept.st_mode & 0o7777, (kept.st_uid, kept.st_gid))
    return True


def _hashes(server: Server, path: Path, user: str) -> tuple[list[str], list[str]]:
    """Hashes that the server and the file have. Raises LoginError where one of them does not know the user."""
    known, kept = _of_server(server, user), _of_file(path.read_text(encoding="utf-8"), user)
    if known is None or kept is None:
        where = "the server" if known is None else os.fspath(path)
        raise LoginError(f"There is no user {user} in {where}; run site.yml for the component once, then this again. Nothing was changed")
    return known, kept


def observe(server: Server, path: Path, user: str, password: str) -> Seen:
    """Look at one user; ``path`` is the file of users that the server reads when it starts."""
    known, kept = _of_server(server, user), _of_file(path.read_text(encoding="utf-8"), user)
    if known is None or kept is None:
        return Seen(False, False, False)
    new = digest(password)
    return Seen(True, new in known and new in kept, any(item != new for item in [*known, *kept]))


def admit(server: Server, path: Path, user: str, password: str) -> bool:
    """Have the password be valid beside those that are; whether anything changed."""
    known, kept = _hashes(server, path, user)
    new = digest(password)
    changed = _keep(path, user, list(dict.fromkeys([*kept, new])))
    if new not in known:
        server.ask("ACL", "SETUSER", user, f"#{new}")
        changed = True
    return changed


def close(server: Server, path: Path, user: str, password: str) -> bool:
    """Have this password alone be valid; who is connected stays so. Whether anything changed."""
    known, _kept = _hashes(server, path, user)
    new = digest(password)
    changed = False
    if known != [new]:
        server.ask("ACL", "SETUSER", user, "resetpass", f"#{new}")
        changed = True
    return _keep(path, user, [new]) or changed


__all__ = ["LoginError", "PartError", "Seen", "Server", "admit", "close", "digest", "observe", "with_hashes"]
