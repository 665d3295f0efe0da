# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a stack goes back to, on which level, in which steps, and at what price; or why not, and what to do instead. No I/O.

View and plan are plain data, see :mod:`rollback.contract`.

Levels: C(app) moves the slots, C(config) the environment under the same release, C(schema) the slots and the database's schema,
C(system) everything that a backup set holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ansible_collections.phasegate.aistack.plugins.module_utils.core.levels import LEVELS
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback import schema_steps, state as rollback_state
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.state import Problem, Target

if TYPE_CHECKING:
    from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.contract import Candidate, Component, Plan, Step, Switch, View

OBJECTIVE_S = {"app": 600, "config": 300, "schema": 3600, "system": 3600}
"""Seconds that the runbook allows for each level."""
SWITCH_S = 15.0
"""Seconds taken for a switch of which the journal tells no time."""
STEP_S = 2.0
"""Seconds that any other step takes besides its own work: it is asked for over SSH, and looked at."""


@dataclass(frozen=True)
class RollbackRequest:
    """What is asked for.

    Attributes:
        to: release to go to, or for the level C(config) a config's hash or the release whose config is wanted; None: chosen.
        allow_bad: go to a release although it is marked bad.
        best_effort: go on with the components that can, where others cannot.
        backup: for the level C(system), the backup set that is wanted; None: the newest of the target's time.
        level_named: whether the level was said, and not only taken because none was.
        configs: for the level C(config), component to the config that it goes to; what is not named stays. Comes before ``to``.
        elsewhere: component to the host that moves its database, for the levels C(schema) and C(system): one of several hosts does.
    """

    level: str = "app"
    to: str | None = None
    application: str | None = None
    allow_bad: bool = False
    best_effort: bool = False
    backup: str | None = None
    level_named: bool = False
    configs: Mapping[str, str] | None = None
    elsewhere: Mapping[str, str] | None = None


def candidates(view: View, application: str | None = None) -> list[Candidate]:
    """For each component of the application on this node: C(node), C(component), C(present) and C(tags).

    C(tags) are the releases that it can be at after going back, the newest first; the present one is among them if it is good, so
    that a component that is there already is no obstacle. A component on which nothing is live is left out.
    """
    found: list[Candidate] = []
    for name, component in rollback_state.members(view, application):
        present = rollback_state.present(component)
        if present is not None:
            tags = rollback_state.options(component)
            entry: Candidate = {"node": view.get("node", ""), "component": name, "present": present.release, "tags": tags}
            found.append({**entry, "beside": True} if rollback_state.beside_itself(component) else entry)
    return found


def common_target(candidate_lists: Sequence[Candidate]) -> str | None:
    """The newest release that every component on every node can be at, other than where all of them are already.

    Takes what :func:`candidates` returns, of one node or of all of them added together. *Newest* is what every component finds
    soonest in its own order.
    """
    if not candidate_lists:
        return None
    shared = set(candidate_lists[0]["tags"]).intersection(*(entry["tags"] for entry in candidate_lists))
    shared -= {tag for tag in shared if all(entry["present"] == tag and not entry.get("beside") for entry in candidate_lists)}

    def rank(tag: str) -> tuple[int, int]:
        places = [list(entry["tags"]).index(tag) for entry in candidate_lists]
        return max(places), places[0]

    return min(shared, key=rank) if shared else None


def plan(view: View, request: RollbackRequest) -> Plan:
    """The plan for one node. Where C(allowed) is false, C(refusals) say why and what to do instead, and nothing is to be touched."""
    made: Plan = {
        "level": request.level,
        "application": request.application,
        "from": None,
        "to": request.to,
        "allowed": False,
        "refusals": [],
        "steps": [],
        "losses": [],
        "warnings": list(view.get("problems") or []),
        "unverified": [],
        "objective_s": OBJECTIVE_S.get(request.level),
        "expected_s": None,
        "candidates": [],
        "relies": [],
    }
    problems = _fill(made, view, request)
    made["refusals"] = [problem.as_dict() for problem in problems]
    made["allowed"] = not problems
    made["steps"] = [] if problems else made["steps"]
    made["expected_s"] = duration(made["steps"]) if made["allowed"] else None
    return made


def resumed(view: View, request: RollbackRequest) -> RollbackRequest:
    """*request*, or what the rollback wanted that was interrupted here, where nothing else is asked for.

    That is one of this node's own command, and, except in an emergency, one that a controller began. Of the levels schema and system
    only the slots are this command's; the rest is asked for by name.
    """
    if request.to is not None:
        return request
    known = [view.get("interrupted_rollback"), None if request.best_effort else view.get("open_rollback")]
    left = [interrupted for interrupted in known if interrupted and (interrupted.get("level") == request.level or not request.level_named)]
    if not left:
        return request
    interrupted = max(left, key=lambda found: int(found.get("seq") or 0))
    level = str(interrupted.get("level")) if request.level_named or interrupted.get("level") == "config" else "app"
    moves = {name: (move.get("to") or {}).get("config") for name, move in (interrupted.get("moves") or {}).items()}
    configs = {name: str(config) for name, config in moves.items() if config}
    to = interrupted.get("to")
    if level == "config" and not configs and interrupted is view.get("open_rollback"):
        return request  # this node has no part in it
    own = view.get("interrupted_rollback")
    application = own.get("application") if own is not None and interrupted is own else None
    return replace(request, level=level, to=to, application=application or request.application,
                   configs=configs if level == "config" and configs else None)


def duration(steps: Sequence[Step]) -> float:
    """Seconds for all steps: one after the other, except for the switches of a node, which go side by side."""
    switches = [float(step["detail"].get("expected_s") or 0.0) for step in steps if step["do"] == "switch"]
    others = [STEP_S + float(step["detail"].get("expected_s") or 0.0) for step in steps if step["do"] != "switch"]
    return round(max(switches, default=0.0) + sum(others), 1)


def _fill(made: Plan, view: View, request: RollbackRequest) -> list[Problem]:
    """Complete *made*; returns why it must not be carried out."""
    if request.level not in LEVELS:
        return [Problem("unknown_level", f"there is no level {request.level}", f"choose one of {', '.join(LEVELS)}")]
    if request.backup is not None and request.level != "system":
        reason = f"level {request.level} takes no backup set by name; {request.backup} was named"
        return [Problem("set_and_level", reason, "choose -e level=system, or leave the set out")]
    application, problems = rollback_state.application_of(view, request.application)
    if problems:
        alone = None if view.get("components") else _data_alone(made, view, request)
        return problems if alone is None else alone
    made["application"] = application
    members = [
        (name, entry) for name, entry in rollback_state.members(view, application) if rollback_state.present(entry) is not None
    ]
    idle = [name for name, entry in rollback_state.members(view, application) if rollback_state.present(entry) is None]
    made["warnings"] += [f"{name}: nothing is live here; it is left as it is" for name in idle]
    if not members:
        reason = f"nothing of {application or 'any application'} is live on {view.get('node') or 'this node'}"
        nothing = [Problem("nothing_live", reason, "deploy a release: deploy.yml -e release=TAG")]
        alone = _data_alone(made, view, request)
        return nothing if alone is None else alone
    made["candidates"] = candidates(view, application)
    made["from"] = _joined(rollback_state.require_live(entry).release for _name, entry in members)
    if request.level == "config":
        targets, problems = rollback_state.config_targets(members, request.to, request.configs)
        made["changed_by"] = None if request.to else rollback_state.config_change(members)
        made["from"] = _joined(rollback_state.require_live(entry).config for name, entry in members if name in targets)
    else:
        targets, problems = _release_targets(made, view, members, request)
    fatal = _spare(made, targets, problems, request)
    if fatal:
        return fatal
    made["to"] = _joined((target.config if request.level == "config" else target.release) for target in targets.values())
    for name, target in targets.items():
        made["warnings"] += [f"{name}: {text}" for text in target.warnings]
    switches = [
        _switch(name, entry, targets[name]) for name, entry in reversed(members) if name in targets and not targets[name].here
    ]
    if not switches and request.level in ("app", "config"):
        what = "config" if request.level == "config" else "release"
        return [
            Problem(
                "already_there",
                f"every component of {application} is at the {what} {made['to']} already",
                "nothing is to be done",
            )
        ]
    made["losses"] += [
        f"{step['component']}: nobody does its work for some seconds, because only one instance may run at a time"
        for step in switches
        if step["detail"]["strategy"] == "recreate"
    ]
    if request.level == "config":
        made["steps"] = [*switches]
        return _built_in(made, view, switches)
    if request.level == "system":
        from ansible_collections.phasegate.aistack.plugins.module_utils.rollback import system_steps

        return system_steps.complete(made, view, members, targets, switches, request.backup, request.elsewhere or {})
    refused: list[Problem] = schema_steps.complete(made, view, members, targets, switches, request.level, request.elsewhere or {})
    return refused


def _built_in(made: Plan, view: View, switches: Sequence[Switch]) -> list[Problem]:
    """Say which variables stay as the release was built with them; a problem where nothing else would change."""
    found: list[tuple[str, str, list[str], bool]] = []
    for step in switches:
        name, release = step["component"], step["detail"]["release"]
        changed = step["detail"]["environment"]
        changes = {*changed["added"], *changed["removed"], *changed["changed"]}
        manifest = (view["components"][name].get("manifests") or {}).get(release) or {}
        inside = sorted(changes & set(manifest.get("build_env") or {}))
        if inside:
            found.append((name, release, inside, len(inside) == len(changes)))
            stays = f"(build_env) stays as {release} was built with it, whatever a configuration says"
            made["warnings"].append(f"{name}: {', '.join(inside)} {stays}")
    if found and len(found) == len(switches) and all(alone for _name, _release, _inside, alone in found):
        told = (f"{', '.join(inside)} of {name}, which {release} was built with" for name, release, inside, _alone in found)
        what = "; ".join(told)
        return [
            Problem(
                "built_in",
                f"nothing would change but {what}: what a build used is part of the release",
                "go back to the release that was built with the former value: rollback.yml -e level=app -e to=TAG; or give the commit a "
                "new tag and deploy it with that value",
            )
        ]
    return []


def _data_alone(made: Plan, view: View, request: RollbackRequest) -> list[Problem] | None:
    """What a node without a release has to do for the level system; None where it has no part in this."""
    if request.level != "system":
        return None
    from ansible_collections.phasegate.aistack.plugins.module_utils.rollback import system_steps  # no emergency waits for it

    return system_steps.data_alone(made, view, request.backup)


def _joined(values: Any) -> str | None:
    """One value, or all of them where they differ."""
    return ", ".join(sorted({value for value in values if value})) or None


def _spare(made: Plan, targets: dict[str, Target], problems: list[Problem], request: RollbackRequest) -> list[Problem]:
    """What of *problems* stands in the way: with best effort, what concerns a single component only warns while others can move."""
    moving = any(not target.here for target in targets.values())
    if not request.best_effort or not moving:
        return problems
    made["warnings"] += [f"{problem.component} stays as it is: {problem.reason}" for problem in problems]
    return []


def _release_targets(
    made: Plan, view: View, members: Sequence[tuple[str, Component]], request: RollbackRequest
) -> tuple[dict[str, Target], list[Problem]]:
    """The target of each component: what was asked for, else the newest that all of them can go to."""
    tag = request.to
    problems: list[Problem] = []
    if tag is None:
        tag = common_target(made["candidates"])
        if tag is None and request.best_effort:
            tag = common_target([entry for entry in made["candidates"] if rollback_state.elsewhere(entry)])
        if tag is None:
            return {}, rollback_state.no_target(made["candidates"])
        made["to"] = tag
    targets: dict[str, Target] = {}
    for name, entry in members:
        found = rollback_state.release_target(name, entry, tag, request.allow_bad)
        if isinstance(found, Problem):
            problems.append(found)
        else:
            targets[name] = found
    return targets, problems


def _switch(name: str, component: Component, target: Target) -> Switch:
    """The step that moves one component."""
    described, now = component["description"], rollback_state.require_live(component)
    slots = component.get("slots") or {}
    content = (target.release, target.config)
    live = component.get("live")
    serves = live["slot"] if live else None
    warm = any(
        slot.get("running") and (slot.get("release"), slot.get("config")) == content and slot_name != serves
        for slot_name, slot in slots.items()
    )
    manifests = component.get("manifests") or {}
    return {
        "do": "switch",
        "component": name,
        "detail": {
            "release": target.release,
            "config": target.config,
            "of": target.of or None,
            "today": list(target.today),
            "from": {"release": now.release, "config": now.config, "slot": serves},
            "commit": {tag: (manifests.get(tag) or {}).get("commit") for tag in dict.fromkeys((now.release, target.release))},
            "environment": rollback_state.environment_changes(component, now.config, target.config),
            "fronted": bool(described.get("edge")),
            "strategy": described.get("strategy") or "bluegreen",
            "warm": warm,
            "expected_s": _expected(component, target.release, warm),
        },
    }


def _expected(component: Component, release: str, warm: bool) -> float:
    """Seconds for a switch: what it took the last time; where the slot is warm, without starting and standing the test of time."""
    timings = (component.get("timings") or {}).get(release)
    if warm:
        return round(1.0 + float((timings or {}).get("shift_s") or 0.0), 1)
    if not timings:
        return SWITCH_S
    return round(sum(float(timings.get(key) or 0.0) for key in ("start_s", "gate_s", "shift_s", "stop_s")), 1)
