# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A name resolves, and to the right addresses, as the node's own resolver sees it."""

from __future__ import annotations

import socket

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.context import Context, NotAsExpected, os_error_text
from ansible_collections.phasegate.aistack.plugins.module_utils.core.expect import check, describe, show
from ansible_collections.phasegate.aistack.plugins.module_utils.core.schema import Option
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.base import Attempt, Probe, judge


class Dns(Probe):
    """Resolve a name the way the node's programs do, /etc/hosts included."""

    type = "dns"
    target = Option("str", "the name", required=True)
    options = {"addresses": Option("expect", "addresses; a list has to be met exactly, in any order")}
    hint = "look into /etc/resolv.conf and /etc/hosts of the node, and try: getent ahosts {target}"

    def expectation(self) -> str:
        return f"addresses = {describe(self.spec['addresses'])}" if self.spec.get("addresses") else "an address"

    def observe(self, context: Context) -> Attempt:
        name = str(self.spec["target"])
        try:
            answers = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
        except OSError as error:
            raise NotAsExpected(f"{os_error_text(error, context.timeout)} ({name})") from error
        found = sorted({str(answer[4][0]) for answer in answers})
        wanted = self.spec.get("addresses")
        if isinstance(wanted, list):
            wanted = sorted(str(address) for address in wanted)
            same = wanted == found
            return Attempt(same, f"addresses = {show(found)}", f"addresses = {show(wanted)}")
        mismatches = check(wanted, found, "addresses") if wanted is not None else []
        return judge(mismatches, self.expectation(), f"addresses = {show(found)}")
