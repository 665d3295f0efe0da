# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The level system of a rollback plan: which backup set of a node belongs to the target release, and what it puts back. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ansible_collections.phasegate.aistack.plugins.module_utils.backup import plan as backup_plan
from ansible_collections.phasegate.aistack.plugins.module_utils.migration import schema_path
from ansible_collections.phasegate.aistack.plugins.module_utils.migration.schema_path import words
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback import schema_steps
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.state import Problem, Target

if TYPE_CHECKING:
    from ansible_collections.phasegate.aistack.plugins.module_utils.backup.plan import BackupSet
    from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.contract import Plan, Restored, Switch, View

DATA = ("postgres", "redis", "bucket", "sqlite")
"""Kinds of parts that are data, other than a node's own files."""
EVIDENCE = ("files:state", "releases:live")
"""Parts that are never put back."""
SHOWN = 5
"""Names of sets that a refusal shows at most."""


def titles(entry: BackupSet) -> list[str]:
    """The parts of a set as C(kind:name)."""
    return [f"{part.get('kind')}:{part.get('name')}" for part in entry.get("parts") or []]


def put_back(entry: BackupSet) -> list[str]:
    """The parts that come back: data and environments, as a restore has it where nothing is named."""
    parts, _unknown = backup_plan.chosen(entry.get("parts") or [], ())
    return titles({"parts": parts})


def complete(
    made: Plan,
    view: View,
    members: schema_steps.Members,
    targets: Mapping[str, Target],
    switches: list[Switch],
    named: str | None,
    elsewhere: Mapping[str, str],
) -> list[Problem]:
    """Put the steps of the level system into *made*; returns why it must not be carried out.

    *named* is the set asked for. *elsewhere* maps a component to the host whose set has its database, and which proves its schema.
    """
    wanted = {name: target.release for name, target in targets.items()}
    fitting = [entry for entry in view.get("backups") or [] if fits(entry, wanted)]
    ahead = [entry for entry in fitting if entry.get("ahead") and entry.get("name") != named]
    made["warnings"] += [f"the backup set {entry.get('name')} is passed over: {entry['problem']}" for entry in ahead]
    if named is not None:
        fitting, problem = _named(made, view, fitting, named)
        if problem:
            return [problem]
    for name, component in members:
        if component.get("database") is not None and name in targets and name in elsewhere:
            schema_steps.rely(made, name, elsewhere[name])
    done = _restored(view, fitting, members, wanted)
    if done is not None:
        made["warnings"].append(f"the backup set {done['set']} was put back by run {done.get('run')}; that is not done again")
        made["steps"] = [*switches, *schema_steps.starts(members, switches, only_down=True)]
        there = Problem("already_there", f"code and data are those of {made['to']} already", "nothing is to be done")
        return [] if made["steps"] else [there]
    found, problem = _usable(made, view, fitting)
    if found is None:
        return [problem] if problem else []
    problems = _schema(made, members, targets, found, elsewhere)
    if problems:
        return problems
    _tell(made, members, targets, found)
    made["steps"] = schema_steps.around(view, members, switches, [schema_steps.restore(made, None, found, put_back(found))], elsewhere)
    return []


def data_alone(made: Plan, view: View, named: str | None) -> list[Problem] | None:
    """The plan of a node that holds data and no release, so that no set of it says which release was live.

    None where it holds no data either, and has no part in this.
    """
    held = [entry for entry in view.get("backups") or [] if _holds_data(entry)]
    if not held:
        return None
    node = view.get("node") or "this node"
    if named is None:
        reason = f"{node} holds data and no release, so that none of its backup sets says which release it belongs to"
        remedy = f"name the set of that time: -e set=NAME; here are {_names(held)}. The sets of one deployment have one name on all nodes"
        return [Problem("which_set", reason, remedy)]
    found = next((entry for entry in held if entry.get("name") == named), None)
    if found is None:
        return [Problem("backup_missing", f"the backup set {named} is not on {node}", f"name one that is: {_names(held)}")]
    entry, problem = _usable(made, view, [found])
    if entry is None:
        return [problem] if problem else []
    if _put_back_by_this(view, entry):
        made["warnings"].append(f"the backup set {named} was put back by the rollback that is finished here; that is not done again")
        return []
    _tell(made, [], {}, entry)
    made["steps"] = [
        schema_steps.saved(view, None),
        schema_steps.restore(made, None, entry, put_back(entry)),
    ]
    return []


def _put_back_by_this(view: View, entry: BackupSet) -> bool:
    """Whether the planned rollback that is not finished yet has put a set back already: what is live since may have written."""
    begun = view.get("open_rollback")
    if not begun or begun.get("level") != "system":
        return False
    return any(
        record.get("set") == entry.get("name") and int(record["seq"]) > int(begun["seq"]) and not record.get("tables")
        and set(put_back(entry)) <= set(record["parts"])
        for record in view.get("restores") or []
    )


def fits(entry: BackupSet, wanted: Mapping[str, str]) -> bool:
    """Whether a set was made while all these releases were live; a dump from before a migration does not say."""
    live = entry.get("live") or {}
    return bool(entry.get("parts")) and all((live.get(name) or {}).get("release") == tag for name, tag in wanted.items())


def _holds_data(entry: BackupSet) -> bool:
    return any(part.get("kind") in DATA for part in entry.get("parts") or [])


def _made(entry: BackupSet) -> str:
    return str(entry.get("made") or "")


def _names(entries: Sequence[BackupSet]) -> str:
    """The newest sets first, so that one can be chosen."""
    usable = sorted((entry for entry in entries if schema_path.usable_set(entry)), key=_made, reverse=True)
    return ", ".join(str(entry.get("name")) for entry in usable[:SHOWN]) or "none that is verified"


def _otherwise(made: Plan) -> str:
    return f"take the code and the schema back: -e level=schema (-e to={made['to']})"


def _named(made: Plan, view: View, fitting: list[BackupSet], named: str) -> tuple[list[BackupSet], Problem | None]:
    """What is left to choose from where a set is named, or why that one is none."""
    there = next((entry for entry in view.get("backups") or [] if entry.get("name") == named), None)
    choice = f"name one of that time (-e set=NAME): {_names(fitting)}; or leave -e set out"
    if there is None:
        if not fitting or any(_holds_data(entry) for entry in fitting):
            return [], Problem("backup_missing", f"the backup set {named} is not on {view.get('node') or 'this node'}", choice)
        made["warnings"].append(f"the backup set {named} is not here; this node holds no data, and takes its own newest of that time")
        return fitting, None
    if there in fitting:
        return [there], None
    if not schema_path.usable_set(there):
        return [], _unverified(there, choice)
    if not there.get("parts"):
        return [], Problem("no_set", f"{named} is a dump that was made before a migration, no backup set", choice)
    live = sorted({str(entry.get("release")) for entry in (there.get("live") or {}).values()})
    reason = f"the backup set {named} was made while {', '.join(live) or 'nothing'} was live, not {made['to']}"
    return [], Problem("set_of_another_release", reason, f"{choice}; or go to the release of that set: -e to=TAG")


def _unverified(entry: BackupSet, remedy: str) -> Problem:
    why = entry.get("problem") or entry.get("verdict") or "no verdict"
    return Problem("backup_unverified", f"the backup set {entry.get('name')} cannot be relied on: {why}", remedy)


def _usable(made: Plan, view: View, fitting: Sequence[BackupSet]) -> tuple[BackupSet | None, Problem | None]:
    """The newest set that can be relied on, or why there is none."""
    own = [entry for entry in fitting if not schema_path.foreign(entry, view.get("stack"))]
    usable = [entry for entry in own if schema_path.usable_set(entry)]
    if usable:
        return max(usable, key=_made), None
    remedy = f"bring a verified set of that time to this node, or {_otherwise(made)}"
    if own:
        return None, _unverified(max(own, key=_made), remedy)
    if fitting:
        other = max(fitting, key=_made)
        reason = f"the backup set {other.get('name')} is of the stack {other.get('stack')}, this node is of {view.get('stack')}"
        return None, Problem("set_of_another_stack", reason, f"take a set of this stack: {remedy}")
    return None, Problem("backup_missing", f"no backup set on this node was made while {made['to']} was live", remedy)


def _restored(view: View, fitting: Sequence[BackupSet], members: schema_steps.Members, wanted: Mapping[str, str]) -> Restored | None:
    """The restore of such a set that nothing but the target followed: a rollback that was interrupted behind it is only finished."""
    last = 0
    for name, component in members:
        others = [record for record in component.get("history") or [] if record["release"] != wanted.get(name)]
        interrupted = component.get("interrupted")
        last = max([last, *(int(record["seq"]) for record in others)])
        last = max(last, interrupted["seq"]) if interrupted and interrupted["release"] not in (None, wanted.get(name)) else last
    known = {str(entry.get("name")): entry for entry in fitting}
    for record in reversed(view.get("restores") or []):
        entry = known.get(str(record.get("set")))
        if entry is not None and int(record["seq"]) > last and not record.get("tables") and set(put_back(entry)) <= set(record["parts"]):
            return record
    return None


def _schema(
    made: Plan, members: schema_steps.Members, targets: Mapping[str, Target], found: BackupSet, elsewhere: Mapping[str, str]
) -> list[Problem]:
    """Whether each target's code runs on the schema that it will find: the set's, or the present one where the set has none."""
    problems = []
    for name, component in members:
        database = component.get("database")
        if database is None or name not in targets:
            continue
        if name in elsewhere:
            continue
        tag = targets[name].release
        held = name in (found.get("heads") or {})
        if not held:
            made["warnings"].append(f"{name}: not part of the set {found.get('name')}: its database, which stays as it is")
        heads = sorted(found["heads"][name] or []) if held else schema_steps.present_heads(made, name, component)
        wanted = schema_path.heads_of_release(tag, (component.get("manifests") or {}).get(tag), component.get("migrations") or [])
        if heads is None:
            made["unverified"].append(f"{name}: whether {tag} runs on the present schema: {database.get('why')}")
            continue
        if wanted is None or not schema_path.prove(
            wanted, heads, component.get("migrations") or [], component.get("proofs") or [], tag
        ).how:
            needs = "which schema it needs is not known" if wanted is None else f"it is made for the schema at {words(wanted)}"
            where = f"at {words(heads)}, where the set {found.get('name')} has it" if held else f"at {words(heads)}, as it is"
            reason = f"{name}: {tag} was never proven on the schema {where}; {needs}"
            problems.append(Problem("schema_unproven", reason, f"name another set (-e set=NAME), or {_otherwise(made)}", name))
    return problems


def _tell(made: Plan, members: schema_steps.Members, targets: Mapping[str, Target], found: BackupSet) -> None:
    """What of the set is not put back, what it never held, and where its environments are not those that come back."""
    back, name = put_back(found), found.get("name")
    rest = [title for title in titles(found) if title not in back and title not in EVIDENCE]
    if rest:
        how = f"restore.yml -e set={name} -e what={','.join(rest)}"
        made["warnings"].append(f"in the set {name}, but put back only by name: {', '.join(rest)} ({how})")
    made["warnings"] += [f"not part of the set {name}: {reason}" for reason in found.get("left_out") or []]
    for component, _entry in members:
        then = ((found.get("live") or {}).get(component) or {}).get("config")
        target: Any = targets.get(component)
        if target is not None and then and then not in (target.config, target.of):
            made["warnings"].append(
                f"{component}: goes back with the config {target.config}, the last that {target.release} was live with; the set {name} is"
                f" of the time of {then}: -e level=config -e to={then} takes it from there"
            )
