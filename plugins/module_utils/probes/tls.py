# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The certificate that a server shows is trusted, and for long enough."""

from __future__ import annotations

import socket
import ssl
import struct
import time
from collections.abc import Mapping

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.context import Context, NotAsExpected, os_error_text, parted
from ansible_collections.phasegate.aistack.plugins.module_utils.clients.http import client_context
from ansible_collections.phasegate.aistack.plugins.module_utils.core.expect import check, describe
from ansible_collections.phasegate.aistack.plugins.module_utils.core.schema import Option
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.base import Attempt, Probe, at_least, judge

_SSL_REQUEST = struct.pack("!ii", 8, 80877103)  # PostgreSQL's first message of a client that wants TLS


class Tls(Probe):
    """Shake hands, verify, and count the days."""

    type = "tls"
    target = Option("str", "host:port; 443 where there is no port", required=True)
    options = {
        "days_left": Option("figure", "days until the certificate ends; a number means at least", default=14),
        "server_name": Option("str", "name in the certificate, where it is not the host"),
        "ca_file": Option("str", "CA certificates on the node, instead of the system's"),
        "port": Option("int", "port, where the short form has none"),
        "starttls": Option("str", "postgres: what is asked of such a server before it speaks TLS"),
        "certificate": Option("str", "PEM file on the node: the server has to show its first certificate, which is then trusted as it is"),
    }
    hint = "renew the certificate, or look at it: openssl s_client -connect {target}"

    @staticmethod
    def check(spec: Mapping[str, object]) -> list[str]:
        if spec.get("starttls") in (None, "postgres"):
            return []
        return [f"starttls: 'postgres' is known, '{spec['starttls']}' is not"]

    def _wanted(self) -> object:
        return at_least(self.spec.get("days_left", 14))

    def expectation(self) -> str:
        which = f"the certificate in {self.spec['certificate']}" if self.spec.get("certificate") else "a trusted certificate"
        return f"{which}, days left {describe(self._wanted())}"

    def observe(self, context: Context) -> Attempt:
        host, port = parted(str(self.spec["target"]), self.spec.get("port") or 443)
        tls = client_context(self.spec.get("ca_file"), self.spec.get("certificate"))
        try:
            with socket.create_connection((host, port), timeout=context.remaining()) as plain:
                plain.settimeout(context.remaining())
                if self.spec.get("starttls"):
                    plain.sendall(_SSL_REQUEST)
                    if plain.recv(1) != b"S":
                        raise NotAsExpected(f"the server speaks no TLS ({host}:{port})")
                with tls.wrap_socket(plain, server_hostname=self.spec.get("server_name") or host) as wrapped:
                    certificate = wrapped.getpeercert() or {}
        except OSError as error:
            raise NotAsExpected(f"{os_error_text(error, context.timeout)} ({host}:{port})") from error
        ends = str(certificate["notAfter"])
        days = round((ssl.cert_time_to_seconds(ends) - time.time()) / 86400, 1)
        return judge(check(self._wanted(), days, "days_left"), self.expectation(), f"days_left = {days}", f"{host}:{port} until {ends}")
