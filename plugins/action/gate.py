# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Controller side of C(phasegate.aistack.gate): which host asks what, how it goes, and a failure that can be read."""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.phasegate.aistack.plugins.module_utils.core.names import did_you_mean, printable
from ansible_collections.phasegate.aistack.plugins.module_utils.core.probe_spec import ProbeError
from ansible_collections.phasegate.aistack.plugins.module_utils.gate.saved import ACTIVATED, ADOPTED, GIVEN, KEPT, TOGETHER, asked_elsewhere
from ansible_collections.phasegate.aistack.plugins.module_utils.gate.text import failure_text, inventory_says
from ansible_collections.phasegate.aistack.plugins.module_utils.gate.verdict import SKIPPED, joint
from ansible_collections.phasegate.aistack.plugins.module_utils.node import zipapp
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.spec import normalise
from ansible_collections.phasegate.aistack.plugins.plugin_utils import pages

SLICES = (3.0, 5.0)
"""Seconds of the first slice, and of each later one."""

COMMAND = "/usr/local/bin/aistack"
"""What M(phasegate.aistack.node_command) installs."""

NOT_YET = "nothing of it is there yet"
"""Why check mode does not ask a probe on a node that was never converged."""

FACT = "aistack_kept_gates"
"""What a host says with C(judge_by: kept), for those that ask a probe of its components."""

FACT_OF_ALL = "aistack_kept_gates_of_all"
"""The same of all hosts, where a task has put it together with C(judge_by: together)."""

display = Display()


class Places:
    """Which hosts a probe runs on, out of the inventory's groups and the hosts of the play."""

    def __init__(self, groups: Mapping[str, Sequence[str]], in_play: Sequence[str]) -> None:
        self.groups = groups
        self.in_play = list(in_play)

    def members(self, name: str) -> list[str]:
        """Hosts of a group, or the host of that name.

        Raises:
            LookupError: there is neither; the text names the nearest one.
        """
        if name in self.groups:
            return list(self.groups[name])
        known = list(self.groups.get("all", []))
        if name in known:
            return [name]
        raise LookupError(f"no group or host '{name}' in the inventory{did_you_mean(name, [*self.groups, *known])}")

    def of(self, probe: Mapping[str, Any]) -> list[str] | None:
        """Hosts that run a probe; None for every host of the play. Hosts that are not in the play are left out."""
        if probe.get("from"):
            hosts = [host for host in self.members(str(probe["from"])) if host in self.in_play]
            return hosts if probe.get("from_all") else hosts[:1]
        if probe.get("hosts") is None:
            return None
        return [host for host in self.everywhere(probe) if host in self.in_play]

    def everywhere(self, probe: Mapping[str, Any]) -> list[str]:
        """Hosts of the component that a probe belongs to, or that it names."""
        given = probe.get("hosts") or []
        names = [given] if isinstance(given, str) else list(given)
        return [host for name in names for host in self.members(str(name))]

    def without(self, probe: Mapping[str, Any]) -> list[str]:
        """Hosts that should run a probe and are not in the play. Where any host of a group may ask, only when none of them is there."""
        if not probe.get("from"):
            return [host for host in self.everywhere(probe) if host not in self.in_play]
        hosts = self.members(str(probe["from"]))
        absent = [host for host in hosts if host not in self.in_play]
        return absent if probe.get("from_all") or len(absent) == len(hosts) else []


@functools.cache
def source_digest() -> str:
    """Of what the node's command has to be made of, to be the same code."""
    return zipapp.digest(zipapp.sources(Path(zipapp.__file__).parents[1]))


source_digest()  # Ansible loads actions before it forks the workers that run them: so all of them have it, and none reads the sources


def label(probe: Mapping[str, Any]) -> str:
    """A probe's name in lines for people."""
    return f"{probe['component']}/{probe['name']}" if probe.get("component") else str(probe["name"])


def answer_of(later: Sequence[Mapping[str, Any]]) -> dict[str, object]:
    """The answer of a gate that has nothing to ask yet: *later* are the rows of its probes."""
    count = len(later)
    said = f"{count} probe{'s' if count > 1 else ''} not asked: {NOT_YET}"
    return {"changed": False, "verdict": SKIPPED, "probes": list(later), "elapsed_s": 0.0, "contexts": {}, "summary": said, "msg": said}


def progress(host: str, row: Mapping[str, Any], left: float) -> str:
    """One line for a probe that is still waited for."""
    said = f": {row['got']}" if row.get("got") else ""
    return f"  … {host} {label(row)}: waiting, attempt {row['attempts']}, {left:.0f} s left{said}"


def kept_by(hosts: Sequence[str], variables: Mapping[str, Any]) -> dict[str, Any]:
    """What the hosts have said with C(judge_by: kept): of a component that several hold, what the first of them said."""
    hostvars, kept = variables.get("hostvars") or {}, dict[str, Any]()
    for host in hosts:
        of_host = hostvars.raw_get(host) if hasattr(hostvars, "raw_get") else hostvars.get(host) or {}
        kept = {**((of_host.get("ansible_facts") or {}).get(FACT) or {}), **kept}
    return kept


class ActionModule(ActionBase):
    """Pick, run in slices, report."""

    _supports_check_mode = True
    _supports_diff = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the probes that belong to this host; without any, answer at once and contact nobody."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        args = dict(self._task.args)
        args = {**(args.pop("settings", None) or {}), **args}
        host = str(variables.get("inventory_hostname", ""))
        given = args.get("probes")
        if isinstance(given, (Mapping, str)) or not isinstance(given, Sequence):
            return {**result, "failed": True, "msg": "gate: 'probes' must be a list of probes"}
        places = Places(variables.get("groups", {}), variables.get("ansible_play_hosts_all") or [host])
        try:
            deadline = float(args.get("deadline", 10))
            enforce = boolean(args.get("enforce", True))
        except (TypeError, ValueError) as error:
            return {**result, "failed": True, "msg": f"gate: deadline has to be a number of seconds, enforce true or false: {error}"}
        judge_by = str(args.get("judge_by", GIVEN))
        if judge_by == TOGETHER:
            kept = kept_by(places.in_play, variables)
            return {**result, "changed": False, "kept": kept, "ansible_facts": {FACT_OF_ALL: kept}}
        aside: dict[str, Any] = {}
        if judge_by in (ACTIVATED, ADOPTED):
            given, aside = self._by_release(judge_by, given, places, variables)
        mine, left_out, problems = self._pick(given, host, places)
        if problems:
            listed = "\n".join(f"  - {problem}" for problem in problems)
            msg = f"The gate cannot be used ({len(problems)} problems). Nothing was asked.\n{listed}"
            return pages.refusal(msg, verdict="error")
        if left_out and host == [*(variables.get("ansible_play_hosts") or []), host][0]:  # once, by the first who is still there
            result["left_out"] = left_out
            display.warning(f"not asked, because their hosts are not in this run: {', '.join(left_out)}")
        elsewhere = self._elsewhere(given, host, places) if judge_by in (ADOPTED, KEPT) else {}
        if judge_by == KEPT:
            mine, left_out = [], []
            result["ansible_facts"] = {FACT: {}}
        absent = args.pop("absent", None) or []
        mine, later = self._there(mine, absent, host)
        if later:  # what its own gate would adopt is not there either
            elsewhere = {name: own for name, own in elsewhere.items() if name not in absent}
            if not mine and not elsewhere:
                return {**result, **answer_of(later), "enforced": False}
        if not mine and not elsewhere:
            return {
                **result, "changed": False, "verdict": joint([]), "probes": [], "elapsed_s": 0.0, "contexts": {},
                "summary": "no probe for this host", "msg": "no probe for this host", "enforced": False,
            }
        sent = {**self._described(variables), **args, "probes": mine, "enforce": False}
        told = {"elsewhere": elsewhere, "aside": {name: own for name, own in aside.items() if self._here(own["probes"], host, places)}}
        sent.update({name: value for name, value in told.items() if value})
        answer = self._slices(sent, deadline, host, variables)
        if judge_by == KEPT:
            result["ansible_facts"] = {FACT: answer.get("kept", {})}
        result.update(self._finished(answer, host, enforce))
        if later and "probes" in result:
            result["probes"] = [*result["probes"], *later]
            result["summary"] = f"{result.get('summary', '')}; {answer_of(later)['summary']}"
        return result

    def _there(
        self, mine: list[dict[str, Any]], absent: Sequence[str], host: str
    ) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
        """The probes that can be asked, and in check mode a row for each that cannot, as what it asks for would only be made now."""
        if not (self._task.check_mode and absent):
            return mine, []
        later = [probe for probe in mine if not probe.get("component") or probe["component"] in absent]
        rows = [{"component": probe.get("component"), "name": probe["name"], "severity": probe.get("severity", "critical"), "where": host,
                 "verdict": SKIPPED, "attempts": 0, "expected": "", "got": NOT_YET} for probe in later]
        return [probe for probe in mine if probe not in later], rows

    @staticmethod
    def _by_release(
        judge_by: str, given: Sequence[Any], places: Places, variables: Mapping[str, Any]
    ) -> tuple[list[Any], dict[str, dict[str, object]]]:
        """The probes that count, where hosts of this play have said what their live releases have others ask; see asked_elsewhere."""
        if not any(isinstance(probe, Mapping) and probe.get("from") for probe in given):
            return list(given), {}
        kept = (variables.get("ansible_facts") or {}).get(FACT_OF_ALL)
        kept = kept_by(places.in_play, variables) if kept is None else kept
        if not kept:
            return list(given), {}
        try:
            return asked_elsewhere(judge_by, [normalise(probe, None) for probe in given], kept)
        except ProbeError:
            return list(given), {}  # picking says what is wrong, with all that is

    @staticmethod
    def _here(probes: Sequence[Mapping[str, Any]], host: str, places: Places) -> bool:
        return any(host in (places.of(probe) or []) for probe in probes)

    @staticmethod
    def _elsewhere(given: Sequence[Any], host: str, places: Places) -> dict[str, list[dict[str, object]]]:
        """Components on this host to their probes that another host asks. Only of those that somebody asks anything from elsewhere."""
        canonical = [normalise(probe, None) for probe in given]
        asked = [probe for probe in canonical if probe.get("from") and probe.get("component") and probe.get("hosts")]
        here = {str(probe["component"]) for probe in asked if host in places.everywhere(probe)}
        return {name: [probe for probe in asked if probe["component"] == name] for name in sorted(here)}

    def _described(self, variables: Mapping[str, Any]) -> dict[str, object]:
        """C(ports) and C(units) as the description of the stack has them. Only these few values of it are filled in: all of it
        would take longer than asking the probes.
        """
        components = variables.get("aistack_components") or {}
        if not isinstance(components, Mapping):
            components = self._templar.template(components)
        ports = variables.get("aistack_ports") or {}
        if not isinstance(ports, Mapping):
            ports = self._templar.template(ports)
        asked = {name: {key: component[key] for key in ("port", "unit") if component.get(key)} for name, component in components.items()}
        known = self._templar.template(asked)
        return {
            "ports": {name: self._templar.template(ports[own["port"]]) for name, own in known.items() if own.get("port") in ports},
            "units": {name: own["unit"] for name, own in known.items() if own.get("unit")},
        }

    @staticmethod
    def _pick(given: Sequence[Any], host: str, places: Places) -> tuple[list[dict[str, object]], list[str], list[str]]:
        """The canonical probes of this host, those that are left out with their hosts, and every problem of any of them."""
        mine: list[dict[str, Any]] = []
        left_out: list[str] = []
        problems: list[str] = []
        for index, probe in enumerate(given):
            where = f"probes[{index}] ({probe.get('name', 'no name') if isinstance(probe, Mapping) else probe!r})"
            try:
                canonical = normalise(probe, None)
                hosts = places.of(canonical)
            except ProbeError as error:
                problems += [f"{where}: {problem}" for problem in error.problems]
                continue
            except LookupError as error:
                problems.append(f"{where}: {error.args[0]}")
                continue
            if hosts is None or host in hosts:
                mine.append(canonical)
            absent = places.without(canonical)
            if absent or hosts == []:
                left_out.append(f"{label(canonical)} ({', '.join(absent) or 'its group has no hosts'})")
        return mine, left_out, problems

    def _slices(self, sent: dict[str, Any], deadline: float, host: str, variables: dict[str, Any]) -> dict[str, object]:
        """Run the module until it has decided, with a line for each probe that is waited for in between."""
        began = time.monotonic()
        turn = 0
        while True:
            sent["slice"] = SLICES[min(turn, len(SLICES) - 1)]
            answer = self._asked_there(sent) or self._execute_module(
                module_name="phasegate.aistack.gate", module_args=dict(sent), task_vars=variables, wrap_async=False
            )
            answer.pop("invocation", None)
            if answer.get("failed") or answer.get("unreachable") or answer.get("verdict") != "waiting":
                break
            left = max(0.0, deadline - float(answer.get("elapsed_s", 0.0)))
            for row in answer.get("probes", []):
                if row["verdict"] == "waiting":
                    display.display(printable(progress(host, row, left)))
            if time.monotonic() - began > deadline + 60:  # the node's clock stands still; do not wait with it
                break
            sent["resume"] = answer["state"]
            turn += 1
        return answer

    def _asked_there(self, sent: Mapping[str, Any]) -> dict[str, Any] | None:
        """The answer of the node's own command, which is the same code, compiled and in place; None where the node has none, or
        one that was made from other sources: then the module is sent.
        """
        mode = " --check" if self._task.check_mode else ""
        source = source_digest()
        done = self._low_level_execute_command(
            f"{COMMAND} gate --source {source}{mode}", in_data=json.dumps(sent, default=str).encode(), executable=None
        )
        if done.get("rc") != 0:
            return None
        try:
            answer = json.loads(str(done.get("stdout", "")).strip().splitlines()[-1])
        except (ValueError, IndexError):
            return None
        return answer if isinstance(answer, dict) else None

    def _finished(self, answer: dict[str, Any], host: str, enforce: bool) -> dict[str, object]:
        """The module's answer with the inventory's name of the host, failed where it has to be."""
        answer.pop("state", None)
        if "verdict" not in answer or answer.get("failed"):
            return answer
        for row in answer.get("probes", []):
            row["where"] = host
        answer["enforced"] = enforce and not self._task.check_mode
        if answer["verdict"] not in ("pass", "skipped"):
            note = "\n\nCheck mode: nothing is enforced, since nothing was done." if self._task.check_mode else ""
            answer["msg"] = failure_text(answer["verdict"], answer["probes"], float(answer["elapsed_s"])) + note
            answer["failed"] = answer["enforced"]
        else:
            for said in inventory_says(answer["probes"]):  # once each, however often it is asked
                display.warning(printable(f"{host}: {said}"))
        return pages.brief(answer, "probes")
