# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Alertmanager is ready, has the receivers that it should, and knows of as many alerts as expected."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.context import Context
from ansible_collections.phasegate.aistack.plugins.module_utils.core.expect import Mismatch, check, describe, get_path, problems
from ansible_collections.phasegate.aistack.plugins.module_utils.core.schema import Option
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.base import Attempt, Probe, judge
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.prometheus import LOGIN, ask, login_problems

ACTIVE = {"active": "true", "silenced": "false", "inhibited": "false"}
"""Alerts that nobody has silenced, and that no other alert holds back."""


class Alertmanager(Probe):
    """Ask its API."""

    type = "alertmanager"
    target = Option("str", "address of the server", required=True)
    options = {
        "receivers": Option("list", "names of receivers that it has to have", items=Option("str", "")),
        "alerts": Option("figure", "how many alerts may be active; a number means at most"),
        **LOGIN,
    }
    hint = "try: curl {target}/api/v2/status and {target}/api/v2/alerts"

    @staticmethod
    def check(spec: Mapping[str, Any]) -> list[str]:
        return login_problems(spec) + [f"alerts: {line}" for line in problems(spec.get("alerts", 0))]

    def expectation(self) -> str:
        parts = ["status ready"]
        if self.spec.get("receivers"):
            parts.append(f"receivers {', '.join(self.spec['receivers'])}")
        if "alerts" in self.spec:
            parts.append(f"alerts {describe(self._limit())}")
        return ", ".join(parts)

    def _limit(self) -> Any:
        value = self.spec["alerts"]
        return {"le": value} if isinstance(value, (int, float)) else value

    def observe(self, context: Context) -> Attempt:
        status = get_path(ask(self.spec, context, "/api/v2/status"), "cluster.status")
        found = check({"in": ["ready", "disabled"]}, status, "status")
        got = [f"status {status}"]
        if self.spec.get("receivers"):
            names = sorted(str(one.get("name")) for one in ask(self.spec, context, "/api/v2/receivers"))
            got.append(f"receivers {', '.join(names)}")
            found += [Mismatch(f"receiver {name}", {"exists": True}, "not there") for name in self.spec["receivers"] if name not in names]
        if "alerts" in self.spec:
            active = ask(self.spec, context, f"/api/v2/alerts?{urlencode(ACTIVE)}")
            names = sorted({str((one.get("labels") or {}).get("alertname")) for one in active})
            got.append(f"{len(active)} alerts" + (f" ({', '.join(names)})" if names else ""))
            found += check(self._limit(), len(active), "alerts")
        return judge(found, self.expectation(), ", ".join(got), ", ".join(got) if found else "")
