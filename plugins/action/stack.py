# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Controller side of C(phasegate.aistack.stack): validates the inventory's description of the stack."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible import context
from ansible.errors import AnsibleError
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.parsing.splitter import parse_kv
from ansible.template import Templar
from ansible.utils.vars import load_extra_vars
from ansible.vars.plugins import get_vars_from_inventory_sources, get_vars_from_path

from ansible_collections.phasegate.aistack.plugins.filter.stack import migrated, phase_components, released
from ansible_collections.phasegate.aistack.plugins.module_utils.backup import plan as backup_plan
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.options import ENTRIES
from ansible_collections.phasegate.aistack.plugins.module_utils.core.names import unfit_release
from ansible_collections.phasegate.aistack.plugins.module_utils.core.schema import nearest, problems as faults, what
from ansible_collections.phasegate.aistack.plugins.module_utils.edge import pool
from ansible_collections.phasegate.aistack.plugins.module_utils.environment import check as env_check, rotation
from ansible_collections.phasegate.aistack.plugins.module_utils.notice import messages as notice
from ansible_collections.phasegate.aistack.plugins.module_utils.release import artefact_settings as artefacts, source_check
from ansible_collections.phasegate.aistack.plugins.module_utils.stack import description, extra_vars as said, instances, verbs
from ansible_collections.phasegate.aistack.plugins.module_utils.stack.check import (
    SECTIONS,
    addressed,
    check_base,
    check_stack,
    dependency_order,
    phases_of,
)
from ansible_collections.phasegate.aistack.plugins.plugin_utils import described, diagnoses, owner, pages, parts, roles
from ansible_collections.phasegate.aistack.plugins.plugin_utils.asked import imported
from ansible_collections.phasegate.aistack.plugins.plugin_utils.controller_action import ControllerAction
from ansible_collections.phasegate.aistack.plugins.plugin_utils.role_files import role_directory
from ansible_collections.phasegate.aistack.plugins.plugin_utils.run_facts import new_run_id, remembered, this_process
from ansible_collections.phasegate.aistack.plugins.plugin_utils.verb_table import COLLECTION, read_verbs

APART = ("aistack_notices", "aistack_rotations", "aistack_triggers", "aistack_backup")
"""Variables that are looked at by code of their own."""

ABOUT_SETS = ("backup", "restore", "site", "verify")
"""Verbs that say where sets lie unprotected; under every one it would soon be read by nobody."""

OF_PHASES = ("site", "phase")


def tags(task_vars: Mapping[str, Any]) -> tuple[Sequence[str], Sequence[str]]:
    """What C(--tags) and C(--skip-tags) say."""
    return task_vars.get("ansible_run_tags") or (), task_vars.get("ansible_skip_tags") or ()


def role_prefixes(components: Any) -> list[str]:
    """How the variables of the collection's roles begin, and those of the roles that ``aistack_components`` names."""
    roles = [path.name for path in (COLLECTION / "roles").iterdir() if path.is_dir()]
    described = components.values() if isinstance(components, Mapping) else ()
    roles += [str(component.get("role") or "").rpartition(".")[2] for component in described if isinstance(component, Mapping)]
    return sorted({f"{role}_" for role in roles if role})


def inventory_names(hostvars: Any, loader: Any) -> set[str]:
    """Names of the variables that the inventory has, for any group or host: what an operator may put another value in the place of."""
    inventory = hostvars._inventory
    entities = [*inventory.groups.values(), *inventory.hosts.values()]
    names = {str(name) for entity in entities for name in entity.get_vars()}
    try:
        names |= set(get_vars_from_inventory_sources(loader, inventory._sources, entities, "task"))
        names |= set(get_vars_from_path(loader, loader.get_basedir(), entities, "task"))
    except AnsibleError:  # files of hosts that are not in the play, behind another vault perhaps: Ansible has not read them either
        pass
    return names


def only_problems(only: Iterable[str], components: Iterable[str], verb: Mapping[str, Any] | None = None) -> list[str]:
    """Names that are no component's, called as the verb calls them: C(only), or C(component) where it takes one."""
    word = "component" if "component" in verbs.parameters(verb or {}) else "only"
    return [f"{word}: unknown component '{name}'{nearest(name, components)}" for name in only if name not in components]


ARGUMENTS: dict[str, Any] = {
    "verb": {"type": "str", "default": ""},
    "description": {"type": "bool", "default": True},
    "level": {"type": "str", "default": ""},
    "phase": {"type": "str", "default": ""},
    "application": {"type": "str", "default": ""},
    "release": {"type": "str", "default": ""},
    "accepted": {"type": "list", "elements": "str", "default": []},
    "proven": {"type": "list", "elements": "str", "default": []},
    "changed": {"type": "bool", "default": False},
    "proof_seconds": {"type": "float", "default": 30},
    "only": {"type": "list", "elements": "str", "default": []},
    "environments": {"type": "bool", "default": False},
}


def listed(problems: Sequence[str]) -> str:
    """A line for each problem."""
    return "\n".join(f"  - {problem}" for problem in problems)


def cannot_be_run(verb: Mapping[str, Any], problems: Sequence[str]) -> str:
    """The refusal of a verb as it was typed."""
    return f"{verb['playbook']} cannot be run like this. Nothing was touched.\n{listed(problems)}"


def heading(name: str, phase: Mapping[str, Any]) -> str:
    """What stands over a phase."""
    needs = f"  (needs {', '.join(phase['requires'])})" if phase.get("requires") else ""
    note = f"\n  note: {phase['note']}" if phase.get("note") else ""
    return f"{name}  {phase.get('title', '')}{needs}{note}"


class ActionModule(ControllerAction):
    """Check the structure, name the run."""

    arguments = ARGUMENTS

    def _read(self, variable: str, task_vars: Mapping[str, object], problems: list[str]) -> dict[str, object]:
        """The variable with its templates filled in; those of its keys that cannot be filled in become problems."""
        raw = task_vars.get(variable) or {}
        if not isinstance(raw, dict):
            raw = self._templar.template(raw)
        if not isinstance(raw, dict):
            problems.append(f"{variable}: must be a mapping, is {what(raw, secret=True)}")
            return {}
        values: dict[str, Any] = {}
        for key, value in raw.items():
            try:
                values[key] = self._templar.template(value)
            except AnsibleError as error:
                problems.append(f"{variable}.{key}: cannot be filled in: {error}")
        return values

    def _place(self, variable: str, task_vars: Mapping[str, object]) -> str:
        """A folder of the stack's; empty where it cannot be filled in here, which whoever needs it says."""
        try:
            return str(self._templar.template(task_vars.get(variable) or ""))
        except AnsibleError:
            return ""

    def _notice_problems(self, raw: Any) -> list[str]:
        """Faults of ``aistack_notices``. What cannot be filled in now, for want of the vault perhaps, is a warning when it is sent."""
        try:
            given = self._templar.template(raw) if isinstance(raw, str) else raw
        except AnsibleError:
            return []  # as the notice itself has it: who cannot be told stops nothing
        if given is None:
            return []
        if isinstance(given, (str, Mapping)) or not isinstance(given, Sequence):
            return notice.problems(given)
        problems: list[str] = []
        for index, entry in enumerate(given):
            try:
                found = notice.entry_problems(self._templar.template(entry))
            except AnsibleError:
                continue  # likewise
            problems += [f"aistack_notices[{index}]{problem}" for problem in found]
        return problems

    def _backup_problems(self, given: Any, stack: Mapping[str, Any]) -> list[str]:
        """Faults of ``aistack_backup``, and names in there that nothing has."""
        problems = [f"aistack_backup: {line}" for line in backup_plan.description_problems(given)]
        places = [*stack["groups"], *stack["hosts"]]
        for kind in ENTRIES if not problems else ():
            for number, entry in enumerate(given.get(kind) or []):
                where = f"aistack_backup: {kind}[{number}]"
                if entry.get("component") and entry["component"] not in stack["components"]:
                    problems.append(f"{where}.component: unknown component '{entry['component']}'"
                                    f"{nearest(entry['component'], stack['components'])}")
                if entry.get("hosts") and entry["hosts"] not in places:
                    problems.append(f"{where}.hosts: no group or host '{entry['hosts']}'{nearest(entry['hosts'], places)}")
        return problems

    def _missing(self, task_vars: Mapping[str, Any], names: Iterable[str]) -> list[str]:
        """Variables that every run needs and that the inventory does not have."""
        wanted = [(name, description.VARIABLES[name]) for name in names if name not in task_vars]
        return [f"{name}: is missing: {entry.help}; add {name}: {entry.example}" for name, entry in wanted]

    def _described(self, stack: dict[str, Any], task_vars: dict[str, Any], verb: Mapping[str, Any], whole: bool) -> list[str]:
        """Every fault of the description, whatever it is about. ``stack`` gets what is only needed here."""
        problems = self._missing(task_vars, (name for name, entry in description.VARIABLES.items() if entry.required and
                                             name != "aistack_address"))
        read: dict[str, Any] = {}
        for name, entry in description.VARIABLES.items():
            if name not in task_vars or name in description.OWN or name.removeprefix("aistack_") in SECTIONS or name == "aistack_address":
                continue
            if name == "aistack_notices":
                problems += self._notice_problems(task_vars[name])
                continue
            try:
                read[name] = self._templar.template(task_vars[name])
            except AnsibleError as error:
                problems.append(f"{name}: cannot be filled in: {error}")
                continue
            if name == "aistack_artefacts":
                problems += artefacts.settings_problems(read[name], stack["hosts"])
            elif name == "aistack_diagnoses":
                problems += diagnoses.problems(read[name])
            elif name not in APART:
                problems += faults(name, read[name], entry)
        stack.update(roles=roles.names(), triggers=read.get("aistack_triggers"), verify=read.get("aistack_verify"),
                     drain=read.get("aistack_drain"))
        empty = described.nothing_described(stack["components"]) if whole and "aistack_components" in task_vars else []
        problems += empty
        problems += check_base(self._place("aistack_name", task_vars), stack["root"], stack["state"])
        if "aistack_hosts" in task_vars and "aistack_hosts" not in load_extra_vars(self._loader):
            problems.append("aistack_hosts: counts only on the command line, since the heads of plays know no inventory; drop it here, and "
                            "say -e aistack_hosts=GROUP each time")
        whole = whole and not empty and "aistack_components" in task_vars and "aistack_phases" in task_vars
        problems += check_stack(stack, refer=whole)
        problems += described.probe_problems(stack)
        if whole:
            problems += rotation.problems(read.get("aistack_rotations"), stack["components"])
            problems += self._backup_problems(read["aistack_backup"], stack) if read.get("aistack_backup") is not None else []
        components = {name: value for name, value in stack["components"].items() if isinstance(value, Mapping)}
        directories = {str(value.get("role")): role_directory(str(value.get("role"))) for value in components.values() if value.get("role")}
        problems += roles.option_problems(components, directories)
        own = read.get("aistack_extra_vars") or []
        inventory = inventory_names(task_vars["hostvars"], self._loader)
        problems += roles.variable_problems({*inventory, *load_extra_vars(self._loader)}, inventory, [own] if isinstance(own, str) else own,
                                            components, directories)
        nowhere = [host for host in addressed(components, stack["groups"]) if "aistack_address" not in task_vars["hostvars"].raw_get(host)]
        if nowhere:
            problems += [f"{line} (on {', '.join(nowhere)})" for line in self._missing({}, ["aistack_address"])]
        problems += described.unmanaged_hosts(components, stack["groups"], task_vars["hostvars"].raw_get) if verb else []
        if verb:
            unmanaged = {str(value["runtime"]) for value in components.values() if value.get("runtime") in description.RUNTIMES}
            for runtime in sorted(unmanaged - set(description.MANAGED)):
                named = ", ".join(name for name, value in components.items() if value.get("runtime") == runtime)
                problems.append(f"{named}: runtime {runtime} can be described, but no run manages such nodes yet; "
                                f"{' and '.join(description.MANAGED)} can be run")
        return problems

    def _environment_problems(self, stack: dict[str, Any], task_vars: dict[str, Any]) -> list[str]:
        """Faults of the environments of all released components, each as its own hosts see it."""
        hostvars = task_vars["hostvars"]
        problems: list[str] = []
        templars: dict[str, Templar] = {}

        def read(host: str, variable: str) -> Any:
            if host not in templars:
                templars[host] = Templar(loader=self._loader, variables={**hostvars.raw_get(host), "hostvars": hostvars})
            try:
                return templars[host].template(templars[host].available_variables.get(variable))
            except AnsibleError as error:
                problems.append(f"{variable}: cannot be filled in on {host}: {error}")
                return None

        components = {name: value for name, value in stack["components"].items() if isinstance(value, dict)}
        wanted = {host for value in components.values() if value.get("application") or value.get("release_from")
                  for host in stack["groups"].get(value.get("hosts"), [])}
        environments = {host: read(host, "aistack_env") or {} for host in sorted(wanted)}
        accounts = [account for value in components.values() for account in described.managed_accounts(value, stack, read)]
        problems += [line for name, value in components.items() if value.get("pool")
                     for line in pool.host_problems(name, value, stack["groups"], read)]
        return problems or env_check.problems(components, stack["groups"], environments, accounts)

    def _extra(self, verb: Mapping[str, Any]) -> dict[str, object]:
        """The extra variables, without what Ansible made of the words of a parameter that takes all behind its name."""
        lines = self._lines(verb)
        extra = dict(load_extra_vars(self._loader))
        for entry in context.CLIARGS.get("extra_vars") or () if lines else ():
            if any(said.whole([entry], name) is not None for name in lines):
                for word in parse_kv(entry.decode() if isinstance(entry, bytes) else str(entry)):
                    extra.pop(word, None)
        return {**extra, **lines}

    def _lines(self, verb: Mapping[str, Any]) -> dict[str, str]:
        """Parameters that take all behind their name, as they were typed."""
        entries = context.CLIARGS.get("extra_vars") or ()
        typed = {name: said.whole(entries, name) for name, found in verbs.parameters(verb).items() if found.get("type") == "line"}
        return {name: text for name, text in typed.items() if text is not None}

    def _words(self, known: Mapping[str, Any], verb: Mapping[str, Any], task_vars: Mapping[str, object]) -> tuple[list[str], list[str]]:
        """What is wrong with the extra variables and the parameters of a verb; and what only a warning comes of."""
        problems: list[str] = []
        given: dict[str, Any] = {}
        for name in verbs.parameters(verb):
            if name in task_vars:
                try:
                    given[name] = self._templar.template(task_vars[name])
                except AnsibleError as error:
                    problems.append(f"{name}: cannot be filled in: {error}")
        problems += verbs.value_problems(verb, given, form=owner.in_awx(task_vars))
        extra = self._extra(verb)
        problems += [problem for problem in [said.rest_problem(verb, extra.get(said.REST))] if problem]
        prefixes = [*verbs.FOREIGN, *role_prefixes(task_vars.get("aistack_components"))]
        strangers = verbs.unknown(verb, extra, prefixes)
        if strangers:  # only now, because it reads the inventory's files
            own = self._templar.template(task_vars.get("aistack_extra_vars") or [])
            declared = {*([own] if isinstance(own, str) else own), *inventory_names(task_vars["hostvars"], self._loader)}
            strangers = [name for name in strangers if name not in declared]
        told = [name for name in strangers if verb.get("unknown") == "told" and not verbs.mistyped(verb, name)]
        problems += [verbs.unknown_problem(known, verb, name) for name in strangers if name not in told]
        return problems, [verbs.unknown_problem(known, verb, name) for name in told]

    def _components(self, task_vars: Mapping[str, object]) -> dict[str, dict[str, object]]:
        """Of every component what says where it runs and whether it has a release. All of it would take longer."""
        return parts.described(self._templar, task_vars, ("hosts", "application", "release_from", "after", "migrations"))

    def _chosen(self, stack: Mapping[str, Any], task_vars: Mapping[str, Any]) -> list[str]:
        """The phases that the tags of this run choose. Raises ValueError as :func:`verbs.chosen_phases` does."""
        roles = role_prefixes(task_vars.get("aistack_components"))
        return verbs.chosen_phases(stack["phases"], *tags(task_vars), self._task.tags, roles, imported())

    def _left_out(self, name: str, verb: Mapping[str, Any], args: Mapping[str, Any], stack: Mapping[str, Any],
                  task_vars: dict[str, Any]) -> dict[str, list[str]]:
        """Host to its components, for the hosts that the verb works on and that are not in the run, or not any more."""
        if verb.get("limit") == "none":
            return {}
        in_run = task_vars.get("ansible_play_hosts") or []
        groups = stack["groups"]
        if verb.get("limit") != "refused":
            everywhere = groups.get(str(self._templar.template(task_vars.get("aistack_hosts") or "aistack")), [])
            return {host: [] for host in everywhere if host not in in_run}
        components = self._components(task_vars)
        if name == "deploy":
            wanted = released(components, args["application"] or None)
        elif name == "migrate":
            wanted = migrated(components)
        elif name == "rollback":
            wanted = list(components) if args["level"] == "system" else released(components)
        else:
            phases = [args["phase"]] if args["phase"] else self._chosen(stack, task_vars)
            wanted = [part for phase in phases for part in stack["phases"][phase].get("components", [])]
        return verbs.left_out({part: groups.get(components[part]["hosts"], []) for part in wanted}, in_run)

    def _parts(self, args: Mapping[str, Any], task_vars: dict[str, Any]) -> dict[str, list[str]]:
        """The components that a verb is about, for the playbooks: each list in the order of dependencies."""
        components = self._components(task_vars)
        own = released(components, args["application"] or None)
        order = dependency_order(components, args["only"] or None)
        phases = self._templar.template(task_vars.get("aistack_phases") or {}) if args["verb"] in (*OF_PHASES, "deploy", "plan") else {}
        moved = migrated(components)
        found = {"released": own, "order": order, "migrating": [name for name in own if name in moved], "migrated": moved,
                 "foundation": [name for name in components if name not in released(components)]}
        if args["verb"] in OF_PHASES:
            named = [args["phase"]] if args["phase"] else self._chosen({"phases": phases}, task_vars)
            found["chosen"] = [name for name in phase_components(phases, named) if name in own]
        elif phases:
            found["phases"] = phases_of(phases, own)
        return found

    def _sources(self, args: Mapping[str, Any], stack: Mapping[str, Any], task_vars: Mapping[str, Any]) -> source_check.Survey:
        """What the repositories say of the releases that a verb would stage, before any node is asked."""
        verb, components = args["verb"], stack["components"]
        if verb in ("deploy", "plan"):
            wanted = released(components, args["application"] or None)
        elif verb == "migrate" and args["release"]:
            wanted = migrated(components)
        elif verb in OF_PHASES:
            phases = [args["phase"]] if args["phase"] else self._chosen(stack, task_vars)
            wanted = [part for phase in phases for part in stack["phases"][phase].get("components", [])]
        else:
            wanted = []
        own = {name: components[name] for name in wanted if components[name].get("application")}
        releases = {name: (str(value["repo"]), str(args["release"] or value["release"])) for name, value in stack["applications"].items()}
        return source_check.survey(own, releases, cached=verb in OF_PHASES)

    def _left_out_result(self, name: str, verb: Mapping[str, Any], args: Mapping[str, Any], stack: Mapping[str, Any],
                         task_vars: dict[str, Any]) -> dict[str, Any]:
        """Who is left out, for the result: a refusal where that was not said to be meant."""
        missing = self._left_out(name, verb, args, stack, task_vars)
        if not missing:
            return {}
        lost = [host for host in missing if host in (task_vars.get("ansible_play_hosts_all") or [])]
        left = verbs.left_out_text(missing, lost)
        partial = "partial" in task_vars and boolean(self._templar.template(task_vars["partial"]), strict=False)
        if verb.get("limit") != "refused" or partial:
            return {"left_out": missing, "warnings": [f"{verb['playbook']} leaves hosts as they are. {left[0].upper()}{left[1:]}"]}
        return pages.refusal(verbs.partial_refusal(verb["playbook"], missing, lost))

    def answer(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Validate and return the facts of the run, or every fault at once."""
        facts = task_vars.get("ansible_facts", {})
        if args["accepted"] or args["proven"] or args["changed"]:
            found = remembered(facts, args["accepted"], args["proven"], args["changed"], time.time(), args["proof_seconds"])
            return {"changed": False, "ansible_facts": found}
        same_run = facts.get("aistack_process") == this_process()
        ended, verb, warnings = self._asked(args, same_run, task_vars)
        if ended is not None:
            return ended
        if not args["description"]:
            return self._undescribed(args, verb, same_run, warnings, task_vars)
        stack, problems, asked = self._stack(args, verb, same_run, task_vars)
        if asked and not problems and verb:
            return pages.refusal(cannot_be_run(verb, asked), refused=True)
        problems += asked
        if problems:
            many = f"{len(problems)} problem{'s' if len(problems) != 1 else ''}"
            return pages.refusal(f"The description of the stack '{task_vars.get('aistack_name', '?')}' cannot be used ({many}). "
                                 f"Nothing was touched.\n{listed(problems)}{roles.hint(problems)}", refused=True)
        return self._page(args, verb, stack, same_run, warnings, task_vars)

    def _asked(self, args: Mapping[str, Any], same_run: bool,
               task_vars: dict[str, Any]) -> tuple[dict[str, object] | None, Mapping[str, Any], list[str]]:
        """The result where what was typed ends it already, else None; the verb, and warnings."""
        name = str(args["verb"])
        if name not in ("", "site"):  # whose phases are tags
            problem = verbs.tag_problem(f"{name}.yml", *tags(task_vars), self._task.tags)
            if problem:  # in somebody's own playbook the tags are meant for other plays
                return {"changed": False, "doubts": []} if imported() else pages.refusal(problem, refused=True), {}, []
        known = read_verbs() if name else {}
        if name not in ("", *known):
            return pages.refusal(f"stack: there is no verb '{name}'{nearest(name, known)}"), {}, []
        verb = known.get(name, {})
        if not verb or same_run:
            return None, verb, []
        # as the heads of the plays see it: they know no variable of the inventory
        nodes = str(self._templar.template(load_extra_vars(self._loader).get("aistack_hosts") or "aistack"))
        if verb.get("limit") != "none" and verbs.matches_none(nodes, task_vars.get("groups", {})):
            return pages.refusal(verbs.no_nodes(nodes, task_vars.get("groups", {}))), verb, []
        problems, warnings = self._words(known, verb, task_vars)
        if problems:
            return pages.refusal(f"{cannot_be_run(verb, problems)}{roles.hint(problems)}"), verb, warnings
        return None, verb, warnings

    def _undescribed(self, args: Mapping[str, Any], verb: Mapping[str, Any], same_run: bool, warnings: Sequence[str],
                     task_vars: dict[str, Any]) -> dict[str, object]:
        """The result for a verb that does without the description of the stack."""
        problems = only_problems(args["only"], self._components(task_vars), verb) if args["only"] else []
        if not same_run and verb.get("unknown") != "told" and verb.get("limit") != "none":  # these do without a description
            problems += self._missing(task_vars, ("aistack_root", "aistack_state", "aistack_components", "aistack_phases"))
        if problems:
            return pages.refusal(cannot_be_run(verb, problems))
        groups = {"groups": task_vars.get("groups", {})}
        left = {} if same_run or not verb else self._left_out_result(args["verb"], verb, args, groups, task_vars)
        return {"changed": False, **left, "warnings": [*warnings, *left.get("warnings", [])]}

    def _stack(self, args: Mapping[str, Any], verb: Mapping[str, Any], same_run: bool,
               task_vars: dict[str, Any]) -> tuple[dict[str, object], list[str], list[str]]:
        """The description of the stack; what is wrong with it; and what is wrong with what was asked of it."""
        problems: list[str] = []
        # what an earlier play of the same run has validated is only looked up
        needed = {"phases", *(name for name, asked in (("applications", "application"), ("components", "only")) if args[asked])}
        wanted = [name for name in SECTIONS if not same_run or name in needed]
        stack: dict[str, Any] = {name: self._read(f"aistack_{name}", task_vars, problems) for name in wanted}
        stack["groups"] = {name: list(hosts) for name, hosts in task_vars.get("groups", {}).items()}
        stack["hosts"] = stack["groups"].get("all", [])
        if not same_run:
            stack["root"], stack["state"] = (self._place(name, task_vars) for name in ("aistack_root", "aistack_state"))
            problems += self._described(stack, task_vars, verb, not problems)
            if args["environments"] and not problems:
                problems += self._environment_problems(stack, task_vars)
        asked: list[str] = []
        if args["phase"] and args["phase"] not in stack["phases"]:
            asked.append(f"aistack_phases: no phase '{args['phase']}'{nearest(args['phase'], stack['phases'])}")
        if args["application"] and args["application"] not in stack["applications"]:
            asked.append(f"application: unknown application '{args['application']}'{nearest(args['application'], stack['applications'])}")
        # as it was typed: the argument is the name of its release on nodes
        asked += unfit_release("release", self._templar.template(task_vars.get("release")) if args["release"] else "")
        asked += only_problems(args["only"], stack.get("components", ()), verb)
        if args["verb"] == "scale" and not problems and not asked:
            asked += instances.scale_problems(stack["components"], args["only"], self._templar.template(task_vars.get("instances")))
        return stack, problems, asked

    def _page(self, args: Mapping[str, Any], verb: Mapping[str, Any], stack: dict[str, Any], same_run: bool, warnings: Sequence[str],
              task_vars: dict[str, Any]) -> dict[str, object]:
        """The result for a stack whose description can be used."""
        page: dict[str, Any] = {"changed": False, "doubts": {}}  # none of a play behind another, which has looked
        if args["verb"] == "site" and not args["phase"]:
            try:
                page["phases"] = self._chosen(stack, task_vars)
            except ValueError as error:
                lines = str(error).replace("\n", "\n  ")
                return pages.refusal(f"Refused: site.yml would do nothing of what was asked for. Nothing was touched.\n  {lines}",
                                     refused=True)
        if verb:
            left = self._left_out_result(args["verb"], verb, args, stack, task_vars)
            if left.get("failed"):
                return left
            page.update(left, doubts={}, warnings=[*warnings, *left.get("warnings", [])], **self._parts(args, task_vars))
        if args["verb"] == "check":
            page["good"] = described.good_words(task_vars.get("aistack_name"), stack)
        if verb and not same_run:
            sources = self._sources(args, stack, task_vars)
            if sources.refused and args["verb"] in ("deploy", "migrate"):
                return pages.refusal("\n".join(["Refused. Nothing was touched.", *sources.refused]))
            page.update(doubts=sources.doubts, warnings=[*page["warnings"], *sources.warnings])
        if not same_run:
            self._warn_of_exposed_sets(args, task_vars)
            page["ansible_facts"] = {"aistack_run": new_run_id(), "aistack_process": this_process(), "aistack_accepted": [],
                                     "aistack_proven": {}, "aistack_said": self._lines(verb)}
        phase = stack["phases"].get(args["phase"])
        return {**page, "heading": heading(args["phase"], phase)} if phase else page

    def _warn_of_exposed_sets(self, args: Mapping[str, Any], task_vars: Mapping[str, Any]) -> None:
        backup = task_vars.get("aistack_backup")
        about = args["verb"] in ("", *ABOUT_SETS) and not task_vars.get("backup_copy")
        exposed = backup_plan.exposed(backup) if about and isinstance(backup, Mapping) else ""
        if exposed:
            self._display.warning(exposed)
