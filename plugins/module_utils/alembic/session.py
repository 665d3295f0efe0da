# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The helper process (see migration.migrate.script) as an object: requests in, answers out, with deadlines."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import selectors
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.alembic import script as alembic_script
from ansible_collections.phasegate.aistack.plugins.module_utils.alembic.runner import Runner
from ansible_collections.phasegate.aistack.plugins.module_utils.core import progress
from ansible_collections.phasegate.aistack.plugins.module_utils.core.loading import IMPORT_TIMEOUT
from ansible_collections.phasegate.aistack.plugins.module_utils.core.masking import Masker
from ansible_collections.phasegate.aistack.plugins.module_utils.core.proc import tail
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.version_table import VersionTable

APPLICATION = "aistack-migrate"
"""What the names of its sessions on the server begin with; a slash, the component and a random part follow."""
TICK = 0.25
"""Seconds between two observations at the database while a request runs."""


class HelperError(Exception):
    """The helper answered with an error, ended, or did not answer in time.

    ``kind``: lock_timeout, statement_timeout, deadlock, budget, loading, ended, read_only, database, script; ``facts`` is what the
    helper told.
    """

    def __init__(self, kind: str, message: str, facts: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.facts = dict(facts or {})


_KINDS = {
    "55P03": "lock_timeout", "57014": "statement_timeout", "40P01": "deadlock", "57P01": "ended", "57P03": "database", "25006": "read_only",
}


def kind_of(sqlstate: str) -> str:
    """What to call an SQLSTATE here."""
    return _KINDS.get(sqlstate) or ("database" if sqlstate else "script")


_TEXTS = ("message", "statement", "error", "sql", "doc")


def clean(document: Any, masker: Masker, key: str = "") -> Any:
    """An answer with the secrets masked in what is meant for people; identifiers stay whole."""
    if isinstance(document, dict):
        return {name: clean(value, masker, name) for name, value in document.items()}
    if isinstance(document, list):
        return [clean(value, masker) for value in document]
    return masker.mask(document) if isinstance(document, str) and key in _TEXTS else document


class AlembicSession:
    """One helper process. Use as a context manager."""

    def __init__(self, runner: Runner, variables: Mapping[str, str], component: str, declared: Collection[str] = ()) -> None:
        # another component, or somebody who only asks, may have sessions on the same database: each helper knows its own
        self.application = f"{APPLICATION}/{re.sub('[^A-Za-z0-9_-]', '_', component)[:30]}/{secrets.token_hex(4)}"
        self.masker = Masker.of(variables, declared)
        self.version: VersionTable | None = None  # what env.py said, once it was asked
        self._runner = runner
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        self._buffer = b""
        given = {**variables, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1", "PGAPPNAME": self.application}
        try:
            # a conversation that lives as long as the session: only its beginning is that of other programs
            self._child = runner.start(self.application, (APPLICATION, component), given, self._stderr)
        except OSError as problem:
            raise HelperError("ended", f"{runner.where}: {problem.strerror}") from problem
        if self._child.stdout is None:
            raise HelperError("ended", "the helper was started without a standard output; it cannot answer")
        self._answers = self._child.stdout
        text = alembic_script.HELPER.encode()
        self._send(runner.first(given) + b"%d\n" % len(text) + text)

    def __enter__(self) -> AlembicSession:
        return self

    def __exit__(self, *_unused: object) -> None:
        self.close()

    def _send(self, data: bytes) -> None:
        if self._child.stdin is None:
            raise HelperError("ended", "the helper was started without a standard input; nothing can be asked of it")
        try:
            self._child.stdin.write(data)
            self._child.stdin.flush()
        except BrokenPipeError:
            return  # it has ended; waiting for the answer says why

    def open(
        self, ini: str, lock_timeout: float, statement_timeout: float, timeout: float = IMPORT_TIMEOUT, database: str = "",
        x: Mapping[str, str] | None = None,
    ) -> dict[str, object]:
        """Loads the release's Alembic; ``x`` is what C(-x) would give.

        Times are in seconds; the first two are set on every connection that it makes.

        With ``database``, a connection that leads to another one is refused.
        """
        settings = {
            "application_name": self.application,
            "lock_timeout": f"{int(lock_timeout * 1000)}ms",
            "statement_timeout": f"{int(statement_timeout * 1000)}ms",
        }
        return self.request("open", timeout, ini=ini, x=dict(x or {}), settings=settings, database=database)

    def request(
        self,
        op: str,
        timeout: float,
        tick: Callable[[], None] | None = None,
        note: Callable[[Mapping[str, object]], None] | None = None,
        loading: float = 0.0,
        **arguments: Any,
    ) -> dict[str, Any]:
        """Asks for ``op``; ``tick`` is called every TICK seconds while it runs, ``note`` for every event. With
        ``loading``, the release's code may take so many seconds until it connects, and ``timeout`` counts from there.

        Raises HelperError; after kind ``budget``, ``loading`` or ``ended`` the session is over.
        """
        self._send(json.dumps({"op": op, **arguments}).encode() + b"\n")
        end = time.monotonic() + (loading or timeout)
        with selectors.DefaultSelector() as selector:
            selector.register(self._answers, selectors.EVENT_READ)
            while True:
                while b"\n" in self._buffer:
                    line, self._buffer = self._buffer.split(b"\n", 1)
                    document = self._read(line)
                    if document is None:
                        continue
                    if "ok" not in document:
                        if loading:
                            end, loading = time.monotonic() + timeout, 0.0
                        if document.get("event") == "step":
                            progress.tell(f"step {document['number']} of {document['of']}, {document['revision']}", at_once=True)
                        if note:
                            note(document)
                        continue
                    if document["ok"]:
                        return dict(document)
                    raise self._failed(document["error"])
                left = end - time.monotonic()
                if left <= 0:
                    self.kill()
                    if loading:
                        raise HelperError("loading", f"not loaded within {loading:g} s")
                    raise HelperError("budget", f"not finished within {timeout:.1f} s")
                if selector.select(min(left, TICK)):
                    data = os.read(self._answers.fileno(), 65536)
                    if not data:
                        raise self._ended()
                    self._buffer += data
                elif tick:
                    tick()

    def _read(self, line: bytes) -> dict[str, Any] | None:
        """An answer; None for what the interpreter itself printed before the helper had its output (a C(sitecustomize) may)."""
        try:
            document = json.loads(line)
        except ValueError:
            document = None
        if not isinstance(document, dict):
            self._stderr.write(line + b"\n")
            self._stderr.flush()
            return None
        return dict(clean(document, self.masker))

    def _failed(self, error: Mapping[str, Any]) -> HelperError:
        facts = dict(error)
        return HelperError(kind_of(str(facts.get("sqlstate", ""))), str(facts.get("message", "")), facts)

    def _ended(self) -> HelperError:
        self._child.wait()
        return HelperError("ended", f"the release's Python ended with {self._child.returncode}: {self.said() or 'without a word'}")

    def said(self, lines: int = 12) -> str:
        """The last lines that the release's code printed."""
        self._stderr.seek(0, os.SEEK_END)
        self._stderr.seek(max(0, self._stderr.tell() - 20000))
        return self.masker.mask(tail(self._stderr.read().decode("utf-8", "replace"), lines))

    def kill(self) -> None:
        """Ends the helper and its children now."""
        if self._child.poll() is None:
            os.killpg(self._child.pid, signal.SIGKILL)
            self._runner.end(self.application)
        self._child.wait()

    def close(self) -> None:
        """Ends the helper; it has nothing left to do."""
        if self._child.stdin:
            with contextlib.suppress(BrokenPipeError):  # it has ended already
                self._child.stdin.close()
        try:
            self._child.wait(5)
        except subprocess.TimeoutExpired:
            self.kill()
        self._answers.close()
        self._stderr.close()
