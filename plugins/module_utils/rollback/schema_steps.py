# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The database's part of a rollback plan: whether code alone may go back, and what has to be undone or restored if not. No I/O."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from ansible_collections.phasegate.aistack.plugins.module_utils.drill import text as drill_text
from ansible_collections.phasegate.aistack.plugins.module_utils.migration import schema_path
from ansible_collections.phasegate.aistack.plugins.module_utils.migration.schema_path import words
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.state import Problem, Target, require_live

if TYPE_CHECKING:
    from ansible_collections.phasegate.aistack.plugins.module_utils.backup.plan import BackupSet
    from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.contract import Component, Plan, Step, Switch, View

DOWNGRADE_S, RESTORE_S = 30.0, 600.0
"""Seconds taken where neither the journal nor a manifest tells how long it takes."""

Members = Sequence["tuple[str, Component]"]


def complete(
    made: Plan, view: View, members: Members, targets: Mapping[str, Target], switches: list[Switch], level: str,
    elsewhere: Mapping[str, str],
) -> list[Problem]:
    """Put the steps of the levels app and schema into *made*; returns why it must not be carried out.

    *elsewhere* maps a component to the host that moves its database. Here it is only asked whether it has to move.
    """
    problems: list[Problem] = []
    middle: list[Step] = []
    for name, component in members:
        database = component.get("database")
        if database is None or name not in targets or (level == "app" and targets[name].here):
            continue
        present = present_heads(made, name, component)
        if level == "schema" and database.get("from") != "database":
            reason = f"{name}: the database does not answer: {database.get('why')}"
            problems.append(Problem("database_away", reason, "bring the database up first; -e level=app needs it less", name))
            continue
        tag = targets[name].release
        wanted = schema_path.heads_of_release(tag, (component.get("manifests") or {}).get(tag), component.get("migrations") or [])
        if present is None:
            made["unverified"].append(
                f"{name}: whether {tag} runs on the present schema: {database.get('why') or 'its heads are not known'}"
            )
            continue
        if wanted is None:
            why = ((component.get("manifests") or {}).get(tag) or {}).get("alembic_why")
            problems.append(
                Problem(
                    "schema_unproven",
                    f"{name}: which schema {tag} needs is not known{f' ({why})' if why else ''}",
                    f"deploy it: deploy.yml -e release={tag} checks its migrations",
                    name,
                )
            )
            continue
        if level == "app":
            problems += _app(made, name, component, tag, wanted, present)
        elif name in elsewhere:
            if not schema_path.same(wanted, present):
                rely(made, name, elsewhere[name])
        else:
            problems += _schema(made, view, name, component, tag, wanted, present, middle)
    if level == "app":
        made["steps"] = [*switches]
        return problems
    moves = bool(middle or made["relies"])
    if not switches and not moves:
        return problems or [Problem("already_there", f"code and schema are at {made['to']} already", "nothing is to be done")]
    if not moves:
        if not problems and any(entry.get("database") is not None for _name, entry in members):
            made["warnings"].append("the schema is where the target wants it: -e level=app would do")
        made["steps"] = [*switches, *starts(members, switches, only_down=True)]
        return problems
    made["steps"] = around(view, members, switches, middle, elsewhere)
    return problems


def rely(made: Plan, name: str, node: str) -> None:
    """Say that another node moves the database of a component, which this node goes by."""
    made["relies"].append({"component": name, "node": node})
    made["warnings"].append(f"{name}: its database is taken back on {node}, while everything stands still")


def present_heads(made: Plan, name: str, component: Component) -> list[str] | None:
    """The heads of the database, as far as they are known; what they are known from goes into the plan."""
    database = component["database"]
    heads = database["heads"] if database is not None else None
    if database is not None and heads is not None and database["from"] == "journal":
        made["unverified"].append(
            f"{name}: the database does not answer ({database.get('why')}); its schema is taken to be at {words(heads)},"
            " where the journal's last migration left it"
        )
    return None if heads is None else sorted(heads)


def _app(
    made: Plan, name: str, component: Component, tag: str, wanted: Sequence[str], present: Sequence[str]
) -> list[Problem]:
    proof = schema_path.prove(wanted, present, component.get("migrations") or [], component.get("proofs") or [], tag)
    steps = ", ".join(proof.steps)
    if proof.how == "additive":
        made["warnings"].append(
            f"{name}: that {tag} runs on the present schema is not proven by a gate, only by being additive: {steps} only added to it"
        )
    if proof.how:
        return []
    ahead = f"which is ahead by {steps}" if steps else f"and the journal does not tell how it came there from {words(wanted)}"
    return [
        Problem(
            "schema_unproven",
            f"{name}: the code of {tag} is made for the schema at {words(wanted)} and was never proven on the present one at"
            f" {words(present)}, {ahead}",
            f"take the schema back as well: -e level=schema (-e to={tag}); or fix {require_live(component).release} and deploy it under"
            " a new tag",
            name,
        )
    ]


def _schema(
    made: Plan, view: View, name: str, component: Component, tag: str, wanted: Sequence[str], present: Sequence[str],
    middle: list[Step],
) -> list[Problem]:
    sets = [entry for entry in view.get("backups") or [] if not schema_path.foreign(entry, view.get("stack"))]
    way = schema_path.way_back(name, wanted, present, component.get("migrations") or [], sets)
    if way.problem:
        return [
            Problem(
                way.code,
                f"{name}: the schema cannot go back from {words(present)} to {words(wanted)}: {way.problem}",
                f"bring a verified backup set with the schema at {words(wanted)} to this node, or go forward: fix"
                f" {require_live(component).release} and deploy it under a new tag",
                name,
            )
        ]
    if way.downgrades or way.restore is not None:
        made["warnings"].append(drill_text.for_plan(component.get("drills") or {}, name, require_live(component).release, tag))
    if way.restore is not None:
        middle.append(restore(made, name, way.restore, _databases(name, way.restore)))
        if way.downgrades:
            undone = ", ".join(revision for entry in way.downgrades for revision in reversed(entry.get("undo") or []))
            made["warnings"].append(
                f"{name}: what undoing {undone} takes away can be asked only when the set is back: name it in -e accept_loss=…, or run "
                "again"
                " then"
            )
    for entry in way.downgrades:
        middle.append(
            {
                "do": "downgrade",
                "component": name,
                "detail": {
                    "release": _knows_all(component, present, way.downgrades),
                    "revisions": list(reversed(entry.get("undo") or [])),
                    "from": list(entry.get("to") or []),
                    "to": list(entry.get("from") or []) if entry.get("undo") == entry.get("steps") else list(wanted),
                    "expected_s": entry.get("seconds") or DOWNGRADE_S,
                },
            }
        )
    if way.downgrades and not wanted:
        made["warnings"].append(
            f"{name}: {tag} has no migrations, and its schema no revision: only -e migrate_allow_base=true lets a downgrade undo them all"
        )
    if way.lost and way.restore is None:
        made["losses"].append(
            f"{name}: what {', '.join(way.lost)} brought into the database goes, with the rows written into it since"
        )
    return []


def _knows_all(component: Component, present: Sequence[str], downgrades: Sequence[schema_path.Migration]) -> str | None:
    """The release whose code undoes all of *downgrades*: what is live where the schema is its own, else what brought the newest of them.

    A release that brought an older one does not know what lies above it, and need not be here any more. What is live counts as well where
    it has led to *present* by a downgrade: a rollback that was killed between two goes on by the code that it began with.
    """
    live, migrations = require_live(component).release, component.get("migrations") or []
    own = schema_path.heads_of_release(live, (component.get("manifests") or {}).get(live), migrations)
    done = [entry for entry in migrations if entry.get("outcome") == "ok"]
    begun = bool(done) and (done[-1].get("state"), done[-1].get("release")) == ("downgraded", live)
    known = begun and schema_path.same(done[-1].get("to") or [], present)
    return live if known or (own is not None and schema_path.same(own, present)) else downgrades[0].get("release")


def _databases(name: str, found: BackupSet) -> list[str]:
    """The parts of a set that hold the database of a component; all of its databases where it does not say whose they are."""
    parts = [part for part in found.get("parts") or [] if part.get("kind") == "postgres"]
    own = [part for part in parts if part.get("component") == name] or parts
    return [f"postgres:{part.get('name')}" for part in own] or ["postgres"]


def restore(made: Plan, name: str | None, found: BackupSet, what: Sequence[str]) -> Step:
    """The step that puts parts of a set back, C(kind:name) each; what that takes away goes into *made*."""
    made["losses"].append(
        f"{name or 'everything'}: all that was written since the backup set {found.get('name')} of {found.get('made')};"
        " the restore counts the rows of each table before it asks for consent, and keeps what it replaces"
    )
    return {
        "do": "restore",
        "component": name,
        "detail": {
            "set": found.get("name"),
            "path": found.get("path"),
            "made": found.get("made"),
            "what": list(what),
            "parts": [title.replace(":", " ", 1) for title in what],
            "expected_s": found.get("seconds") or RESTORE_S,
        },
    }


def saved(view: View, name: str | None) -> Step:
    """The step that keeps what is; it takes as long as the newest backup set took."""
    timed = sorted((entry for entry in view.get("backups") or [] if entry.get("seconds")), key=lambda entry: str(entry.get("made")))
    expected_s = float(timed[-1]["seconds"] or 0.0) if timed else 0.0
    return {"do": "backup", "component": name, "detail": {"reason": "rollback", "expected_s": expected_s}}


def around(
    view: View, members: Members, switches: list[Switch], middle: list[Step], elsewhere: Collection[str] = ()
) -> list[Step]:
    """The steps in their order: keep what is, stop, take the data back, start the target from the bottom up, look whether it is so.

    What is moved *elsewhere* is kept there as well.
    """
    names = [name for name, _entry in members]
    databases: list[str | None] = [name for name, entry in members if entry.get("database") is not None and name not in elsewhere]
    restores = any(step["do"] == "restore" for step in middle)
    named = databases[:1] or ([None] if restores else [])
    save = [saved(view, name) for name in named]
    stop: list[Step] = [{"do": "stop", "component": name, "detail": {}} for name in reversed(names)]
    steps = [*stop, *save] if restores else [*save, *stop]  # what is replaced is saved when nobody writes any more
    steps += middle
    from_below: list[Switch] = sorted(switches, key=lambda step: names.index(step["component"]))
    steps += from_below
    steps += starts(members, switches)
    steps.append({"do": "verify", "component": None, "detail": {"components": names, "node": view.get("node")}})
    return steps


def starts(members: Members, switches: Sequence[Switch], only_down: bool = False) -> list[Step]:
    """The steps for components that stay where they are and stand still: all that were stopped, or those whose slot is down now."""
    moving = {step["component"] for step in switches}
    staying = [(name, component) for name, component in members if name not in moving]
    return [{"do": "start", "component": name, "detail": {}} for name, component in staying if not only_down or _down(component)]


def _down(component: Component) -> bool:
    live = component.get("live")
    slot = (component.get("slots") or {}).get(live["slot"]) if live else None
    return slot is not None and slot["running"] is False
