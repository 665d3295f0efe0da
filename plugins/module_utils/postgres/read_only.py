# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A database that takes no writes for a while, as during a failover: seen before anything begins, and waited for."""

from __future__ import annotations

import time
from collections.abc import Callable

from ansible_collections.phasegate.aistack.plugins.module_utils.core import progress
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.psql import DatabaseError, Psql

PAUSE = 1.0
"""Seconds between two observations."""

QUESTION = "SELECT json_build_array(pg_is_in_recovery(), current_setting('default_transaction_read_only') = 'on')"


def why(psql: Psql) -> str:
    """Why the database takes no writes; empty where it does. Raises DatabaseError."""
    standby, settings = psql.query(QUESTION)
    if standby:
        return "the server is a standby (pg_is_in_recovery)"
    return "default_transaction_read_only is on" if settings else ""


def wait(psql: Psql, connect: Callable[[], Psql], seconds: float) -> tuple[Psql, str]:
    """A session whose database takes writes, and no words; or the last one, and why it still takes none after ``seconds``.

    Each look after the first is a new session: the address may lead to another server by then, and a session keeps the settings that
    it began with. A server that does not answer meanwhile is waited for as well.
    """
    reason, end = why(psql), time.monotonic() + seconds
    while reason and time.monotonic() < end:
        left = end - time.monotonic()
        progress.tell(f"waits {left:.0f} s more at most for {psql.address.describe()} to take writes again: {reason}")
        time.sleep(min(PAUSE, max(0.0, end - time.monotonic())))
        try:
            fresh = connect()
        except DatabaseError as problem:
            reason = str(problem)
            continue
        psql.close()
        psql, reason = fresh, why(fresh)
    return psql, reason
