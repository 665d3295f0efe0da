# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""In which order hosts come to a release: batches of a component, and the steps of a run over all of its components. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

from ansible_collections.phasegate.aistack.plugins.module_utils.gate.verdict import OF_A_SLOT
from ansible_collections.phasegate.aistack.plugins.module_utils.rollout.strategy import CANARY, ROLLING, kind_of, limit_of, settings_of

LOOKS = 60
"""A hold is looked at so many times at most."""
LOOK_S = 5.0
"""Seconds from one look of the triggers to the next; shorter where a window is."""
WAIT, REFUSE = "wait", "refuse"
"""Of what ``slots.long_tasks`` says."""
STOP_S = 30.0
"""Seconds that a slot's process has to end where its slots do not say."""
DRAIN_S = 300.0
"""Seconds for which a worker's tasks are waited for where its slots do not say."""


@dataclass(frozen=True)
class Batch:
    """Hosts that change together.

    Attributes:
        hosts: their names.
        weight: share of their requests, in percent, that the new release gets.
        hold_s: seconds for which it has to hold before the next one begins.
        triggers: names of triggers that judge it meanwhile.
    """

    hosts: tuple[str, ...]
    weight: int = 100
    hold_s: float = 0.0
    triggers: tuple[str, ...] = ()


class Step(TypedDict):
    """One batch of one component in a run.

    Attributes:
        component: its name; ``hosts``: those that switch; ``number`` of ``of`` batches of the component.
        weight: share of their requests in percent that the release gets; 100 makes it live.
        proof: whether its gate is asked behind it.
        hold: seconds that it is held; ``triggers``: who judges meanwhile; ``judges``: the hosts that these are judged on.
        look: seconds from one look of the triggers to the next.
        gate: how its gate is judged, as M(phasegate.aistack.gate) takes it.
        armed: the hosts whose dead man's switch counts again: all that have switched by then.
        long_tasks: what is done about the tasks that its workers hold, see :func:`long_tasks_of`; ``drain``: seconds that this may take.
        label: it in words.
    """

    component: str
    hosts: list[str]
    number: int
    of: int
    weight: int
    proof: bool
    hold: float
    triggers: list[str]
    judges: list[str]
    look: float
    gate: dict[str, float]
    armed: list[str]
    long_tasks: str
    drain: float
    label: str


def batches(hosts: Sequence[str], strategy: Any, live: Collection[str] | None = None) -> list[Batch]:
    """The batches of *hosts*, in their order; none without hosts.

    ``rolling`` cuts them, ``canary`` has all of them take a rising share of requests, those on which something is *live* (None: all), since
    beside nothing nothing can be shared out; the others have their turn with the last one. Else they change together.
    """
    if not hosts:
        return []
    kind, settings = kind_of(strategy), settings_of(strategy)
    hold, triggers = float(settings.get("hold", 0)), tuple(settings.get("triggers") or ())
    if kind == ROLLING:
        limit = limit_of(settings.get("limit", 1), len(hosts))
        return [Batch(tuple(hosts[start:start + limit]), 100, hold, triggers) for start in range(0, len(hosts), limit)]
    if kind == CANARY:
        beside = tuple(host for host in hosts if live is None or host in live)
        turns = [(int(weight), tuple(hosts) if int(weight) == 100 else beside) for weight in settings["weights"]]
        return [Batch(mine, weight, hold, triggers) for weight, mine in turns if mine]
    return [Batch(tuple(hosts))]


def held(found: Sequence[Batch], there: Sequence[str]) -> list[float]:
    """Seconds of each batch's hold, where the hosts in *there* have the release already.

    What an earlier run has switched is not held again, but for the last batch that it came to: that run may have ended in its hold.
    """
    done = [all(host in there for host in one.hosts) for one in found]
    cut = done.index(False) - 1 if False in done else -1
    return [0.0 if done[number] and number != cut else one.hold_s for number, one in enumerate(found)]


def steps(
    order: Sequence[str], described: Mapping[str, Mapping[str, Any]], hosts: Mapping[str, Sequence[str]], everywhere: Sequence[str],
    there: Mapping[str, Sequence[str]], windows: Mapping[str, float] | None = None, live: Mapping[str, Collection[str]] | None = None,
    drain: bool = False,
) -> list[Step]:
    """The steps of a run, one after the other: of each component its batches.

    Args:
        order: the components, in the order of dependencies.
        described: of each at least ``strategy``, ``gate_settings``, ``role`` and ``slots``.
        hosts: of each its hosts that are in this run.
        everywhere: all hosts of this run.
        there: of each the hosts that had the release, with its configuration, before this run.
        windows: trigger to the seconds that it judges together, where it says so.
        live: of each the hosts that had any release before this run; all of them where it is not named.
        drain: whether this run has workers end the tasks that they hold.
    """
    found: list[Step] = []
    cuts = {name: batches(hosts[name], described[name].get("strategy"), (live or {}).get(name)) for name in order}
    switched: list[str] = []
    for name, cut in cuts.items():
        holds = held(cut, there.get(name, ()))
        proof = kind_of(described[name].get("strategy")) in (ROLLING, CANARY)
        waiting = list(hosts[name])
        tasks = long_tasks_of(described[name], drain)
        patience = float((described[name].get("slots") or {}).get("drain_timeout", DRAIN_S)) if tasks == WAIT else 0.0
        for number, (batch, hold) in enumerate(zip(cut, holds)):
            waiting = [host for host in waiting if host not in batch.hosts]
            switched += [host for host in batch.hosts if host not in switched]
            triggers = list(batch.triggers) if hold else []
            found.append({
                "component": name, "hosts": list(batch.hosts), "number": number + 1, "of": len(cut), "weight": batch.weight,
                "proof": proof, "hold": hold,
                "triggers": triggers, "judges": [host for host in everywhere if host not in waiting],
                "look": min([LOOK_S, *((windows or {}).get(one, 2 * LOOK_S) / 2 for one in triggers)]),
                "gate": gate_of(described[name].get("gate_settings") or {}, 0.0 if triggers else hold),
                "armed": list(switched), "long_tasks": tasks, "drain": patience, "label": label(name, number + 1, len(cut), batch),
            })
    return found


def long_tasks_of(component: Mapping[str, Any], drain: bool) -> str:
    """What a switch does about the tasks that a component holds: C(tell), C(wait), C(refuse); empty: nothing.

    *drain* has workers end what they hold, whatever their description says; but a refusal stays one.
    """
    said = str((component.get("slots") or {}).get("long_tasks") or "")
    return WAIT if drain and said != REFUSE and is_worker(component) else said


def is_worker(component: Mapping[str, Any]) -> bool:
    """Whether a component's role is one that runs Celery workers."""
    return str(component.get("role")).endswith("worker")


def cannot_be_asked(component: Mapping[str, Any]) -> bool:
    """Whether a component in containers may hold tasks: nobody asks workers there. Without a port it serves no requests, so it may."""
    if str(component.get("role")).rpartition(".")[2] != "container":
        return False
    words = [str(word) for word in (component.get("options") or {}).get("command") or ()]
    return "worker" in words or not (component.get("port") or "beat" in words)


def not_drained(released: Mapping[str, Mapping[str, Any]]) -> str:
    """What *drain* does not do, of those that are live; empty where it does all of it."""
    left = {name: (one.get("slots") or {}).get("stop_timeout", STOP_S) for name, one in released.items() if cannot_be_asked(one)}
    if not left:
        return ""
    return (
        f"-e drain=true waits for nothing that runs in containers: {', '.join(left)}. Workers there are not asked; tasks that they hold"
        f" have stop_timeout of aistack_components.<name>.slots to end ({', '.join(f'{name}: {most:g} s' for name, most in left.items())}),"
        " and are killed then"
    )


def gate_of(given: Mapping[str, Any], hold: float) -> dict[str, float]:
    """How a gate is judged behind a switch: it has to pass for *hold* seconds without a break."""
    asked = {**OF_A_SLOT, **{key: float(value) for key, value in given.items()}}
    asked["min_healthy_time"] = max(asked["min_healthy_time"], hold)
    asked["interval"] = max(asked["interval"], hold / LOOKS)
    asked["deadline"] += hold
    return asked


def label(component: str, number: int, of: int, batch: Batch) -> str:
    """A batch in words."""
    if batch.weight < 100:
        return f"{component}: {batch.weight} % of the requests: {', '.join(batch.hosts)}"
    return f"{component}: batch {number} of {of}: {', '.join(batch.hosts)}" if of > 1 else component


def first(found: Sequence[Step]) -> dict[str, list[str]]:
    """Host to the components that it switches in the first batch of each: their slots are proven before anything takes traffic."""
    mine: dict[str, list[str]] = {}
    for step in found:
        for host in step["hosts"] if step["number"] == 1 else ():
            mine.setdefault(host, []).append(step["component"])
    return mine


def proof_words(hold: float, triggers: Sequence[str], weight: int = 100) -> str:
    """What a batch is proven by, in words."""
    if weight < 100:
        return f"then {hold:g} s in which {_judging(triggers)} it" if hold else "then the next one"
    if triggers:
        return f"then its gate, {hold:g} s in which {_judging(triggers)}, and its gate again"
    return f"then its gate, for {hold:g} s without a break" if hold else "then its gate"


def _judging(triggers: Sequence[str]) -> str:
    return f"{', '.join(triggers)} judge{'s' if len(triggers) == 1 else ''}"


def page(found: Sequence[Step], there: Mapping[str, Sequence[str]], chosen: Sequence[str] = ()) -> str:
    """The order of the switch, for people, below what of strategies was *chosen*; empty where every component's hosts change together."""
    lines = [f"  {one}" for one in chosen]
    for step in found:
        if step["of"] == 1:
            continue
        if step["number"] == 1:
            word = "shares of the requests" if step["weight"] < 100 else "batches"
            lines.append(f"  {step['component']}, {step['of']} {word} one after the other:")
        done = set(step["hosts"]) <= set(there.get(step["component"], ()))
        already = " (there already)" if done else ""
        share = f"{step['weight']} % on " if step["weight"] < 100 else ""
        proof = proof_words(step["hold"], step["triggers"], step["weight"])
        lines.append(f"    {step['number']}. {share}{', '.join(step['hosts'])}{already}, {proof}")
    return "\n".join(["The order of the switch", *lines]) if lines else ""


def of_slot(conditions: Sequence[Mapping[str, Any]], component: str, slot: str, port: int) -> list[dict[str, Any]]:
    """Triggers of *component* as they judge one *slot* that has a share of its requests, and not the live one beside it.

    What HAProxy counts of its section is counted of that server, and C(${port}) and C(${slot}) are its own. Others stay as they are.
    """
    found: list[dict[str, Any]] = []
    for one in conditions:
        if one.get("source") == "haproxy" and one.get("target") == component:
            found.append({"server": slot, **one})
        elif one.get("component") == component:
            texts = {key: value for key, value in one.items() if isinstance(value, str)}
            own = {key: value.replace("${port}", str(port)).replace("${slot}", slot) for key, value in texts.items()}
            found.append({**one, **own})
        else:
            found.append({**one})
    return found
