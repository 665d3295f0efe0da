# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Celery's workers stop taking tasks, end those that they hold, and take tasks again.

A worker is told through Celery's remote control by its name and queue; messages that it has not fetched stay with the broker.
What was stopped is written down on the node before it is stopped, in C(<state>/drained/<component>.json), so that a run that dies
in between leaves nobody idle unnoticed: the next one reads it and lets the workers go on.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.context import (
    CannotJudge,
    Context,
    NotAsExpected,
    excerpt,
    last_line,
)
from ansible_collections.phasegate.aistack.plugins.module_utils.core import progress
from ansible_collections.phasegate.aistack.plugins.module_utils.core.durable import write_file
from ansible_collections.phasegate.aistack.plugins.module_utils.core.loading import (
    IMPORT_TIMEOUT,
    PREAMBLE,
    UNANSWERED,
    UNLOADED,
    not_loaded,
)
from ansible_collections.phasegate.aistack.plugins.module_utils.environment.secret_files import Secrets
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.file import utc_now

SLICE = 15.0
"""Seconds for which one child waits before it reports."""

SETTLE = 10.0
"""Seconds in which a worker has to have done what it was told about a queue."""

REPLY = 1.5
"""Seconds to wait for the answers of workers; those that were asked by name are not waited for once all have answered."""

REACH = 30.0
"""Seconds that reaching the broker and its answers may take, besides. Importing the application counts nowhere, see C(loading)."""

_MARK = "aistack-drain-answer:"
SCRIPT = (
    PREAMBLE
    + r"""
import datetime, json
asked = json.load(sys.stdin)
sys.path.insert(0, "")
from celery.app.utils import find_app
app = find_app(asked["app"])
loading = loaded(asked["wait"] + asked["reach"])
names, reply = asked["workers"] or None, asked["reply"]
limit = len(names) if names else None
def tell(command, queues):
    for queue in sorted({queue for held in queues.values() for queue in held}):
        meant = sorted(worker for worker, held in queues.items() if queue in held)
        app.control.broadcast(command, arguments={"queue": queue}, destination=meant, reply=True, timeout=reply, limit=len(meant))
def due(entry):
    eta = entry.get("eta")
    if not eta:
        return 0.0
    when = datetime.datetime.fromisoformat(eta)
    now = datetime.datetime.now(datetime.timezone.utc)
    return (when if when.tzinfo else when.replace(tzinfo=datetime.timezone.utc)).timestamp() - now.timestamp()
def observe():
    inspect = app.control.inspect(destination=names, timeout=reply, limit=limit)
    seen = {"workers": {}, "tasks": []}
    for worker, queues in (inspect.active_queues() or {}).items():
        seen["workers"][worker] = sorted(queue["name"] for queue in queues or [])
    if seen["workers"]:  # from here on by name: an answer that is complete is not waited for any longer
        inspect = app.control.inspect(destination=sorted(seen["workers"]), timeout=reply, limit=len(seen["workers"]))
    for state in ("active", "reserved", "scheduled") if seen["workers"] else ():
        answers = getattr(inspect, state)() or {}
        for worker in set(seen["workers"]) - set(answers):
            del seen["workers"][worker]  # what it holds is not known
        for worker, held in answers.items():
            for entry in held or []:
                task = entry.get("request", entry) if state == "scheduled" else entry
                began = task.get("time_start") if state == "active" else None
                wait = due(entry) if state == "scheduled" else 0.0
                seen["tasks"].append({
                    "worker": worker, "state": state, "id": task.get("id"), "name": task.get("name"),
                    "seconds": round(max(0.0, time.time() - began), 1) if began else None,
                    "due_in": round(wait, 1) if state == "scheduled" else None, "later": time.monotonic() + wait > cut and wait > 0,
                })
    return seen
def busy(seen, until):
    silent = set(until["expect"]) - set(seen["workers"])
    taking = any(set(until["queues"].get(worker, ())) & set(queues) for worker, queues in seen["workers"].items())
    lacking = any(set(until["lacking"].get(worker, ())) - set(queues) for worker, queues in seen["workers"].items())
    return silent or taking or lacking or (until["idle"] and not all(task["later"] for task in seen["tasks"]))
def limits():
    options = dict(app.conf.broker_transport_options or {})
    scheme = str(app.conf.broker_read_url or app.conf.broker_url or "").partition("://")[0].partition("+")[0]
    by_itself = {"redis": 3600, "rediss": 3600, "sentinel": 3600, "sqs": 1800}.get(scheme)
    return {
        "visibility_timeout": options.get("visibility_timeout", by_itself), "time_limit": app.conf.task_time_limit,
        "acks_late": bool(app.conf.task_acks_late),
    }
cut, until = time.monotonic() + asked["window"], asked["until"]
tell("cancel_consumer", asked["cancel"])
tell("add_consumer", asked["add"])
end, quiet, seen = time.monotonic() + asked["wait"], 0, observe()
while until:
    quiet = 0 if busy(seen, until) else quiet + 1
    if quiet >= until["rounds"] or time.monotonic() >= end:
        break
    time.sleep(asked["poll"])
    seen = observe()
settled = bool(until) and quiet >= until["rounds"]
print("aistack-drain-answer:" + json.dumps(dict(seen, loading=loading, settings=limits(), settled=settled)))
"""
)

Queues = dict[str, list[str]]
Ask = Callable[[dict[str, Any]], dict[str, Any]]
"""Puts a question to the release's Python, see C(SCRIPT), and returns its answer. Raises DrainError."""


class DrainError(Exception):
    """It could not be done. The text says what happened and what to do; ``facts`` go into the module's result."""

    def __init__(self, message: str, **facts: Any) -> None:
        super().__init__(message)
        self.facts = facts


@dataclass
class Request:
    """What is asked for; times are in seconds.

    Attributes:
        workers: names such as C(worker-blue@backend-1); empty: all that answer.
        queues: queues to stop or to take up again; empty: all that a worker takes, or took.
        timeout: for all of the waiting.
        window: tasks that wait for their time and are due within it are waited for; later ones go back to the broker.
        stop_timeout: what a worker has to end its tasks when its unit is stopped; 0: nobody is about to stop it.
    """

    component: str
    app: str
    workers: Sequence[str] = ()
    queues: Sequence[str] = ()
    timeout: float = 300.0
    window: float = 30.0
    stop_timeout: float = 0.0
    poll: float = 0.5


def path_of(state_dir: str | os.PathLike[str], component: str) -> Path:
    """Where it is written down what was stopped of a component."""
    return Path(state_dir) / "drained" / f"{component}.json"


def unusable(state_dir: str | os.PathLike[str], component: str, why: object) -> str:
    """That this cannot be read, in words."""
    return f"{component}: {path_of(state_dir, component)}, which says what was stopped, cannot be used: {why}"


@dataclass
class Memory:
    """What was stopped, on disk: C({"component", "since", "workers": {name: [queues]}})."""

    path: Path
    workers: Queues = field(default_factory=dict)
    since: str = ""

    @classmethod
    def of(cls, state_dir: str | os.PathLike[str], component: str) -> Memory:
        """Read it; empty where nothing was stopped. Raises OSError, ValueError where it cannot be read."""
        path = path_of(state_dir, component)
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return cls(path)
        if not isinstance(kept, dict) or not isinstance(kept.get("workers"), dict):
            raise ValueError("it names no workers; restart the workers, which then take tasks again, and remove the file")
        return cls(path, {name: list(queues) for name, queues in kept["workers"].items()}, str(kept.get("since", "")))

    def add(self, queues: Queues) -> None:
        """Remember more, durably."""
        self._write({name: sorted({*self.workers.get(name, []), *queues.get(name, [])}) for name in {*self.workers, *queues}})

    def _write(self, workers: Queues) -> None:
        self.workers = workers
        document = {"component": self.path.stem, "since": self.since or utc_now(), "workers": workers}
        write_file(self.path, json.dumps(document, indent=1) + "\n", 0o644)

    def forget(self, names: Collection[str]) -> None:
        """Of these workers nothing is stopped any more."""
        left = {name: queues for name, queues in self.workers.items() if name not in names}
        self.workers = {}
        if left:
            self._write(left)
        else:
            self.path.unlink(missing_ok=True)


def runner(python: str, cwd: str, env_file: str, user: str | None, secrets: Secrets | None = None) -> Ask:
    """Asks by running ``python`` in ``cwd`` with the variables of ``env_file``, which reach it through its environment alone."""
    kept = secrets or Secrets()

    def ask(question: dict[str, Any]) -> dict[str, object]:
        try:
            variables = {**kept.environment(env_file), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONWARNINGS": "ignore"}
        except OSError as problem:
            raise DrainError(f"the environment of the workers cannot be read: {env_file}: {problem.strerror}") from None
        context = Context(timeout=IMPORT_TIMEOUT + float(question["wait"]) + REACH, secrets=kept)
        try:
            done = context.execute([python, "-c", SCRIPT, f"{IMPORT_TIMEOUT:g}"], variables, cwd, user, json.dumps(question))
        except (CannotJudge, NotAsExpected) as problem:
            raise DrainError(f"the workers could not be asked: {kept.mask(str(problem))}") from None
        answers = [line[len(_MARK) :] for line in done.stdout.splitlines() if line.startswith(_MARK)]
        if done.rc == UNLOADED:
            raise DrainError(f"the workers could not be asked: {not_loaded(str(question['app']), IMPORT_TIMEOUT)}.")
        if done.rc == UNANSWERED:
            raise DrainError(f"the workers could not be asked: no answer within {question['wait'] + REACH:g} s. Does the broker answer?")
        if done.rc != 0 or not answers:
            said = kept.mask(excerpt(last_line(done.stderr) or f"exit status {done.rc}", 300))
            raise DrainError(f"the workers could not be asked, because the release's Python said: {said}. Does the broker answer?")
        return dict(json.loads(answers[-1]))

    return ask


def _question(request: Request, **changes: Any) -> dict[str, object]:
    return {
        "app": request.app,
        "workers": list(request.workers),
        "cancel": {},
        "add": {},
        "until": None,
        "wait": 0.0,
        "window": request.window,
        "poll": request.poll,
        "reply": REPLY,
        "reach": REACH,
        **changes,
    }


def _until(expect: Iterable[str], rounds: int = 1, **changes: Any) -> dict[str, Any]:
    """What to wait for, ``rounds`` times in a row: all of ``expect`` answer, nobody takes from C(queues), each takes from C(lacking)
    again, and with C(idle) no task is held."""
    return {"expect": sorted(expect), "queues": {}, "lacking": {}, "idle": False, "rounds": rounds, **changes}


def _result(request: Request, seen: Mapping[str, Any], memory: Memory, **more: Any) -> dict[str, Any]:
    return {
        "workers": seen["workers"],
        "missing": sorted(set(request.workers) - set(seen["workers"])),
        "running": [task for task in seen["tasks"] if not task["later"]],
        "later": [task for task in seen["tasks"] if task["later"]],
        "stopped": dict(memory.workers),
        "settings": dict(seen.get("settings") or {}),
        "foretold": foretold(request, seen),
        **more,
    }


def at_risk(request: Request, seen: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Tasks that run now and that stopping the unit may kill: those that no time limit of the application ends within its time."""
    limit = (seen.get("settings") or {}).get("time_limit")
    return [
        task for task in seen["tasks"]
        if task["state"] == "active" and not (limit and float(limit) - float(task.get("seconds") or 0.0) <= request.stop_timeout)
    ]


def foretold(request: Request, seen: Mapping[str, Any]) -> list[str]:
    """What becomes of tasks that take long, a sentence each, before anything is done about it."""
    settings, said = seen.get("settings") or {}, []
    visible, risky = settings.get("visibility_timeout"), at_risk(request, seen)
    if request.stop_timeout and risky:
        after = f"delivered again after {visible} s" if settings.get("acks_late") and visible else (
            "delivered again" if settings.get("acks_late") else "lost")
        said.append(
            f"{_count(len(risky), 'task')} may not end within the {request.stop_timeout:g} s that stopping the worker leaves (stop_timeout)"
            f", and would then be killed and {after}: {tasks_text(risky)}"
        )
    long = [task for task in seen["tasks"] if visible and float(task.get("seconds") or 0.0) > float(visible)]
    if long or (visible and seen["tasks"] and request.timeout > float(visible)):
        said.append(
            f"what a worker holds for longer than {visible} s (visibility_timeout of broker_transport_options) is delivered to another one "
            f"as well and done twice, unless it was acknowledged before" + (f": {tasks_text(long)}" if long else "")
        )
    return said


def _taken(request: Request, seen: Mapping[str, Any]) -> Queues:
    """The queues in question that the workers take from now."""
    found = {
        worker: [queue for queue in queues if not request.queues or queue in request.queues]
        for worker, queues in seen["workers"].items()
    }
    return {worker: queues for worker, queues in found.items() if queues}


def _words(queues: Queues) -> str:
    return "; ".join(f"{worker}: {', '.join(names)}" for worker, names in sorted(queues.items()))


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def tasks_text(tasks: Sequence[Mapping[str, Any]], limit: int = 10) -> str:
    """Tasks for people: name, id, worker, and for how long they run, or what they wait for."""
    parts = []
    for task in tasks[:limit]:
        since = f"for {task['seconds']:.0f} s" if task.get("seconds") is not None else str(task["state"])
        parts.append(f"{task['name']} [{task['id']}] on {task['worker']} ({since})")
    return ", ".join(parts) + (f", and {len(tasks) - limit} more" if len(tasks) > limit else "")


def status(request: Request, ask: Ask, memory: Memory) -> dict[str, object]:
    """What the workers take and hold. Raises DrainError."""
    seen = ask(_question(request))
    result = _result(request, seen, memory, changed=False)
    taken, running, missing = _taken(request, seen), result["running"], result["missing"]
    parts = [f"takes from {_words(taken)}" if taken else "takes from no queue", f"{_count(len(running), 'task')} held"]
    parts += [tasks_text(running)] if running else []
    parts += [f"{', '.join(missing)} does not answer"] if missing else []
    told = "".join(f" {sentence[0].upper()}{sentence[1:]}." for sentence in result["foretold"])
    return {**result, "drained": not (taken or running or missing), "msg": f"{request.component}: {'; '.join(parts)}.{told}"}


def refuse_busy(request: Request, ask: Ask, memory: Memory) -> dict[str, object]:
    """As :func:`status`; raises DrainError where stopping the workers may kill a task, or where nobody knows what they hold."""
    result = status(request, ask, memory)
    risky = at_risk(request, {"tasks": result["running"], "settings": result["settings"]})
    if not risky and not result["missing"]:
        return result
    way = (
        "Wait until they are done and run the same command again; or have it wait, or give more time: long_tasks: wait, or stop_timeout, in"
        f" aistack_components.{request.component}.slots"
        ". A rollback goes without asking them with -e drain=false"
    )
    facts = {key: value for key, value in result.items() if key != "msg"}
    raise DrainError(f"Refused, and nothing was changed. {result['msg']} {way}.", **facts)


def drain(
    request: Request, ask: Ask, memory: Memory, check: bool = False, clock: Callable[[], float] = time.monotonic
) -> dict[str, object]:
    """Stop intake, and wait until nothing is held any more, at most ``request.timeout``; C(drained) says whether that came.

    Raises DrainError where a worker does not answer, or goes on taking tasks; what was stopped until then is in ``memory``.
    """
    seen = ask(_question(request))
    began = clock()
    result = _result(request, seen, memory, changed=False, drained=False, waited_s=0.0)
    if result["missing"] or not seen["workers"]:
        raise DrainError(
            f"{request.component}: {', '.join(result['missing']) or 'no worker'} does not answer, so that nobody knows what it holds."
            f" Answers came from: {', '.join(sorted(seen['workers'])) or 'nobody'}. Is its unit running, and does it reach the broker?"
            f" journalctl -u 'aistack-{request.component}@*' -n 50",
            **result,
        )
    taken, words = _taken(request, seen), _words(_taken(request, seen))
    if check:
        running = result["running"]
        held = f" {_count(len(running), 'task')} would be waited for: {tasks_text(running)}." if running else ""
        would = f"intake would stop ({words})" if taken else "nothing is taken in already"
        done = not taken and not running
        told = "".join(f" {sentence[0].upper()}{sentence[1:]}." for sentence in result["foretold"])
        return {**result, "changed": bool(taken), "drained": done, "msg": f"{request.component}: {would}.{held}{told}"}
    if taken:
        memory.add(taken)
    until = _until(seen["workers"], 2, queues=taken, idle=True)
    named = replace(request, workers=sorted(seen["workers"]))
    cancel, end = taken, began + request.timeout
    while True:
        left, window = max(0.0, end - clock()), max(0.0, began + request.window - clock())
        seen = ask(_question(named, cancel=cancel, until=until, wait=min(SLICE, left), window=window))
        cancel = {}
        loading = float(seen.get("loading") or 0.0)  # the application was imported again: nobody was waited for meanwhile
        began, end = began + loading, end + loading
        deaf = bool(_taken(request, seen)) and clock() - began > SETTLE
        if seen["settled"] or deaf or clock() >= end:
            break
        running = _result(request, seen, memory)["running"]
        progress.tell(f"waits {end - clock():.0f} s more at most for {_count(len(running), 'task')}: {tasks_text(running, 3)}")
    waited = round(clock() - began, 1)
    ahead = result["foretold"]  # as it was before anything was done
    result = _result(request, seen, memory, changed=bool(taken), drained=bool(seen["settled"]), waited_s=waited, foretold=ahead)
    return {**result, "msg": f"{request.component}: {_end(request, seen, result, until['expect'], words, waited)}"}


def _end(
    request: Request, seen: Mapping[str, Any], result: Mapping[str, Any], expected: Iterable[str], words: str, waited: float
) -> str:
    """How a drain came out. Raises DrainError where a worker did not do what it was told."""
    later = f" {_count(len(result['later']), 'task')} due later: back to the broker when the worker stops." if result["later"] else ""
    if seen["settled"]:
        return f"takes in nothing more ({words or 'nor did it before'}) and holds no task, after {waited:g} s.{later}"
    silent = sorted(set(expected) - set(seen["workers"]))
    if silent:
        return f"{', '.join(silent)} does not answer any more, after {waited:g} s; what it holds is not known.{later}"
    stubborn = _taken(request, seen)
    if stubborn:
        said = f"{request.component}: was told to take no more tasks, and still does after {waited:g} s ({_words(stubborn)})"
        raise DrainError(f"{said}. Stop the worker: systemctl stop 'aistack-{request.component}@*'", **result)
    running = result["running"]
    return (
        f"{_count(len(running), 'task')} still held after {waited:g} s (timeout {request.timeout:g} s): {tasks_text(running)}.{later}"
    )


def drain_or_go_on(
    request: Request, ask: Ask, memory: Memory, check: bool = False, clock: Callable[[], float] = time.monotonic
) -> dict[str, object]:
    """As :func:`drain`; where it does not come to its end the workers take tasks again as before, and DrainError is raised."""
    try:
        result = drain(request, ask, memory, check, clock)
    except DrainError as problem:
        raise _gone_on(request, ask, memory, check, str(problem), problem.facts) from problem
    if result["drained"] or check:
        return result
    raise _gone_on(request, ask, memory, check, str(result["msg"]), result)


def _gone_on(request: Request, ask: Ask, memory: Memory, check: bool, what: str, known: Mapping[str, Any]) -> DrainError:
    facts = {key: value for key, value in known.items() if key != "msg"}
    if check or not memory.workers:
        return DrainError(f"{what} Nothing was changed.", **facts)
    try:
        back = resume(replace(request, queues=()), ask, memory)
    except DrainError as problem:
        return DrainError(f"{what} And it could not be taken back: {problem}", **facts)
    return DrainError(f"{what} It was taken back: {back['msg']}", **{**facts, "stopped": back["stopped"], "changed": False})


def resume(request: Request, ask: Ask, memory: Memory, check: bool = False) -> dict[str, object]:
    """Let workers take tasks again: those named from ``request.queues``, else all that were stopped. Else nobody is asked.

    A worker that does not answer any more has ended, and is forgotten. Raises DrainError where one goes on taking nothing.
    """
    if request.queues:
        wanted = {name: list(request.queues) for name in request.workers}
    else:
        wanted = {name: queues for name, queues in memory.workers.items() if name in (request.workers or memory.workers)}
    named = replace(request, workers=sorted(wanted))
    if not wanted:
        nothing = _result(named, {"workers": {}, "tasks": []}, memory, changed=False)
        return {**nothing, "msg": f"{request.component}: no intake was stopped."}
    seen = ask(_question(named))
    answering = seen["workers"]
    lacking = {name: sorted(set(queues) - set(answering[name])) for name, queues in wanted.items() if name in answering}
    lacking = {name: queues for name, queues in lacking.items() if queues}
    gone = sorted(set(wanted) - set(answering))
    words = _words(lacking) or "it does already"
    forgotten = f" {', '.join(gone)} does not answer any more and is forgotten." if gone else ""
    if check:
        would = f"{request.component}: intake would go on ({words}).{forgotten}"
        return {**_result(named, seen, memory, changed=bool(lacking)), "msg": would}
    if lacking:
        seen = ask(_question(named, add=lacking, until=_until(lacking, lacking=lacking), wait=SETTLE))
        if not seen["settled"]:
            raise DrainError(
                f"{request.component}: was told to take tasks again, and does not after {SETTLE:g} s ({words}). Restart the worker:"
                f" systemctl restart 'aistack-{request.component}@*'",
                **_result(named, seen, memory, changed=True),
            )
    memory.forget(wanted)
    return {**_result(named, seen, memory, changed=bool(lacking)), "msg": f"{request.component}: intake goes on ({words}).{forgotten}"}
