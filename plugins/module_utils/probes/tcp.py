# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A port takes connections; or does not, where nobody is to come in."""

from __future__ import annotations

import errno
import socket
from collections.abc import Mapping

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.context import Context, NotAsExpected, os_error_text, parted
from ansible_collections.phasegate.aistack.plugins.module_utils.core.schema import Option
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.base import Attempt, Probe


class Tcp(Probe):
    """Connect, and close again."""

    type = "tcp"
    target = Option("str", "host:port")
    options = {
        "host": Option("str", "where to connect, instead of the short form"),
        "port": Option("int", "port, where the short form has none"),
        "refused": Option("bool", "passes only where the connection is refused or nobody answers"),
    }
    hint = "is the service running, does it listen on that address, and does a firewall stand between? try: ss -ltnp"

    @staticmethod
    def check(spec: Mapping[str, object]) -> list[str]:
        return [] if spec.get("target") or spec.get("host") else ["'tcp' needs host:port"]

    def expectation(self) -> str:
        return "connection refused" if self.spec.get("refused") else "a connection"

    def observe(self, context: Context) -> Attempt:
        host, port = parted(str(self.spec.get("target") or self.spec["host"]), self.spec.get("port"))
        where = f"{host}:{port}"
        try:
            socket.create_connection((host, port), timeout=context.remaining()).close()
        except socket.gaierror as error:
            raise NotAsExpected(f"{os_error_text(error, context.timeout)} ({where})") from error
        except OSError as error:
            said = f"{os_error_text(error, context.timeout)} ({where})"
            closed = isinstance(error, (ConnectionRefusedError, socket.timeout)) or error.errno == errno.ETIMEDOUT
            return Attempt(closed and bool(self.spec.get("refused")), said, self.expectation())
        return Attempt(not self.spec.get("refused"), f"connected ({where})", self.expectation())
