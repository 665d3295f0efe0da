# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A pooler that hands connections of the server from one client to the next after each transaction.

Behind such a pooler (pgbouncer and its kin with C(pool_mode=transaction) or C(statement)) nothing that belongs to a session can be
relied on: an advisory lock is granted to two runs and outlives both, and the limits of a migration land on the application's own
queries. Poolers that keep a connection for as long as the client's session are harmless, and are not found here.
"""

from __future__ import annotations

from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.psql import DatabaseError, Psql

ROUNDS = 3
ANSWER_S = 10.0
"""Seconds for each question: a pool of one connection answers the first session only when the second lets go."""
_PID = "SELECT pg_backend_pid()"


def shares_connections(first: Psql, second: Psql) -> bool:
    """Whether two sessions to the same address get their server's connection again for each transaction.

    The second holds a transaction open, so that whatever it was given is taken, while the first asks again and again which
    process of the server it speaks to. Leaves no transaction open, but where a pool has a single connection, *first* is lost.

    Raises:
        DatabaseError: the server does not answer.
    """
    mine = {first.pid}
    for _round in range(ROUNDS):
        mine.add(int(first.query(_PID, ANSWER_S)))
        second.query("BEGIN", ANSWER_S)
        try:
            theirs = int(second.query(_PID, ANSWER_S))
            mine.add(int(first.query(_PID, ANSWER_S)))
        except DatabaseError as problem:
            if problem.kind == "timeout":
                return True
            raise
        finally:
            second.query("ROLLBACK", ANSWER_S)
        if len(mine) > 1 or theirs in mine:
            return True
    return False
