# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The certificate that a server shows is trusted, and for long enough."""

from __future__ import annotations

import socket
import ssl
import time

from ansible_collections.phasegate.aistack.plugins.module_utils.probes.base import (
    Attempt,
    CannotJudge,
    Context,
    NotAsExpected,
    Probe,
    at_least,
    judge,
    os_error_text,
    parted,
)
from ansible_collections.phasegate.aistack.plugins.module_utils.pure.expect import check, describe
from ansible_collections.phasegate.aistack.plugins.module_utils.pure.probe_spec import Option


class Tls(Probe):
    """Shake hands, verify, and count the days."""

    type = "tls"
    target = Option("str", "host:port; 443 where there is no port", required=True)
    options = {
        "days_left": Option("expect", "days until the certificate ends; a number means at least; 14 by default"),
        "server_name": Option("str", "name in the certificate, where it is not the host"),
        "ca_file": Option("str", "CA certificates on the node, instead of the system's"),
        "port": Option("int", "port, where the short form has none"),
    }
    hint = "renew the certificate, or look at it: openssl s_client -connect {target}"

    def _wanted(self) -> object:
        return at_least(self.spec.get("days_left", 14))

    def expectation(self) -> str:
        return f"a trusted certificate, days left {describe(self._wanted())}"

    def look(self, context: Context) -> Attempt:
        host, port = parted(str(self.spec["target"]), self.spec.get("port") or 443)
        try:
            tls = ssl.create_default_context(cafile=self.spec.get("ca_file"))
        except OSError as error:
            raise CannotJudge(f"{self.spec.get('ca_file')}: {error.strerror or error}") from error
        try:
            with socket.create_connection((host, port), timeout=context.remaining()) as plain:
                plain.settimeout(context.remaining())
                with tls.wrap_socket(plain, server_hostname=self.spec.get("server_name") or host) as wrapped:
                    certificate = wrapped.getpeercert() or {}
        except OSError as error:
            raise NotAsExpected(f"{os_error_text(error, context.timeout)} ({host}:{port})") from error
        ends = str(certificate["notAfter"])
        days = round((ssl.cert_time_to_seconds(ends) - time.time()) / 86400, 1)
        return judge(check(self._wanted(), days, "days_left"), self.expectation(), f"days_left = {days}", f"{host}:{port} until {ends}")
