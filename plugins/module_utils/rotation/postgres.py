# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Passwords of PostgreSQL's roles: what is set, and a second login beside a role for as long as its password is being changed.

A role has one password, and whoever connects with another is refused. The second login, ``<role>__rotation``, is a member of the role
and becomes it as it connects, so that what it makes belongs to the role as before.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.environment.rotation import bridge_name, bridge_password
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.fingerprint import literal, quoted
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.psql import Psql
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.settings import setting
from ansible_collections.phasegate.aistack.plugins.module_utils.rotation import scram


class LoginError(Exception):
    """Not done; the message says why and what to do."""


@dataclass(frozen=True)
class Seen:
    """What the server says of one role.

    Attributes:
        exists: whether there is such a role that may log in.
        value: whether it has the password that was given.
        bridge: whether the second login is there and has its password.
        admitted: whether pg_hba.conf lets the second login in from somewhere.
    """

    exists: bool
    value: bool
    bridge: bool
    admitted: bool

    def as_dict(self) -> dict[str, bool]:
        return asdict(self)


def _role(psql: Psql, name: str) -> dict[str, Any] | None:
    found = psql.query(
        "SELECT json_build_object('login', rolcanlogin, 'password', rolpassword, 'limit', rolconnlimit)"
        f" FROM pg_authid WHERE rolname = {literal(name)}"
    )
    return dict(found) if found else None


def observe(psql: Psql, user: str, password: str) -> Seen:
    """Look at a role and at the second login beside it."""
    role, beside = _role(psql, user), _role(psql, bridge_name(user))
    admitted = psql.query(
        "SELECT to_json(EXISTS (SELECT FROM pg_hba_file_rules WHERE error IS NULL AND type <> 'local' AND auth_method <> 'reject'"
        f" AND user_name && ARRAY[{literal(bridge_name(user))}, 'all', {literal('+' + user)}]))"
    )
    return Seen(
        exists=bool(role and role["login"]),
        value=bool(role and role["login"] and scram.matches(role["password"], user, password)),
        bridge=bool(beside and beside["login"] and scram.matches(beside["password"], bridge_name(user), bridge_password(user, password))),
        admitted=bool(admitted),
    )


def differing(psql: Psql, users: dict[str, str]) -> list[str]:
    """Names of the roles that log in with another password today than the one in ``users``. A role without one does not log in."""
    found = []
    for name, password in users.items():
        role = _role(psql, name)
        if role and role["login"] and role["password"] and not scram.matches(role["password"], name, password):
            found.append(name)
    return found


def _quiet(psql: Psql) -> None:
    """Not even what a password was made into is for the server's log."""
    psql.apply_settings(log_statement="none", log_min_duration_statement="-1", log_min_error_statement="panic")


def bridge(psql: Psql, user: str, password: str) -> bool:
    """Make the second login, with the role's own settings; whether there was anything to do. Raises LoginError."""
    seen, role, name = observe(psql, user, password), _role(psql, user), bridge_name(user)
    if role is None:
        raise LoginError(f"There is no role {user} on this server, so nobody uses its password: site.yml makes it.")
    if len(name.encode()) > 63:
        raise LoginError(f"The name {name} is longer than the 63 bytes that PostgreSQL allows; give the role {user} a shorter name first.")
    if seen.bridge:
        return False
    _quiet(psql)
    if _role(psql, name) is None:
        psql.query(f"CREATE ROLE {quoted(name)} NOLOGIN IN ROLE {quoted(user)}")
    psql.query(f"GRANT {quoted(user)} TO {quoted(name)}")
    psql.query(f"ALTER ROLE {quoted(name)} RESET ALL")
    rows = psql.query(
        "SELECT coalesce(json_agg(json_build_array(coalesce(d.datname, ''), s.setconfig) ORDER BY 1), '[]') FROM pg_db_role_setting s"
        f" LEFT JOIN pg_database d ON d.oid = s.setdatabase WHERE s.setrole = (SELECT oid FROM pg_authid WHERE rolname = {literal(user)})"
    )
    for database, config in rows:
        place = f" IN DATABASE {quoted(database)}" if database else ""
        for item in config or []:
            psql.query(f"ALTER ROLE {quoted(name)}{place} SET {setting(item)}")
    psql.query(f"ALTER ROLE {quoted(name)} SET role TO {literal(user)}")
    kept = scram.verifier(bridge_password(user, password), os.urandom(16))
    psql.query(f"ALTER ROLE {quoted(name)} INHERIT LOGIN CONNECTION LIMIT {int(role['limit'])} PASSWORD {literal(kept)}")
    return True


def change(psql: Psql, user: str, password: str) -> bool:
    """Give the role that password; whether it had another one. Who is connected stays so. Raises LoginError."""
    role = _role(psql, user)
    if role is None:
        raise LoginError(f"There is no role {user} on this server whose password could be changed: site.yml makes it.")
    if role["login"] and scram.matches(role["password"], user, password):
        return False
    _quiet(psql)
    psql.query(f"ALTER ROLE {quoted(user)} LOGIN PASSWORD {literal(scram.verifier(password, os.urandom(16)))}")
    return True


def close(psql: Psql, user: str) -> bool:
    """End the second login: nobody gets in by it any more. The role stays, for the next time. Whether there was anything to do."""
    name = bridge_name(user)
    beside = _role(psql, name)
    if beside is None or not (beside["login"] or beside["password"]):
        return False
    _quiet(psql)
    psql.query(f"ALTER ROLE {quoted(name)} NOLOGIN PASSWORD NULL")
    return True
