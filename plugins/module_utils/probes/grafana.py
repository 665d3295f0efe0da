# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Grafana is well, its data source answers, and it has the dashboards that it should."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.context import Context, NotAsExpected, excerpt
from ansible_collections.phasegate.aistack.plugins.module_utils.core import http_login
from ansible_collections.phasegate.aistack.plugins.module_utils.core.expect import Mismatch, check, get_path
from ansible_collections.phasegate.aistack.plugins.module_utils.core.schema import Option
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.base import Attempt, Probe, judge
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.prometheus import ask

MOST = 5000
"""So many dashboards one answer has at most."""


class Grafana(Probe):
    """Ask its API."""

    type = "grafana"
    target = Option("str", "address of the server", required=True)
    options = {
        "datasource": Option("str", "uid of a data source that has to answer, asked by Grafana itself"),
        "dashboards": Option("list", "uids of dashboards that have to be there", items=Option("str", "")),
        **http_login.LOGIN,
    }
    hint = "try: curl {target}/api/health; status 401: the password was changed in Grafana, see the README of the role grafana"

    @staticmethod
    def check(spec: Mapping[str, Any]) -> list[str]:
        found = http_login.problems(spec)
        if {"datasource", "dashboards"} & set(spec) and not (spec.get("username") or spec.get("secret_file")):
            found.append("datasource and dashboards are shown to a user alone: give username and password_file, or secret_file")
        return found

    def expectation(self) -> str:
        parts = ["database ok"]
        if self.spec.get("datasource"):
            parts.append(f"data source {self.spec['datasource']} answers")
        if self.spec.get("dashboards"):
            parts.append(f"dashboards {', '.join(self.spec['dashboards'])}")
        return ", ".join(parts)

    def observe(self, context: Context) -> Attempt:
        database = get_path(ask({"target": self.spec["target"], "ca_file": self.spec.get("ca_file")}, context, "/api/health"), "database")
        found = check("ok", database, "database")
        got = [f"database {database}"]
        if self.spec.get("datasource"):
            uid = str(self.spec["datasource"])
            answered = ask(self.spec, context, f"/api/datasources/uid/{quote(uid, safe='')}/health")
            got.append(f"data source {uid}: {get_path(answered, 'status')}")
            if get_path(answered, "status") != "OK":
                said = answered.get("message") if isinstance(answered, Mapping) else answered
                found.append(Mismatch(f"data source {uid}", "OK", excerpt(str(said))))
        if self.spec.get("dashboards"):
            there = self._dashboards(context)
            got.append(f"{len(there)} dashboards")
            found += [Mismatch(f"dashboard {uid}", {"exists": True}, "not there") for uid in self.spec["dashboards"] if uid not in there]
        return judge(found, self.expectation(), ", ".join(got), ", ".join(got) if found else "")

    def _dashboards(self, context: Context) -> set[str]:
        listed = ask(self.spec, context, f"/api/search?type=dash-db&limit={MOST}")
        if not isinstance(listed, list):
            raise NotAsExpected(f"no list of dashboards: {excerpt(str(listed))}", "a list of dashboards")
        return {str(one.get("uid")) for one in listed if isinstance(one, Mapping)}
