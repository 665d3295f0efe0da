# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where the figures of triggers come from: a metrics endpoint, Prometheus, HAProxy's counters, the node itself. One look, no judgement."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.context import CannotJudge, Context, NotAsExpected, os_error_text
from ansible_collections.phasegate.aistack.plugins.module_utils.clients.haproxy import SOCKET, EdgeError, parse_info, stat_rows
from ansible_collections.phasegate.aistack.plugins.module_utils.core.expect import MISSING
from ansible_collections.phasegate.aistack.plugins.module_utils.core.names import did_you_mean
from ansible_collections.phasegate.aistack.plugins.module_utils.core.substitute import MissingName, fill
from ansible_collections.phasegate.aistack.plugins.module_utils.edge.haproxy import Edge
from ansible_collections.phasegate.aistack.plugins.module_utils.gate.engine import live_context
from ansible_collections.phasegate.aistack.plugins.module_utils.gate.series import joined, questions, quotable
from ansible_collections.phasegate.aistack.plugins.module_utils.gate.trigger import selectors
from ansible_collections.phasegate.aistack.plugins.module_utils.gate.window import Reading
from ansible_collections.phasegate.aistack.plugins.module_utils.probes import metrics, prometheus, usage

if TYPE_CHECKING:
    from ansible_collections.phasegate.aistack.plugins.module_utils.gate.verdict import Names

STARTED = "process_start_time_seconds"
"""What the client libraries of Prometheus call the time at which the process that answers was started."""
_DECLARED = re.compile(r"^#\s+TYPE\s+(\S+)\s", re.MULTILINE)
_SUFFIX = re.compile(r"_(total|sum|count|bucket)\Z")
_AT_ONCE = 64
"""Questions that are under way at the same time."""
_LOGIN = ("target", "username", "password_file", "secret_file", "ca_file")
"""What makes two questions questions to the same server."""
_SILENT = (NotAsExpected, CannotJudge, EdgeError, OSError)
"""What a source that does not answer raises."""


class SourceError(Exception):
    """A look that gave nothing to judge by; says what was asked, where, and what came."""


@dataclass
class Snapshot:
    """Observations of one moment: conditions with the same source share what it answered, or that it did not.

    Attributes:
        root: folder that holds the components, for ``${port}``.
        ticks: processor ticks at the observation before, worked and all; None before the first.
    """

    root: str
    timeout: float
    context: Context
    ticks: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        self._seen: dict[str, Any] = {}

    def gather(self, conditions: Iterable[Mapping[str, Any]]) -> None:
        """Ask all that is asked over HTTP side by side, each question once; :meth:`reading` finds what came, or what went wrong."""
        wanted: dict[str, Callable[[], Any]] = {}
        for condition in conditions:
            with suppress(MissingName, *_SILENT):  # reading() says so
                wanted.update(self._questions(self._filled(condition)))

        def ask(key: str) -> None:
            with suppress(*_SILENT):
                self._once(key, wanted[key])

        if wanted:
            with ThreadPoolExecutor(min(len(wanted), _AT_ONCE)) as pool:
                list(pool.map(ask, wanted))

    def reading(self, condition: Mapping[str, Any], now: float) -> Reading:
        """Look for one condition.

        Raises:
            SourceError: its source does not answer, or not in a form that can be read.
        """
        try:
            sources = {"metrics": self._metrics, "prometheus": self._prometheus, "haproxy": self._haproxy, "node": self._node}
            return sources[condition["source"]](self._filled(condition), now)
        except NotAsExpected as no:
            raise SourceError(no.got) from no
        except (CannotJudge, EdgeError, MissingName) as problem:
            raise SourceError(str(problem.args[0] if problem.args else problem)) from problem
        except OSError as problem:
            raise SourceError(os_error_text(problem, self.timeout)) from problem

    def release(self, condition: Mapping[str, Any]) -> str:
        """The release that is live, where the condition names a component."""
        return str(self._names(condition).get("release", "")) if condition.get("component") else ""

    def _filled(self, condition: Mapping[str, Any]) -> dict[str, Any]:
        """A condition with what ``${name}`` stands for; in a query it stands between quotation marks."""
        names: Mapping[str, Any] = self._names(condition)
        if condition["source"] == "prometheus":
            names = {name: quotable(value) if isinstance(value, str) else value for name, value in names.items()}
        return {**condition, **fill({key: value for key, value in condition.items() if isinstance(value, str)}, names)}

    def _questions(self, condition: Mapping[str, Any]) -> dict[str, Callable[[], Any]]:
        """What a condition asks over HTTP: what tells a question from others, and how it is asked."""
        server = "|".join([condition["source"], *(str(condition.get(name)) for name in _LOGIN)])
        if condition["source"] == "metrics":
            return {server: lambda: metrics.scrape(condition, self.context.within(self.timeout))}
        if condition["source"] == "prometheus":
            return {f"{server}|{text}": partial(self._ask, condition, text) for text in questions(condition).values()}
        return {}

    def _ask(self, condition: Mapping[str, Any], text: str) -> Any:
        return prometheus.series(condition, self.context.within(self.timeout), text)

    def _names(self, condition: Mapping[str, Any]) -> Names:
        return live_context(self.root, str(condition["component"])) if condition.get("component") else {}

    def _once(self, key: str, ask: Callable[[], Any]) -> Any:
        """Ask a source once a moment; what it raised is raised again."""
        if key not in self._seen:
            try:
                self._seen[key] = ask()
            except _SILENT as problem:
                self._seen[key] = problem
        if isinstance(self._seen[key], Exception):
            raise self._seen[key]
        return self._seen[key]

    def _metrics(self, condition: Mapping[str, Any], now: float) -> Reading:
        samples, text = next(self._once(key, ask) for key, ask in self._questions(condition).items())
        started = metrics.value_of(samples, STARTED)
        known = {sample.name for sample in samples} | {_SUFFIX.sub("", name) for name in _DECLARED.findall(text)}
        values: dict[str, float] = {}
        for name in selectors(condition):
            if "quantile" in condition:
                found = {f"{name}|{bound}": value for bound, value in metrics.buckets(samples, name).items()}
            else:
                value = metrics.value_of(samples, name)
                found = {} if value is MISSING else {name: value}
            values.update({one: float(value) for one, value in found.items() if not math.isnan(value)})
        unknown = tuple(name for name in selectors(condition) if not {metrics.family(name), _SUFFIX.sub("", metrics.family(name))} & known)
        if started is MISSING:
            return Reading(now, values=values, unknown=unknown)
        return Reading(now, f"{started:.2f}", now - (time.time() - float(started)), values, unknown)

    def _prometheus(self, condition: Mapping[str, Any], now: float) -> Reading:
        asked = self._questions(condition)
        by_text = dict(zip(dict.fromkeys(questions(condition).values()), (self._once(key, ask) for key, ask in asked.items())))
        answers = {name: by_text[text] for name, text in questions(condition).items()}
        return Reading(now, series=joined(condition, answers))

    def _haproxy(self, condition: Mapping[str, Any], now: float) -> Reading:
        path = str(condition.get("socket") or SOCKET)
        section, server = str(condition["target"]), str(condition.get("server") or "BACKEND")
        edge = Edge(path, section, "", self.timeout)
        rows = self._once(f"stat|{path}", lambda: stat_rows(edge.command("show stat")))
        process, seconds = self._once(f"info|{path}", lambda: parse_info(edge.command("show info")))
        if (section, server) not in rows:
            known = sorted("/".join(key) for key in rows)
            raise EdgeError(f"`show stat` at {path} has no {section}/{server}{did_you_mean(f'{section}/{server}', known)}")
        row = rows[section, server]
        absent = [name for name in selectors(condition) if name not in row]
        if absent:
            raise EdgeError(f"`show stat` at {path} has no column {absent[0]}{did_you_mean(absent[0], row)}")
        try:
            values = {name: float(row[name]) for name in selectors(condition) if row[name]}
        except ValueError as error:
            raise EdgeError(f"`show stat` at {path}, {section}/{server}: {error}") from error
        return Reading(now, process, now - seconds, values)

    def _node(self, condition: Mapping[str, Any], now: float) -> Reading:
        kind = str(condition["target"])
        try:
            if kind == "cpu":
                percent = self._once("cpu", self._cpu)
                return Reading(now, values={} if percent is None else {kind: percent})
            return Reading(now, values={kind: usage.memory_percent((usage.PROC / "meminfo").read_text(encoding="ascii"), kind)})
        except (KeyError, IndexError, ValueError) as error:
            raise CannotJudge(f"this node does not tell how much of its {kind} is in use: {error!r}") from error

    def _cpu(self) -> float | None:
        """Percent of the processors in use since the observation before; None at the first."""
        before, self.ticks = self.ticks, usage.cpu_times((usage.PROC / "stat").read_text(encoding="ascii"))
        if before is None or self.ticks[1] <= before[1]:
            return None
        return 100 * (self.ticks[0] - before[0]) / (self.ticks[1] - before[1])
