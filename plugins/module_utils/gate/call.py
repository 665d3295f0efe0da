# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One call of a gate, as the module C(gate) and the command C(aistack gate) take it: parameters in, result out."""

from __future__ import annotations

import resource
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.core.places import ROOT, STATE
from ansible_collections.phasegate.aistack.plugins.module_utils.core.probe_spec import ProbeError
from ansible_collections.phasegate.aistack.plugins.module_utils.gate.engine import GateResult, live_context, run_gate
from ansible_collections.phasegate.aistack.plugins.module_utils.gate.saved import ADOPTED, GIVEN, JUDGES, KEPT, Judging
from ansible_collections.phasegate.aistack.plugins.module_utils.gate.text import failure_text
from ansible_collections.phasegate.aistack.plugins.module_utils.gate.verdict import Names, Settings, SettingsError
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.spec import normalise

SETTINGS = ("interval", "successes", "failures", "min_healthy_time", "start_period", "deadline")
SHOWN = ("release", "slot", "port", "unit", "missing")
DEFAULTS: dict[str, Any] = {
    "contexts": {},
    "ports": {},
    "units": {},
    "judge_by": GIVEN,
    "elsewhere": {},
    "aside": {},
    "log_since": 0,
    "root": ROOT,
    "state_dir": STATE,
    "interval": 1,
    "successes": 1,
    "failures": 0,
    "min_healthy_time": 0,
    "start_period": 0,
    "deadline": 10,
    "enforce": True,
    "slice": 0,
    "resume": {},
}


NUMBERS = (*SETTINGS, "slice", "log_since")


class CannotUse(Exception):
    """The gate makes no sense; C(result) is what to return."""

    def __init__(self, result: Mapping[str, object]) -> None:
        super().__init__(result["msg"])
        self.result = result


def judge(given: Mapping[str, Any], check: bool = False) -> dict[str, Any]:
    """Ask the probes; returns what the module returns, ``failed`` included.

    Args:
        given: the module's parameters; those that are missing, or None, have their defaults.
        check: look only, once, and enforce nothing.
    """
    params = {**DEFAULTS, **{name: value for name, value in given.items() if value is not None}}
    try:
        for name in NUMBERS:
            params[name] = _number(name, params[name])
        return _judge(params, check)
    except CannotUse as problem:
        return {"changed": False, "failed": True, **problem.result}


def _number(name: str, value: Any) -> float | int:
    """A number, also where it came as text (from C(-e deadline=5)).

    Raises:
        CannotUse: it is none.
    """
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        msg = f"The gate cannot be used. Nothing was asked.\n{name}: has to be a number, is {value!r}"
        raise CannotUse({"msg": msg, "verdict": "error"}) from error
    return int(number) if number.is_integer() else number


def _judge(params: Mapping[str, Any], check: bool) -> dict[str, Any]:
    probes = _canonical(params["probes"])
    try:
        settings = Settings.of({key: params[key] for key in SETTINGS})
    except SettingsError as error:
        raise CannotUse({"msg": f"The gate cannot be used. Nothing was asked.\n{error}", "verdict": "error"}) from error
    if params["judge_by"] not in JUDGES:
        msg = f"The gate cannot be used. Nothing was asked.\njudge_by: '{params['judge_by']}' is not one of {', '.join(JUDGES)}"
        raise CannotUse({"msg": msg, "verdict": "error"})
    contexts = _contexts(params, probes)
    once = Settings.of({**vars(settings), "deadline": 0})
    elsewhere = [name for name in params["elsewhere"] if name not in contexts]
    asked = {**contexts, **{name: live_context(params["root"], name, state_dir=params["state_dir"]) for name in elsewhere}}
    live = {name: str(names["release"]) for name, names in asked.items() if names.get("release") and name not in params["contexts"]}
    judging = Judging(params["judge_by"], probes, live, params["state_dir"], params["elsewhere"], params["aside"])
    if params["judge_by"] == KEPT:
        return _kept(params, judging)
    if params["log_since"] > 0:  # only now: gates of releases are compared as they are written
        judging.count, judging.beside = (_looking_back(asked, params["log_since"]) for asked in (judging.count, judging.beside))
    result = run_gate(
        _canonical(judging.count), once if check else settings, contexts, resume=params["resume"], slice_s=params["slice"], check_mode=check
    )
    if not result.state and judging.beside:  # once, and what would change something not at all: it does not count
        beside = run_gate(judging.beside, once, contexts, check_mode=True)
        result = replace(result, probes=[*result.probes, *judging.note(beside.probes)])
    judging.warn(result.probes)
    answer = _answer(params, check, result, contexts)
    for component, release in judging.released.items():
        answer["contexts"].setdefault(component, {})["judged_by"] = f"the gate that {release} was activated with"
    if params["judge_by"] == ADOPTED and result.verdict == "pass" and not check:
        judging.adopt()
    return answer


def _looking_back(probes: list[dict[str, Any]], seconds: float) -> list[dict[str, object]]:
    return [{**probe, "since": seconds} if probe["type"] == "log" else probe for probe in probes]


def _kept(params: Mapping[str, Any], judging: Judging) -> dict[str, object]:
    """What the live releases here have others ask; a file that cannot be read says nothing, and activating says why."""
    try:
        kept = judging.kept()
    except (OSError, ValueError):
        kept = {}
    return {"changed": False, "verdict": "pass", "probes": [], "elapsed_s": 0.0, "summary": "nothing was asked", "msg": "nothing was asked",
            "contexts": {}, "enforced": False, "kept": kept}


def _canonical(given: list[Any]) -> list[dict[str, object]]:
    """The probes in canonical form.

    Raises:
        CannotUse: with every problem.
    """
    probes: list[dict[str, Any]] = []
    problems: list[str] = []
    for index, probe in enumerate(given):
        try:
            probes.append(normalise(probe, None))
        except ProbeError as error:
            problems += [f"probes[{index}] ({probe.get('name', 'no name')}): {problem}" for problem in error.problems]
    if problems:
        msg = "The gate cannot be used. Nothing was asked.\n" + "\n".join(problems)
        raise CannotUse({"msg": msg, "problems": problems, "verdict": "error"})
    return probes


def _contexts(params: Mapping[str, Any], probes: list[dict[str, Any]]) -> dict[str, Names]:
    """What the node knows about each component that has a probe; what the caller says goes first."""
    given = params["contexts"]
    contexts: dict[str, Names] = {}
    for component in {str(probe["component"]) for probe in probes if probe.get("component")}:
        port = params["ports"].get(component)
        if component in given:
            contexts[component] = {"component": component, **({"port": int(port)} if port else {}), **given[component]}
            continue
        contexts[component] = live_context(params["root"], component, int(port) if port else None, params["state_dir"])
        unit = params["units"].get(component)
        if unit:
            contexts[component].setdefault("unit", unit)
    return contexts


def _answer(
    params: Mapping[str, Any], check: bool, result: GateResult, contexts: Mapping[str, Names]
) -> dict[str, Any]:
    """What is returned, failed where the verdict asks for it."""
    enforced = bool(params["enforce"]) and not check
    shown = {
        component: {key: value for key, value in names.items() if key in SHOWN} for component, names in contexts.items() if len(names) > 1
    }
    answer: dict[str, Any] = {
        "changed": False,
        "verdict": result.verdict,
        "probes": result.probes,
        "elapsed_s": result.elapsed_s,
        "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        "summary": result.summary,
        "contexts": shown,
        "enforced": enforced,
    }
    if result.state:
        return {**answer, "msg": result.summary, "state": result.state}
    if result.verdict in ("pass", "skipped"):
        return {**answer, "msg": result.summary}
    text = failure_text(result.verdict, result.probes, result.elapsed_s)
    if enforced:
        return {**answer, "msg": text, "failed": True}
    note = "\n\nCheck mode: nothing is enforced, since nothing was done." if check else ""
    return {**answer, "msg": text + note}
