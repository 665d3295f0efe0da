# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One table replaced by a restored one of the same shape: what hangs on it, whether it can be done, the statements. No I/O.

The restored table is made in a schema of its own, with the names that it will have. In the swap everything that knows the old
table by its number and not by its name is made again: foreign keys of both directions, triggers, views, rights, sequences.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.fingerprint import Fingerprint, literal, quoted
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.names import REPLACED, shortened

Table = Mapping[str, Any]
"""table_query's answer."""

_ACL = """json_build_object('grantee', CASE a.grantee WHEN 0 THEN '' ELSE pg_get_userbyid(a.grantee) END,
          'privilege', a.privilege_type, 'grantable', a.is_grantable)"""


def table_query(schema: str, table: str) -> str:
    """A question for everything about a table that a swap has to look after; null where there is none. Needs an empty search_path."""
    return f"""
    SELECT json_build_object(
      'schema', n.nspname, 'table', c.relname, 'sql', format('%I.%I', n.nspname, c.relname),
      'kind', c.relkind, 'persistence', c.relpersistence, 'partition', c.relispartition, 'typed', c.reloftype <> 0,
      'identity', c.relreplident, 'owner', pg_get_userbyid(c.relowner), 'options', c.reloptions,
      'toast_options', (SELECT t.reloptions FROM pg_class t WHERE t.oid = c.reltoastrelid),
      'tablespace', (SELECT spcname FROM pg_tablespace s WHERE s.oid = c.reltablespace),
      'comment', obj_description(c.oid, 'pg_class'), 'bytes', pg_total_relation_size(c.oid), 'rows', greatest(c.reltuples, 0)::bigint,
      'acl', CASE WHEN c.relacl IS NOT NULL THEN (SELECT coalesce(json_agg({_ACL}), '[]') FROM aclexplode(c.relacl) a) END,
      'family', (SELECT count(*) FROM pg_inherits i WHERE c.oid IN (i.inhrelid, i.inhparent)),
      'columns', (SELECT json_agg(json_build_object(
          'name', a.attname, 'type', format_type(a.atttypid, NULL),
          'identity', a.attidentity, 'generated', a.attgenerated, 'default', d.oid IS NOT NULL,
          'sequence', (SELECT json_build_array(sn.nspname, s.relname)
                       FROM pg_depend x JOIN pg_class s ON s.oid = x.objid AND s.relkind = 'S'
                       JOIN pg_namespace sn ON sn.oid = s.relnamespace
                       WHERE x.classid = 'pg_class'::regclass AND x.refclassid = 'pg_class'::regclass AND x.refobjid = c.oid
                         AND x.refobjsubid = a.attnum AND x.deptype IN ('a', 'i') LIMIT 1),
          'acl', (SELECT coalesce(json_agg({_ACL}), '[]') FROM aclexplode(a.attacl) a)) ORDER BY a.attnum)
        FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
      'indexes', (SELECT coalesce(json_agg(json_build_object('name', x.relname, 'definition', pg_get_indexdef(x.oid),
          'constraint', pg_get_constraintdef(k.oid), 'valid', i.indisvalid) ORDER BY x.relname), '[]')
        FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
        LEFT JOIN pg_constraint k ON k.conindid = i.indexrelid AND k.conrelid = c.oid AND k.contype IN ('p', 'u', 'x')
        WHERE i.indrelid = c.oid),
      'foreign', (SELECT coalesce(json_agg(json_build_object('name', k.conname,
          'definition', pg_get_constraintdef(k.oid)) ORDER BY k.conname), '[]')
        FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'f'),
      'incoming', (SELECT coalesce(json_agg(json_build_object('table', format('%I.%I', xn.nspname, x.relname), 'kind', x.relkind,
          'partition', x.relispartition, 'name', k.conname, 'definition', pg_get_constraintdef(k.oid)) ORDER BY x.relname, k.conname), '[]')
        FROM pg_constraint k JOIN pg_class x ON x.oid = k.conrelid JOIN pg_namespace xn ON xn.oid = x.relnamespace
        WHERE k.confrelid = c.oid AND k.contype = 'f' AND k.conrelid <> c.oid),
      'triggers', (SELECT coalesce(json_agg(json_build_object('name', t.tgname, 'definition', pg_get_triggerdef(t.oid),
          'enabled', t.tgenabled) ORDER BY t.tgname), '[]') FROM pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal),
      'statistics', (SELECT coalesce(json_agg(json_build_object('name', s.stxname, 'sql', format('%I.%I', sn.nspname, s.stxname),
          'definition', pg_get_statisticsobjdef(s.oid)) ORDER BY s.stxname), '[]')
        FROM pg_statistic_ext s JOIN pg_namespace sn ON sn.oid = s.stxnamespace WHERE s.stxrelid = c.oid),
      'views', (SELECT coalesce(json_agg(json_build_object('sql', format('%I.%I', vn.nspname, v.relname), 'kind', v.relkind,
          'definition', pg_get_viewdef(v.oid), 'options', v.reloptions) ORDER BY v.relname), '[]')
        FROM pg_class v JOIN pg_namespace vn ON vn.oid = v.relnamespace WHERE v.oid IN (
          SELECT w.ev_class FROM pg_depend x JOIN pg_rewrite w ON w.oid = x.objid AND w.ev_class <> c.oid
          WHERE x.classid = 'pg_rewrite'::regclass AND x.refclassid = 'pg_class'::regclass AND x.refobjid = c.oid)),
      'others', (SELECT coalesce(json_agg(DISTINCT pg_describe_object(x.classid, x.objid, x.objsubid)), '[]') FROM pg_depend x
        WHERE x.deptype IN ('n', 'a', 'i', 'P', 'S') AND (
          (x.refclassid = 'pg_class'::regclass AND x.refobjid = c.oid
           AND NOT (x.classid = 'pg_class'::regclass
                    AND EXISTS (SELECT FROM pg_class o WHERE o.oid = x.objid AND o.relkind IN ('i', 'S', 't')))
           AND NOT (x.classid = 'pg_constraint'::regclass)
           AND NOT (x.classid = 'pg_attrdef'::regclass AND EXISTS (SELECT FROM pg_attrdef o WHERE o.oid = x.objid AND o.adrelid = c.oid))
           AND NOT (x.classid = 'pg_trigger'::regclass) AND NOT (x.classid = 'pg_type'::regclass)
           AND NOT (x.classid = 'pg_statistic_ext'::regclass)
           AND NOT (x.classid = 'pg_rewrite'::regclass
                    AND EXISTS (SELECT FROM pg_rewrite o WHERE o.oid = x.objid AND o.ev_class <> c.oid)))
          OR (x.refclassid = 'pg_type'::regclass AND NOT (x.classid = 'pg_type'::regclass)
              AND (x.refobjid = c.reltype OR x.refobjid = (SELECT o.typarray FROM pg_type o WHERE o.oid = c.reltype))))))
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = {literal(schema)} AND c.relname = {literal(table)}
    """


def refusals(table: Table) -> list[str]:
    """Why this table cannot be replaced alone, one reason each; empty where it can."""
    found = []
    if table["kind"] != "r" or table["partition"]:
        found.append("it is partitioned, or a partition")
    elif table["family"]:
        found.append("it inherits from another table, or another one from it")
    if table["typed"]:
        found.append("it is a table of a type")
    if table["identity"] == "i":
        found.append("an index identifies its rows for replication")
    found += [f"the materialized view {view['sql']} reads it" for view in table["views"] if view["kind"] == "m"]
    found += [f"{view['sql']} reads it" for view in table["views"] if view["kind"] not in "mv"]
    parts = [entry["table"] for entry in table["incoming"] if entry["kind"] == "p" or entry["partition"]]
    found += [f"the partitioned table {name} refers to it" for name in parts]
    found += [f"the index {entry['name']} is not valid" for entry in table["indexes"] if not entry["valid"]]
    found += [f"{what} depends on it" for what in table["others"]]
    return found


def objects_of(whole: Fingerprint, schema: str, table: str, sql: str) -> Fingerprint:
    """What a fingerprint says about one table: itself, its columns, constraints, triggers and indexes."""
    name = f"{schema}.{table}"
    found = {
        key: text
        for key, text in whole.objects.items()
        if key == f"table {name}"
        or key.startswith(tuple(f"{kind} {name}." for kind in ("column", "constraint", "trigger")))
        or (key.startswith("index ") and f" ON {sql} USING " in text)
    }
    return Fingerprint(found, {name: whole.rows.get(name)})


def make(table: Table, space: str) -> list[str]:
    """Statements for an empty table of the same shape in the schema ``space``; its indexes come when it is full."""
    new = f"{quoted(space)}.{quoted(table['table'])}"
    kind = "UNLOGGED TABLE" if table["persistence"] == "u" else "TABLE"
    options = list(table["options"] or []) + [f"toast.{option}" for option in table["toast_options"] or []]
    words = [f"CREATE {kind} {new} (LIKE {table['sql']} INCLUDING ALL EXCLUDING INDEXES EXCLUDING STATISTICS)"]
    words += [f"WITH ({', '.join(options)})"] if options else []
    words += [f"TABLESPACE {quoted(table['tablespace'])}"] if table["tablespace"] else []
    return [" ".join(words), f"ALTER TABLE {new} OWNER TO {quoted(table['owner'])}"]


def fill_up(table: Table, space: str) -> list[str]:
    """Statements for the indexes and the keys that indexes stand for, under the names that they have in the live table."""
    new = f"{quoted(space)}.{quoted(table['table'])}"
    statements = []
    for index in table["indexes"]:
        if index["constraint"]:
            statements.append(f"ALTER TABLE {new} ADD CONSTRAINT {quoted(index['name'])} {index['constraint']}")
        else:
            head, on, tail = index["definition"].partition(f" ON {table['sql']} USING ")
            if not on:
                raise ValueError(f"the definition of the index {index['name']} cannot be read: {index['definition']}")
            statements.append(f"{head} ON {new} USING {tail}")
    return statements


def swap(table: Table, space: str, replaced: str, when: str) -> list[str]:
    """Statements of the swap, in order, for one transaction; ``replaced`` is the old table's new name."""
    live, schema = table["sql"], quoted(table["schema"])
    refer = [f"ALTER TABLE {entry['table']} ADD CONSTRAINT {quoted(entry['name'])} {entry['definition']}" for entry in table["incoming"]]
    old, new = f"{schema}.{quoted(replaced)}", f"{schema}.{quoted(table['table'])}"
    staged = f"{quoted(space)}.{quoted(table['table'])}"
    statements = [f"LOCK TABLE {live} IN ACCESS EXCLUSIVE MODE"]
    statements += [f"ALTER TABLE {entry['table']} DROP CONSTRAINT {quoted(entry['name'])}" for entry in table["incoming"]]
    statements += [f"ALTER TABLE {live} DROP CONSTRAINT {quoted(entry['name'])}" for entry in table["foreign"]]
    for index in table["indexes"]:
        statements.append(f"ALTER INDEX {schema}.{quoted(index['name'])} RENAME TO {quoted(shortened(index['name'], REPLACED, when))}")
    for entry in table["statistics"]:
        statements.append(f"ALTER STATISTICS {entry['sql']} RENAME TO {quoted(shortened(entry['name'], REPLACED, when))}")
    after = []
    for column in table["columns"]:
        name = quoted(column["name"])
        if column["sequence"] and column["identity"]:
            place, own = (quoted(text) for text in column["sequence"])
            away = quoted(shortened(column["sequence"][1], REPLACED, when))
            statements.append(f"ALTER SEQUENCE {place}.{own} RENAME TO {away}")
            after.append(f"SELECT setval({literal(f'{place}.{own}')}, last_value, is_called) FROM {place}.{away}")
        elif column["sequence"]:
            place, own = (quoted(text) for text in column["sequence"])
            after.append(f"ALTER SEQUENCE {place}.{own} OWNED BY {new}.{name}")
        if column["default"] and not column["generated"]:
            statements.append(f"ALTER TABLE {live} ALTER COLUMN {name} DROP DEFAULT")
    statements += [f"ALTER TABLE {live} RENAME TO {quoted(replaced)}", f"ALTER TABLE {staged} SET SCHEMA {schema}", *after]
    statements += [f"ALTER TABLE {new} ADD CONSTRAINT {quoted(entry['name'])} {entry['definition']}" for entry in table["foreign"]]
    statements += refer
    statements += [entry["definition"] for entry in table["statistics"]]
    for entry in table["triggers"]:
        statements.append(entry["definition"])
        state = {"D": "DISABLE TRIGGER", "R": "ENABLE REPLICA TRIGGER", "A": "ENABLE ALWAYS TRIGGER"}.get(entry["enabled"])
        statements += [f"ALTER TABLE {new} {state} {quoted(entry['name'])}"] if state else []
    statements += _rights(table, new)
    if table["comment"]:
        statements.append(f"COMMENT ON TABLE {new} IS {literal(table['comment'])}")
    if table["identity"] in ("f", "n"):
        statements.append(f"ALTER TABLE {new} REPLICA IDENTITY {'FULL' if table['identity'] == 'f' else 'NOTHING'}")
    for view in table["views"]:
        options = f" WITH ({', '.join(view['options'])})" if view["options"] else ""
        statements.append(f"CREATE OR REPLACE VIEW {view['sql']}{options} AS {view['definition']}")
    statements.append(f"COMMENT ON TABLE {old} IS {literal(f'replaced on {when} by a restored table')}")
    return [*statements, f"DROP SCHEMA {quoted(space)}"]


def _rights(table: Table, new: str) -> list[str]:
    statements = []
    if table["acl"] is not None:
        statements.append(f"REVOKE ALL ON {new} FROM {quoted(table['owner'])}")
        statements += [_grant(entry, entry["privilege"], new) for entry in table["acl"]]
    for column in table["columns"]:
        statements += [_grant(entry, f"{entry['privilege']} ({quoted(column['name'])})", new) for entry in column["acl"]]
    return statements


def _grant(entry: Mapping[str, Any], what: str, on: str) -> str:
    grantee = quoted(entry["grantee"]) if entry["grantee"] else "PUBLIC"
    return f"GRANT {what} ON {on} TO {grantee}{' WITH GRANT OPTION' if entry['grantable'] else ''}"


def identities(table: Table) -> list[tuple[str, str, str]]:
    """For each identity column its name, the name that its sequence is to have, and the type that it counts in."""
    counted = [column for column in table["columns"] if column["identity"] and column["sequence"]]
    return [(column["name"], column["sequence"][1], column["type"]) for column in counted]
