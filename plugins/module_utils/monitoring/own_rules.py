# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Alerts about what nodes say of their own stack (:mod:`monitoring.figures`): journal, lock, drills, queues and their workers."""

from __future__ import annotations

from collections.abc import Mapping

from ansible_collections.phasegate.aistack.plugins.module_utils.monitoring import figures
from ansible_collections.phasegate.aistack.plugins.module_utils.monitoring.description import bounds
from ansible_collections.phasegate.aistack.plugins.module_utils.monitoring.rules import Rule, Series, flat, growing, selector, told
from ansible_collections.phasegate.aistack.plugins.module_utils.monitoring.targets import Stack, of_role

RUN = "ansible-playbook phasegate.aistack."
FIGURES_S = 600
"""Seconds after which a node's figures are too old; it writes them each minute."""
RISES_S = 900
"""Seconds over which a queue has to grow."""


def own_rules(stack: Stack) -> list[Rule]:
    """The rules about figures of this stack's nodes: those of queues where it has workers, those of drills where it has migrations."""
    if not of_role(stack.components, "exporters"):
        return []
    limit = bounds(stack.bounds)
    rules = [_old(stack), _journal(stack), _lock(stack, limit["lock_hours"])]
    if any(component.get("migrations") is not None for component in stack.components.values()) and limit["drill_days"]:
        rules += [_overdue(stack, limit["drill_days"]), _lost(stack)]
    if of_role(stack.components, "worker"):
        rules += [_broker(stack), _grows(stack, limit["queue_length"]), _without_worker(stack)]
    return rules


def _labels(stack: Stack, severity: str) -> dict[str, str]:
    return {"severity": severity, **told(stack.name, "ticket")}


def _series(stack: Stack, name: str, labels: Mapping[str, str] | None = None, node: str = "node") -> str:
    return selector(name, {"stack": stack.name, "component": "part", **(labels or {}), "node": node})


def _of(stack: Stack, name: str) -> str:
    return selector(name, {"stack": stack.name})


def _old(stack: Stack) -> Rule:
    series = _series(stack, figures.WRITTEN)
    return Rule(
        "FiguresTooOld", f"time() - {_of(stack, figures.WRITTEN)} > {FIGURES_S}", 60, _labels(stack, "warning"),
        "{{ $labels.node }} says nothing of its releases, journal and queues any more",
        RUN + "healthcheck",
        (Series(series, flat(0, 1200)),), (Series(series, "0+60x20"),), 1200,
        {"first": f"systemctl status aistack-figures@{stack.name}.timer aistack-figures@{stack.name}.service"},
    )


def _journal(stack: Stack) -> Rule:
    series = _series(stack, figures.INTACT)
    return Rule(
        "JournalBroken", f"{_of(stack, figures.INTACT)} == 0", 120, _labels(stack, "critical"),
        "the journal of {{ $labels.node }} was changed, or records of it are missing: what it says of releases cannot be relied on",
        RUN + "diagnose",
        (Series(series, flat(0, 600)),), (Series(series, flat(1, 600)),), 600,
        {"first": "aistack journal --verify on that node names the records"},
    )


def _lock(stack: Stack, hours: float) -> Rule:
    series = _series(stack, figures.LOCK_SINCE)
    seconds = int(hours * 3600)
    return Rule(
        "LockHeldLong", f"time() - {_of(stack, figures.LOCK_SINCE)} > {seconds}", 60, _labels(stack, "warning"),
        f"a run has held the lock of {{{{ $labels.node }}}} for more than {hours:g} hours",
        RUN + "diagnose",
        (Series(series, flat(-seconds - 60, 600)),), (Series(series, flat(0, 600)),) if seconds > 600 else (), 600,
        {"then": "what waits for it, with -e break_lock=true, where that run is known not to work any more"},
    )


def _overdue(stack: Stack, days: float) -> Rule:
    """A drill runs on one host of a component, so that no host counts by itself."""
    passed, since = (_series(stack, name) for name in (figures.DRILLED, figures.DRILL_SINCE))
    seconds = int(days * 86400)
    known = " or ".join(f"max by (stack, component) ({_of(stack, name)})" for name in (figures.DRILLED, figures.DRILL_SINCE))
    long_ago = Series(since, flat(-seconds - 7200, 600))
    return Rule(
        "DrillOverdue", f"time() - ({known}) > {seconds}", 300, _labels(stack, "warning"),
        f"going back from a release of {{{{ $labels.component }}}} was not rehearsed well within {days:g} days",
        RUN + "drill -e component={{ $labels.component }}",
        (Series(passed, flat(-seconds - 3600, 600)), long_ago), (Series(passed, flat(-60, 600)), long_ago),
    )


def _lost(stack: Stack) -> Rule:
    failed, well = (_series(stack, figures.LAST, {"operation": "drill", "outcome": outcome}) for outcome in ("failed", "ok"))
    return Rule(
        "DrillFailed", selector(figures.LAST, {"stack": stack.name, "operation": "drill", "outcome": "failed"}), 60,
        _labels(stack, "warning"),
        "the last drill on {{ $labels.node }} did not pass: going back would fail, or lose something",
        RUN + "drill",
        (Series(failed, flat(1, 600)),), (Series(well, flat(1, 600)),),
    )


def _broker(stack: Stack) -> Rule:
    series = _series(stack, figures.BROKER)
    return Rule(
        "BrokerRefuses", f"{_of(stack, figures.BROKER)} == 0", 120, _labels(stack, "critical"),
        "the broker does not let {{ $labels.component }} on {{ $labels.node }} in",
        RUN + "diagnose -e only={{ $labels.component }}",
        (Series(series, flat(0, 600)),), (Series(series, flat(1, 600)),),
    )


_QUEUE = {"application": "shop", "queue": "mail"}
_BY = "by (stack, application, queue)"
"""Each node with a worker reads the same queue; a worker is its own node's."""


def _grows(stack: Stack, length: float) -> Rule:
    series = _series(stack, figures.LENGTH, _QUEUE)
    queue = _of(stack, figures.LENGTH)
    step = int(length) + 1
    return Rule(
        "QueueGrows", f"max {_BY} ({queue} > {length:g} and deriv({queue}[{RISES_S}s]) > 0)", 300, _labels(stack, "warning"),
        f"more than {length:g} tasks wait in {{{{ $labels.queue }}}} of {{{{ $labels.application }}}}, and they become more",
        RUN + "diagnose",
        (Series(series, growing(step, 1800)),), (Series(series, f"{30 * step}-{step}x25"),), 1200,
    )


def _without_worker(stack: Stack) -> Rule:
    length = Series(_series(stack, figures.LENGTH, _QUEUE), flat(3, 900))
    none, one = (Series(_series(stack, figures.WORKERS, _QUEUE, "other"), flat(number, 900)) for number in (0, 1))
    return Rule(
        "QueueWithoutWorker",
        f"max {_BY} ({_of(stack, figures.LENGTH)}) > 0 unless sum {_BY} ({_of(stack, figures.WORKERS)}) > 0", 300,
        _labels(stack, "critical"),
        "tasks wait in {{ $labels.queue }} of {{ $labels.application }}, and no worker takes from it",
        RUN + "diagnose",
        (length, none), (length, one),
    )
