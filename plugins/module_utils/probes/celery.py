# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Celery's workers answer by name, with their queues; the schedule of beat holds what it should.

The question is asked by the release's own Python, in the release's own environment, since only that knows the
application, its broker and the language that its workers speak.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.phasegate.aistack.plugins.module_utils.clients import journald
from ansible_collections.phasegate.aistack.plugins.module_utils.clients.context import (
    CannotJudge,
    Context,
    NotAsExpected,
    excerpt,
    last_line,
)
from ansible_collections.phasegate.aistack.plugins.module_utils.core.expect import Mismatch, check, describe, show
from ansible_collections.phasegate.aistack.plugins.module_utils.core.instances import for_each
from ansible_collections.phasegate.aistack.plugins.module_utils.core.loading import (
    IMPORT_TIMEOUT,
    PREAMBLE,
    UNANSWERED,
    UNLOADED,
    not_loaded,
)
from ansible_collections.phasegate.aistack.plugins.module_utils.core.schema import Option
from ansible_collections.phasegate.aistack.plugins.module_utils.core.sockets import connected
from ansible_collections.phasegate.aistack.plugins.module_utils.core.unit_user import service_user
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.base import Attempt, Probe, judge
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.unit import state_of

_MARK = "aistack-celery-answer:"
SCRIPT = PREAMBLE + r"""
import json
asked = json.load(sys.stdin)
sys.path.insert(0, "")
if asked["broker"]:
    import os
    from celery import Celery
    app = Celery(broker=os.environ[asked["broker"]])
else:
    from celery.app.utils import find_app
    app = find_app(asked["app"])
loaded(asked["seconds"])
answer = {"workers": {}, "schedule": {}}
def cron(schedule):
    names = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week")
    return " ".join(str(getattr(schedule, "_orig_" + name, "?")) for name in names) if hasattr(schedule, "_orig_hour") else str(schedule)
for name, entry in (app.conf.beat_schedule or {}).items():
    answer["schedule"][name] = {"task": entry.get("task"), "schedule": cron(entry.get("schedule"))}
if asked["ask"]:
    names = asked["workers"] or None
    # by name, asked again and again within the time: a worker that has just come up has not heard the question before
    wait = asked["timeout"] if not names else min(0.4, asked["timeout"])
    inspect = app.control.inspect(destination=names, timeout=wait, limit=len(names) if names else None)
    end, found = time.monotonic() + asked["timeout"], {}
    while True:
        found.update(inspect.active_queues() or {})
        if time.monotonic() >= end or not names or set(names) <= set(found):
            break
    for name, queues in found.items():
        answer["workers"].setdefault(name, {})["queues"] = sorted(queue["name"] for queue in queues or [])
    if asked["active"]:
        for name, tasks in (inspect.active() or {}).items():
            answer["workers"].setdefault(name, {})["active"] = len(tasks)
print("aistack-celery-answer:" + json.dumps(answer))
"""


class Celery(Probe):
    """Inspect by name, so that the answer comes at once and a worker that is missing is missed."""

    type = "celery"
    target = Option("str", "the application, as `celery -A` takes it; importing it does not count against `timeout`, but may take "
                    f"{IMPORT_TIMEOUT:g} s", required=True)
    options = {
        "python": Option("str", "the release's Python", default="${release_path}/.venv/bin/python"),
        "cwd": Option("str", "folder to run in", default="${release_path}"),
        "env_file": Option("str", "environment file of the release", default="${config_path}/env"),
        "broker": Option("str", "variable of env_file with the broker's address; the application is then not imported, which is faster"),
        "user": Option("str", "system user that asks; that of the component if left out, where this process may choose"),
        "workers": Option("list", "names of the workers that have to answer; they are called <component>-<slot>@<name in the inventory>, "
                          "such as worker-${slot}@node-1; one with ${slot} stands for all instances of the slot"),
        "count": Option("figure", "how many workers answer, where they are not named; those of both slots do during a switch, when 1 "
                        "would fail"),
        "queues": Option("list", "queues that each worker has to take from, exactly"),
        "active": Option("figure", "number of tasks that run at the moment, of all these workers"),
        "busy": Option("bool", "true: a worker that does not answer, as one of --pool solo while its task runs, counts where its unit runs "
                       "without a restart and holds connections to the broker. Its heartbeat cannot count: the same loop sends it, and "
                       "stands still as well; workers of other pools go on sending theirs, and answer"),
        "schedule": Option("any", "entries of beat's schedule: names, or a mapping of name to task or to {task, schedule: '0 2 * * *'}"),
    }
    hint = "is the worker's unit running, and does it reach the broker? journalctl -u 'aistack-worker@*' -n 50"

    @staticmethod
    def check(spec: Mapping[str, Any]) -> list[str]:
        problems = []
        if spec.get("broker") and spec.get("schedule") is not None:
            problems.append("'broker' does without the application, and only the application knows its schedule")
        if not any(spec.get(key) is not None for key in ("workers", "count", "schedule")):
            problems.append("'celery' needs workers, count or schedule")
        if (spec.get("queues") or spec.get("active") is not None) and not (spec.get("workers") or spec.get("count") is not None):
            problems.append("queues and active need workers or count")
        if spec.get("schedule") is not None and not isinstance(spec["schedule"], (list, Mapping)):
            problems.append("schedule: must be a list of names, or a mapping of name to task")
        for name in spec.get("workers") or []:
            if "@" not in str(name):
                problems.append(f"workers: '{name}' is no name of a worker; they look like worker-${{slot}}@node-1")
        missing = [key for key in ("python", "cwd", "env_file") if not spec.get(key)]
        if missing and not spec.get("component"):
            problems += [f"'{key}' is missing: the probe belongs to no component whose release could give it" for key in missing]
        if spec.get("busy") and not spec.get("workers"):
            problems.append("busy needs workers: who is not named is not missed")
        return problems

    @classmethod
    def for_instances(cls, spec: Mapping[str, Any], instances: Sequence[str]) -> Mapping[str, Any]:
        return {**spec, "workers": for_each(spec["workers"], instances)} if spec.get("workers") else spec

    @property
    def default_timeout(self) -> float:
        return 15.0

    @property
    def attempt_timeout(self) -> float:
        return super().attempt_timeout + self._loading

    @property
    def _loading(self) -> float:
        """Seconds that importing the application may take, besides."""
        return 0.0 if self.spec.get("broker") else IMPORT_TIMEOUT

    def _wanted(self) -> dict[str, object]:
        wanted: dict[str, Any] = {}
        if self.spec.get("workers"):
            wanted["workers"] = sorted(self.spec["workers"])
        if self.spec.get("count") is not None:
            wanted["count"] = self.spec["count"]
        if self.spec.get("queues"):
            wanted["queues"] = sorted(self.spec["queues"])
        if self.spec.get("active") is not None:
            wanted["active"] = self.spec["active"]
        if self.spec.get("schedule") is not None:
            wanted["schedule"] = self.spec["schedule"]
        return wanted

    def expectation(self) -> str:
        return ", ".join(f"{key} {describe(rule)}" for key, rule in self._wanted().items())

    def observe(self, context: Context) -> Attempt:
        names = context.names
        python = self._path("python", names, "release_path", ".venv/bin/python")
        cwd = self._path("cwd", names, "release_path", "")
        env_file = self._path("env_file", names, "config_path", "env")
        given = context.secrets.environment(env_file)
        if self.spec.get("broker") and self.spec["broker"] not in given:
            raise CannotJudge(f"broker: {env_file} has no variable {self.spec['broker']}")
        environment = {**given, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONWARNINGS": "ignore"}
        ask = bool(self.spec.get("workers") or self.spec.get("count") is not None)
        question = {
            "app": self.spec["target"],
            "broker": self.spec.get("broker"),
            "ask": ask,
            "workers": self.spec.get("workers") or [],
            "active": self.spec.get("active") is not None,
            "timeout": 1.5,
            "seconds": super().attempt_timeout,
        }
        command = [python, "-c", SCRIPT, f"{self._loading or super().attempt_timeout:g}"]
        done = context.execute(command, environment, cwd, self._user(names), json.dumps(question))
        answers = [line[len(_MARK) :] for line in done.stdout.splitlines() if line.startswith(_MARK)]
        if done.rc == UNLOADED and self._loading:
            raise NotAsExpected(f"no answer: {not_loaded(str(self.spec['target']), self._loading)}", self.expectation(), _end(done.stderr))
        if done.rc in (UNLOADED, UNANSWERED):
            raise NotAsExpected(f"no answer within {super().attempt_timeout:g} s", self.expectation(), _end(done.stderr))
        if done.rc != 0 or not answers:
            raise NotAsExpected(
                f"no answer: {excerpt(last_line(done.stderr) or f'exit status {done.rc}')}", self.expectation(), _end(done.stderr)
            )
        answer = json.loads(answers[-1])
        silent = sorted(set(self.spec.get("workers") or []) - set(answer["workers"]))
        stands_in = self._stands_in(silent, given, context) if silent and self.spec.get("busy") else ""
        found = self._compare(answer, silent if stands_in else [])
        return judge(found, self.expectation(), "; ".join(part for part in (self._shown(answer), stands_in) if part))

    def _stands_in(self, silent: list[str], given: Mapping[str, str], context: Context) -> str:
        """What speaks for the workers of this node's slot that do not answer, in words; empty where nothing does for one of them."""
        units = _units_of(silent, context.names)
        if not units:
            return ""
        told = [self._runs(worker, unit, given, context) for worker, unit in units.items()]
        return "; ".join(told) if all(told) else ""

    def _runs(self, worker: str, unit: str, given: Mapping[str, str], context: Context) -> str:
        """What speaks for a worker that does not answer, and whose unit is *unit*."""
        state = state_of(journald.show(unit, context))
        ports = _broker_ports(given, self.spec.get("broker"))
        held = {port: connected(unit, port) for port in ports}
        port = next((port for port, count in held.items() if count), None)
        if state["state"] != "active" or state["restarts"] or port is None:
            return ""
        return (
            f"{worker} does not answer; counted by its unit ({unit}, running for {state['stable_for']} s without a restart) and by "
            f"{held[port]} connections to the broker's port {port}"
        )

    def _path(self, key: str, names: Mapping[str, object], name: str, below: str) -> str:
        given = self.spec.get(key)
        if given:
            return str(given)
        if not names.get(name):
            raise CannotJudge(f"'{key}' is not given, and {names.get('missing') or f'${{{name}}} is not known'}")
        return os.path.join(str(names[name]), below) if below else str(names[name])

    def _user(self, names: Mapping[str, object]) -> str | None:
        return str(self.spec.get("user") or "") or service_user(self.spec.get("component"), str(names.get("unit") or ""))

    def _compare(self, answer: Mapping[str, Any], waived: Sequence[str] = ()) -> list[Mismatch]:
        workers: Mapping[str, Mapping[str, Any]] = answer["workers"]
        found: list[Mismatch] = []
        named = self.spec.get("workers")
        if named and set(named) - set(workers) - set(waived):
            found.append(Mismatch("workers", sorted(named), sorted(workers)))
        if self.spec.get("count") is not None:
            names = f" ({', '.join(sorted(workers))})" if workers else ""
            found += [replace(wrong, got=f"{wrong.got}{names}") for wrong in check(self.spec["count"], len(workers), "workers")]
        for name in sorted(workers):
            if self.spec.get("queues") and workers[name].get("queues") != sorted(self.spec["queues"]):
                found.append(Mismatch(f"queues of {name}", sorted(self.spec["queues"]), workers[name].get("queues")))
        if self.spec.get("active") is not None:
            found += check(self.spec["active"], sum(int(worker.get("active", 0)) for worker in workers.values()), "active")
        return found + self._compare_schedule(answer["schedule"])

    def _compare_schedule(self, came: Mapping[str, Any]) -> list[Mismatch]:
        wanted = self.spec.get("schedule")
        if wanted is None:
            return []
        if isinstance(wanted, Mapping):
            found: list[Mismatch] = []
            for name, expected in wanted.items():
                entry = came.get(name, {"task": "not there", "schedule": "not there"})
                fields = expected if isinstance(expected, Mapping) and set(expected) <= {"task", "schedule"} else {"task": expected}
                for field, value in fields.items():
                    found += check(value, entry[field], f"schedule {name}: {field}")
            return found
        missing = [name for name in wanted if name not in came]
        return [Mismatch("schedule", sorted(wanted), sorted(came))] if missing else []

    def _shown(self, answer: Mapping[str, Any]) -> str:
        parts = [f"{name} on {show(worker.get('queues', []))}" for name, worker in sorted(answer["workers"].items())]
        if self.spec.get("schedule") is not None:
            parts.append(f"schedule {show(sorted(answer['schedule']))}")
        return ", ".join(parts) or "no worker answers"


def _units_of(workers: Sequence[str], names: Mapping[str, Any]) -> dict[str, str]:
    """The unit of each of the *workers* of a slot; empty where one of them is not known to be of this slot."""
    instances = dict(zip(names.get("instances") or (), names.get("units") or ()))
    if len(instances) < 2:
        unit = str(names.get("unit") or "")
        return {workers[0]: unit} if len(workers) == 1 and unit else {}
    found = {worker: str(instances[name]) for worker in workers for name in instances if worker.partition("@")[0].endswith(f"-{name}")}
    return found if len(found) == len(workers) else {}


def _broker_ports(given: Mapping[str, str], variable: str | None) -> list[int]:
    """Ports of the brokers that an environment names: of one variable, or of every address in there that may be one."""
    own = {"redis": 6379, "rediss": 6379, "amqp": 5672, "amqps": 5671, "pyamqp": 5672, "sentinel": 26379}
    found: list[int] = []
    for name, value in given.items():
        scheme, mark, _rest = value.partition("://")
        if not mark or scheme not in own or variable not in (None, name):
            continue
        try:
            found.append(urlsplit(value).port or own[scheme])
        except ValueError:  # no address: the application itself says so when it reads it
            continue
    return list(dict.fromkeys(found))


def _end(text: str) -> str:
    return "\n".join([line for line in text.splitlines() if line.strip()][-3:])
