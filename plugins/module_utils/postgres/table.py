# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One table of a set: restored into a schema of its own beside the live one, proven, compared, and swapped in one transaction.

The schema C(<table>__restore_<stamp>) in the live database holds it until then; its comment says how far it is. In the swap the
old table becomes C(<table>__replaced_<stamp>).
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.core.proc import Ended
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres import (
    compare as pg_compare,
    fingerprint,
    names as restore_names,
    restore as pg_restore,
    row_compare,
    snapshot as pg_snapshot,
    table_swap,
)
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.admin import (
    APPLICATION,
    READ_TIMEOUT,
    RestoreError,
    Server,
    alone,
    properties,
    read_note,
    refused,
    writable,
)
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.compare import Pair
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.fingerprint import Fingerprint, literal, quoted
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.names import REPLACED, RESTORE
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.psql import DatabaseError, Psql
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.snapshot import MIN_FREE
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.swap import PROVEN, run_all
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.tools import Tool, ToolError

LOCK_TIMEOUT = "2s"
"""How long the swap waits for the table: whoever comes after it waits as long."""


def name_of(table: str) -> tuple[str, str]:
    """Schema and table of C(table) or C(schema.table)."""
    schema, dot, name = table.partition(".")
    return (schema, name) if dot else ("public", table)


@contextmanager
def _at_work(server: Server, database: str, what: str, check: bool = False) -> Iterator[Psql]:
    """A session in the live database while the lock for its restores is held; without ``check`` one that takes writes."""
    try:
        with alone(server, database, writes=not check) as admin:
            if properties(admin, database) is None:
                raise RestoreError("unknown_database", f"There is no database {database}; a single table cannot be restored into it.")
            with server.session(database) if check else writable(server, database) as psql:
                psql.apply_settings(search_path="", statement_timeout="0", lock_timeout=LOCK_TIMEOUT)
                yield psql
    except DatabaseError as problem:
        raise refused(problem, f"{what}; the live table is as before") from problem
    except (ValueError, LookupError) as problem:
        raise RestoreError("input", f"{what}: {problem}. The live table is as before.") from problem


def restore_table(
    server: Server,
    database: str,
    table: str,
    folder: Path,
    part: Mapping[str, Any],
    files: Mapping[str, Any] | None = None,
    timeout: float = 3600.0,
    min_free: int = MIN_FREE,
    origin: str = "",
    check: bool = False,
) -> dict[str, object]:
    """Restores one table of a set beside the live one and proves it; nothing that is live changes.

    Returns C(table), C(beside) (its schema), C(rows), C(removed) and C(seconds). Raises RestoreError; then nothing of it is left.
    """
    began = time.monotonic()
    schema, name = name_of(table)
    full = f"{schema}.{name}"
    pg_restore.whole(folder, part, files, 2)
    about = pg_snapshot.about(folder, part)
    saved = part["facts"]["rows"].get(full)  # None where it was not counted
    about_rows = part["facts"].get("approximate", {}).get(full)
    if full not in part["facts"]["rows"] or (saved is None and about_rows is None):
        near = ", ".join(sorted(part["facts"]["rows"])[:20])
        raise RestoreError("unknown_table", f"The set has no table {full}; it has: {near}. Nothing was changed.")
    with _at_work(server, database, f"{full} was not restored", check) as psql:
        shape = _swappable(psql, full, Fingerprint.load(about), str(about.get("search_path") or ""))
        space = restore_names.beside(name, RESTORE, restore_names.stamp())
        _room(server, psql, shape, folder, part, about_rows if saved is None else saved, min_free)
        old = [entry for entry, note in spaces(psql, name).items() if note.get("state") != PROVEN]
        result = {"table": full, "beside": space, "removed": old, "changed": True}
        if check:
            rows = {"rows": saved} if saved is not None else {"rows": about_rows, "approximate": True}
            return {**result, **rows, "seconds": round(time.monotonic() - began, 3)}
        for left in old:
            psql.query(f"DROP SCHEMA {quoted(left)} CASCADE", READ_TIMEOUT)
        try:
            note = _note(space, state="restoring", schema=schema)
            run_all(psql, [f"CREATE SCHEMA {quoted(space)}", note, *table_swap.make(shape, space)])
            for identity in table_swap.identities(shape):
                _like_live(psql, f"{quoted(space)}.{quoted(name)}", *identity)
            with pg_restore.readable(server, f"{database}__{RESTORE}_{restore_names.stamp()}", folder, part) as (source, pass_fds):
                _copy(server, database, schema, name, space, source, pass_fds, timeout)
            for statement in table_swap.fill_up(shape, space):
                psql.query(statement, timeout)
            psql.query(f"ANALYZE {quoted(space)}.{quoted(name)}", timeout)
            found = psql.query(f"SELECT count(*) FROM {quoted(space)}.{quoted(name)}", timeout)
            if saved is not None and found != saved:
                raise RestoreError(
                    "differs",
                    f"{full}: {saved} rows were saved, {found} are restored. They were removed; the live table is as before."
                    " Take another set.",
                )
            psql.query(_note(space, state=PROVEN, schema=schema, set=origin, rows=found))
        except BaseException:
            _away(server, database, space)
            raise
    return {**result, "rows": found, "seconds": round(time.monotonic() - began, 3)}


def _swappable(psql: Psql, full: str, known: Fingerprint, search_path: str) -> dict[str, object]:
    """The live table, where a restored one could take its place; ``search_path`` is that of ``known``. Raises RestoreError."""
    schema, _dot, name = full.partition(".")
    shape = psql.query(table_swap.table_query(schema, name), READ_TIMEOUT)
    if not shape:
        raise RestoreError(
            "unknown_table",
            f"The live database has no table {full}, so nothing tells what belongs to it. Nothing was changed. Restore the whole database"
            " (without -e tables).",
        )
    reasons = table_swap.refusals(shape)
    if reasons:
        raise RestoreError(
            "entangled",
            f"{full} cannot be replaced alone: {'; '.join(reasons)}. Nothing was changed. Restore the whole database.",
            reasons=reasons,
        )
    psql.apply_settings(search_path=search_path)
    now = Fingerprint.of(psql.query(fingerprint.SCHEMA_QUERY, READ_TIMEOUT), [], None)
    psql.apply_settings(search_path="")
    saved, live = (table_swap.objects_of(each, schema, name, shape["sql"]) for each in (known, now))
    different, _rewritten = fingerprint.restored_differences(saved, live)
    if different:
        raise RestoreError(
            "shape",
            f"{full} has another shape now than in the set: {'; '.join(different[:5])}. Nothing was changed. Restore the whole database, or"
            " take the schema back first.",
            differences=different,
        )
    return dict(shape)


def _room(server: Server, psql: Psql, shape: Mapping[str, Any], folder: Path, part: Mapping[str, Any], saved: int, min_free: int) -> None:
    grown = max(1.0, saved / max(int(shape["rows"]), 1)) if shape["rows"] else 1.0
    size = max(int(shape["bytes"] * min(grown, 100.0)), int(part["bytes"]))
    facts = {"bytes": part["bytes"], "facts": {"size": size}}
    pg_restore.room(server, psql, properties(psql, psql.address.database) or {}, folder, facts, min_free)


def _note(space: str, **note: Any) -> str:
    return f"COMMENT ON SCHEMA {quoted(space)} IS {literal(json.dumps({'aistack': note}, sort_keys=True))}"


def spaces(psql: Psql, table: str) -> dict[str, dict[str, object]]:
    """Schemas with a restored version of that table, oldest first, and their notes."""
    answer = psql.query(
        "SELECT coalesce(json_agg(json_build_array(nspname, obj_description(oid, 'pg_namespace')) ORDER BY nspname), '[]')"
        f" FROM pg_catalog.pg_namespace WHERE starts_with(nspname::text, {literal(f'{table}__{RESTORE}_')})"
    )
    found = {}
    for name, comment in answer:
        parts = restore_names.split(name)
        if parts and parts.base == table and parts.kind == RESTORE:
            found[name] = read_note(comment)
    return found


def _like_live(psql: Psql, table: str, column: str, wanted: str, kind: str) -> None:
    """An identity column's sequence gets the name and the type of the live one's, which PostgreSQL does not copy."""
    made = str(psql.query(f"SELECT to_json(pg_get_serial_sequence({literal(table)}, {literal(column)}))"))
    psql.query(f"ALTER SEQUENCE {made} AS {kind}")
    if made.rpartition(".")[2] not in (wanted, quoted(wanted)):
        psql.query(f"ALTER SEQUENCE {made} RENAME TO {quoted(wanted)}")


def _away(server: Server, database: str, space: str) -> None:
    """Removes a half restored table, in a session that nothing has happened to."""
    try:
        with server.session(database) as psql:
            psql.query(f"DROP SCHEMA IF EXISTS {quoted(space)} CASCADE", READ_TIMEOUT)
    except DatabaseError:
        return  # the next restore of this table does it


def _copy(
    server: Server, database: str, schema: str, name: str, space: str, source: str, pass_fds: tuple[int, ...], timeout: float
) -> None:
    """Sends the rows of the dump into the table's place. Raises RestoreError."""
    read = ["pg_restore", "--data-only", "--no-password", f"--schema={schema}", f"--table={name}", "--file=-", source]
    write = ["psql", "-X", "-q", "-w", "-v", "ON_ERROR_STOP=1", "-v", "VERBOSITY=terse"]
    with ExitStack() as stack:
        from_dump, dump_out = os.pipe()
        stack.callback(os.close, from_dump)
        table_in, to_table = os.pipe()
        try:
            reader = stack.enter_context(
                Tool(read, server.at(database), server.variables, server.user, APPLICATION, stdout=dump_out, pass_fds=pass_fds)
            )
            options = pg_restore.OPTIONS.format(memory=pg_restore.memory(1))
            writer = stack.enter_context(
                Tool(write, server.at(database), server.variables, server.user, APPLICATION, stdin=table_in, options=options)
            )
        except ToolError as problem:
            os.close(to_table)
            raise RestoreError("tool", f"{problem} Nothing was changed.") from problem
        finally:
            os.close(dump_out)
            os.close(table_in)

        def end() -> None:
            reader.stop()
            writer.stop()

        late = threading.Timer(timeout, end)
        stack.callback(late.cancel)
        late.start()
        try:
            with open(from_dump, "rb", closefd=False, buffering=1 << 20) as lines, open(to_table, "wb", buffering=1 << 20) as out:
                found = _pump(lines, out, f"{quoted(space)}.{quoted(name)}")
        except BrokenPipeError:
            found = True  # psql has ended, and says why
            reader.stop()
        ends = [("psql", writer.wait(timeout)), ("pg_restore", reader.wait(timeout))]
    _judge(ends, found, f"{schema}.{name}", timeout)


def _pump(lines: Any, out: Any, target: str) -> bool:
    """Passes on the rows of the first COPY, to another table; False where there is none."""
    for line in lines:
        if line.startswith(b"COPY ") and line.endswith(b" FROM stdin;\n"):
            columns = line[line.index(b" (") : -len(b" FROM stdin;\n")] if b" (" in line else b""
            out.write(f"COPY {target}".encode() + columns + b" FROM stdin;\n")
            for row in lines:
                out.write(row)
                if row == b"\\.\n":
                    break
            for _rest in lines:
                continue  # pg_restore is not cut off
            return True
    return False


def _judge(ends: list[tuple[str, Ended]], found: bool, table: str, timeout: float) -> None:
    for tool, ended in ends:
        if ended.timed_out or (ended.rc < 0 and ended.seconds >= timeout):
            raise RestoreError("timeout", f"{table}: the restore was ended after {timeout:g} s (timeout). The live table is as before.")
        if ended.rc:
            raise RestoreError("restore", f"{table}: {tool} ended with {ended.rc}: {ended.stderr[-800:]}. The live table is as before.")
    if not found:
        raise RestoreError("damaged", f"The dump holds no rows of {table}, although its list names them. Nothing was changed.")


def compare_table(server: Server, database: str, table: str, beside: str = "", budget: float = pg_compare.BUDGET) -> dict[str, object]:
    """What the swap of a restored table would take away and bring back; see pg_compare.compare for the answer."""
    schema, name = name_of(table)
    try:
        with server.session(database) as live, server.session(database) as kept:
            space = _chosen(live, schema, name, beside)
            pair = Pair(live, kept, time.monotonic() + budget)
            shapes = row_compare.shapes(pair.ask(row_compare.SHAPES_QUERY, "SELECT 0")[0])
            mine, theirs = shapes.get(f"{schema}.{name}"), shapes.get(f"{space}.{name}")
            if mine is None or theirs is None:
                raise RestoreError("unknown_table", f"There is no table {schema}.{name} any more, or none in {space}. Nothing was changed.")
            return pg_compare.summary([pg_compare.table(pair, mine, theirs, mine.sql, theirs.sql)])
    except DatabaseError as problem:
        raise refused(problem, f"{schema}.{name} could not be compared") from problem


def _chosen(psql: Psql, schema: str, name: str, beside: str) -> str:
    known = {space: note for space, note in spaces(psql, name).items() if note.get("schema") == schema}
    proven = [space for space, note in known.items() if note.get("state") == PROVEN]
    if beside and beside not in proven:
        state = "was not proven" if beside in known else "is not there"
        raise RestoreError("not_proven", f"{beside} {state}. Nothing was changed. Restore {schema}.{name} from a set first.")
    if not proven:
        raise RestoreError("nothing_restored", f"{schema}.{name} is not restored beside the live one. Restore it from a set first.")
    return beside or proven[-1]


def swap_table(
    server: Server, database: str, table: str, beside: str = "", timeout: float = 60.0, check: bool = False
) -> dict[str, object]:
    """Puts a restored table in the place of the live one, which becomes C(<table>__replaced_<stamp>).

    Returns C(table), C(beside), C(replaced) and C(refused_seconds) (nobody could read or write the table). Raises RestoreError; then
    nothing has changed: a row that refers to what is not there any more (code C(orphans)), a table that is in use (C(locked)).
    """
    schema, name = name_of(table)
    full = f"{schema}.{name}"
    with _at_work(server, database, f"{full} was not replaced", check) as psql:
        space = _chosen(psql, schema, name, beside)
        shape = psql.query(table_swap.table_query(schema, name), READ_TIMEOUT)
        reasons = table_swap.refusals(shape) if shape else ["it is not there any more"]
        if reasons:
            raise RestoreError("entangled", f"{full} cannot be replaced alone: {'; '.join(reasons)}. Nothing was changed.", reasons=reasons)
        when = restore_names.stamp()
        replaced = restore_names.beside(name, REPLACED, when)
        result = {"table": full, "beside": space, "replaced": f"{schema}.{replaced}", "changed": True}
        if check:
            return {**result, "refused_seconds": 0.0}
        before = _without(psql, space)
        psql.apply_settings(statement_timeout=f"{int(timeout * 1000)}ms", synchronous_commit="on")
        psql.query("BEGIN")
        try:
            began = 0.0
            for statement in table_swap.swap(shape, space, replaced, when):
                psql.query(statement, timeout + 5)
                began = began or time.monotonic()
            different, _rewritten = fingerprint.restored_differences(before, _without(psql, f"__{REPLACED}_{when}"))
            if different:
                changes = "; ".join(different[:5])
                raise RestoreError(
                    "differs", f"{full}: the schema would not be as before: {changes}. Nothing was changed.", differences=different
                )
            psql.query("COMMIT", timeout)
        except DatabaseError as problem:
            psql.close()  # the server takes back what was begun
            raise _not_swapped(full, problem) from problem
        return {**result, "refused_seconds": round(time.monotonic() - began, 3)}


def _without(psql: Psql, word: str) -> Fingerprint:
    """The schema, except what has that word in its name."""
    objects = psql.query(fingerprint.SCHEMA_QUERY, READ_TIMEOUT)
    return Fingerprint.of([entry for entry in objects if word not in entry[1]], [], None)


def _not_swapped(full: str, problem: DatabaseError) -> RestoreError:
    if problem.sqlstate == "23503":
        return RestoreError(
            "orphans",
            f"{full} was not replaced, nothing was changed: rows would refer to others that are not there. {problem}. Restore the tables"
            " that belong together with the whole database, or remove those rows first.",
        )
    if problem.sqlstate == "55P03":
        return RestoreError(
            "locked",
            f"{full} was not replaced, nothing was changed: somebody works on it, and it was waited for {LOCK_TIMEOUT}. {problem}."
            " Run again, or stop what uses it.",
        )
    return refused(problem, f"{full} was not replaced, it is as before")


def drop_tables(
    server: Server, database: str, table: str = "", older_than: float | None = None, keep: int = 0, check: bool = False
) -> dict[str, object]:
    """Removes replaced tables, or those of one ``table``: older than ``older_than`` seconds, except the newest ``keep`` of each.

    Returns C(dropped). Raises RestoreError.
    """
    with _at_work(server, database, "Replaced tables were not removed", check) as psql:
        names = psql.query(
            "SELECT coalesce(json_agg(json_build_array(n.nspname, c.relname)), '[]') FROM pg_catalog.pg_class c"
            " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
            f" WHERE c.relkind = 'r' AND strpos(c.relname, {literal(f'__{REPLACED}_')}) > 0"
        )
        full = {f"{schema}.{name}": f"{quoted(schema)}.{quoted(name)}" for schema, name in names}
        wanted = ".".join(name_of(table)) if table else ""
        meant = [name for name in full if not wanted or name.startswith(f"{wanted}__{REPLACED}_")]
        going = restore_names.to_drop(meant, older_than, keep, time.time())
        if not check:
            for entry in going:
                psql.query(f"DROP TABLE {full[entry]}", READ_TIMEOUT)
        return {"dropped": going, "changed": bool(going)}
