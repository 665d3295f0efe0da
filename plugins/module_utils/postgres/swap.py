# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A restored database takes the place of the live one, by two renames in one transaction.

While the first rename waits for the live database's sessions to end, it holds the lock on the database that every new session
needs: nobody gets in between, and what was tried meanwhile is refused when the renames are committed. Whatever interrupts it,
the server takes the transaction back: there is no half-swapped state.
"""

from __future__ import annotations

import contextlib
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.postgres import names as restore_names, settings as database_settings
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.admin import (
    Database,
    RestoreError,
    Server,
    alone,
    describe_sessions,
    drop,
    family,
    properties,
    refused,
    sessions,
)
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.fingerprint import literal, quoted
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.names import REPLACED, RESTORE
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.psql import DatabaseError, Psql

PROVEN = "proven"
LONGEST_CUT = 5.0
"""Seconds after which PostgreSQL itself gives up a rename that waits for sessions: whoever kills us blocks nobody for longer."""

POLL = 0.02


def swap(
    server: Server,
    database: str,
    beside: str = "",
    wait: float = 10.0,
    terminate: bool = False,
    grace: float = 0.5,
    check: bool = False,
) -> dict[str, object]:
    """Puts a restored database in the place of ``database``; what was there becomes C(<database>__replaced_<stamp>).

    ``beside`` is the restored one: the newest proven one if left out; one that was replaced undoes an earlier swap. The live one's
    sessions may leave by themselves for ``wait`` seconds, in which everything goes on. Who is left then is a refusal (code
    C(connections)), or with ``terminate`` is ended: idle sessions at once, working ones after ``grace`` seconds.

    Returns C(database), C(restored), C(replaced), C(waited), C(ended) (sessions) and C(refused_seconds): how long nobody could write.
    Raises RestoreError; the live database is then as before.
    """
    try:
        with alone(server, database, writes=not check) as psql:
            known = family(psql, database)
            chosen = choose(known, database, beside)
            replaced = _replaced_name(known, database)
            result: dict[str, Any] = {"database": database, "restored": chosen.name, "replaced": replaced, "ended": [], "waited": 0.0}
            if database not in known:
                return {**result, "replaced": "", "refused_seconds": 0.0, "changed": True, **_complete(psql, database, chosen, check)}
            _obstacles(psql, database)
            if check:
                return {**result, "refused_seconds": 0.0, "changed": True, "sessions": sessions(psql, database)}
            comment = _adopt(psql, database, chosen.name)
            result["waited"] = round(_until_empty(psql, database, chosen.name, wait, terminate), 3)
            result["refused_seconds"] = _cut(server, psql, result, comment, terminate, grace)
            return {**result, "changed": True}
    except DatabaseError as problem:
        raise refused(problem, f"{database} was not replaced and serves as before") from problem


def choose(known: dict[str, Database], database: str, beside: str = "") -> Database:
    """The restored database that is meant. Raises RestoreError."""
    restored = [name for name in known if (parts := restore_names.split(name)) and parts.kind == RESTORE]
    proven = sorted(name for name in restored if known[name].note.get("state") == PROVEN)
    name = beside or (proven[-1] if proven else "")
    if not name:
        unproven = f" {', '.join(restored)} is there, but was never proven." if restored else ""
        raise RestoreError("nothing_restored", f"Nothing is restored beside {database}.{unproven} Restore a set first.")
    if name not in known or name == database:
        others = ", ".join(sorted(set(known) - {database})) or "none"
        raise RestoreError("unknown_database", f"There is no database {name} beside {database}; there are: {others}. Nothing was changed.")
    if name in restored and name not in proven:
        raise RestoreError(
            "not_proven",
            f"{name} was not proven: its restore did not come to its end. Restore the set again; {database} serves as before.",
        )
    return known[name]


def chosen(server: Server, database: str, beside: str = "") -> str:
    """The name of the restored database that is meant. Raises RestoreError."""
    try:
        with server.session() as psql:
            return choose(family(psql, database), database, beside).name
    except DatabaseError as problem:
        raise refused(problem, f"What stands beside {database} could not be read") from problem


def _replaced_name(known: dict[str, Database], database: str) -> str:
    moment = time.time()
    while True:
        name = restore_names.beside(database, REPLACED, restore_names.stamp(moment))
        if name not in known:
            return name
        moment += 1


def _complete(psql: Psql, database: str, chosen: Database, check: bool) -> dict[str, object]:
    """The live one is gone, renamed or dropped by somebody: the restored one takes its name."""
    if not check:
        psql.query(f"ALTER DATABASE {quoted(chosen.name)} RENAME TO {quoted(database)}", LONGEST_CUT + 5)
        comment = chosen.note.get("comment")  # as it was when the set was made
        psql.query(f"COMMENT ON DATABASE {quoted(database)} IS {literal(str(comment)) if comment else 'NULL'}")
    return {"note": f"there was no database {database}; {chosen.name} has its name now"}


def _obstacles(psql: Psql, database: str) -> None:
    """What would go on working on the replaced database under its new name, or keeps it from being renamed."""
    here = literal(database)
    found = psql.query(
        "SELECT json_build_object("
        f"'transactions', (SELECT coalesce(json_agg(gid), '[]') FROM pg_prepared_xacts WHERE database = {here}),"
        f"'slots', (SELECT coalesce(json_agg(slot_name), '[]') FROM pg_replication_slots WHERE database = {here}),"
        "'subscriptions', (SELECT coalesce(json_agg(subname), '[]') FROM pg_subscription"
        f" WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = {here})))"
    )
    ways = {
        "transactions": ("prepared transactions", "COMMIT PREPARED or ROLLBACK PREPARED them"),
        "slots": ("logical replication slots", "drop them, and make them again afterwards"),
        "subscriptions": ("subscriptions", "drop them, and make them again afterwards"),
    }
    for key, names in found.items():
        if names:
            what, remedy = ways[key]
            raise RestoreError(
                "obstacle", f"{database} has {what}: {', '.join(names)}. They belong to the data that would be replaced. First {remedy}."
            )


def _adopt(psql: Psql, database: str, beside: str) -> str | None:
    """Gives the restored database the rights, settings and limits of the live one; returns the live one's comment."""
    like = properties(psql, database)
    if like is None:
        raise RestoreError("unknown_database", f"There is no database {database} any more.")
    parts = restore_names.split(beside)
    if parts and parts.kind == RESTORE:  # one that was replaced has its own still
        statements = [text for text in database_settings.apply_statements(beside, like) if not text.startswith("COMMENT ")]
        run_all(psql, [f"ALTER DATABASE {quoted(beside)} RESET ALL", *statements])
    comment = like["comment"]
    return str(comment) if comment else None


def run_all(psql: Psql, statements: list[str], timeout: float = 60.0) -> None:
    """Runs statements in one transaction. Raises DatabaseError; then none of them has been run."""
    psql.query("BEGIN")
    try:
        for statement in statements:
            psql.query(statement, timeout)
        psql.query("COMMIT", timeout)
    except DatabaseError:
        with contextlib.suppress(DatabaseError):  # where the session is over, the server has taken it back
            psql.query("ROLLBACK")
        raise


def _until_empty(psql: Psql, database: str, beside: str, wait: float, terminate: bool) -> float:
    """Waits until nobody is connected; returns the seconds. Raises RestoreError where somebody stays and may not be ended."""
    began = time.monotonic()
    while True:
        present = sessions(psql, database) + sessions(psql, beside)
        waited = time.monotonic() - began
        if not present or (terminate and waited >= wait):
            return waited
        if waited >= wait:
            raise RestoreError(
                "connections",
                f"{len(present)} session{'s' if len(present) != 1 else ''} of {database} did not leave within {wait:g} s:"
                f" {describe_sessions(present)}. Nothing was changed, {database} serves as before. Stop what is connected and run again,"
                " or run the same command again with -e terminate=true, which ends these sessions.",
                sessions=present,
            )
        time.sleep(min(0.2, max(wait - waited, POLL)))


def _cut(server: Server, psql: Psql, result: dict[str, Any], comment: str | None, terminate: bool, grace: float) -> float:
    """The swap itself; returns the seconds in which nobody could write."""
    live, beside, replaced = (quoted(result[key]) for key in ("database", "restored", "replaced"))
    with server.session() as mover:
        mover.apply_settings(statement_timeout=f"{int(min(grace + 1.5, LONGEST_CUT) * 1000)}ms", lock_timeout="2s")
        mover.query("BEGIN")
        began = time.monotonic()
        with ThreadPoolExecutor(1) as pool:
            moved = pool.submit(mover.query, f"ALTER DATABASE {live} RENAME TO {replaced}", LONGEST_CUT + 5)
            try:
                _clear(psql, moved, result, terminate, grace, began)
            except BaseException:
                mover.stop()  # the server takes back what was begun
                raise
        try:
            moved.result()
            mover.query(f"ALTER DATABASE {beside} RENAME TO {live}", LONGEST_CUT + 5)
            mover.query(f"COMMENT ON DATABASE {live} IS {literal(comment) if comment else 'NULL'}")
            mover.query("COMMIT")
        except DatabaseError as problem:
            if problem.sqlstate not in ("55006", "57014"):  # in use; waited for too long
                raise
            present = sessions(psql, result["database"]) + sessions(psql, result["restored"])
            raise RestoreError(
                "connections",
                f"Sessions came to {result['database']} while it was to be replaced: {describe_sessions(present) or str(problem)}."
                f" Nothing was changed, {result['database']} serves as before. Stop what connects, or run the same command again with"
                " -e terminate=true.",
                sessions=present,
            ) from problem
        return round(time.monotonic() - began, 3)


def _clear(psql: Psql, moved: Future[Any], result: dict[str, Any], terminate: bool, grace: float, began: float) -> None:
    """Ends sessions while the rename waits for them; without ``terminate`` lets it wait no longer than ``grace``."""
    ended: dict[int, dict[str, Any]] = {}
    while not moved.done():
        late = time.monotonic() - began >= grace
        present = sessions(psql, result["database"]) + sessions(psql, result["restored"])
        if terminate:
            going = [entry for entry in present if late or not entry["busy"]]
            if going:
                pids = ", ".join(str(int(entry["pid"])) for entry in going)
                psql.query(f"SELECT to_json(count(pg_terminate_backend(pid))) FROM unnest(ARRAY[{pids}]) AS pid")
            ended.update({entry["pid"]: entry for entry in going})
        elif late and present:
            raise RestoreError(
                "connections",
                f"Sessions came to {result['database']} while it was to be replaced: {describe_sessions(present)}. Nothing was changed,"
                f" {result['database']} serves as before. Stop what connects, or run the same command again with -e terminate=true.",
                sessions=present,
            )
        time.sleep(POLL)
    result["ended"] = list(ended.values())


def drop_beside(
    server: Server, database: str, older_than: float | None = None, keep: int = 0, names: list[str] | None = None, check: bool = False
) -> dict[str, object]:
    """Removes what was replaced: older than ``older_than`` seconds, the newest ``keep`` excepted; or exactly ``names``.

    Only databases beside ``database`` are ever removed. Returns C(dropped) and C(freed) bytes. Raises RestoreError.
    """
    try:
        with alone(server, database, writes=not check) as psql:
            known = family(psql, database)
            others = [name for name in known if name != database]
            if names is None:
                going = restore_names.to_drop(others, older_than, keep, time.time())
            else:
                strange = sorted(set(names) - set(others))
                if strange:
                    raise RestoreError("unknown_database", f"{', '.join(strange)} is no database beside {database}; nothing was removed.")
                going = sorted(names)
            if database not in known and going and len(going) == len(others):
                raise RestoreError(
                    "last_copy", f"There is no database {database}; what stands beside it is its last copy. Nothing was removed."
                )
            if not check:
                for name in going:
                    drop(psql, name)
            return {"dropped": going, "freed": sum(known[name].size for name in going), "changed": bool(going)}
    except DatabaseError as problem:
        raise refused(problem, f"What stands beside {database} could not be removed") from problem


def overview(server: Server, database: str) -> dict[str, Any]:
    """C(live) (or null), C(restored) and C(replaced), each a list, oldest first. Raises RestoreError."""
    try:
        with server.session() as psql:
            known = family(psql, database)
    except DatabaseError as problem:
        raise refused(problem, f"What stands beside {database} could not be read") from problem
    kinds: dict[str, list[dict[str, Any]]] = {RESTORE: [], REPLACED: []}
    for name, entry in known.items():
        parts = restore_names.split(name)
        if parts:
            kinds[parts.kind].append(entry.as_dict())
    return {"live": known[database].as_dict() if database in known else None, "restored": kinds[RESTORE], "replaced": kinds[REPLACED]}
