# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What PostgreSQL keeps of a password: is it the one that we know, and what would it be for a new one (RFC 5802, RFC 7677).

Made here, a password never stands in a statement, which a server may log.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import unicodedata

ITERATIONS = 4096
"""As PostgreSQL itself does it."""

_STORED = re.compile(r"SCRAM-SHA-256\$(\d+):([A-Za-z0-9+/=]+)\$([A-Za-z0-9+/=]+):([A-Za-z0-9+/=]+)")


def _prepared(password: str) -> bytes:
    """SASLprep as far as it makes a difference for what can be typed; ASCII stays as it is."""
    return (password if password.isascii() else unicodedata.normalize("NFKC", password)).encode()


def _keys(password: bytes, salt: bytes, iterations: int) -> tuple[bytes, bytes]:
    salted = hashlib.pbkdf2_hmac("sha256", password, salt, iterations)
    stored = hashlib.sha256(hmac.new(salted, b"Client Key", hashlib.sha256).digest()).digest()
    return stored, hmac.new(salted, b"Server Key", hashlib.sha256).digest()


def verifier(password: str, salt: bytes) -> str:
    """What C(pg_authid.rolpassword) would hold; ``salt`` is 16 random bytes."""
    stored, server = _keys(_prepared(password), salt, ITERATIONS)
    text = [base64.b64encode(part).decode() for part in (salt, stored, server)]
    return f"SCRAM-SHA-256${ITERATIONS}:{text[0]}${text[1]}:{text[2]}"


def matches(kept: str | None, user: str, password: str) -> bool:
    """Whether *kept*, from C(pg_authid.rolpassword), is of that password. Nothing kept matches nothing."""
    if not kept:
        return False
    found = _STORED.fullmatch(kept)
    if found:
        salt, server = base64.b64decode(found[2]), base64.b64decode(found[4])
        return any(
            hmac.compare_digest(_keys(candidate, salt, int(found[1]))[1], server)
            for candidate in (_prepared(password), password.encode())
        )
    digest = hashlib.new("md5", (password + user).encode(), usedforsecurity=False) if kept.startswith("md5") else None
    return digest is not None and hmac.compare_digest("md5" + digest.hexdigest(), kept)
