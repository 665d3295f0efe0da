# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""C(phasegate.aistack.awx_plan): what AWX is to have of a stack. It asks the application's repository, and nobody else."""

from __future__ import annotations

from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.release.mirror import Source, SourceError
from ansible_collections.phasegate.aistack.plugins.plugin_utils import awx, pages
from ansible_collections.phasegate.aistack.plugins.plugin_utils.controller_action import ControllerAction
from ansible_collections.phasegate.aistack.plugins.plugin_utils.verb_table import read_verbs

ARGUMENTS: dict[str, dict[str, Any]] = {
    "stack": {"type": "str", "required": True},
    "organization": {"type": "str", "required": True},
    "found": {"type": "dict", "default": {}},
    "names": {"type": "dict", "default": {}},
    "verbs": {"type": "list", "elements": "str", "default": []},
    "releases": {"type": "list", "elements": "str", "default": []},
    "repo": {"type": "str", "default": ""},
    "shown": {"type": "int", "default": 20},
    "playbooks": {"type": "str", "default": ""},
    "documents": {"type": "str", "default": ""},
    "extra_vars": {"type": "dict", "default": {}},
    "approval_timeout": {"type": "int", "default": 0},
    "notifications": {"type": "list", "elements": "dict", "default": []},
}


class ActionModule(ControllerAction):
    """Plan; refuse what cannot be."""

    arguments = ARGUMENTS

    def answer(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Return the objects, or why there can be none."""
        try:
            releases = awx.tags(args["releases"] or (Source(args["repo"]).tags() if args["repo"] else ()), args["shown"])
        except (SourceError, OSError) as error:
            return pages.refusal(f"The releases to choose from are the tags of awx_releases_repo. {error}\n"
                                 "Name them yourself in awx_releases where this machine cannot reach it. Nothing was changed in AWX.")
        if args["repo"] and not releases:
            return pages.refusal(f"The repository {Source(args['repo']).shown} (awx_releases_repo) has no tag that can be a release. Tag "
                                 "one, or name some in awx_releases. Nothing was changed in AWX.")
        return self._planned({**args, "releases": releases})

    def _planned(self, args: dict[str, Any]) -> dict[str, object]:
        verbs, stack, found = read_verbs(), args["stack"], args["found"]
        try:
            templates, workflow = awx.templates(verbs, args), awx.workflow(verbs, args)
            notifications = [awx.notification(stack, entry) for entry in args["notifications"]]
            files = awx.wrappers(verbs, args["verbs"])
        except awx.Unfit as error:
            return pages.refusal(f"{error} Nothing was changed in AWX.")
        names = {
            **args["names"],
            "job_templates": [entry["name"] for entry in templates],
            "workflow_job_templates": [workflow["name"]] if workflow else [],
            "notification_templates": [entry["name"] for entry in notifications],
        }
        strangers = awx.strangers(stack, found, names)
        if strangers:
            listed = "\n".join(f"  - {line}" for line in strangers)
            return pages.refusal(
                f"AWX has objects with names that are needed for the stack '{stack}', and that were not made for it:\n{listed}\n"
                f"Expected none, or ones whose description begins with '{awx.mark(stack)}'. Rename or delete them, or give the stack "
                "another name in AWX (awx_name). Nothing was changed."
            )
        there = found.get("workflow_job_template_nodes") or []
        if workflow:
            # the module says of an approval each time that it changed; so it is told of the nodes only where they are not as they should be
            same = awx.drawn(there) == awx.graph(workflow["nodes"])
            workflow.update(nodes=[] if same else workflow["nodes"], redrawn=bool(there) and not same)
        operated = [entry["name"] for entry in templates if entry["verb"] in awx.OPERATES]
        left = [f"{kind}: {entry['name']}" for kind in awx.ORDER if kind != "execution_environments"
                for entry in found.get(kind, ()) if not awx.is_ours(stack, entry)]
        return {
            "changed": False, "templates": templates, "workflow": workflow, "notifications": notifications, "files": files,
            "operates": operated, "missing": awx.missing(found, names),
            "stale": awx.stale(stack, found, names), "own": awx.own(stack, found), "left": left,
        }
