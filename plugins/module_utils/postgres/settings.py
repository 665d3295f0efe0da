# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What belongs to a database but is not in it: owner, encoding, rights, settings, limits. Questions and statements; no I/O.

pg_dump leaves these out where it dumps the content alone, and a database that takes another's place has to have them too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.fingerprint import literal, quoted

DATA_SIZE = """
SELECT coalesce(sum(pg_catalog.pg_table_size(c.oid)), 0) FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm') AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
"""
"""Bytes of all tables without their indexes."""

_LISTS = (
    "local_preload_libraries",
    "search_path",
    "session_preload_libraries",
    "shared_preload_libraries",
    "temp_tablespaces",
    "unix_socket_directories",
)
"""Settings whose value is a list of quoted names (PostgreSQL's C(GUC_LIST_QUOTE))."""

_LIST_ITEM = re.compile(r'\s*(?:"((?:[^"]|"")*)"|([^,\s"]+))\s*(?:,|$)')


def properties_query(database: str) -> str:
    """A question whose answer is a database's row in the catalog and what else belongs to it, null where there is none."""
    return f"""
    SELECT json_build_object(
      'row', to_jsonb(d) - 'datfrozenxid' - 'datminmxid' - 'datacl',
      'owner', pg_catalog.pg_get_userbyid(d.datdba),
      'encoding', pg_catalog.pg_encoding_to_char(d.encoding),
      'tablespace', t.spcname,
      'location', pg_catalog.pg_tablespace_location(t.oid),
      'comment', pg_catalog.shobj_description(d.oid, 'pg_database'),
      'settings', (SELECT coalesce(json_agg(json_build_object(
                      'role', CASE s.setrole WHEN 0 THEN '' ELSE pg_catalog.pg_get_userbyid(s.setrole) END, 'config', s.setconfig)), '[]')
                   FROM pg_catalog.pg_db_role_setting s WHERE s.setdatabase = d.oid),
      'acl', CASE WHEN d.datacl IS NOT NULL THEN
               (SELECT coalesce(json_agg(json_build_object(
                   'grantee', CASE a.grantee WHEN 0 THEN '' ELSE pg_catalog.pg_get_userbyid(a.grantee) END,
                   'privilege', a.privilege_type, 'grantable', a.is_grantable)), '[]')
                FROM pg_catalog.aclexplode(d.datacl) a) END)
    FROM pg_catalog.pg_database d JOIN pg_catalog.pg_tablespace t ON t.oid = d.dattablespace
    WHERE d.datname = {literal(database)}
    """


def create_statement(name: str, like: Mapping[str, Any]) -> str:
    """C(CREATE DATABASE), empty, with owner, encoding, collation and place of the described one."""
    row = like["row"]
    words = [
        f"CREATE DATABASE {quoted(name)} WITH TEMPLATE template0 OWNER {quoted(like['owner'])} ENCODING {literal(like['encoding'])}",
        f"LC_COLLATE {literal(row['datcollate'])} LC_CTYPE {literal(row['datctype'])}",
    ]
    provider = row.get("datlocprovider", "c")
    locale = row.get("datlocale") or row.get("daticulocale")  # PostgreSQL 17 gave the column its new name
    if provider == "i":
        words.append(f"LOCALE_PROVIDER icu ICU_LOCALE {literal(str(locale))}")
        if row.get("daticurules"):
            words.append(f"ICU_RULES {literal(row['daticurules'])}")
    elif provider == "b":
        words.append(f"LOCALE_PROVIDER builtin BUILTIN_LOCALE {literal(str(locale))}")
    if like["tablespace"] != "pg_default":
        words.append(f"TABLESPACE {quoted(like['tablespace'])}")
    return " ".join(words)


def apply_statements(name: str, like: Mapping[str, Any]) -> list[str]:
    """Statements that give a new database the settings, rights, limit and comment of the described one."""
    database = quoted(name)
    statements = [f"ALTER DATABASE {database} OWNER TO {quoted(like['owner'])}"]
    for entry in like["settings"]:
        who = f"ALTER ROLE {quoted(entry['role'])} IN DATABASE {database}" if entry["role"] else f"ALTER DATABASE {database}"
        statements += [f"{who} SET {setting(item)}" for item in entry["config"] or []]
    if like["acl"] is not None:
        statements += [f"REVOKE ALL ON DATABASE {database} FROM {grantee}" for grantee in ("PUBLIC", quoted(like["owner"]))]
        for entry in like["acl"]:
            grantee = quoted(entry["grantee"]) if entry["grantee"] else "PUBLIC"
            option = " WITH GRANT OPTION" if entry["grantable"] else ""
            statements.append(f"GRANT {entry['privilege']} ON DATABASE {database} TO {grantee}{option}")
    statements.append(f"ALTER DATABASE {database} WITH CONNECTION LIMIT {int(like['row']['datconnlimit'])}")
    statements.append(f"COMMENT ON DATABASE {database} IS {literal(like['comment']) if like['comment'] else 'NULL'}")
    return statements


def setting(item: str) -> str:
    """C(name=value) of the catalog as the words behind C(SET)."""
    name, _equals, value = item.partition("=")
    if name.lower() not in _LISTS:
        return f"{quoted(name)} TO {literal(value)}"
    names = [inner.replace('""', '"') or plain for inner, plain in _LIST_ITEM.findall(value)]
    return f"{quoted(name)} TO {', '.join(map(literal, names)) if names else literal('')}"
