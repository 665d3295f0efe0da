# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Controller side of C(phasegate.aistack.tree_back): trees that retention removed are laid down again from what is kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.phasegate.aistack.plugins.action import release
from ansible_collections.phasegate.aistack.plugins.module_utils.core.masking import without_credentials
from ansible_collections.phasegate.aistack.plugins.module_utils.release import artefact_settings
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.state import TREE_GONE
from ansible_collections.phasegate.aistack.plugins.plugin_utils.shelf import Shelf

ARGUMENTS: dict[str, dict[str, Any]] = {
    "answer": {"type": "dict", "required": True},
    "release": {"type": "str", "required": True},
    "components": {"type": "dict", "required": True},
    "applications": {"type": "dict", "default": {}},
    "artefacts": {"type": "raw", "default": {}},
    "python": {"type": "str", "default": "python3"},
    "group": {"type": "str", "default": "aistack"},
    "min_free_bytes": {"type": "int", "default": 536870912},
    "allow_bad": {"type": "bool", "default": False},
    "root": {"type": "str"},
    "state_dir": {"type": "str"},
    "run": {"type": "str", "default": ""},
}
HANDED_ON = ("root", "state_dir", "run", "python", "group", "min_free_bytes", "allow_bad", "release")


def gone(answer: Mapping[str, Any], components: Mapping[str, Any]) -> list[str]:
    """The components whose trees a node's plan misses, by the component that has them."""
    missing = [entry.get("component") for entry in answer.get("refusals") or [] if entry.get("code") == TREE_GONE]
    named = [str((components.get(name) or {}).get("release_from") or name) for name in missing if name]
    return list(dict.fromkeys(name for name in named if name in components))


def told(answer: Mapping[str, Any], said: Mapping[str, str], components: Mapping[str, Any]) -> dict[str, Any]:
    """A node's plan, with what is known of the trees that it misses in its refusals."""
    refusals = []
    for entry in answer.get("refusals") or []:
        name = str((components.get(entry.get("component")) or {}).get("release_from") or entry.get("component"))
        more = said.get(name) if entry.get("code") == TREE_GONE else None
        refusals.append({**entry, "reason": f"{entry['reason']}; {more}"} if more else entry)
    return {**answer, "refusals": refusals}


class ActionModule(release.ActionModule):
    """Look for what is missing, and lay it down. Nothing that serves is touched."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return C(laid_down), and the node's plan with what was found."""
        result: dict[str, Any] = super(release.ActionModule, self).run(tmp, task_vars)
        _validated, args = self.validate_argument_spec(argument_spec=ARGUMENTS)
        names = gone(args["answer"], args["components"])
        said: dict[str, str] = {}
        laid: dict[str, Any] = {}
        notes: list[str] = []
        try:
            settings = artefact_settings.read(args["artefacts"])
        except ValueError as error:
            return {**result, "failed": True, "msg": str(error)}
        for name in names:
            described = args["components"][name]
            if described.get("kind") == "image":
                said[name] = "images are kept by Docker alone, and go with their releases"
                continue
            if settings is None:
                said[name] = "artefacts are not kept (aistack_artefacts is false)"
                continue
            repo = str((args["applications"].get(described.get("application")) or {}).get("repo") or "")
            shelf = Shelf(settings, without_credentials(repo), name)
            said[name] = self._one_back(name, described, args, shelf, laid, task_vars)
            notes += shelf.notes
        if notes:
            result["warnings"] = list(dict.fromkeys(notes))
        answer = told(args["answer"], said, args["components"])
        told_of = [f"{name}: the tree of {args['release']} was laid down from what is kept of it (an artefact that {one['from']} built)"
                   for name, one in laid.items()]
        return {**result, "answer": answer, "laid_down": laid, "notes": told_of, "changed": bool(laid)}

    def _one_back(
        self, name: str, described: Mapping[str, Any], args: Mapping[str, Any], shelf: Shelf, laid: dict[str, Any],
        task_vars: dict[str, Any] | None,
    ) -> str:
        """Lay one tree down; says why that was not done, or, in check mode, that it would be."""
        asked = {**{key: args[key] for key in HANDED_ON if args.get(key) is not None}, "component": name, "actor": release.actor(),
                 "kind": described.get("kind") or "python", **_made(described)}
        answer = self._call(asked, task_vars)
        if answer.get("failed"):
            return str(answer.get("msg"))
        built = answer.get("built") or {}
        if not built.get("platform"):
            return "its files are taken from the repository as they are, so that none are kept"
        stored = shelf.of_tag(str(args["release"]), built["platform"], str(built.get("root") or ""))
        if stored is None:
            return "no artefact of it is kept for this platform" + (f" ({'; '.join(shelf.notes)})" if shelf.notes else "")
        if self._task.check_mode:
            return (
                f"it is kept as an artefact that {stored.built_on} built; without check mode that is laid down first, and the plan is made "
                "with it"
            )
        done = self._lay_down({**asked, "commit": stored.facts.get("commit")}, task_vars, stored)
        if done.get("failed"):
            return f"its artefact could not be laid down: {done.get('msg')}"
        laid[name] = done["artefact"]
        return ""


def _made(described: Mapping[str, Any]) -> dict[str, Any]:
    """What says whether a site of files is built, and where in the repository it lies."""
    names: Iterable[str] = ("lock", "build", "path", "context", "includes")
    return {key: described[key] for key in names if described.get(key)}
