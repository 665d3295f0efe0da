# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a deployment takes C(strategy) of a component, or C(careful), which is for releases that change a lot. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ansible_collections.phasegate.aistack.plugins.module_utils.core.names import tag_of
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.chain import Record
from ansible_collections.phasegate.aistack.plugins.module_utils.release.tag_version import version_of
from ansible_collections.phasegate.aistack.plugins.module_utils.rollout.strategy import at_first

HIGH, LOW = "high", "low"
RISKS = (HIGH, LOW)
"""What an operator says with C(-e risk=): take C(careful), or C(strategy), whatever the release is."""


class Choice(NamedTuple):
    """The strategy that a component comes to a release by, and why, in a line; empty where there was nothing to choose."""

    strategy: Any
    why: str


def chosen(name: str, component: Mapping[str, Any], target: str, live: Collection[str], risk: str, contracted: Sequence[str]) -> Choice:
    """Which strategy a deployment takes.

    Args:
        name: the component; ``component`` has its ``strategy`` and ``careful``.
        target: the release that is deployed; ``live`` are those that its hosts have now.
        risk: what the operator says: C(high), C(low) or nothing.
        contracted: the components whose schema has lost something that the release before may use.

    Where nothing is live nothing is at risk, and nothing can be shared out.
    """
    usual, careful = component.get("strategy"), component.get("careful")
    if careful is None or not live:
        why = "it has no careful" if careful is None else "nothing is live yet"
        return Choice(usual if live else at_first(usual), f"{name}: -e risk=high changes nothing: {why}" if risk == HIGH else "")
    if risk:
        return Choice(careful if risk == HIGH else usual, f"{name}: {'careful' if risk == HIGH else 'strategy'}, because of -e risk={risk}")
    new, reached = tag_of(target), version_of(target)
    known = {tag: version_of(tag) for tag in sorted(live)}
    for tag, version in known.items():
        if reached is not None and version is not None and version.major != reached.major:
            return Choice(careful, f"{name}: careful, because {new} is another major version than {tag_of(tag)}")
    if contracted:
        return Choice(careful, f"{name}: careful, because the schema of {', '.join(contracted)} has lost what the release before may use")
    unread = [tag_of(tag) for tag, version in {target: reached, **known}.items() if version is None and {target} != set(live)]
    if unread:
        said = f"{', '.join(unread)} name{'s' if len(unread) == 1 else ''} no version, so nobody can tell whether the major one changes"
        return Choice(usual, f"{name}: strategy; {said} (-e risk=high takes careful)")
    return Choice(usual, f"{name}: strategy, because the major version of {new} is that of what is live, and the schema loses nothing")


def contracts(plan: Any) -> bool:
    """Whether a migration takes away what the release before may use, by its plan; a step whose SQL is not known may do so."""
    steps = plan.get("pending") if isinstance(plan, Mapping) else None
    return any(step.get("phase") == "contract" or step.get("sql") is None for step in steps or ())


def contracted(records: Iterable[Record], component: str) -> bool:
    """Whether a component's schema has lost something since it came to another release in a run that ended well, by the node's journal.

    A deployment that was killed or failed behind its migrations is gone on with later, when nothing is pending any more. What was live when
    the schema lost something may be started again meanwhile.
    """
    lost = moved = False
    live: str | None = None
    then: str | None = None
    for record in records:
        op, own, detail = record.get("op"), record.get("component") == component, record.get("detail") or {}
        if record.get("outcome") != "ok":
            continue
        if op == "migrate" and own and detail.get("state") == "downgraded":
            lost = False
        elif op == "migrate" and own and detail.get("state") == "upgraded":
            moved = False
            if detail.get("phase") == "contract":
                lost, then = True, live
        elif op in ("activate", "revert") and own:
            live = record.get("release")
            then = str((detail.get("previous") or {}).get("release")) if then is None else then
            moved = op == "activate" and live != then
        elif op == "phase" and moved:
            lost = False
    return lost


def contracting(order: Iterable[str], before: Iterable[Mapping[str, Mapping[str, Any]]], now: Iterable[Collection[str]]) -> list[str]:
    """The components whose schema has lost something: by what nodes said of them *before* the run, and by what they migrated *now*."""
    known = {name for node in before for name, said in node.items() if said.get("contracted")}
    known |= {name for node in now for name in node}
    return [name for name in order if name in known]
