# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One look at one thing within a limit of time: programs that end with it, errors in the words of an operator."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.core import expect, proc
from ansible_collections.phasegate.aistack.plugins.module_utils.environment.secret_files import Secrets

TIMEOUT = 5.0
"""Seconds for one attempt where a probe does not say."""
OUTPUT_LIMIT = 4 * 1024 * 1024
"""Bytes of an answer, characters of a program's output that are looked at."""


class NotAsExpected(Exception):
    """The thing was looked at and is not as expected."""

    def __init__(self, got: str, expected: str = "", detail: str = "") -> None:
        super().__init__(got)
        self.got = got
        self.expected = expected
        self.detail = detail


class CannotJudge(Exception):
    """The thing cannot be looked at at all, and waiting will not change that."""


class Children:
    """The programs that the attempts of a gate run, so that none outlives the gate."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._alive: set[proc.Child] = set()
        self._closed = False

    @contextlib.contextmanager
    def watch(self, child: proc.Child) -> Iterator[None]:
        """Remember ``child`` while the block runs; end it where the gate is over already."""
        with self._lock:
            self._alive.add(child)
            closed = self._closed
        if closed:
            proc.end_session(child.pid)
        try:
            yield
        finally:
            with self._lock:
                self._alive.discard(child)

    def end(self) -> None:
        """End what still runs, and whatever is started from now on."""
        with self._lock:
            self._closed = True
            alive = list(self._alive)
        for child in alive:
            proc.end_session(child.pid)


@dataclass
class Context:
    """What a client is given for one attempt.

    Attributes:
        timeout: seconds for the attempt.
        names: what ``${name}`` stands for; only sequences need it, all else is filled in already.
        secrets: everything that was read from files of secrets; nothing of it may be shown.
        since: seconds since 1970 from which on logs count, or None for the unit's own activation.
        began: of the attempt, on the monotonic clock.
    """

    timeout: float = TIMEOUT
    names: Mapping[str, Any] = field(default_factory=dict)
    secrets: Secrets = field(default_factory=Secrets)
    children: Children = field(default_factory=Children)
    since: float | None = None
    began: float = field(default_factory=time.monotonic)

    def remaining(self) -> float:
        """Seconds that are left.

        Raises:
            NotAsExpected: none are.
        """
        left = self.began + self.timeout - time.monotonic()
        if left <= 0:
            raise NotAsExpected(f"no answer within {self.timeout:g} s")
        return left

    def within(self, seconds: float) -> Context:
        """A context for a part of this attempt, of at most ``seconds`` from now."""
        return Context(min(seconds, self.remaining()), self.names, self.secrets, self.children, self.since)

    def execute(
        self,
        argv: Sequence[str],
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        user: str | None = None,
        stdin: str = "",
    ) -> proc.Ended:
        """Run a program without a shell, in a session of its own, for as long as the attempt may take.

        Args:
            argv: program and arguments; never a secret.
            env: added to a small environment.
            user: who runs it, where this process may choose.

        Raises:
            CannotJudge: there is no such program or user.
            NotAsExpected: it took too long.
        """
        base = {"PATH": os.environ.get("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"), "LC_ALL": "C.UTF-8"}
        timeout = self.remaining()
        try:
            child = proc.start(argv, {**base, **(env or {})}, cwd, stdin=proc.PIPE, user=user)
        except LookupError as error:
            raise CannotJudge(f"there is no user {user}") from error
        except FileNotFoundError as error:
            missing = cwd if cwd and not os.path.isdir(cwd) else argv[0]
            raise CannotJudge(f"{missing} is not there") from error
        except OSError as error:
            raise CannotJudge(f"{argv[0]} cannot be started: {error.strerror}") from error
        with self.children.watch(child):
            done = proc.ended(child, stdin.encode(), timeout)
        if done.timed_out:
            raise NotAsExpected(f"no answer within {self.timeout:g} s", detail=f"`{argv[0]}` was ended")
        return replace(done, stdout=done.stdout[:OUTPUT_LIMIT], stderr=done.stderr[:OUTPUT_LIMIT])


def os_error_text(error: OSError, timeout: float) -> str:
    """An error of the system in the words of an operator."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is not trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {error.reason or error}"
    if isinstance(error, (socket.timeout, TimeoutError)) or error.errno == errno.ETIMEDOUT:
        return f"no answer within {timeout:g} s"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, ConnectionResetError):
        return "the connection was reset"
    if isinstance(error, socket.gaierror):
        return f"the name cannot be resolved: {error.strerror}"
    if isinstance(error, (FileNotFoundError, PermissionError)) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return error.strerror or str(error) or type(error).__name__


def parted(target: str, port: int | None = None) -> tuple[str, int]:
    """``host:port`` or ``[address]:port`` in its parts.

    Raises:
        CannotJudge: there is no port, or none that is one.
    """
    host, colon, number = target.rpartition(":")
    if target.endswith("]") or not colon or (":" in host and not host.startswith("[")):
        host, number = target, ""
    if not number:
        if port is None:
            raise CannotJudge(f"'{target}' has no port; write host:port")
        return host.strip("[]"), port
    if not number.isdigit() or not 0 < int(number) < 65536:
        raise CannotJudge(f"'{number}' is not a port")
    return host.strip("[]"), int(number)


def excerpt(text: str, limit: int = 200) -> str:
    """The beginning of a text on one line."""
    return expect.show(" ".join(text.split()), limit)


def last_line(text: str) -> str:
    """The last line that says something."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""
