# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Triggers as alert rules: what ``aistack_triggers`` says, asked of Prometheus, so that rules and triggers are one text.

A trigger fires where its figure is not what it has to be and the sample is large enough, per slot: as in a watch a slot without requests
is judged neither way. What follows, ``then``, is the verb. A pulled one (``manual``) has no rule, nor has a column of HAProxy that
its own exporter does not have.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.core.substitute import names_in
from ansible_collections.phasegate.aistack.plugins.module_utils.gate.series import questions, quotable
from ansible_collections.phasegate.aistack.plugins.module_utils.gate.trigger import normalise
from ansible_collections.phasegate.aistack.plugins.module_utils.gate.watch_text import AUTOMATIC, command_for
from ansible_collections.phasegate.aistack.plugins.module_utils.monitoring.rules import (
    EVERY,
    Rule,
    Series,
    flat,
    growing,
    selector,
    told,
)
from ansible_collections.phasegate.aistack.plugins.module_utils.monitoring.targets import Stack, of_role

HOLD = 30
"""Seconds for which a trigger's figure, which is one over a whole window already, has to stay; not longer than that window."""
_NOT = {"le": ">", "lt": ">=", "ge": "<", "gt": "<=", "ne": "=="}
"""What a figure has to be, as what it is where it is not."""
_COLUMNS: Mapping[str, tuple[str, str]] = {
    "req_tot": ("haproxy_backend_http_requests_total", ""),
    "stot": ("haproxy_backend_sessions_total", ""),
    "econ": ("haproxy_backend_connection_errors_total", ""),
    "eresp": ("haproxy_backend_response_errors_total", ""),
    "wretr": ("haproxy_backend_retry_warnings_total", ""),
    "wredis": ("haproxy_backend_redispatch_warnings_total", ""),
    "scur": ("haproxy_backend_current_sessions", ""),
    "qcur": ("haproxy_backend_current_queue", ""),
    **{f"hrsp_{code}xx": ("haproxy_backend_http_responses_total", f"{code}xx") for code in range(1, 6)},
}
"""Columns of C(show stat): the metric of HAProxy's exporter, and its label C(code)."""
_NODE = {
    "memory": "100 * (1 - node_memory_MemAvailable_bytes{of} / node_memory_MemTotal_bytes{of})",
    "swap": "100 * (1 - node_memory_SwapFree_bytes{of} / (node_memory_SwapTotal_bytes{of} > 0))",
}
_META, _ESCAPED = re.compile(r"([.+*?()|\[\]{}^$\\])"), r"\\\1"
"""What a regular expression takes for more than itself, and how it is meant as it is."""
_MATCHER = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"')


class NoRule(Exception):
    """Why a trigger has no rule."""


def figure_of(trigger: Mapping[str, Any], stack: Stack) -> Figure:
    """The figure of a trigger as Prometheus is asked for it, by its rule and by gates alike.

    Raises:
        NoRule: there is no such figure.
    """
    if trigger["source"] == "manual":
        raise NoRule("a person pulls it")
    sources = {"metrics": _of_metrics, "haproxy": _of_haproxy, "node": _of_node, "prometheus": _of_query}
    return sources[trigger["source"]](trigger, stack)


def trigger_rules(triggers: Sequence[Any], stack: Stack) -> tuple[list[Rule], dict[str, str]]:
    """The rules of the triggers, and for each trigger without one why.

    Raises:
        TriggerError: a trigger is wrong in itself.
    """
    rules: list[Rule] = []
    without: dict[str, str] = {}
    for given in triggers:
        trigger = normalise(given)
        try:
            rules.append(_rule(trigger, stack))
        except NoRule as why:
            without[str(trigger.get("name"))] = str(why)
    return rules, without


def _rule(trigger: Mapping[str, Any], stack: Stack) -> Rule:
    figure = figure_of(trigger, stack)
    sign, limit = _limit(trigger)
    expr, fires, quiet, after = figure.judged(sign, limit, "times" in trigger)
    follows = trigger["then"]
    labels = {"severity": "critical" if trigger.get("kind") == "emergency" else "info" if follows == "notice" else "warning"}
    labels.update({"kind": trigger["kind"]} if trigger.get("kind") else {})
    automatic = isinstance(follows, Mapping) and follows.get("level") == AUTOMATIC
    labels.update(told(stack.name, "emergency_rollback" if automatic else "ticket"))
    name = str(trigger["name"])
    node = "{{ $labels.node }}"
    notes = {"compared": "with the same figure a day before"} if "times" in trigger and not figure.base else {}
    verb = command_for(follows, f"{name} on @node@").replace("@node@", node)  # which takes $ away
    return Rule(name, expr, min(HOLD, figure.window), labels, f"{name} on {node}", verb, fires, quiet, after, notes)


def _limit(trigger: Mapping[str, Any]) -> tuple[str, float]:
    """The sign and the number that mean: not as it has to be."""
    wanted = trigger.get("value", trigger.get("times"))
    if isinstance(wanted, Mapping):
        if len(wanted) != 1 or next(iter(wanted)) not in _NOT:
            raise NoRule(f"a rule has one limit of {', '.join(_NOT)}; this has {', '.join(map(str, wanted))}")
        return _NOT[next(iter(wanted))], float(next(iter(wanted.values())))
    return ">", float(wanted)


class Figure:
    """A figure as Prometheus is asked for it, and how to make it up in a test.

    Attributes:
        expr: the figure, per node and slot; ``sample`` the size of what it is worked out of, empty where that says nothing.
        series: value of the figure to series that give it; None where nobody can make them up.
        base: what it is compared with, where that is not itself a day before.
    """

    def __init__(self, expr: str, window: int, sample: str = "", least: float = 0, series: Any = None, base: str = "") -> None:
        self.expr, self.window, self.sample, self.least, self.series, self.base = expr, window, sample, least, series, base

    def judged(self, sign: str, limit: float, times: bool) -> tuple[str, tuple[Series, ...], tuple[Series, ...], int]:
        """The expression of the rule, the series of both cases, and when these are looked at."""
        enough = f" and {self.sample} >= {self.least:g}" if self.sample else ""
        wrong, right = _beyond(sign, limit)
        if not times:
            after = self.window + HOLD + 3 * EVERY
            made = [self.series(value, after) if self.series else None for value in (wrong, right)]
            return f"({self.expr}) {sign} {limit:g}{enough}", *_both(made), after
        expr = f"({self.expr}) {sign} {limit:g} * ({self.before()}){enough}"
        return expr, (), (), 0  # promtool would evaluate all rules for a day, which takes it half a minute

    def before(self) -> str:
        """What the figure is compared with: where nothing else is said, itself a day before."""
        return self.base or re.sub(r"(\[\d+[sm](?::\d+s)?\])", r"\1 offset 1d", self.expr)


def _both(made: Sequence[tuple[Series, ...] | None]) -> tuple[tuple[Series, ...], tuple[Series, ...]]:
    fires, quiet = made
    return (fires, quiet) if fires and quiet else ((), ())


def _beyond(sign: str, limit: float) -> tuple[float, float]:
    """A figure that is wrong, and one that is right."""
    far, near = (limit * 2 or 1.0), limit / 2
    return (far, near) if sign in (">", ">=") else (near, far) if sign in ("<", "<=") else (limit, limit + 1)


def _with(given: str, more: Mapping[str, str], nodes: Sequence[str]) -> str:
    """A selector with labels of the target besides its own."""
    name, brace, rest = given.partition("{")
    own = rest.rpartition("}")[0].strip().rstrip(",") if brace else ""
    inner = [own] if own else []
    inner += [f'{label}="{quotable(value)}"' for label, value in more.items()]
    inner += [f'node=~"{quotable("|".join(_META.sub(_ESCAPED, node) for node in nodes))}"'] if nodes else []
    return f"{name.strip()}{{{','.join(inner)}}}"


def nodes_of(trigger: Mapping[str, Any], stack: Stack) -> list[str]:
    """The nodes that a trigger names, itself or by groups."""
    given = trigger.get("hosts") or []
    named = [given] if isinstance(given, str) else list(given)
    return list(dict.fromkeys(host for name in named for host in stack.groups.get(str(name), [str(name)])))


def _series_of(given: str, more: Mapping[str, str]) -> str | None:
    """A series that a selector names, with labels of a target; None where its expressions are too much for this."""
    name, _brace, rest = given.partition("{")
    labels = dict(more)
    for label, sign, value in _MATCHER.findall(rest):
        made = _word(value) if sign == "=~" else re.sub(r"\\(.)", r"\1", value) if sign == "=" else None
        if made is None:
            return None
        labels[label] = made
    return selector(name.strip(), labels)


def _word(pattern: str) -> str | None:
    """A text that a regular expression matches whole; None where none was found."""
    made = re.sub(r"\(\??:?([^()|]*)(\|[^()]*)?\)", r"\1", pattern)
    made = made.split("|")[0]
    made = re.sub(r"\.[*+]\??", "x", made)
    made = re.sub(r"\\d[*+]?", "1", made)
    made = re.sub(r"\[([^\]^])[^\]]*\][*+]?", r"\1", made)
    made = re.sub(r"(?<!\\)\.", "0", made).replace("\\", "")
    try:
        return made if re.fullmatch(pattern, made) else None
    except re.error:
        return None


def _by(labels: str = "") -> str:
    return f"sum by (stack, component, node, slot{labels})"


def _of_metrics(trigger: Mapping[str, Any], stack: Stack) -> Figure:
    component = trigger.get("component")
    described = stack.components.get(str(component)) or {}
    if not component or described.get("metrics") is None:
        whose = f"'{component}' says no 'metrics'" if component else "it names no component"
        raise NoRule(f"{whose}, so that Prometheus does not read its figures")
    more = {"stack": stack.name, "component": str(component)}
    node = next(iter(nodes_of(trigger, stack) or stack.hosts(described)), "node")
    return _counted(trigger, [more] * 2, nodes_of(trigger, stack), {**more, "node": node, "slot": "blue"}, str)


def _of_haproxy(trigger: Mapping[str, Any], stack: Stack) -> Figure:
    edges = [name for name in of_role(stack.components, "edge") if stack.components[name].get("metrics") is not None]
    if not edges:
        raise NoRule("the component with role edge says no 'metrics', so that Prometheus does not read HAProxy's figures")
    server = str(trigger.get("server") or "")
    given: dict[str, dict[str, str]] = {}
    for key in ("ratio", "rate", "gauge"):
        for column in [trigger[key]] if isinstance(trigger.get(key), str) else trigger.get(key) or []:
            if column not in _COLUMNS or (server and column.startswith("req")):
                raise NoRule(f"HAProxy's exporter has no figure for the column {column}")
            given[column] = {"stack": stack.name, "proxy": str(trigger["target"])}
            given[column].update({"code": _COLUMNS[column][1]} if _COLUMNS[column][1] else {})
            given[column].update({"server": server} if server else {})

    def name_of(column: str) -> str:
        name = _COLUMNS[column][0]
        return name.replace("haproxy_backend_", "haproxy_server_") if server else name

    node = next(iter(nodes_of(trigger, stack) or stack.hosts(stack.components[edges[0]])), "node")
    return _counted(trigger, list(given.values()), nodes_of(trigger, stack), {"component": edges[0], "node": node}, name_of)


def _counted(trigger: Mapping[str, Any], more: Sequence[Mapping[str, str]], nodes: Sequence[str], target: Mapping[str, str],
             name_of: Any) -> Figure:
    """A figure of counters, of a value or of a histogram."""
    window = int(float(trigger["window"]))
    over = f"[{window}s]"
    least = float(trigger["min_sample"])
    if "ratio" in trigger:
        first, second = (_with(name_of(name), labels, nodes) for name, labels in zip(trigger["ratio"], more))
        sample = f"{_by()} (increase({second}{over}))"
        names = [_series_of(name_of(name), {**target, **labels}) for name, labels in zip(trigger["ratio"], more)]

        def made(value: float, seconds: int) -> tuple[Series, ...] | None:
            if not all(names) or names[0] == names[1]:
                return None
            # the first may be a part of the second: what counts both is there once more, so that the second is as large as it should be
            step = max(100.0, least * 10)
            if value > 1 and _within(trigger["ratio"]):
                return None
            rest = _beside(trigger["ratio"], str(names[1]), str(names[0]))
            parts = [Series(str(names[0]), growing(f"{step * value:g}", seconds))]
            parts.append(Series(rest, growing(f"{step * (1 - value if _within(trigger['ratio']) else 1):g}", seconds)))
            return tuple(parts)

        return Figure(f"{_by()} (increase({first}{over})) / {sample}", window, sample, least, made)
    if "quantile" in trigger:
        share, name = trigger["quantile"]
        buckets = _with(_suffixed(name, "_bucket"), more[0], nodes)
        sample = f"{_by()} (increase({_with(_suffixed(name, '_count'), more[0], nodes)}{over}))"
        counted, total = (_series_of(_suffixed(name, suffix), {**target, **more[0]}) for suffix in ("_bucket", "_count"))

        def spread(value: float, seconds: int) -> tuple[Series, ...] | None:
            """All of it between a bit less than the value and the value."""
            if not counted or not total:
                return None
            step = max(100.0, least * 10)
            bounds = ((f"{value * 0.99:g}", 0.0), (f"{value:g}", step), ("+Inf", step))
            parts = [Series(f'{counted[:-1]},le="{bound}"}}', growing(f"{grows:g}", seconds)) for bound, grows in bounds]
            return (*parts, Series(total, growing(f"{step:g}", seconds)))

        return Figure(f"histogram_quantile({share:g}, {_by(', le')} (rate({buckets}{over})))", window, sample, least, spread)
    key = "rate" if "rate" in trigger else "gauge"
    chosen = _with(name_of(trigger[key]), more[0], nodes)
    one = _series_of(name_of(trigger[key]), {**target, **more[0]})

    def single(value: float, seconds: int) -> tuple[Series, ...] | None:
        return (Series(one, growing(f"{value * EVERY:g}", seconds) if key == "rate" else flat(f"{value:g}", seconds)),) if one else None

    function = "rate" if key == "rate" else {"mean": "avg", "last": "last"}.get(trigger["over"], trigger["over"]) + "_over_time"
    return Figure(f"{_by()} ({function}({chosen}{over}))", window, series=single)


def _of_query(trigger: Mapping[str, Any], _stack: Stack) -> Figure:
    """What the trigger itself asks."""
    asked = questions(trigger)
    if trigger.get("slot") or names_in(asked):
        raise NoRule("it judges one slot against the other, or what a node alone knows; gates ask for it")
    if trigger.get("nodes"):
        raise NoRule("a rule is about all series of its query; have the query itself name the nodes")
    sample = f"({asked['sample']})" if "sample" in asked else ""
    least = float(trigger.get("min_sample", 0))
    return Figure(asked["query"], int(float(trigger["window"])), sample, least, base=asked.get("baseline", ""))


def _suffixed(given: str, suffix: str) -> str:
    name, brace, rest = given.partition("{")
    return f"{name.strip()}{suffix}{brace}{rest}"


def _within(ratio: Sequence[str]) -> bool:
    """Whether the first of two is a part of the second: errors of all requests."""
    return ratio[0].partition("{")[0].strip() == ratio[1].partition("{")[0].strip()


def _beside(ratio: Sequence[str], second: str, first: str) -> str:
    """The series for what the second counts and the first does not."""
    if not _within(ratio):
        return second
    own = {label: value for label, _sign, value in _MATCHER.findall(ratio[0].partition("{")[2])}
    wide = {label for label, _sign, _value in _MATCHER.findall(ratio[1].partition("{")[2])}
    narrow = {label: "other" for label in own if label not in wide}
    return second[:-1] + "".join(f',{label}="{value}"' for label, value in narrow.items()) + "}"


def _of_node(trigger: Mapping[str, Any], stack: Stack) -> Figure:
    hosts = of_role(stack.components, "exporters")
    if not hosts:
        raise NoRule("no component has the role exporters, so that Prometheus does not know how the node is")
    nodes = nodes_of(trigger, stack)
    window = int(float(trigger["window"]))
    node = next(iter(nodes or stack.hosts(stack.components[hosts[0]])), "node")
    target = {"stack": stack.name, "component": hosts[0], "node": node}
    kind, over = str(trigger["target"]), {"mean": "avg", "last": "last"}.get(trigger["over"], trigger["over"])
    if kind == "cpu":
        idle = _with("node_cpu_seconds_total", {"mode": "idle", "stack": stack.name}, nodes)
        mean = f"100 * (1 - avg by (stack, component, node) (rate({idle}[{window}s])))"
        short = mean.replace(f"[{window}s]", "[1m]")
        expr = mean if over == "avg" else f"{over}_over_time(({short})[{window}s:15s])"

        def made(value: float, seconds: int) -> tuple[Series, ...]:
            step = EVERY * max(0.0, 1 - min(value, 100) / 100)
            return (Series(selector("node_cpu_seconds_total", {**target, "cpu": "0", "mode": "idle"}), growing(f"{step:g}", seconds)),)

        return Figure(expr, window, series=made)
    of = _with("", {"stack": stack.name}, nodes)
    share = _NODE[kind].replace("{of}", of)
    free, whole = ("MemAvailable", "MemTotal") if kind == "memory" else ("SwapFree", "SwapTotal")

    def shares(value: float, seconds: int) -> tuple[Series, ...]:
        left = max(0.0, 100 - value)
        return (Series(selector(f"node_memory_{free}_bytes", target), flat(f"{left:g}", seconds)),
                Series(selector(f"node_memory_{whole}_bytes", target), flat(100, seconds)))

    return Figure(f"{over}_over_time(({share})[{window}s:15s])", window, series=shares)
