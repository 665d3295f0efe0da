# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command C(aistack backup): sets are made, listed, verified, copied, brought back and pruned."""

from __future__ import annotations

import argparse
import getpass
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.backup import (
    copies as backup_copy,
    failure as backup_failed,
    plan as backup_plan,
    prune as restore_prune,
)
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.catalog import (
    BackupSetError,
    folder_of,
    listed,
    newest_verified,
    verify,
)
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts import registry as backup_jobs
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.sets import Request, make, pruned
from ansible_collections.phasegate.aistack.plugins.module_utils.core import signature as backup_key
from ansible_collections.phasegate.aistack.plugins.module_utils.core.places import ROOT


def command_line() -> argparse.ArgumentParser:
    """The options of C(aistack backup)."""
    parser = argparse.ArgumentParser("aistack backup", description="Make a backup set of this node and remove those that nobody needs.")
    parser.add_argument("--reason", default="manual", help="why; becomes part of the set's name")
    parser.add_argument("--timeout", type=float, metavar="SECONDS", help="for one part; otherwise the role's backup_timeout")
    parser.add_argument("--no-prune", action="store_true", help="remove no older set afterwards")
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument("--list", action="store_true", help="only list the sets")
    instead.add_argument("--verify", metavar="NAME", help="only read a set back; 'newest' is the newest one")
    instead.add_argument("--prune", action="store_true", help="only remove the sets that nobody needs")
    instead.add_argument("--copy", action="store_true", help="only copy the newest verified set to where the role says")
    instead.add_argument("--fetch", metavar="NAME", help="only bring that set back from there")
    parser.add_argument("--node", default="", help="with --fetch: the node whose set it is; this one if left out")
    instead.add_argument("--note-failure", metavar="UNIT", help="only note that this unit made no set, for the health of the stack")
    instead.add_argument("--dry-run", action="store_true", help="only say what would be saved, and its size")
    parser.add_argument("--json", action="store_true", help="answer with JSON")
    return parser


def command(arguments: Sequence[str], state_dir: str, root: str = ROOT) -> int:
    """C(aistack backup …): makes a set and prunes, or what an option says; returns the exit status (0, 1 failed, 2 wrong words)."""
    try:
        given = command_line().parse_args(list(arguments))
    except SystemExit as leaving:
        return int(leaving.code or 0)
    actor = os.environ.get("SUDO_USER") or getpass.getuser()
    request = Request(Path(state_dir), given.reason, Path(root), actor=actor, timeout=given.timeout)
    try:
        answer, lines = _obey(given, request)
    except BackupSetError as problem:
        said = json.dumps({"failed": True, "msg": str(problem), **problem.extra}) if given.json else str(problem)
        sys.stderr.write(f"{said}\n")
        return 1
    sys.stdout.write((json.dumps(answer) if given.json else "\n".join(lines)) + "\n")
    sys.stdout.flush()
    return 1 if answer.get("problems") else 0


def _obey(given: argparse.Namespace, request: Request) -> tuple[dict[str, object], list[str]]:
    """Do it; returns the answer for programs and the lines for people."""
    state_dir = request.state_dir
    if given.list:
        sets = listed(state_dir)
        width = max((len(one["name"]) for one in sets), default=0)
        rows = [f"{one['name']:{width}}  {backup_plan.size_text(one.get('bytes') or 0):>10}  {one['verdict']}" for one in sets]
        return {"sets": sets}, rows or [f"no backup set in {folder_of(state_dir)}"]
    if given.verify:
        name = given.verify
        if name == "newest":
            name = (newest_verified(state_dir) or {"name": "newest"})["name"]
        seen = verify(state_dir, name)
        told = [f"  - {problem}" for problem in seen["problems"]]
        signed = {backup_key.GOOD: "", backup_key.NONE: ", not signed", backup_key.OTHER: ", not signed with the key of this node"}
        line = f"{seen['name']}: {seen['verdict']}{signed[seen['signature']]}"
        return {key: value for key, value in seen.items() if key != "manifest"}, [line, *told]
    if given.note_failure:
        noted = backup_failed.note(state_dir, given.note_failure)
        return noted, [f"{given.note_failure} made no backup set: {noted['why']}", "The newest verified one stays; see it with --list."]
    if given.copy or given.fetch:
        moved = backup_copy.fetch(request, given.fetch, given.node) if given.fetch else backup_copy.copy(request)
        done = ("fetched from" if given.fetch else "copied to") if moved["changed"] else "there already:"
        return moved, [f"{moved['name']}: {done} {moved['path'] if given.fetch and not moved['changed'] else moved['place']}"]
    if given.dry_run:
        plan = make(request, check=True)
        rows = [f"  {title}: {backup_plan.size_text(size)} at most" for title, size in plan["parts"].items()]
        return plan, [f"would make {plan['name']}", *rows, *(f"  left out: {reason}" for reason in plan["left_out"])]
    answer: dict[str, Any] = {}
    lines: list[str] = []
    if not given.prune:
        made = make(request)
        answer = {key: made[key] for key in ("name", "path", "bytes", "seconds", "left_out")}
        answer["verdict"] = made["manifest"]["verdict"]
        lines = [f"{made['path']}: {answer['verdict']}, {backup_plan.size_text(made['bytes'])} in {made['seconds']:.1f} s"]
        lines += [f"  left out: {reason}" for reason in made["left_out"]]
    if given.prune or not given.no_prune:
        gone = {**pruned(request), **restore_prune.prune(request)}
        answer.update({key: gone[key] for key in ("removed", "replaced", "beside", "beside_kept")})
        names = [*gone["removed"], *(f"what restore {name} replaced" for name in gone["replaced"]), *gone["beside"]]
        lines += [f"removed {name}" for name in names] or (["nothing to remove"] if given.prune else [])
        lines += [f"{name} stays, although it is old: {why}" for name, why in gone["beside_kept"].items()]
    if not given.prune and backup_jobs.load_description(state_dir).get("copy"):
        copied = backup_copy.copy(request)
        answer.update(copied_to=copied["place"], copies_removed=copied["removed"])
        lines += [f"copied to {copied['place']}", *(f"removed the copy of {name}" for name in copied["removed"])]
    return answer, lines
