# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Arguments that alembic and alembic_info share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.core.caller import CALLER
from ansible_collections.phasegate.aistack.plugins.module_utils.core.places import PLACES
from ansible_collections.phasegate.aistack.plugins.module_utils.core.service_user import TOOLS_USER
from ansible_collections.phasegate.aistack.plugins.module_utils.core.unit_user import service_user
from ansible_collections.phasegate.aistack.plugins.module_utils.migration.plan import Request
from ansible_collections.phasegate.aistack.plugins.module_utils.migration.policy import DECISIONS, HEADS, LINT_ERRORS


def _decision(default: str) -> dict[str, object]:
    return {"type": "str", "choices": list(DECISIONS), "default": default}


SPEC: dict[str, Any] = {
    "component": {"type": "str", "required": True},
    "release": {"type": "str", "default": ""},
    **PLACES,
    "release_path": {"type": "path"},
    "python": {"type": "path"},
    "env_file": {"type": "path", "required": True},
    "user": {"type": "str"},
    "ini": {"type": "str", "default": "alembic.ini"},
    "x": {"type": "dict", "default": {}},
    "url_variable": {"type": "str", "default": "DATABASE_URL"},
    "tables": {"type": "list", "elements": "str", "default": []},
    "policy": {
        "type": "dict",
        "default": {},
        "options": {
            "contract": _decision("refuse"),
            "irreversible": _decision("refuse"),
            "autocommit": _decision("allow"),
            "unknown_sql": _decision("refuse"),
            "lint": {"type": "list", "elements": "str", "default": list(LINT_ERRORS)},
            "lint_missing": _decision("allow"),
            "max_steps": {"type": "int", "default": 0},
            "heads": {"type": "str", "choices": list(HEADS), "default": "one"},
            "accept": {"type": "list", "elements": "str", "default": []},
        },
    },
    "accept_loss": {"type": "list", "elements": "str", "default": []},
    "allow_base": {"type": "bool", "default": False},
    "squawk": {"type": "path"},
    **CALLER,
    "repo": {"type": "str"},
    "path": {"type": "str", "default": ""},
    "lock": {"type": "str"},
    "context": {"type": "list", "elements": "str", "default": []},
    "schema": {"type": "list", "elements": "dict", "default": []},
    "mirror_dir": {"type": "str", "default": ""},
    "plan_dir": {"type": "str", "default": "~/.cache/phasegate/plan"},
    "plan_unsandboxed": {"type": "bool", "default": False},
    "plan_on_node": {"type": "dict", "default": {}, "no_log": True},
}
ON_CONTROLLER = ("repo", "path", "lock", "context", "schema", "mirror_dir", "plan_dir", "plan_unsandboxed", "plan_on_node")
"""Options that the action plugins keep to themselves; the node has no use for them."""


def of(params: Mapping[str, Any]) -> Request:
    """The request that a module's parameters describe; what was left out keeps its default."""
    known = {entry.name for entry in fields(Request)}
    given = {name: value for name, value in params.items() if name in known and value is not None}
    given["x"] = {str(name): str(value) for name, value in (given.get("x") or {}).items()}
    return Request(**{"user": service_user(params["component"]) or TOOLS_USER, **given})


def brief(facts: Mapping[str, Any]) -> dict[str, Any]:
    """What a failure shows besides its message: the plan without its statements and reasons, so that the message is not buried."""
    shown = dict(facts)
    if "plan" in shown:
        plan = shown["plan"]
        keys = ("revision", "doc", "risk")
        shown["plan"] = {
            **{key: plan[key] for key in ("component", "release", "current", "target")},
            "losses": plan.get("losses") or [],
            "pending": [{key: step[key] for key in keys} for step in plan["pending"]],
        }
    return shown
