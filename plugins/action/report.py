# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Controller side of C(phasegate.aistack.report): pages for people, and the exit status that goes with them."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase

from ansible_collections.phasegate.aistack.plugins.module_utils.pure.default_gate import without
from ansible_collections.phasegate.aistack.plugins.module_utils.pure.report_text import failure_text, health_rows, health_text
from ansible_collections.phasegate.aistack.plugins.module_utils.pure.rollback_stack import outcome_rows, outcome_text
from ansible_collections.phasegate.aistack.plugins.module_utils.pure.verify_text import (
    data_items,
    failed_items,
    verify_items,
    verify_markdown,
    verify_text,
)

ARGUMENTS: dict[str, dict[str, Any]] = {
    "kind": {"type": "str", "required": True, "choices": ["health", "failure", "page", "rollback", "verify"]},
    "results": {"type": "dict", "default": {}},
    "levels": {"type": "dict", "default": {}},
    "data": {"type": "dict", "default": {}},
    "decision": {"type": "dict", "default": {}},
    "failed_task": {"type": "str", "default": ""},
    "failed_result": {"type": "dict", "default": {}},
    "text": {"type": "str", "default": ""},
    "output": {"type": "path", "default": ""},
    "quiet": {"type": "bool", "default": False},
}


class ActionModule(ActionBase):
    """Print, write, and fail where what is printed is a failure."""

    _requires_connection = False
    _supports_check_mode = True
    _supports_diff = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Dispatch on the kind of page."""
        super().run(tmp, task_vars)
        _validated, args = self.validate_argument_spec(argument_spec=ARGUMENTS)
        page: dict[str, Any] = getattr(self, f"_{args['kind']}")(args, task_vars or {})
        if args["output"] and args["kind"] != "failure":
            as_json = args["kind"] in ("health", "rollback") or (args["kind"] == "verify" and args["output"].endswith(".json"))
            content = json.dumps(page["rows"], indent=1) if as_json else page.get("markdown") or page["text"]
            Path(args["output"]).parent.mkdir(parents=True, exist_ok=True)
            Path(args["output"]).write_text(content.rstrip("\n") + "\n", encoding="utf-8")
        if args["quiet"] and not page.get("failed"):
            page.pop("text")
        return page

    def _health(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        rows = health_rows(args["results"], list(task_vars.get("aistack_components", {})))
        bad = not rows or any(row["verdict"] in ("fail", "error", "inconclusive") for row in rows)
        failed = bad and not self._task.check_mode  # in check mode no gate is enforced
        only = [name.strip() for name in str(task_vars.get("only") or "").split(",") if name.strip()]
        described = task_vars.get("aistack_components", {})
        unasked = without(described if isinstance(described, Mapping) else self._templar.template(described), only)
        text = health_text(rows, without=unasked) if rows else "No probe ran: the stack has no gates, or no node was asked."
        page: dict[str, Any] = {"changed": False, "rows": rows, "text": text, "failed": failed}
        if failed:
            page["msg"] = text
        return page

    def _verify(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        items = verify_items(args["results"], args["levels"])
        for node, reports in args["data"].items():
            items += data_items(node, reports)
        title = f"Verification of {task_vars.get('aistack_name', 'the stack')}"
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
        text = verify_text(items)
        page: dict[str, Any] = {"changed": False, "rows": items, "text": text, "markdown": verify_markdown(items, title, now)}
        if not self._task.check_mode and (failed_items(items) or not items):
            page.update(failed=True, msg=text)
        return page

    def _rollback(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        rows = outcome_rows(args["decision"], args["results"])
        text = outcome_text(args["decision"], rows) if not self._task.check_mode else args["decision"]["text"]
        page: dict[str, Any] = {"changed": False, "rows": rows, "text": text}
        # said by every way of output, those that show no text of a task that went well included
        unverified = [(row["node"], row["component"], said) for row in rows for said in row.get("unverified") or []]
        page["warnings"] = [f"not verified: {node}: {component}: {said}" for node, component, said in unverified]
        if not self._task.check_mode and any(row["outcome"] != "ok" for row in rows):
            page.update(failed=True, msg=text)
        return page

    def _failure(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        if not args["failed_task"]:
            return {"failed": True, "quiet": True, "msg": "Stopped, because another node failed.", "text": ""}
        text = failure_text(args["failed_task"], args["failed_result"])
        return {"failed": True, "msg": text, "text": text}

    def _page(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        return {"changed": False, "text": args["text"]}
