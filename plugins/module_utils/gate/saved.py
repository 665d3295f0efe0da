# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The gates that releases were activated with, as a node keeps them, and which gate a release is judged by.

C(<state>/gates/<component>.json), 0600: release to its gate, which is C(probes) in canonical form and the settings; and under
:data:`ELSEWHERE`, which is the name of no release, release to the probes that another host asks (C(from)). Who reads files without that
takes it for a release that is never live. An inventory has one gate for a component, the one of its newest release; what is live may be an
older one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.core.durable import write_file
from ansible_collections.phasegate.aistack.plugins.module_utils.gate.verdict import Definition, ProbeRow

FOLDER = "gates"
ELSEWHERE = ":elsewhere"
GIVEN, ACTIVATED, ADOPTED, KEPT, TOGETHER = "given", "activated", "adopted", "kept", "together"
JUDGES = (GIVEN, ACTIVATED, ADOPTED, KEPT, TOGETHER)
"""By what a gate judges components that have a release: by what is given; by the gate of the live release; by what is given, which
becomes the gate of the live release where it passes, unless it is the gate of another one. The fourth asks nothing and says which probes
another host has to ask; the last is the controller's, and puts together what all hosts have said so."""

OF_THE_UNIT = ("celery", "process", "unit")
"""Types of probes that ask how a process was started: a component has one unit, that of now, whichever release it starts."""

Probe = dict[str, Any]


def path_of(state_dir: str | os.PathLike[str], component: str) -> Path:
    """Where the gates of a component's releases are."""
    return Path(state_dir) / FOLDER / f"{component}.json"


def _read(state_dir: str | os.PathLike[str], component: str) -> dict[str, Any]:
    try:
        loaded = json.loads(path_of(state_dir, component).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return {str(release): gate for release, gate in loaded.items() if isinstance(gate, dict)} if isinstance(loaded, dict) else {}


def load(state_dir: str | os.PathLike[str], component: str) -> dict[str, Definition]:
    """Release to the gate that it was activated with; nothing where none was.

    Raises:
        ValueError: the file is not JSON.
        OSError: it cannot be read.
    """
    return {release: gate for release, gate in _read(state_dir, component).items() if release != ELSEWHERE}


def load_elsewhere(state_dir: str | os.PathLike[str], component: str) -> dict[str, list[Probe]]:
    """Release to its probes that another host asks, where they were kept. Raises as :func:`load`."""
    kept = _read(state_dir, component).get(ELSEWHERE, {})
    return {release: list(probes) for release, probes in kept.items() if isinstance(probes, list)}


def save(
    state_dir: str | os.PathLike[str], component: str, gates: Mapping[str, Definition],
    elsewhere: Mapping[str, Sequence[Probe]] | None = None,
) -> None:
    """Write all of them; without ``elsewhere`` what is kept of that stays, for the releases of ``gates``."""
    kept = load_elsewhere(state_dir, component) if elsewhere is None else elsewhere
    left = {release: probes for release, probes in kept.items() if release in gates}
    written = {**gates, **({ELSEWHERE: left} if left else {})}
    write_file(path_of(state_dir, component), json.dumps(written, indent=1, sort_keys=True) + "\n", 0o600)


def plain(probes: Iterable[Mapping[str, Any]] | None) -> list[Probe]:
    """*probes* as they are compared: without where they run and what is not said."""
    return [{key: value for key, value in probe.items() if key != "hosts" and value is not None} for probe in probes or []]


def as_started(gate: Definition, now: Definition | None) -> Definition:
    """*gate*, an earlier one, with the probes of the unit as the gate of *now* has them under the same names."""
    today = {(probe.get("name"), probe["type"]): probe for probe in (now or {}).get("probes") or [] if probe.get("type") in OF_THE_UNIT}
    return {**gate, "probes": [today.get((probe.get("name"), probe.get("type")), probe) for probe in gate.get("probes") or []]}


def of_another(gates: Mapping[str, Definition], release: str, given: Iterable[Mapping[str, Any]]) -> str:
    """The release that *given* is the gate of, where *release* has another one; empty where it is nobody's, or its own."""
    asked = plain(given)
    if release not in gates or plain(gates[release].get("probes")) == asked:
        return ""
    return next((other for other, gate in gates.items() if other != release and plain(gate.get("probes")) == asked), "")


def asked_elsewhere(
    judge_by: str, probes: Sequence[Probe], kept: Mapping[str, Mapping[str, Any]]
) -> tuple[list[Probe], dict[str, dict[str, object]]]:
    """Which probes with C(from) count, told from what the hosts of their components keep.

    Args:
        judge_by: one of :data:`JUDGES`.
        probes: the given ones, canonical, of all hosts.
        kept: component to C(release), which is live, and C(gates), release to its probes with C(from).

    Returns:
        The probes that count, and component to C(release), C(other) (whose gate the given one is, where that is known) and C(probes), the
        given ones that do not.
    """
    count, beside = list(probes), dict[str, dict[str, Any]]()
    for component, known in kept.items() if judge_by != GIVEN else ():
        today = [probe for probe in count if probe.get("component") == component and probe.get("from")]
        release, gates = str(known["release"]), {name: plain(own) for name, own in known["gates"].items()}
        if not today or release not in gates or gates[release] == plain(today):
            continue
        other = next((name for name, own in gates.items() if name != release and own == plain(today)), "")
        if not other and (judge_by == ADOPTED or not gates[release]):
            continue
        count = [probe for probe in count if probe not in today]
        count += [{**probe, "component": component, "hosts": today[0].get("hosts")} for probe in gates[release]]
        dropped = [probe for probe in today if plain([probe])[0] not in gates[release]]
        beside[component] = {"release": release, "other": other, "probes": dropped}
    return count, beside


class Judging:
    """By which probes each component is judged that has a live release on this node.

    Args:
        judge_by: one of :data:`JUDGES`.
        probes: the given ones, canonical.
        live: component to its live release.
        state_dir: where the node keeps its state.
        elsewhere: component to its given probes that another host asks, on a host of the component.
        aside: what :func:`asked_elsewhere` says of those that this host asks.

    Attributes:
        count: the probes that count.
        beside: those of the inventory that differ from them and do not count.
        released: component to the release that is judged by the gate it was activated with, where that is not the given one.
        others: component to the release that the given gate was activated with, where that is known.
        new: component to the live release that has another gate, where the given one counts all the same.
    """

    def __init__(
        self, judge_by: str, probes: Sequence[Probe], live: Mapping[str, str], state_dir: str | os.PathLike[str],
        elsewhere: Mapping[str, Sequence[Probe]] | None = None, aside: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self.count, self.beside = list(probes), list[Probe]()
        self.released: dict[str, str] = {}
        self.others: dict[str, str] = {}
        self.new: dict[str, str] = {}
        self._judge_by = judge_by
        self._live, self._state_dir, self._given = dict(live), state_dir, dict[str, list[Probe]]()
        self._elsewhere = {component: plain(asked) for component, asked in (elsewhere or {}).items()}
        self._aside = set(aside or {})
        if judge_by == GIVEN:
            return
        for component, dropped in (aside or {}).items():
            self.beside += dropped["probes"]
            self.released[component] = str(dropped["release"])
            if dropped.get("other"):
                self.others[component] = str(dropped["other"])
        for component, release in live.items():
            own = [probe for probe in probes if probe.get("component") == component and not probe.get("from")]
            if own:
                self._given[component] = plain(own)
                self._choose(judge_by, component, release, own)

    def _choose(self, judge_by: str, component: str, release: str, own: Sequence[Probe]) -> None:
        try:
            gates = load(self._state_dir, component)
        except (OSError, ValueError):  # it cannot be asked by; activating says why
            return
        saved = plain((gates.get(release) or {}).get("probes"))
        other = of_another(gates, release, own)
        if release not in gates or saved == plain(own):
            return
        if not other and (judge_by == ADOPTED or not saved):
            self.new[component] = release
            return
        first = next(index for index, probe in enumerate(self.count) if probe in own)
        self.count = [probe for probe in self.count if probe not in own]
        self.count[first:first] = [{**probe, "component": component} for probe in saved]
        self.beside += [probe for probe in own if plain([probe])[0] not in saved]
        self.released[component] = release
        if other:
            self.others[component] = other

    def adopt(self) -> list[str]:
        """What was given has passed: it is the gate of the live releases now. Returns the components whose gate it was not yet."""
        adopted = []
        for component, given in self._given.items():
            release = self._live[component]
            gates = load(self._state_dir, component)
            if component in self.released or release not in gates or plain(gates[release].get("probes")) == given:
                continue
            save(self._state_dir, component, {**gates, release: {**gates[release], "probes": given}})
            adopted.append(component)
        for component, asked in self._elsewhere.items():
            live = self._live.get(component, "")
            gates, kept = load(self._state_dir, component), load_elsewhere(self._state_dir, component)
            others = [probes for name, probes in kept.items() if name != live]
            if live in gates and kept.get(live) != asked and (live not in kept or asked not in others):
                save(self._state_dir, component, gates, {**kept, live: asked})
        return adopted

    def kept(self) -> dict[str, dict[str, object]]:
        """Of the components of C(elsewhere) that are live here, what :func:`asked_elsewhere` takes. Raises as :func:`load`."""
        return {
            component: {"release": self._live[component], "gates": load_elsewhere(self._state_dir, component)}
            for component in self._elsewhere if component in self._live
        }

    def warn(self, rows: Sequence[ProbeRow]) -> None:
        """Say in *rows*, which are those of :attr:`count`, of what failed by which gate it was judged, where that is not the release's."""
        for row, probe in zip(rows, self.count):
            told = self._not_of_the_release(probe)
            if told and row["verdict"] in ("fail", "error", "inconclusive"):
                row["hint"] = told + (f"; {row['hint']}" if row.get("hint") else "")

    def _not_of_the_release(self, probe: Mapping[str, Any]) -> str:
        component = probe.get("component")
        today = "is always the inventory's of today, whichever release is live. After a rollback it may ask for what only the newer"
        if self._judge_by == GIVEN:
            return ""
        if not component:
            return f"an acceptance probe belongs to its phase and {today} releases have: deploy them again, or fix aistack_acceptance"
        release = self.new.get(str(component))
        new = f"this gate is new to {release}, which was activated with another one. If it is meant for another release, deploy that"
        return f"{new}; else fix aistack_components.{component}.gate" if release else ""

    def note(self, rows: Sequence[ProbeRow]) -> list[ProbeRow]:
        """*rows* of the inventory's probes as rows that do not count, each with what to do about it."""
        noted: list[ProbeRow] = []
        for row in rows:
            component = str(row["component"])
            release, other = self.released[component], self.others.get(component)
            meant = f"the gate of {other}" if other else "meant for another release"
            hint = (
                f"{release} is live and judged by the gate that it was activated with. The inventory's gate of today is {meant}: "
                f"deploy that release, or fix aistack_components.{component}.gate and run site.yml; where {release} is to stay, nothing"
            )
            kept: ProbeRow = {**row}
            kept.pop("log_tail", None)
            kept.pop("log_unit", None)
            noted.append({**kept, "severity": "warning", "judged_by": "inventory", "hint": hint, "live": release})
        return noted
