# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines of every node are in the store, under the release that said them; nobody asks it without its password."""

from __future__ import annotations

import json
import time
from typing import Any

PASSWORD = "/var/lib/aistack/credentials/victorialogs"


def asked(lab: Any, query: str) -> list[dict[str, str]]:
    """What the store answers, asked from its own node; the password stands on no command line."""
    url = f"http://{lab.addresses['backend-1']}:9428/select/logsql/query"
    ask = f"printf 'user = \"reader:%s\"' \"$(cat {PASSWORD})\" | curl -sf -K - --data-urlencode 'query={query}' {url}"
    return [json.loads(line) for line in lab.node("backend-1").check_output(ask).splitlines()]


def test_every_node_sends(lab: Any) -> None:
    rows = asked(lab, "_time:90s component:log_shipper | stats by (node) count() lines")
    assert {row["node"] for row in rows} == {"backend-1", "gpu-1", "web-1"}


def test_lines_have_the_release_that_said_them(lab: Any) -> None:
    slots = "/opt/aistack/backend/slots"
    slot = lab.node("backend-1").check_output("readlink %s/live", slots)
    release = lab.node("backend-1").check_output(f"basename $(readlink {slots}/{slot}/release)")
    given = json.dumps({"brand_id": "smoke", "campaign_goal": "logs", "target_audience": "all"})  # at rest it says nothing
    url = f"http://{lab.addresses['backend-1']}:8000/api/v1/agents/strategist"
    lab.node("backend-1").check_output("curl -sf -H 'Content-Type: application/json' -d %s %s", given, url)
    query, until = f"_time:60s component:backend slot:{slot} | stats by (release) count() lines", time.monotonic() + 20
    while not (rows := asked(lab, query)) and time.monotonic() < until:
        time.sleep(0.5)
    assert [row["release"] for row in rows] == [release]


def test_nobody_asks_without_the_password(lab: Any) -> None:
    url = f"http://{lab.addresses['backend-1']}:9428/select/logsql/query?query=*"
    assert lab.node("web-1").check_output("curl -s -o /dev/null -w '%%{http_code}' %s", url) == "401"


def test_the_journal_is_bounded(lab: Any) -> None:
    for name in ("backend-1", "gpu-1", "web-1"):
        assert "SystemMaxUse=1G" in lab.node(name).file("/etc/systemd/journald.conf.d/aistack.conf").content_string
        assert lab.node(name).check_output("ls -d /var/log/journal/*/ | head -n 1")
