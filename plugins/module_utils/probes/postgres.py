# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""PostgreSQL answers a query, as the user and from the place that count; through psql, with the password in its environment."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.context import CannotJudge, Context, NotAsExpected, parted
from ansible_collections.phasegate.aistack.plugins.module_utils.core.expect import MISSING, Mismatch, check, check_all, describe_all, show
from ansible_collections.phasegate.aistack.plugins.module_utils.core.schema import Option
from ansible_collections.phasegate.aistack.plugins.module_utils.environment.database_url import parse_url
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.base import Attempt, Probe, judge

_NAMES = {"user": "PGUSER", "database": "PGDATABASE", "sslmode": "PGSSLMODE", "ca_file": "PGSSLROOTCERT"}
_FIELD, _RECORD = "\x1f", "\x1e"
_NO_CONNECTION = 2
"""Exit status of psql where the connection failed; 1 and 3 mean that the query did."""


_READ_ONLY = re.compile(r"read-only transaction|recovery is in progress|session is read-only|default_transaction_read_only", re.I)
"""What the server, or libpq with target_session_attrs, says where it takes no writes: it stands by, or a failover is under way."""
_READ_ONLY_HINT = "the server takes no writes: it stands by, or a failover is under way; SELECT pg_is_in_recovery() tells"


class Postgres(Probe):
    """Run one query and compare what comes."""

    type = "postgres"
    speaks = True
    target = Option("str", "host:port; the other ways are host and port, or env_file and env_key")
    options = {
        "host": Option("str", "address, or the folder of the Unix socket"),
        "port": Option("int", "port of the server", default=5432),
        "user": Option("str", "user of the database"),
        "database": Option("str", "name of the database; the user's name if left out"),
        "password_file": Option("str", "file on the node with the password"),
        "env_file": Option("str", "environment file on the node that holds a database URL"),
        "env_key": Option("str", "its name in there", default="DATABASE_URL"),
        "sslmode": Option("str", "as libpq knows it; verify-full where ca_file is given"),
        "ca_file": Option("str", "CA certificates on the node that the server's one has to be signed by"),
        "query": Option("str", "what is asked; it should only read", default="SELECT 1"),
        "value": Option("scalar", "first column of the first row"),
        "rows": Option("figure", "number of rows"),
        "writable": Option("bool", "true: the server has to take writes, which it does not while it stands by or a failover is under way"),
        "columns": Option("paths", "columns of the first row by name"),
        "run_as": Option("str", "system user that runs psql, for peer authentication"),
        "refused": Option("bool", "passes only where the connection or the login is refused"),
    }
    hint = "is the server running, does it listen there, and do pg_hba.conf and the password file agree? log: journalctl -u 'postgresql*'"

    @staticmethod
    def check(spec: Mapping[str, object]) -> list[str]:
        if spec.get("target") or spec.get("host") or spec.get("env_file"):
            return []
        return ["'postgres' needs host:port, or host, or env_file"]

    def expectation(self) -> str:
        if self.spec.get("refused"):
            return "the connection is refused"
        wanted = {key: self.spec[key] for key in ("value", "rows") if self.spec.get(key) is not None}
        wanted.update(self.spec.get("columns") or {})
        return describe_all(wanted) if wanted else "an answer to the query"

    def observe(self, context: Context) -> Attempt:
        environment, where = self._address(context)
        environment["PGCONNECT_TIMEOUT"] = str(max(1, math.ceil(context.remaining())))
        environment["PGAPPNAME"] = "aistack-probe"
        query = str(self.spec.get("query") or "SELECT 1")
        if self.spec.get("writable"):
            environment["PGTARGETSESSIONATTRS"] = "read-write"
        argv = ["psql", "-XAq", "-w", "-v", "ON_ERROR_STOP=1", "-P", "footer=off", "-F", _FIELD, "-R", _RECORD, "-c", query]
        done = context.execute(argv, env=environment, cwd="/", user=self.spec.get("run_as"))
        if self.spec.get("refused"):
            said = _said(done.stderr) if done.rc else "the query was answered"
            return Attempt(done.rc == _NO_CONNECTION, f"{said} ({where})", self.expectation())
        if done.rc != 0 and _READ_ONLY.search(done.stderr):
            raise NotAsExpected(f"read-only: {_said(done.stderr)}", detail=f"{query} on {where}; {_READ_ONLY_HINT}")
        if done.rc != 0:
            raise NotAsExpected(_said(done.stderr) or f"psql ended with {done.rc}", detail=f"{query} on {where}")
        return self._compare(done.stdout, f"{query} on {where}")

    def _address(self, context: Context) -> tuple[dict[str, str], str]:
        environment: dict[str, str] = {}
        if self.spec.get("env_file"):
            key = str(self.spec.get("env_key") or "DATABASE_URL")
            values = context.secrets.environment(self.spec["env_file"])
            if key not in values:
                raise CannotJudge(f"{self.spec['env_file']} has no {key}")
            context.secrets.learn({key: values[key]})
            try:
                address = parse_url(values[key])
            except ValueError as error:
                raise CannotJudge(f"{key} of {self.spec['env_file']} is no database URL: {error}") from error
            inherited = {name: value for name, value in values.items() if name.startswith("PGSSL")}  # what the address has no word for
            environment = {**inherited, **address.environment()}
        target = self.spec.get("target") or self.spec.get("host")
        if target:
            host, port = (str(target), 5432) if str(target).startswith("/") else parted(str(target), 5432)
            environment["PGHOST"] = host
            environment["PGPORT"] = str(self.spec.get("port") or port)
        if self.spec.get("ca_file"):
            environment["PGSSLMODE"] = "verify-full"
        for key, name in _NAMES.items():
            if self.spec.get(key):
                environment[name] = str(self.spec[key])
        if self.spec.get("password_file"):
            environment["PGPASSWORD"] = context.secrets.read(self.spec["password_file"])
        environment.setdefault("PGPASSFILE", "/nonexistent/pgpass")  # nobody's password but the one given
        database = environment.get("PGDATABASE") or environment.get("PGUSER", "")
        where = f"{environment.get('PGHOST', 'the local socket')}:{environment.get('PGPORT', '5432')}/{database}"
        return environment, where

    def _compare(self, output: str, detail: str) -> Attempt:
        records = output.rstrip("\n").split(_RECORD) if output.strip("\n") else []
        header = records[0].split(_FIELD) if records else []
        rows = [record.split(_FIELD) for record in records[1:]]
        first = dict(zip(header, rows[0])) if rows else {}
        found: list[Mismatch] = []
        value = rows[0][0] if rows else MISSING
        if self.spec.get("value") is not None:
            found += check(self.spec["value"], value, "value", text=True)
        if self.spec.get("rows") is not None:
            found += check(self.spec["rows"], len(rows), "rows")
        if self.spec.get("columns"):
            found += check_all(self.spec["columns"], first, text=True)
        if self.spec.get("columns") and not found:
            got = show(first)
        else:
            got = f"value = {show(value)}" if self.spec.get("value") is not None or self.spec.get("rows") is None else f"rows = {len(rows)}"
        return judge(found, self.expectation(), got, detail)


def _said(stderr: str) -> str:
    """What psql said, on one line: the server's error and its detail."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip() and not line.strip().startswith(("^", "LINE "))]
    return " ".join(lines).removeprefix("psql: error: ")[:400]
