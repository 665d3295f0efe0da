# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""No worse than the live release: in an emergency, what is down for everybody must not keep a slot from taking over.

With the database away, no slot passes a probe that needs it, and a gate alone would keep everything where it is. So the live release
is asked the same probes. Those that fail there in the same way do not count against the slot that is to take over; all others do.
The slot has to run, and to answer at least a probe or a connection to its port. What could not be verified is told.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.systemd import UnitError
from ansible_collections.phasegate.aistack.plugins.module_utils.gate.verdict import Settings
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback import baseline
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.baseline import Serving
from ansible_collections.phasegate.aistack.plugins.module_utils.slots import plan as sp
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.node import GateCall, Judged, Node

if TYPE_CHECKING:
    from ansible_collections.phasegate.aistack.plugins.module_utils.gate.verdict import Definition, Names

WARM_S, COLD_S = 2.0, 5.0
"""Seconds that a slot has to pass its gate before the live release is asked at all: one that ran all along, one that has to start."""
AGAIN_S = 5.0
"""Seconds for the rest of a gate, at least, when some of it was waived at its end."""
ANSWER_S = 20.0
"""Seconds to wait at the end of a gate for the live release to answer."""
BEFORE_S = 3.0
"""Seconds for it to answer where it is stopped first."""
LOG_S = 60.0
"""Seconds of the log of the live release that count."""
LIVE_IS_NO_BETTER = "the live release was asked"

Trouble = Callable[[], str]


class BaselineComparison:
    """Judges the slot that is to take over, with regard to the live release.

    Args:
        node: the slots of the component.
        make_gate: makes a gate that can be asked.
        waived: called when the slot passes only because something was waived.

    Attributes:
        unverified: what the gate could not verify, a sentence for each probe.
    """

    def __init__(
        self,
        node: Node,
        make_gate: Callable[[], GateCall],
        waived: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.unverified: list[str] = []
        self._node, self._make_gate, self._on_waived, self._clock = node, make_gate, waived, clock
        self._waived: dict[str, str] = {}
        self._serving: Serving | None = None
        self._asking: threading.Thread | None = None

    # -- the live release

    def ask_now(self, definition: Definition) -> None:
        """Ask the live release before it is stopped."""
        self._ask(definition)
        self._answer(BEFORE_S)

    def _ask(self, definition: Definition) -> None:
        """Have the live release asked in a thread of its own, once."""
        if self._asking is None:
            probes = list(definition.get("probes") or [])
            self._asking = threading.Thread(target=self._observe, args=(probes,), name="the live release", daemon=True)
            self._asking.start()

    def _observe(self, probes: Sequence[Mapping[str, Any]]) -> None:
        try:
            self._serving = self._seen(probes)
        except (UnitError, OSError, ValueError):  # it cannot be asked: then nothing is waived, and the gate stands as it is
            self._serving = Serving()

    def _seen(self, probes: Sequence[Mapping[str, Any]]) -> Serving:
        node = self._node
        slot = sp.serving(node.observe(lenient=True))
        content = node.content(slot) if slot else None
        if slot is None or content is None:
            return Serving(dead="no slot is live")
        dead = self._dead(slot)
        if dead:
            return Serving(slot, dead)
        names: Names = {**node.context(slot, content), "since": time.time() - LOG_S}
        once: Definition = {"probes": [dict(probe) for probe in probes], "deadline": 0}  # an attempt each
        judged = self._make_gate()(once, names, lambda: "")
        return Serving(slot, "", {str(row["name"]): row for row in judged.probes}, names)

    def _dead(self, slot: str) -> str:
        """Why nobody can be served from *slot*; empty where it runs and, where it has a port, somebody listens there."""
        units, port = self._node.own.units(slot), self._node.spec.ports.get(slot)
        unit = units[0]
        if all(not state.running or state.crash_looping for state in self._node.systemd.show(*units)):
            return f"{' and '.join(units)} does not run"
        return f"nobody listens on port {port} of {unit}" if port and not self._node.holder(port) else ""

    def _answer(self, seconds: float) -> Serving | None:
        """How the live release answered, if it has by now or does within *seconds*."""
        if self._asking is not None and seconds:
            self._asking.join(seconds)
        return self._serving

    # -- the slot that is to take over

    def judge(self, gate: GateCall, definition: Definition, names: Names, trouble: Trouble, warm: bool) -> Judged:
        """Ask the gate; where it does not pass, ask it again without what fails on the live release in the same way."""
        patience = WARM_S if warm else COLD_S
        given_s = definition.get("deadline")
        end = self._clock() + float(Settings.deadline if given_s is None else given_s)

        def answer() -> Serving | None:
            self._ask(definition)
            return self._answer(0.0)

        while True:
            now = self._clock()
            cut = _Cut(trouble, answer, self._clock, now + patience, end)
            given: Definition = {**definition, "probes": self._left(definition), "deadline": max(0.0, end - now)}
            judged = gate(given, names, cut)
            if judged.verdict == "pass":
                return self._passed(judged, names)
            if cut.trouble:
                return judged
            self._ask(definition)
            found = self._waive(judged, names, self._answer(0.0 if cut.done else ANSWER_S))
            if not found and not cut.done:
                return judged
            patience *= 1 if found else 2
            end = max(end, self._clock() + AGAIN_S) if found else end

    def _left(self, definition: Definition) -> list[dict[str, object]]:
        """The probes that still count; none where only warnings are left, so that the port itself is asked."""
        left = [dict(probe) for probe in definition.get("probes") or [] if probe.get("name") not in self._waived]
        critical = any(probe.get("severity", "critical") == "critical" for probe in left)
        return left if critical or not self._waived else []

    def _waive(self, judged: Judged, names: Names, serving: Serving | None) -> bool:
        """Take out what does not count; returns whether that was anything."""
        found = baseline.waived(judged.probes, names, serving) if serving is not None else {}
        found = {name: sentence for name, sentence in found.items() if name not in self._waived}
        if not found or not self._up(judged, names):
            return False
        self._waived.update(found)
        return True

    def _up(self, judged: Judged, names: Names) -> bool:
        """Whether the slot runs, and answers: a probe, or where it has a port a connection to it."""
        state = self._node.systemd.show(str(names["unit"]))[0]
        if not state.running or state.crash_looping:
            return False
        port = names.get("port")
        return any(row.get("verdict") == "pass" for row in judged.probes) or not port or bool(self._node.holder(int(port)))

    def _passed(self, judged: Judged, names: Names) -> Judged:
        if not self._waived:
            return judged
        if not self._up(judged, names):
            unit = names["unit"]
            return Judged("fail", {"probe": "unit", "expected": f"{unit} runs and answers", "got": "it does not", "attempts": 1}, "")
        self.unverified = list(self._waived.values())
        self._on_waived()
        return judged

    def public(self, gate: GateCall, definition: Definition, names: Names, trouble: Trouble) -> Judged:
        """The gate through the edge, without what was waived before."""
        left = [probe for probe in definition.get("probes") or [] if probe.get("name") not in self._waived]
        if self._waived and not left:
            self.unverified.append("through the edge nothing was asked: every probe of this gate fails on the release from before, too")
            return Judged("pass", {}, "nothing is left to be asked through the edge")
        return gate({**definition, "probes": left}, names, trouble)


class _Cut:
    """Ends a gate that does not pass in time, but only where what fails also fails on the live release, and not close to its end.

    Attributes:
        trouble: what the gate's own C(trouble) said; then nothing can be waived.
        done: whether the gate was cut short.
    """

    def __init__(
        self, trouble: Trouble, answer: Callable[[], Serving | None], clock: Callable[[], float], after: float, end: float
    ) -> None:
        self.trouble, self.done = "", False
        self._ask_trouble, self._answer, self._clock, self._after, self._end = trouble, answer, clock, after, end

    def __call__(self) -> str:
        self.trouble = self.trouble or self._ask_trouble()
        if self.trouble or not self._after <= self._clock() < self._end:
            return self.trouble
        serving = self._answer()
        self.done = serving is not None and serving.unhealthy
        return LIVE_IS_NO_BETTER if self.done else ""
