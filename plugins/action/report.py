# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Controller side of C(phasegate.aistack.report): pages for people, and the exit status that goes with them."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase

from ansible_collections.phasegate.aistack.plugins.module_utils.gate.default import without
from ansible_collections.phasegate.aistack.plugins.module_utils.report.text import failure_text, health_rows, health_text
from ansible_collections.phasegate.aistack.plugins.module_utils.report.verify import (
    data_items,
    failed_items,
    verify_items,
    verify_markdown,
    verify_text,
)
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.decision import outcome_rows, outcome_text
from ansible_collections.phasegate.aistack.plugins.plugin_utils import owner, pages

ARGUMENTS: dict[str, dict[str, Any]] = {
    "kind": {"type": "str", "required": True, "choices": ["health", "failure", "page", "rollback", "verify"]},
    "results": {"type": "dict", "default": {}},
    "levels": {"type": "dict", "default": {}},
    "data": {"type": "dict", "default": {}},
    "decision": {"type": "dict", "default": {}},
    "failed_task": {"type": "str", "default": ""},
    "failed_result": {"type": "dict", "default": {}},
    "command": {"type": "str", "default": ""},
    "text": {"type": "str", "default": ""},
    "failure": {"type": "str", "default": ""},
    "output": {"type": "path", "default": ""},
    "quiet": {"type": "bool", "default": False},
    "ask": {"type": "str", "default": ""},
}
NO_PROBE = "No probe ran: the stack has no gates (gate, in aistack_components), or no node was asked."


LARGEST, SHOWN = 64 * 1024, 8 * 1024
"""Bytes that a document may have as an artefact of a job, and the letters that are kept of a larger one: a workflow hands them on."""


@dataclass
class Page:
    """A page of text, the data that it was made of, and what the failure is called where it is one."""

    text: str
    rows: list[dict[str, Any]] = field(default_factory=list)
    markdown: str = ""
    failure: str = ""
    warnings: list[str] = field(default_factory=list)


def summed(text: str) -> str:
    """The last line of a page, which sums it up, as the message of its failure."""
    return f"{text.splitlines()[-1].strip()}. What was expected and what came stands on the page above."


def artefact(name: str, content: str, as_json: bool) -> dict[str, Any]:
    """What ``set_stats`` would say of a document: its name and its text, so that it does not go with the container of a job."""
    file = Path(name).name if Path(name).suffix else f"{Path(name).name}.{'json' if as_json else 'md'}"
    kept = content if len(content.encode("utf-8", "replace")) <= LARGEST else f"{content[:SHOWN]}\n[the rest is in the output of the job]"
    return {"data": {"aistack_job_documents": {file: kept}}, "per_host": False, "aggregate": True}


class ActionModule(ActionBase):
    """Print, write, and fail where what is printed is a failure."""

    _requires_connection = False
    _supports_check_mode = True
    _supports_diff = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Dispatch on the kind of page."""
        super().run(tmp, task_vars)
        _validated, args = self.validate_argument_spec(argument_spec=ARGUMENTS)
        if args["kind"] == "failure":
            return self._failure(args)
        page: Page = getattr(self, f"_{args['kind']}")(args, task_vars or {})
        as_json = args["kind"] in ("health", "rollback") or (args["kind"] == "verify" and args["output"].endswith(".json"))
        content = json.dumps(page.rows, indent=1) if as_json else page.markdown or page.text
        if args["output"]:
            try:
                Path(args["output"]).parent.mkdir(parents=True, exist_ok=True)
                Path(args["output"]).write_text(content.rstrip("\n") + "\n", encoding="utf-8")
            except OSError as error:
                pages.show(self._task, page.text)
                word = "documents=FOLDER" if args["quiet"] else "output=FILE"
                return pages.refusal(f"The page above cannot be written to {args['output']}: {error.strerror or error}. Name a "
                                     f"{word.split('=')[1].lower()} that you may write to: -e {word}.")
        if not args["quiet"] or page.failure:
            pages.show(self._task, page.text)
            if args["output"]:
                pages.show(self._task, f"Written on this machine: {args['output']}")
        more: dict[str, Any] = {"warnings": page.warnings} if page.warnings else {}
        if args["ask"]:
            more["answer"] = self._answer(args["ask"])
        if "output" in self._task.args and content.strip() and not self._task.no_log and owner.in_runner(task_vars or {}):
            name = args["output"] or str((task_vars or {}).get("aistack_verb") or args["kind"])
            more["ansible_stats"] = artefact(name, content, as_json)
        return pages.refusal(page.failure, **more) if page.failure else {"changed": False, **more}

    def _answer(self, question: str) -> str:
        """What somebody types who sits at the terminal of the run; empty where nobody does."""
        try:
            return self._display.prompt_until(f"{question}: ", private=False).decode("utf-8", "replace").strip()
        except AnsibleError:  # nobody is there, or it was broken off: no answer is no consent
            return ""

    def _health(self, args: dict[str, Any], task_vars: dict[str, Any]) -> Page:
        rows = health_rows(args["results"], list(task_vars.get("aistack_components", {})))
        bad = not rows or any(row["verdict"] in ("fail", "error", "inconclusive") for row in rows)
        failed = bad and not self._task.check_mode  # in check mode no gate is enforced
        only = [name.strip() for name in str(task_vars.get("only") or "").split(",") if name.strip()]
        described = task_vars.get("aistack_components", {})
        unasked = without(described if isinstance(described, Mapping) else self._templar.template(described), only)
        text = health_text(rows, without=unasked) if rows else NO_PROBE
        return Page(text, rows, failure=(summed(text) if rows else NO_PROBE) if failed else "")

    def _verify(self, args: dict[str, Any], task_vars: dict[str, Any]) -> Page:
        items = verify_items(args["results"], args["levels"])
        for node, reports in args["data"].items():
            items += data_items(node, reports)
        title = f"Verification of {task_vars.get('aistack_name', 'the stack')}"
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
        text = verify_text(items)
        failed = not self._task.check_mode and (failed_items(items) or not items)
        return Page(text, items, verify_markdown(items, title, now), summed(text) if failed else "")

    def _rollback(self, args: dict[str, Any], task_vars: dict[str, Any]) -> Page:
        rows = outcome_rows(args["decision"], args["results"])
        if self._task.check_mode:
            return Page(args["decision"]["text"], rows)
        text = outcome_text(args["decision"], rows)
        failed = any(row["outcome"] != "ok" for row in rows)
        # said as warnings too, for those who see warnings and nothing else
        unverified = [(row["node"], row["component"], told) for row in rows for told in row.get("unverified") or []]
        warnings = [f"not verified: {node}: {component}: {told}" for node, component, told in unverified]
        return Page(text, rows, failure=summed(text) if failed else "", warnings=warnings)

    def _page(self, args: dict[str, Any], task_vars: dict[str, Any]) -> Page:
        return Page(args["text"], failure=args["failure"])

    def _failure(self, args: dict[str, Any]) -> dict[str, Any]:
        if not args["failed_task"]:
            return pages.refusal("Stopped, because another node failed.", quiet=True)
        return pages.refusal(failure_text(args["failed_task"], args["failed_result"], args["command"]))
