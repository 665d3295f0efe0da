# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A session with psql: queries that return JSON, over one connection that lives as long as the session.

It stands beside the release's own connections: it holds the advisory lock, watches who blocks whom, and reads the catalog.
A child that speaks psql is used because a node has it wherever it has pg_dump, and the standard library has no driver.
When this process dies, psql's input ends and the session with it.
"""

from __future__ import annotations

import json
import os
import pwd
import selectors
import subprocess
import time
import uuid
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.core.proc import start
from ansible_collections.phasegate.aistack.plugins.module_utils.environment.database_url import DatabaseAddress
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.fingerprint import literal

CONNECT_TIMEOUT = 5
"""Seconds to wait for a connection."""


class DatabaseError(Exception):
    """A statement or a connection failed. ``kind``: unreachable, password, missing, refused, statement, timeout, tool, ended."""

    def __init__(self, kind: str, message: str, sqlstate: str = "") -> None:
        super().__init__(message)
        self.kind = kind
        self.sqlstate = sqlstate


def base_environment(user: str | None) -> dict[str, str]:
    """What a child gets besides its own variables: a search path, a language that messages can be recognised in, a home."""
    home = "/"
    try:
        home = pwd.getpwnam(user).pw_dir if user else pwd.getpwuid(os.geteuid()).pw_dir
    except KeyError:
        home = "/"
    return {
        "PATH": os.environ.get("PATH", "/usr/local/bin:/usr/bin:/bin"),
        "LANG": "C.UTF-8",
        "LC_MESSAGES": "C",
        "HOME": home,
    }


def tool_environment(address: DatabaseAddress, variables: Mapping[str, str], user: str | None, application: str) -> dict[str, str]:
    """Environment for psql, pg_dump and pg_restore. ``variables`` is the release's; only its PG* go through."""
    inherited = {name: value for name, value in variables.items() if name.startswith("PG") and name != "PGOPTIONS"}
    return {
        **base_environment(user),
        "PGCONNECT_TIMEOUT": str(CONNECT_TIMEOUT),
        "PGPASSFILE": "/nonexistent/pgpass",  # nobody's passwords; of a file that is there and none, libpq warns each time
        **inherited,
        **address.environment(),
        "PGAPPNAME": application,
        "PGCLIENTENCODING": "UTF8",
    }


READ_ONLY = (
    "A failover may be under way, the address may lead to a standby, or default_transaction_read_only is set. Run again when it takes"
    " writes."
)


def explain(address: DatabaseAddress, said: str) -> DatabaseError:
    """What libpq's words mean for an operator. Names where and as whom; libpq never prints the password."""
    text = " ".join(said.split())
    low = text.lower()
    where = address.describe()
    if "password authentication failed" in low or "no password supplied" in low or "scram" in low:
        return DatabaseError(
            "password",
            f"The server refused the password for {where}. Correct the password in aistack_env, or the role's on the"
            f" server (postgres_users). The server said: {text}",
            "28P01",
        )
    if "no pg_hba.conf entry" in low or "peer authentication failed" in low or "ident authentication" in low:
        return DatabaseError("refused", f"The server does not let this node in ({where}): postgres_clients in the inventory says who "
                                        f"may, pg_hba.conf on the server has it. It said: {text}", "28000")
    if "does not exist" in low and ("database" in low or "role" in low):
        return DatabaseError("missing", f"The server answers, but there is nothing to connect to: {where}. It said: {text}", "3D000")
    if any(
        word in low
        for word in ("connection refused", "timeout expired", "could not translate", "no route", "no such file", "unreachable", "timed out")
    ):
        return DatabaseError(
            "unreachable",
            f"No connection to {where} within {CONNECT_TIMEOUT} s. Check that PostgreSQL runs there and listens on that address and port."
            f" libpq said: {text}",
            "08001",
        )
    return DatabaseError("refused", f"No connection to {where}: {text or 'psql ended without a word'}", "08000")


class Psql:
    """One connection. Use as a context manager; raises DatabaseError."""

    def __init__(
        self,
        address: DatabaseAddress,
        variables: Mapping[str, str],
        user: str | None = None,
        application: str = "aistack-migrate-watch",
        binary: str = "psql",
    ) -> None:
        self.address = address
        self._mark = uuid.uuid4().hex
        self._stdout = bytearray()
        self._stderr = b""
        try:
            # a conversation that lives as long as the session: only its beginning is that of other programs
            argv = [binary, "-X", "-q", "-A", "-t", "-w", "-v", "VERBOSITY=terse", "-P", "pager=off"]
            self._child = start(argv, tool_environment(address, variables, user, application), "/", subprocess.PIPE, user=user)
        except OSError as problem:
            raise DatabaseError(
                "tool", f"{binary} cannot be run: {problem.strerror}. Install PostgreSQL's client package on this node."
            ) from None
        if self._child.stdin is None or self._child.stdout is None or self._child.stderr is None:
            raise DatabaseError("tool", f"{binary} was started without pipes; nothing can be asked of it.")
        self._pipes = (self._child.stdin, self._child.stdout, self._child.stderr)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._child.stdout, selectors.EVENT_READ, "out")
        self._selector.register(self._child.stderr, selectors.EVENT_READ, "err")
        try:
            self.pid = int(self.query("SELECT pg_backend_pid()", CONNECT_TIMEOUT + 5))
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Psql:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def query(self, sql: str, timeout: float = 30.0) -> Any:
        """Runs one statement that returns at most one value; the value is read as JSON. ``timeout`` is in seconds."""
        if self._pipes[0].closed:
            raise DatabaseError("ended", f"{self.address.describe()}: the session is over", "08003")
        self._stderr = b""
        request = f"{sql.strip().rstrip(';')}\n;\n\\echo {self._mark} :ERROR :SQLSTATE\n"
        try:
            self._pipes[0].write(request.encode())
            self._pipes[0].flush()
        except BrokenPipeError:
            raise self._ended() from None
        end = time.monotonic() + timeout
        mark = self._mark.encode()
        seen = 0
        while True:
            at = self._stdout.find(mark, seen)
            stop = self._stdout.find(b"\n", at) if at >= 0 else -1
            if stop < 0:
                seen = max(len(self._stdout) - len(mark), 0) if at < 0 else at  # long answers are not searched again and again
            else:
                body = self._stdout[:at].decode("utf-8", "replace").strip()
                failed, sqlstate = self._stdout[at + len(mark) : stop].decode().split()
                del self._stdout[: stop + 1]
                if failed == "true":
                    self._drain()
                    said = " ".join(self._stderr.decode("utf-8", "replace").split())
                    if sqlstate == "25006":
                        raise DatabaseError("read_only", f"{self.address.describe()} is read-only: {said}. {READ_ONLY}", sqlstate)
                    kind = "timeout" if sqlstate == "57014" else "statement"
                    raise DatabaseError(kind, f"{self.address.describe()}: {said}", sqlstate)
                return json.loads(body) if body else None
            left = end - time.monotonic()
            if left <= 0:
                self.close()
                raise DatabaseError("timeout", f"{self.address.describe()}: no answer within {timeout:g} s", "57014")
            if self._read(left):
                raise self._ended()

    def _read(self, wait: float) -> bool:
        """Takes what is there; True when psql has closed its output."""
        ended = False
        for key, _events in self._selector.select(wait):
            data = os.read(key.fd, 65536)
            if key.data == "err":
                self._stderr += data
                if not data:
                    self._selector.unregister(key.fileobj)
            else:
                self._stdout += data
                ended = not data
        return ended

    def _drain(self) -> None:
        while True:
            events = self._selector.select(0.02)
            if not any(key.data == "err" for key, _mask in events):
                return
            self._read(0)

    def _ended(self) -> DatabaseError:
        try:
            self._child.wait(2)
        except subprocess.TimeoutExpired:
            self._child.kill()
        self._drain()
        return explain(self.address, self._stderr.decode("utf-8", "replace").replace("psql: error: ", ""))

    def apply_settings(self, **settings: str) -> None:
        """Sets what holds for the rest of the session."""
        calls = ", ".join(f"set_config({literal(name)}, {literal(value)}, false)" for name, value in settings.items())
        self.query(f"SELECT json_build_array({calls})")

    def stop(self) -> None:
        """Ends the session from another thread: a question that is under way fails."""
        self._child.kill()

    def close(self) -> None:
        """Ends the session; what it held (locks) is free afterwards."""
        if self._child.poll() is None:
            self._child.kill()
        self._child.wait()
        self._selector.close()
        for pipe in self._pipes:
            try:
                pipe.close()
            except BrokenPipeError:
                continue  # what was not sent any more has nobody to read it
