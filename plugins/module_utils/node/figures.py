# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What this node says of its stack to Prometheus: what is live, the journal, the lock, sets, drills, and the queues of its workers.

It takes no lock and changes nothing but the page that it writes. Whatever cannot be looked at is left out of the page, so that one part
that is broken hides no other. A queue is read with the login of the worker's own environment; of that nothing is shown.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ansible_collections.phasegate.aistack.plugins.module_utils.backup import catalog, failure
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.plan import moment
from ansible_collections.phasegate.aistack.plugins.module_utils.clients.context import Context
from ansible_collections.phasegate.aistack.plugins.module_utils.clients.systemd import Systemd
from ansible_collections.phasegate.aistack.plugins.module_utils.core.durable import write_file
from ansible_collections.phasegate.aistack.plugins.module_utils.core.places import Home
from ansible_collections.phasegate.aistack.plugins.module_utils.diagnosis import servers
from ansible_collections.phasegate.aistack.plugins.module_utils.drill.text import PASSED
from ansible_collections.phasegate.aistack.plugins.module_utils.environment.secret_files import Unreadable
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.cached import QuickJournal
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.events import events
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.lock import Lock
from ansible_collections.phasegate.aistack.plugins.module_utils.monitoring import figures
from ansible_collections.phasegate.aistack.plugins.module_utils.monitoring.figures import Sample
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.view import observe as observe_node

if TYPE_CHECKING:
    from ansible_collections.phasegate.aistack.plugins.module_utils.journal.chain import Record
    from ansible_collections.phasegate.aistack.plugins.module_utils.journal.file import Journal
    from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.contract import Component

VERIFY_S = 900.0
"""Seconds for which a journal that was found whole is not read again as a whole, with its archived parts."""
BROKER_S = 5.0
"""Seconds that a broker has to answer."""
AT_ONCE = 8
EVENTS_S = 6 * 3600.0
"""Seconds for which an event is shown: as long as Prometheus may be away, or this node without power, and still learn of it."""
EVENTS = 100
"""So many events are shown at most, the newest."""
OPERATIONS = ("activate", "revert", "rollback", "migrate", "backup", "restore", "drill")


@dataclass(frozen=True)
class Asked:
    """What is looked at.

    Attributes:
        workers: component to the queues that it takes from, of those that are on this node.
        former: the page that was written before, empty where there is none: when the journal was checked last stands in it.
        now: seconds since 1970.
    """

    stack: str
    state_dir: Path
    workers: Mapping[str, Sequence[str]] = field(default_factory=dict)
    former: str = ""
    now: float = field(default_factory=time.time)


def write(asked: Asked, path: Path, systemd: Systemd | None = None) -> str:
    """Write the page, readable for all, in the place of the one before; returns it. Raises OSError."""
    text = observe(replace(asked, former=_former(path)), systemd)
    write_file(path, text, 0o644, lasting=False)
    return text


def _former(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""


def observe(asked: Asked, systemd: Systemd | None = None) -> str:
    """The page of this node."""
    journal = QuickJournal.of(asked.state_dir)
    view = observe_node(asked.state_dir, asked.stack, systemd=systemd, ask=False, journal=journal)
    records = journal.read()
    samples = [Sample(figures.WRITTEN, asked.now), *_journal(asked, journal), *_lock(asked), *_sets(asked), *_last(records),
               *_events(records, asked.now)]
    for name, component in view["components"].items():
        samples += [*_component(name, component), *_drills(name, component, records)]
    workers = [name for name in view["components"] if name in asked.workers]
    with ThreadPoolExecutor(AT_ONCE) as pool:  # brokers that do not answer take their time together
        for found in pool.map(lambda name: list(_queues(name, view["components"][name], asked.workers[name])), workers):
            samples += found
    return figures.page(asked.stack, samples)


def _journal(asked: Asked, journal: Journal) -> Iterator[Sample]:
    """A chain that held is believed for a while; one that did not is read each time, so that the page says at once when it does again."""
    then, held = (figures.value_of(asked.former, name) for name in (figures.VERIFIED, figures.INTACT))
    if not (held == 1 and then is not None and 0 <= asked.now - then < VERIFY_S):
        try:
            held, then = float(not journal.verify_all()), asked.now
        except (OSError, ValueError):
            held, then = 0.0, asked.now
    yield Sample(figures.INTACT, held)
    yield Sample(figures.VERIFIED, then)


def _lock(asked: Asked) -> Iterator[Sample]:
    lease = Lock(asked.state_dir).holder()
    yield Sample(figures.LOCK, float(lease is not None))
    since = figures.seconds(lease.get("since")) if lease else None
    if since is not None:
        yield Sample(figures.LOCK_SINCE, since)


def _sets(asked: Asked) -> Iterator[Sample]:
    if not (asked.state_dir / "backup.json").exists():
        return
    yield Sample(figures.SET_FAILED, float(failure.read(asked.state_dir) is not None))
    try:
        newest = catalog.newest_verified(asked.state_dir)
    except OSError:
        return
    if newest:
        yield Sample(figures.SET, moment(newest["name"]))


def _last(records: Sequence[Record]) -> Iterator[Sample]:
    """The newest end of each kind of operation; a drill that lost something ended, and did not pass."""
    seen = set[str]()
    for record in reversed(records):
        operation, outcome = str(record.get("op")), str(record.get("outcome"))
        ended = figures.seconds(record.get("time"))
        if operation not in OPERATIONS or operation in seen or outcome == "started" or ended is None:
            continue
        seen.add(operation)
        if operation == "drill" and outcome == "ok" and not _passed(record):
            outcome = "failed"
        yield Sample(figures.LAST, ended, {"operation": operation, "outcome": outcome})


def _events(records: Sequence[Record], now: float) -> Iterator[Sample]:
    """What ended within the last hours, each at its own time: a chart shows it there, whenever the page was read. What is of no component
    or release has an empty label, in the place of which Prometheus would put that of the exporter.
    """
    ended = [(when, event) for event in events(records) if (when := figures.seconds(event.time)) is not None and now - when < EVENTS_S]
    for when, event in ended[-EVENTS:]:
        whose = {"event": event.event, "outcome": event.outcome, "component": event.component, "release": event.release}
        yield Sample(figures.EVENT, when, whose)


def _passed(record: Record) -> bool:
    return record.get("outcome") == "ok" and (record.get("detail") or {}).get("verdict") == PASSED


def _component(name: str, component: Component) -> Iterator[Sample]:
    staged = set(component.get("staged") or [])
    for release in sorted(set(component.get("bad") or {}) & staged):
        yield Sample(figures.BAD, 1, {"component": name, "release": release})
    live = component.get("live")
    if not live:
        return
    release = str(live["release"])
    whose = {"component": name, "release": release, "slot": str(live["slot"]), "config": str(live["config"])}
    yield Sample(figures.LIVE, 1, whose)
    journal_live = component.get("journal_live")
    since = figures.seconds(journal_live["since"]) if journal_live and journal_live["release"] == release else None
    if since is not None:
        yield Sample(figures.LIVE_SINCE, since, {"component": name, "release": release})


def _drills(name: str, component: Component, records: Sequence[Record]) -> Iterator[Sample]:
    if not component["description"].get("database"):
        return
    ended = [record.get("time") for record in records if (record.get("op"), record.get("component")) == ("drill", name) and _passed(record)]
    for drills in (component.get("drills") or {}).values():  # what a long journal has archived
        ended += [found.get("time") for found in drills.values() if found.get("verdict") == PASSED]
    passed = [then for then in map(figures.seconds, ended) if then is not None]
    if passed:
        yield Sample(figures.DRILLED, max(passed), {"component": name})
    first = next((figures.seconds(one["time"]) for one in component.get("history") or []), None)
    if first is not None:
        yield Sample(figures.DRILL_SINCE, first, {"component": name})


def _queues(name: str, component: Component, queues: Sequence[str]) -> Iterator[Sample]:
    """The queues of a worker that is live: how many of its processes run, and what its broker has."""
    described, live = component["description"], component.get("live")
    if not live:
        return
    whose = {"component": name, "application": str(described.get("application") or "")}
    number = int(described.get("instances") or 1)
    slots = [slot for slot in (component.get("slots") or {}).values() if slot["running"] is not None]
    if slots:
        running = sum(number - len(slot.get("idle") or []) for slot in slots if slot["running"])
        yield from (Sample(figures.WORKERS, running, {**whose, "queue": queue}) for queue in queues)
    context = Context(timeout=BROKER_S)
    env_file = str(Home(described["root"], name).live_env)
    try:
        broker = _broker(context.secrets.environment(env_file))
    except Unreadable:
        return
    if broker is None:
        return
    servers.ask(broker, env_file, servers.Wanted(queues=queues, broker=True), context)
    answers = broker.seen["state"] == "answers"
    yield Sample(figures.BROKER, float(answers), {"component": name})
    if answers:
        yield from (Sample(figures.LENGTH, length, {**whose, "queue": queue}) for queue, length in broker.queues.items())


def _broker(environment: Mapping[str, str]) -> servers.Named | None:
    """The Redis that a worker's environment names as its broker; where none is called so, the first one."""
    found = [one for one in servers.named(environment) if one.kind == "redis"]
    return next(iter(sorted(found, key=lambda one: ("BROKER" not in one.variable.upper(), not servers.is_broker(one.variable)))), None)
