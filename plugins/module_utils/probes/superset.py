# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Superset is well, has the dashboards that it should, and every chart of them gets rows from its database."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.context import Context, NotAsExpected, excerpt
from ansible_collections.phasegate.aistack.plugins.module_utils.clients.http import request
from ansible_collections.phasegate.aistack.plugins.module_utils.clients.superset import Superset as Api
from ansible_collections.phasegate.aistack.plugins.module_utils.core import http_login
from ansible_collections.phasegate.aistack.plugins.module_utils.core.expect import Mismatch, check, describe, problems
from ansible_collections.phasegate.aistack.plugins.module_utils.core.schema import Option
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.base import Attempt, Probe, at_least, judge

SHOWN = 3
"""So many charts that do not answer are named."""


class Superset(Probe):
    """Ask its API, as somebody who is logged in."""

    type = "superset"
    target = Option("str", "address of the server", required=True)
    options = {
        "dashboards": Option("list", "addresses (slugs) of dashboards that have to be there, with charts", items=Option("str", "")),
        "rows": Option("figure", "how many rows the query of each chart has to answer; a number means at least", default=1),
        **{name: option for name, option in http_login.LOGIN.items() if name != "secret_file"},
    }
    hint = "try: curl {target}/health; a query that fails is shown by its chart in Superset, with the database's own words"

    @staticmethod
    def check(spec: Mapping[str, Any]) -> list[str]:
        found = http_login.problems(spec)
        if "dashboards" in spec and not spec.get("username"):
            found.append("dashboards are shown to a user alone: give username and password_file")
        if "rows" in spec and "dashboards" not in spec:
            found.append("rows are those of dashboards: name them")
        return found + [f"rows: {line}" for line in problems(spec.get("rows", 1))]

    @property
    def default_timeout(self) -> float:
        """Every chart is a query of its own."""
        return 60.0

    def expectation(self) -> str:
        if not self.spec.get("dashboards"):
            return "health OK"
        rows = describe(at_least(self.spec.get("rows", 1)))
        return f"health OK, dashboards {', '.join(self.spec['dashboards'])}, rows of each chart {rows}"

    def observe(self, context: Context) -> Attempt:
        target = str(self.spec["target"]).rstrip("/")
        health = request(f"{target}/health", context, ca_file=self.spec.get("ca_file"))
        if health.status != 200 or health.text.strip() != "OK":
            raise NotAsExpected(f"health: status {health.status}: {excerpt(health.text)}", "health OK", health.url)
        if not self.spec.get("username"):
            return judge([], self.expectation(), "health OK")
        api = Api(target, context, self.spec.get("ca_file"))
        api.login(str(self.spec["username"]), context.secrets.read(self.spec["password_file"]))
        found: list[Mismatch] = []
        asked: dict[int, str] = {}
        for slug in self.spec.get("dashboards") or []:
            found += self._look(api, slug, asked)
        wrong = [mismatch for number, name in asked.items() for mismatch in self._ask(api, number, name)]
        got = f"health OK, {len(self.spec.get('dashboards') or [])} dashboards, {len(asked)} charts"
        more = f"; and {len(wrong) - SHOWN} more charts" if len(wrong) > SHOWN else ""
        return judge([*found, *wrong[:SHOWN]], self.expectation(), got, got + more if found or wrong else "")

    @staticmethod
    def _look(api: Api, slug: str, asked: dict[int, str]) -> list[Mismatch]:
        """Note the charts of one dashboard; what is wrong with it."""
        try:
            charts = api.charts_of(slug)
        except NotAsExpected as no:
            if not no.got.startswith("status 404"):
                raise
            return [Mismatch(f"dashboard {slug}", {"exists": True}, "not there")]
        asked.update({int(one["id"]): f"{slug}: {one.get('slice_name')}" for one in charts})
        return [] if charts else [Mismatch(f"dashboard {slug}", "charts", "no chart")]

    def _ask(self, api: Api, number: int, name: str) -> list[Mismatch]:
        try:
            return check(at_least(self.spec.get("rows", 1)), api.rows_of(number), f"rows of '{name}'")
        except NotAsExpected as no:
            return [Mismatch(f"query of '{name}'", "rows", no.got)]
