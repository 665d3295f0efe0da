# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a trigger of ``aistack_triggers`` may say: where its figures come from, what they have to be, what follows when they are not.

The table is built from the parts of which probes are built (:mod:`core.probe_spec`), so that both are written, and refused, alike.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.core.levels import LEVELS
from ansible_collections.phasegate.aistack.plugins.module_utils.core.names import did_you_mean
from ansible_collections.phasegate.aistack.plugins.module_utils.core.probe_spec import ProbeError, TypeSpec, normalise_with
from ansible_collections.phasegate.aistack.plugins.module_utils.core.schema import Option, what
from ansible_collections.phasegate.aistack.plugins.module_utils.core.substitute import names_in

MEASURES = ("ratio", "rate", "gauge", "quantile")
OVER = ("mean", "max", "min", "last")
POLICIES = ("pass", "fail", "wait")
KINDS = ("emergency", "performance", "function", "security")
"""The kinds of rollback that the rollback runbook knows."""
WORDS = ("notice", "manual")
"""What may follow besides a rollback: it is said in the report, or nothing happens until somebody decides."""
DEFAULTS: Mapping[str, Any] = {
    "window": 60.0,
    "on_inconclusive": "wait",
    "failure_limit": 0,
    "failures": "consecutive",
    "error_limit": 4,
    "over": "mean",
    "max_age": 604800.0,
    "baseline_sample": 50.0,
}
_NO_PROBE = ("severity", "log_unit", "from_all")
"""Keys that every probe may have and that would say nothing here."""

_RULE: Mapping[str, Option] = {
    "value": Option("figure", "what the figure has to be; a number means at most"),
    "times": Option("figure", "what the figure may be as a multiple of its baseline; a number means at most"),
    "window": Option("number", "seconds that are judged together", default=60),
    "min_sample": Option("number", "smallest sample worth judging: requests for ratio and quantile, looks for rate and gauge"),
    "on_inconclusive": Option("str", "what too small a sample counts as", choices=POLICIES, default="wait"),
    "failure_limit": Option("int", "measurements that may fail", default=0),
    "failures": Option("str", "which failures count", choices=("consecutive", "total"), default="consecutive"),
    "error_limit": Option("int", "consecutive measurements that may be impossible", default=4),
    "max_age": Option("number", "seconds for which a baseline counts", default=604800),
    "baseline_sample": Option("number", "smallest sample that makes a baseline", default=50),
    "kind": Option("str", "the runbook's word for it", choices=KINDS),
    "then": Option("any", "what follows: {level: app}, notice or manual"),
}
_OVER = Option("str", "which of the looks counts", choices=OVER, default="mean")
_LOGIN: Mapping[str, Option] = {
    "username": Option("str", "user of basic authentication"),
    "password_file": Option("str", "file on the node with the password for it"),
    "secret_file": Option("str", "file on the node with a bearer token"),
    "ca_file": Option("str", "CA certificates on the node, instead of the system's"),
}
SLOTS = ("blue", "green")


def _limit_problems(spec: Mapping[str, Any]) -> list[str]:
    problems = []
    if ("value" in spec) == ("times" in spec):
        problems.append("give one of 'value' (what the figure has to be) and 'times' (as a multiple of its baseline)")
    if spec.get("window") == 0:
        problems.append("window: has to be more than 0 seconds")
    if spec.get("min_sample") == 0:
        problems.append("min_sample: has to be at least 1: nothing can be judged by nothing")
    return problems


def _measure_problems(spec: Mapping[str, Any], known: Sequence[str]) -> list[str]:
    given = [key for key in MEASURES if key in spec]
    problems = [] if len(given) == 1 else [f"give one of {', '.join(known)}; {'got ' + ' and '.join(given) if given else 'none is there'}"]
    if "ratio" in spec and len(spec["ratio"]) != 2:
        problems.append("ratio: must be a list of two: what is divided, and by what")
    return problems + _limit_problems(spec)


def _metrics_problems(spec: Mapping[str, Any]) -> list[str]:
    # late, as in probe_spec: the probes stand on the files beside this one
    from ansible_collections.phasegate.aistack.plugins.module_utils.probes.metrics import is_selector

    problems = _measure_problems(spec, MEASURES)
    quantile = spec.get("quantile")
    if quantile is not None and not (
        isinstance(quantile, list) and len(quantile) == 2 and isinstance(quantile[0], (int, float)) and 0 < quantile[0] < 1
    ):
        return [*problems, "quantile: must be a list of a number between 0 and 1 and a histogram, such as [0.95, request_seconds]"]
    return problems + [f"'{name}' is no name of a metric" for name in selectors(spec) if not is_selector(name)]


def _query_problems(spec: Mapping[str, Any]) -> list[str]:
    problems = _limit_problems(spec)
    against = [key for key in ("offset", "baseline", "slot") if key in spec]
    if "times" in spec and not against:
        problems.append("times: it is not said of what; give offset (seconds before), baseline (a query) or slot (against the other one)")
    if "offset" in spec and "baseline" in spec:
        problems.append("give one of offset and baseline")
    if "times" not in spec and set(against) - {"slot"}:
        problems.append(f"{against[0]}: says what 'times' compares with; there is none")
    if "min_sample" in spec and "sample" not in spec:
        problems.append("min_sample: needs 'sample', the query that counts")
    if names_in(dict(spec)) and not spec.get("component"):
        problems.append(f"${{{min(names_in(dict(spec)))}}}: 'component' says whose it is")
    if "target" in spec and not str(spec["target"]).startswith(("http://", "https://", "${")):
        problems.append(f"'{spec['target']}' does not begin with http:// or https://")
    if bool(spec.get("username")) != bool(spec.get("password_file")):
        problems.append("username and password_file belong together")
    return problems


SOURCES: Mapping[str, TypeSpec] = {
    "metrics": TypeSpec(
        Option("str", "address of the endpoint", required=True),
        {
            **_RULE,
            "ratio": Option("list", "two counters: by how much the first grew, divided by how much the second did"),
            "rate": Option("str", "a counter: by how much it grew in a second"),
            "gauge": Option("str", "a value that goes up and down"),
            "quantile": Option("any", "a share and a histogram: [0.95, request_seconds]"),
            "over": _OVER,
            **_LOGIN,
        },
        _metrics_problems,
    ),
    "prometheus": TypeSpec(
        Option("str", "address of the server; left out in aistack_triggers it is that of the component with role prometheus"),
        {
            **{key: option for key, option in _RULE.items() if key not in ("max_age", "baseline_sample")},
            "query": Option("str", "a question in Prometheus' language; each series of its answer is judged", required=True),
            "sample": Option("str", "a query with the same labels: how much the figure is worked out of, which min_sample is about"),
            "offset": Option("number", "times compares with the same query so many seconds before"),
            "baseline": Option("str", "a query with the same labels that times compares with"),
            "slot": Option("str", "only series of this slot, such as ${slot}; times compares with the other one at the same time",
                           choices=SLOTS),
            "nodes": Option("list", "only series of these nodes, each of which has to be in the answer"),
            "figure": Option("str", "what the figure is called on pages, instead of the query"),
            **_LOGIN,
        },
        _query_problems,
    ),
    "haproxy": TypeSpec(
        Option("str", "name of the backend section", required=True),
        {
            **_RULE,
            "ratio": Option("list", "two columns of `show stat`: by how much the first grew, divided by how much the second did"),
            "rate": Option("str", "a column of `show stat`: by how much it grew in a second"),
            "gauge": Option("str", "a column of `show stat` that goes up and down"),
            "over": _OVER,
            "server": Option("str", "one server of the section, instead of all of it"),
            "socket": Option("str", "admin socket"),
        },
        lambda spec: _measure_problems(spec, ("ratio", "rate", "gauge")),
    ),
    "node": TypeSpec(
        Option("str", "cpu, memory or swap: the share in use, in percent", required=True, choices=("cpu", "memory", "swap")),
        {**_RULE, "over": _OVER},
        _limit_problems,
    ),
    "manual": TypeSpec(None, {"kind": _RULE["kind"], "then": _RULE["then"], "note": Option("str", "what people should know")}),
}
"""Where figures come from; ``manual`` measures nothing: a person decides."""


class TriggerError(ValueError):
    """Triggers that cannot be used; ``problems`` has one line for each fault."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = list(problems)


def selectors(spec: Mapping[str, Any]) -> list[str]:
    """The names that a condition asks its source for."""
    if "quantile" in spec:
        return [str(spec["quantile"][1])]
    if "ratio" in spec:
        return [str(name) for name in spec["ratio"]]
    return [str(spec[key]) for key in ("rate", "gauge") if key in spec]


def normalise(trigger: Any) -> dict[str, Any]:
    """The canonical form of a trigger, with its defaults; canonical ones come back as they are.

    Raises:
        TriggerError: with every problem.
    """
    if not isinstance(trigger, Mapping):
        raise TriggerError([f"a trigger is a mapping, this is {what(trigger, secret=True)}"])
    source = trigger.get("source")
    if source not in SOURCES:
        said = f"unknown source '{source}'{did_you_mean(str(source), SOURCES)}" if source else "'source' is missing"
        raise TriggerError([f"{said}; known: {', '.join(SOURCES)}"])
    given = {key: value for key, value in trigger.items() if key != "source"}
    problems = [f"unknown key '{key}'" for key in (*_NO_PROBE, "type") if key in given]
    try:
        probe = normalise_with(SOURCES, {**{key: value for key, value in given.items() if key not in _NO_PROBE}, "type": source}, None)
    except ProbeError as error:
        raise TriggerError(problems + error.problems) from error
    problems += _then_problems(probe)
    if problems:
        raise TriggerError(problems)
    kept = {key: value for key, value in probe.items() if key not in ("type", "severity")}
    if source == "manual":
        return {"source": source, **kept}
    defaults = {key: value for key, value in DEFAULTS.items() if key in SOURCES[str(source)].options}
    if {"ratio", "quantile", "sample"} & set(kept):
        defaults["min_sample"] = 20.0
    elif source != "prometheus":
        defaults["min_sample"] = 2.0
    return {**defaults, "source": source, **kept}


def _then_problems(probe: Mapping[str, Any]) -> list[str]:
    then = probe.get("then")
    if then is None:
        return []
    if isinstance(then, Mapping):
        unknown = [f"then: unknown key '{key}'; the one it may have is 'level'" for key in then if key != "level"]
        level = then.get("level")
        if level not in LEVELS:
            unknown.append(f"then.level: no level '{level}'{did_you_mean(str(level), LEVELS)}; known: {', '.join(LEVELS)}")
        if probe["type"] == "manual":
            unknown.append("then: a manual trigger is pulled by a person; write notice or manual")
        return unknown
    if then not in WORDS:
        return [f"then: unknown kind of rollback '{then}'{did_you_mean(str(then), WORDS)}; known: {{level: …}}, {', '.join(WORDS)}"]
    return []


def slug(name: str) -> str:
    """A trigger's name as the name of a file."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "trigger"


def check_triggers(triggers: Any, places: Iterable[str], components: Iterable[str], prometheus: bool = False) -> list[str]:
    """All that is wrong with ``aistack_triggers``, one line each.

    Args:
        triggers: the variable.
        places: groups and hosts of the inventory.
        components: names of the components.
        prometheus: whether one of them has the role prometheus.
    """
    if triggers is None:
        return []
    if isinstance(triggers, (str, Mapping)) or not isinstance(triggers, Sequence):
        return [f"aistack_triggers: must be a list of triggers, is {what(triggers)}"]
    known, parts = list(places), list(components)
    problems: list[str] = []
    names: dict[str, int] = {}
    for index, given in enumerate(triggers):
        where = f"aistack_triggers[{index}]" + (f" ({given['name']})" if isinstance(given, Mapping) and given.get("name") else "")
        try:
            trigger = normalise(given)
        except TriggerError as error:
            problems += [f"{where}: {line}" for line in error.problems]
            continue
        if "then" not in trigger:
            problems.append(f"{where}: 'then' is missing: what follows when it fails, such as {{level: app}}, notice or manual")
        if trigger["source"] == "prometheus" and "target" not in trigger and not prometheus:
            problems.append(f"{where}: nobody can be asked: no component has the role prometheus; add one, or give 'target', its address")
        if trigger.get("component") is not None and trigger["component"] not in parts:
            problems.append(f"{where}.component: unknown component '{trigger['component']}'{did_you_mean(trigger['component'], parts)}")
        for key in ("hosts", "from"):
            named = trigger.get(key)
            listed = [named] if isinstance(named, str) else list(named or [])
            problems += [
                f"{where}.{key}: no group or host '{name}'{did_you_mean(str(name), known)}" for name in listed if name not in known
            ]
        twin = names.setdefault(slug(trigger["name"]), index)
        if twin != index:
            problems.append(f"{where}: its name is that of aistack_triggers[{twin}]; names tell triggers apart")
    return problems
