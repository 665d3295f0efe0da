# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write the file that says who may ask a server of Prometheus' family.

Reads one JSON object on standard input: C(file), C(user), C(password), C(group) (who may read it besides root) and C(check). Prints
C(changed) where the file was written, or would be. A hash that the password fits stays, since each new one would look like a change.
The hash is made by libcrypt, which every Debian has; Python 3.13 has no module for it any more.
"""

from __future__ import annotations

import ctypes
import grp
import json
import os
import sys
from typing import Any

COST = 10
LONGEST = 72
"""Bytes of a password that bcrypt looks at."""


def crypt(password: str, setting: str) -> str:
    """The hash of a password; empty where libcrypt knows no such setting."""
    library = ctypes.CDLL("libcrypt.so.1")
    library.crypt.restype = ctypes.c_char_p
    made = library.crypt(password.encode(), setting.encode())
    text = made.decode() if made else ""
    return "" if text.startswith("*") else text


def new_setting() -> str:
    """A salt of its own."""
    library = ctypes.CDLL("libcrypt.so.1")
    library.crypt_gensalt.restype = ctypes.c_char_p
    salt = os.urandom(16)
    made = library.crypt_gensalt(b"$2b$", ctypes.c_ulong(COST), salt, len(salt))
    return made.decode() if made else ""


def kept(path: str, user: str, password: str) -> bool:
    """Whether the file lets in this user with this password, and nobody else."""
    try:
        with open(path, encoding="utf-8") as file:
            users = json.load(file)["basic_auth_users"]
    except (OSError, ValueError, KeyError):
        return False
    known = users.get(user, "") if list(users) == [user] else ""
    return bool(known) and crypt(password, known) == known


def write(path: str, text: str, group: str) -> None:
    """Put the file in its place, readable by root and a group."""
    beside = f"{path}.new"
    if os.path.lexists(beside):
        os.unlink(beside)
    with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        os.fchown(file.fileno(), -1, grp.getgrnam(group).gr_gid)
        os.fchmod(file.fileno(), 0o640)
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)


def main(wanted: dict[str, Any]) -> int:
    """Bring the file to what is wanted; the exit status."""
    path, user, password = wanted["file"], wanted["user"], wanted["password"]
    if not 12 <= len(password.encode()) <= LONGEST:
        print(f"The password of {user} for {path}: expected 12 to {LONGEST} bytes, got {len(password.encode())}. Give another one in the "
              "inventory.", file=sys.stderr)
        return 2
    if kept(path, user, password):
        return 0
    if not wanted["check"]:
        made = crypt(password, new_setting())
        if not made:
            print("libcrypt of this node makes no bcrypt hash ($2b$): expected libcrypt1 4.0 or newer", file=sys.stderr)
            return 2
        write(path, json.dumps({"basic_auth_users": {user: made}}, indent=1) + "\n", wanted["group"])
    print("changed")
    return 0


if __name__ == "__main__":
    sys.exit(main(json.load(sys.stdin)))
