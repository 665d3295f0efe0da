# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The files of Prometheus and Alertmanager, as data: what is read and judged how often, and who is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.core.schema import Option, problems

SEVERITIES = ("critical", "warning", "info")
NOBODY = "nobody"
"""The receiver of what no receiver asks for."""

RECEIVER: Mapping[str, Option] = {
    "name": Option("str", "what it is called", required=True),
    "kind": Option("str", "how it is told", choices=("webhook",), default="webhook"),
    "url": Option("str", "address that gets Alertmanager's JSON; it may hold a token", required=True, secret=True),
    "severity": Option("list", "which alerts it gets", items=Option("str", "", choices=SEVERITIES), default=list(SEVERITIES)),
    "resolved": Option("bool", "whether it is told when an alert is over", default=True),
    "token": Option("str", "what is sent along to be let in (Authorization: Bearer …)", secret=True),
    "ca_file": Option("str", "CA certificates on the node, instead of the system's"),
}
"""One receiver of alerts."""


def prometheus(jobs: Sequence[Mapping[str, Any]], rule_files: Sequence[str], settings: Mapping[str, Any]) -> dict[str, object]:
    """The configuration of Prometheus.

    Args:
        jobs: C(scrape_configs).
        rule_files: files with rules.
        settings: ``stack``; ``interval``, ``timeout`` and ``evaluation`` in seconds; ``alertmanagers``: places of Alertmanagers, and
            ``alertmanager``, more keys for them.
    """
    places = list(settings.get("alertmanagers") or ())
    alerting = [{**dict(settings.get("alertmanager") or {}), "static_configs": [{"targets": places}]}] if places else []
    return {
        "global": {
            "scrape_interval": f"{settings['interval']}s", "scrape_timeout": f"{settings['timeout']}s",
            "evaluation_interval": f"{settings['evaluation']}s", "external_labels": {"stack": settings["stack"]},
        },
        "rule_files": list(rule_files),
        **({"alerting": {"alertmanagers": alerting}} if alerting else {}),
        "scrape_configs": list(jobs),
    }


def receiver_problems(receivers: Sequence[Any]) -> list[str]:
    """What is wrong with a list of receivers, one line each."""
    table = Option("list", "", items=Option("dict", "", keys=RECEIVER), label="name")
    found = problems("alertmanager_receivers", receivers, table)
    names = [str(one.get("name")) for one in receivers if isinstance(one, Mapping)]
    twice = sorted({one for one in names if names.count(one) > 1})
    found += [f"alertmanager_receivers: the name '{name}' is there twice" for name in twice]
    return found + ([f"alertmanager_receivers: '{NOBODY}' is the name of who gets the rest; take another"] if NOBODY in names else [])


def alertmanager(receivers: Sequence[Mapping[str, Any]], times: Mapping[str, Any]) -> dict[str, object]:
    """The configuration of Alertmanager.

    Args:
        receivers: who is told.
        times: ``wait`` before the first message of a group, ``interval`` between two, ``repeat`` of what lasts; in seconds.

    Raises:
        ValueError: a receiver is not as it should be; says all that is wrong.
    """
    wrong = receiver_problems(receivers)
    if wrong:
        raise ValueError("\n".join(wrong))
    routes: list[dict[str, Any]] = []
    known: list[dict[str, Any]] = [{"name": NOBODY}]
    for one in receivers:
        severities = list(one.get("severity") or SEVERITIES)
        routes.append({"receiver": one["name"], "matchers": [f'severity=~"{"|".join(severities)}"'], "continue": True})
        http: dict[str, Any] = {"tls_config": {"ca_file": one["ca_file"]}} if one.get("ca_file") else {}
        http.update({"authorization": {"credentials": one["token"]}} if one.get("token") else {})
        hook = {"url": one["url"], "send_resolved": one.get("resolved", True), **({"http_config": http} if http else {})}
        known.append({"name": one["name"], "webhook_configs": [hook]})
    return {
        "route": {
            "receiver": NOBODY, "group_by": ["alertname", "component", "node"], "group_wait": f"{times['wait']}s",
            "group_interval": f"{times['interval']}s", "repeat_interval": f"{times['repeat']}s", "routes": routes,
        },
        "receivers": known,
    }
