# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Words for what a module may not do on a node because it does not run as root there."""

from __future__ import annotations

import errno
import functools
import json
import os
import pwd
import sys
from collections.abc import Callable


def in_words(error: Exception) -> str:
    """An error in words; where this process lacks a right that root has, with who it runs as, and what to set."""
    if not isinstance(error, OSError) or error.errno not in (errno.EACCES, errno.EPERM) or os.geteuid() == 0:
        return str(error)
    try:
        who = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        who = str(os.geteuid())
    where = f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror)
    return (
        f"{where}. This ran as the user {who}; what a stack has on a node belongs to root. Is it ansible_become: true that the inventory "
        "lacks for this node? Its user also needs sudo, without a password or with ansible_become_password"
    )


def explained(main: Callable[[], None]) -> Callable[[], None]:
    """Have a module end with :func:`in_words` instead of a traceback where a right is missing that root has."""

    @functools.wraps(main)
    def run() -> None:
        try:
            main()
        except PermissionError as error:
            if os.geteuid() == 0:
                raise
            sys.stdout.write(json.dumps({"failed": True, "changed": False, "msg": f"{in_words(error)}."}) + "\n")
            raise SystemExit(1) from error

    return run
