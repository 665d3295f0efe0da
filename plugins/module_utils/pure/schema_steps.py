# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The database's part of a rollback plan: whether code alone may go back, and what has to be undone or restored if not. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.pure import schema_way
from ansible_collections.phasegate.aistack.plugins.module_utils.pure.rollback_state import Component, Problem, Target, View, must
from ansible_collections.phasegate.aistack.plugins.module_utils.pure.schema_way import words

DOWNGRADE_S, RESTORE_S = 30.0, 600.0
"""Seconds taken where neither the journal nor a manifest tells how long it takes."""

Members = Sequence[tuple[str, Component]]


def complete(
    made: dict[str, Any], view: View, members: Members, targets: Mapping[str, Target], switches: list[dict[str, Any]], level: str
) -> list[Problem]:
    """Put the steps of the levels app, schema and system into *made*; returns why it must not be carried out."""
    if level == "system":
        return _system(made, view, members, targets, switches)
    problems: list[Problem] = []
    around: list[dict[str, Any]] = []
    for name, component in members:
        database = component.get("database")
        if database is None or name not in targets or (level == "app" and targets[name].here):
            continue
        present = _present(made, name, component)
        if level == "schema" and database.get("from") != "database":
            reason = f"{name}: the database does not answer: {database.get('why')}"
            problems.append(Problem("database_away", reason, "bring the database up first; level=app needs it less", name))
            continue
        tag = targets[name].release
        wanted = schema_way.heads_of_release(tag, (component.get("manifests") or {}).get(tag), component.get("migrations") or [])
        if present is None:
            made["unverified"].append(
                f"{name}: whether {tag} runs on the present schema: {database.get('why') or 'its heads are not known'}"
            )
            continue
        if wanted is None:
            problems.append(
                Problem(
                    "schema_unproven",
                    f"{name}: which schema {tag} needs is not known",
                    "deploy it: deploy.yml checks its migrations",
                    name,
                )
            )
            continue
        if level == "app":
            problems += _app(made, name, component, tag, wanted, present)
        else:
            problems += _schema(made, view, name, component, tag, wanted, present, around)
    if level == "app":
        made["steps"] = switches
        return problems
    if not switches and not around:
        return problems or [Problem("already_there", f"code and schema are at {made['to']} already", "nothing is to be done")]
    if not around:
        if not problems and any(entry.get("database") is not None for _name, entry in members):
            made["warnings"].append("the schema is where the target wants it: level app would do")
        made["steps"] = switches
        return problems
    made["steps"] = _around(view, members, switches, around)
    around_s = sum(float(step["detail"].get("expected_s") or 0.0) for step in around)
    made["expected_s"] = round(float(made["expected_s"] or 0.0) + around_s, 1)
    return problems


def _present(made: dict[str, Any], name: str, component: Component) -> list[str] | None:
    """The heads of the database, as far as they are known; what they are known from goes into the plan."""
    database = component["database"]
    heads = database.get("heads")
    if heads is not None and database.get("from") == "journal":
        made["unverified"].append(
            f"{name}: the database does not answer ({database.get('why')}); its schema is taken to be at {words(heads)},"
            " where the journal's last migration left it"
        )
    return None if heads is None else sorted(heads)


def _app(
    made: dict[str, Any], name: str, component: Component, tag: str, wanted: Sequence[str], present: Sequence[str]
) -> list[Problem]:
    proof = schema_way.prove(wanted, present, component.get("migrations") or [], component.get("proofs") or [], tag)
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
            f"take the schema back as well: level=schema (to={tag}); or mend {must(component).release} and deploy it under a new tag",
            name,
        )
    ]


def _schema(
    made: dict[str, Any], view: View, name: str, component: Component, tag: str, wanted: Sequence[str], present: Sequence[str],
    around: list[dict[str, Any]],
) -> list[Problem]:  # fmt: skip
    way = schema_way.way_back(name, wanted, present, component.get("migrations") or [], view.get("backups") or [])
    if way.problem:
        return [
            Problem(
                way.code,
                f"{name}: the schema cannot go back from {words(present)} to {words(wanted)}: {way.problem}",
                f"bring a verified backup set with the schema at {words(wanted)} to this node, or go forward: mend"
                f" {must(component).release} and deploy it under a new tag",
                name,
            )
        ]
    if way.restore is not None:
        around.append(_restore(made, name, way.restore))
    for entry in way.downgrades:
        around.append(
            {
                "do": "downgrade",
                "component": name,
                "detail": {
                    "release": entry.get("release"),
                    "revisions": list(reversed(entry.get("undo") or [])),
                    "from": list(entry.get("to") or []),
                    "to": list(entry.get("from") or []) if entry.get("undo") == entry.get("steps") else list(wanted),
                    "expected_s": entry.get("seconds") or DOWNGRADE_S,
                },
            }
        )
    if way.lost and way.restore is None:
        made["losses"].append(
            f"{name}: what {', '.join(way.lost)} brought into the database goes, with the rows written into it since"
        )
    return []


def _restore(
    made: dict[str, Any], name: str | None, found: Mapping[str, Any], parts: Sequence[str] = ("postgres",)
) -> dict[str, Any]:
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
            "parts": list(parts),
            "expected_s": found.get("seconds") or RESTORE_S,
        },
    }


def _around(view: View, members: Members, switches: list[dict[str, Any]], middle: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The steps in their order: keep what is, stop, take the data back, start the target from the bottom up, look whether it is so."""
    names = [name for name, _entry in members]
    databases = [name for name, entry in members if entry.get("database") is not None]
    steps: list[dict[str, Any]] = [
        {"do": "backup", "component": name, "detail": {"reason": "rollback", "expected_s": 0.0}} for name in databases[:1]
    ]
    steps += [{"do": "stop", "component": name, "detail": {}} for name in reversed(names)]
    steps += middle
    steps += sorted(switches, key=lambda step: names.index(step["component"]))
    steps.append({"do": "verify", "component": None, "detail": {"components": names, "node": view.get("node")}})
    return steps


def _system(
    made: dict[str, Any], view: View, members: Members, targets: Mapping[str, Target], switches: list[dict[str, Any]]
) -> list[Problem]:
    """Everything from one backup set: the newest that was made while the target was live."""
    wanted = {name: target.release for name, target in targets.items()}
    fitting = [
        entry
        for entry in view.get("backups") or []
        if entry.get("parts")
        and all(((entry.get("live") or {}).get(name) or {}).get("release") == tag for name, tag in wanted.items())
    ]
    usable = [entry for entry in fitting if schema_way.usable_set(entry)]
    if not usable:
        worst = max(fitting, key=lambda entry: str(entry.get("made") or ""), default=None)
        code = "backup_unverified" if worst else "backup_missing"
        reason = (
            f"the backup set {worst.get('name')} cannot be relied on: {worst.get('problem') or worst.get('verdict') or 'no verdict'}"
            if worst
            else f"no backup set on this node was made while {made['to']} was live"
        )
        way_out = "bring a verified set of that time to this node, or take the code and the schema back: level=schema"
        return [Problem(code, reason, way_out)]
    found = max(usable, key=lambda entry: str(entry.get("made") or ""))
    parts = [f"{part.get('kind')} {part.get('name')}".strip() for part in found.get("parts") or []]
    for name, component in members:
        if component.get("database") is not None:
            _present(made, name, component)
    made["steps"] = _around(view, members, switches, [_restore(made, None, found, parts)])
    made["expected_s"] = round(float(made["expected_s"] or 0.0) + float(found.get("seconds") or RESTORE_S), 1)
    return []
