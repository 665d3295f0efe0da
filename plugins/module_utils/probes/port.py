# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A port is free, or held by whom it should be; names the process that holds it."""

from __future__ import annotations

import re

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.context import CannotJudge, Context
from ansible_collections.phasegate.aistack.plugins.module_utils.core.schema import Option
from ansible_collections.phasegate.aistack.plugins.module_utils.core.sockets import CannotSee, Holder, holders, overlaps, shown
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.base import Attempt, Probe
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.process import command_line


class Port(Probe):
    """Look up who listens, without connecting."""

    type = "port"
    target = Option("int", "number of the TCP port", required=True)
    options = {
        "unit": Option("str", "service that has to hold it; without unit and process it has to be free"),
        "process": Option("regex", "pattern in the name or command line of the process that has to hold it"),
        "address": Option("str", "it has to be held on this address only, or be free there"),
        "or_free": Option("bool", "free is as good as held by the right one"),
    }
    hint = "stop what holds the port, or give the component another one in aistack_ports; see: ss -ltnp 'sport = :{target}'"

    def expectation(self) -> str:
        number = self.spec["target"]
        held = [f"unit {self.spec['unit']}"] if self.spec.get("unit") else []
        held += [f"a process matching {self.spec['process']}"] if self.spec.get("process") else []
        if not held:
            return f"port {number} is free"
        on = f" on {self.spec['address']}" if self.spec.get("address") else ""
        return f"port {number} is held by {' and '.join(held)}{on}" + (", or free" if self.spec.get("or_free") else "")

    def observe(self, context: Context) -> Attempt:
        number = int(self.spec["target"])
        try:
            found = holders(number)
        except CannotSee as error:
            raise CannotJudge(str(error)) from error
        asked = bool(self.spec.get("unit") or self.spec.get("process"))
        if self.spec.get("address") and not asked:
            found = [holder for holder in found if overlaps(holder.address, str(self.spec["address"]))]
        if not found:
            return Attempt(not asked or bool(self.spec.get("or_free")), f"port {number} is free", self.expectation())
        said = f"port {number} is held by {shown(found)}"
        detail = "\n".join(f"{holder.pid}: {command_line(str(holder.pid))[:200]}" for holder in found if holder.pid)
        return Attempt(asked and all(self._right(holder) for holder in found), said, self.expectation(), detail)

    def _right(self, holder: Holder) -> bool:
        unit = self.spec.get("unit")
        if unit and holder.unit not in (unit, f"{unit}.service"):
            return False
        if self.spec.get("address") and holder.address != self.spec["address"]:
            return False
        pattern = self.spec.get("process")
        return not pattern or bool(re.search(pattern, holder.name) or re.search(pattern, command_line(str(holder.pid))))
