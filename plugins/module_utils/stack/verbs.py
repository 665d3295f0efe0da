# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an operator may say to a verb, and on which hosts it has to be.

A verb is an entry of ``meta/verbs.yml``; an extra variable is a name and a value as Ansible has read them from ``-e``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.core.names import RELEASE_NAME, did_you_mean, nearest

Verb = Mapping[str, Any]

FOREIGN = ("ansible_", "aistack_", "awx_", "tower_", "_")
"""Beginnings of names that no verb has: of Ansible, of the stack, of what runs Ansible, and of somebody's own helpers."""

BOOLEANS = ("true", "false", "yes", "no", "on", "off", "1", "0")


def parameters(verb: Verb) -> dict[str, Mapping[str, object]]:
    """The parameters of a verb by name."""
    return {str(parameter["name"]): parameter for parameter in verb.get("parameters", ())}


def matches_none(wanted: str, groups: Mapping[str, Sequence[str]]) -> bool:
    """Whether C(wanted), where the plays of a verb run, names neither a group with hosts nor a host; of patterns Ansible is the judge."""
    return not re.search(r"[][:,&!*~]", wanted) and not groups.get(wanted) and wanted not in groups.get("all", ())


def no_nodes(wanted: str, groups: Mapping[str, Sequence[str]]) -> str:
    """Why a verb has no node to work on, and what to do."""
    known = sorted(name for name, hosts in groups.items() if hosts and name not in ("all", "ungrouped"))
    near = nearest(wanted, known, count=1, cutoff=0.6)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    return "\n".join([
        f"There is no node to work on: the inventory has no host in a group '{wanted}'.{hint} Nothing was touched.",
        f"  Groups with hosts: {', '.join(known) or 'none'}.",
        "  Expected the nodes of the stack in the group 'aistack'. Either add it to the inventory:",
        f"    aistack: {{children: {{{(near or known or ['GROUP'])[0]}: {{}}}}}}",
        "  or name another group on the command line, which an inventory cannot do: -e aistack_hosts=GROUP",
    ])


def unknown(verb: Verb, extra: Iterable[str], prefixes: Sequence[str], declared: Collection[str] = ()) -> list[str]:
    """Names among ``extra`` that the verb does not know, that begin with none of ``prefixes`` and that nobody ``declared``."""
    known = parameters(verb)
    return sorted(name for name in map(str, extra) if name not in known and name not in declared and not name.startswith(tuple(prefixes)))


def mistyped(verb: Verb, name: str) -> str:
    """The parameter that was called ``name`` once, or that it resembles; empty where none is near."""
    was = [known for known, parameter in parameters(verb).items() if parameter.get("was") == name]
    return was[0] if was else next(iter(nearest(name, parameters(verb), count=1, cutoff=0.6)), "")


def unknown_problem(verbs: Mapping[str, Verb], verb: Verb, name: str) -> str:
    """One line about an extra variable that the verb does not know: the nearest name, or who knows it, or what there is."""
    near = mistyped(verb, name)
    others = [str(other["playbook"]) for other in verbs.values() if name in parameters(other)]
    if near:
        hint = f"did you mean '{near}'?"
    elif others:
        hint = f"{', '.join(sorted(others))} {'knows' if len(others) == 1 else 'know'} it"
    else:
        hint = f"it knows: {', '.join(sorted(parameters(verb)))}"
    return f"{name}: {verb['playbook']} knows no such variable; {hint}"


def value_problem(parameter: Mapping[str, Any], value: Any) -> str:
    """What is wrong with the value of a parameter; empty where nothing is."""
    kind = parameter.get("type", "str")
    text = str(value).strip()
    expected = ""
    if parameter.get("choices") and text not in parameter["choices"]:
        expected = f"one of {', '.join(parameter['choices'])}"
    elif kind == "bool" and text.lower() not in BOOLEANS:
        expected = "true or false"
    elif kind in ("int", "float") and not _is_number(value, kind, parameter.get("minimum")):
        least = f" of at least {parameter['minimum']}" if "minimum" in parameter else ""
        expected = f"a {'whole ' if kind == 'int' else ''}number{least}"
    elif kind == "name" and not (isinstance(value, str) and RELEASE_NAME.match(value)):
        expected = "a name: a letter or a digit, then at most 99 letters, digits and . _ + -"
    elif kind == "list" and not isinstance(value, str):
        expected = "words with commas between them"
    elif kind in ("str", "path", "line") and (value is None or isinstance(value, (Mapping, list, tuple))):
        expected = "a text"
    return f"{parameter['name']}: expected {expected}, got {text or 'nothing'} ({parameter['help']})" if expected else ""


def _is_number(value: Any, kind: str, minimum: float | None) -> bool:
    if isinstance(value, bool):
        return False
    try:
        number = int(str(value)) if kind == "int" else float(str(value))
    except ValueError:
        return False
    return math.isfinite(number) and (minimum is None or number >= minimum)


def value_problems(verb: Verb, given: Mapping[str, object], form: bool = False) -> list[str]:
    """One line for each parameter whose value is none that it can have, and for each that has to be given and is not.

    With *form* they were answers to the questions of a form, as of AWX: an empty one says nothing. On a command line it is more likely
    a variable of a shell that was not set.
    """
    problems = []
    for name, parameter in parameters(verb).items():
        if name in given and not (form and given[name] == ""):
            problem = value_problem(parameter, given[name])
        else:
            problem = f"{name}: has to be given: {parameter['help']}; say -e {name}=…" if parameter.get("required") else ""
        problems += [problem] if problem else []
    return problems


def chosen_phases(phases: Iterable[str], only: Iterable[str], skip: Iterable[str], own: Collection[str], roles: Sequence[str],
                  imported: bool = False) -> list[str]:
    """The phases that ``--tags`` (*only*) and ``--skip-tags`` (*skip*) leave, in their order.

    *own* are tags of the play itself, where somebody's own playbook imports it under some. *roles* are how tags of steps of roles
    begin: a step may be left out, but is nothing that could be done alone. Other tags that are to be left out are somebody else's affair
    (molecule leaves out ``notest``), unless they resemble a phase. So are those of ``--tags`` where the play is *imported* by somebody's
    own playbook: they are meant for other plays of it, and nothing may be left here.

    Raises:
        ValueError: what was asked for is nothing that is there, or nothing is left; with a line on each.
    """
    known, only, skip = [str(name) for name in phases], {str(tag) for tag in only}, {str(tag) for tag in skip}
    every = {"all", "tagged", *own} - {"always"}
    problems = [
        f"--tags {tag}: there is no phase {tag}{did_you_mean(tag, known)}"
        for tag in sorted(only - every - set(known)) if not imported or did_you_mean(tag, known)
    ]
    problems += [
        f"--skip-tags {tag}: there is no phase {tag}{did_you_mean(tag, known)}"
        for tag in sorted(skip - every - set(known)) if not tag.startswith(tuple(roles)) and did_you_mean(tag, known)
    ]
    left = [name for name in known if (only & every or name in only) and not (skip & every or name in skip)]
    if not known:
        problems.append("aistack_phases: is missing or empty; it says what is there to be done, and in which order")
    elif not problems and not left and not imported:
        problems.append("--skip-tags: nothing is left to be done")
    if problems:
        there = f"The phases of this stack, in order: {', '.join(known)}. Each is a tag of its own; without --tags all of them are done."
        raise ValueError("\n".join([*problems, there] if known else problems))
    return left


def tag_problem(playbook: str, only: Iterable[str], skip: Iterable[str], own: Collection[str]) -> str:
    """Why ``--tags`` (*only*) or ``--skip-tags`` (*skip*) leave nothing of a verb that is one whole; empty where they do not.

    *own* are tags of the play itself, where somebody's own playbook imports it under some.
    """
    every = {"all", "untagged", *own} - {"always"}
    only, skip = {str(tag) for tag in only}, {str(tag) for tag in skip}
    if only & every and not skip & every:
        return ""
    said = f"--skip-tags {', '.join(sorted(skip & every))}" if skip & every else f"--tags {', '.join(sorted(only))}"
    return f"Refused: {playbook} would do nothing under {said}. Nothing was touched. It is one whole and has no tags: run it without."


def left_out(hosts: Mapping[str, Sequence[str]], in_run: Collection[str]) -> dict[str, list[str]]:
    """Host to the components that it has to run, for each host that is not in the run. ``hosts`` is by component."""
    found: dict[str, list[str]] = {}
    for component, names in hosts.items():
        for host in names:
            if host not in in_run:
                found.setdefault(host, []).append(component)
    return found


def left_out_text(missing: Mapping[str, Sequence[str]], lost: Collection[str]) -> str:
    """The hosts that are left out, each with its components and why. ``lost`` are those that were in the run once."""
    limited = [f"{host} ({', '.join(parts)})" if parts else host for host, parts in missing.items() if host not in lost]
    gone = [f"{host} ({', '.join(parts)})" if parts else host for host, parts in missing.items() if host in lost]
    told = [f"not in this run: {', '.join(limited)}"] if limited else []
    told += [f"failed or did not answer earlier in this run: {', '.join(gone)}"] if gone else []
    return "; ".join(told)


def partial_refusal(playbook: str, missing: Mapping[str, Sequence[str]], lost: Collection[str]) -> str:
    """Why a verb does not work on a part of the hosts, a line for each thing that has to be known. As of :func:`left_out_text`."""
    left = left_out_text(missing, lost)
    return "\n".join([
        f"Refused: {playbook} would do its work on a part of the hosts only. Nothing was touched.",
        *(f"  {line[0].upper()}{line[1:]}" for line in left.split("; ")),
        "  That is dangerous: a migration runs on the first host of a component's group and nowhere else, and probes",
        "  that are asked from there are not asked: new code could serve on the old schema, beside hosts with the old code.",
        "  Expected every host of the components. Either run it without --limit, once they answer;",
        "  or, if the others are to stay as they are, say so: -e partial=true.",
    ])
