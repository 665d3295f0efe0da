# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""ComfyUI answers, and takes a prompt through its queue to the end."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.context import Context, NotAsExpected, excerpt
from ansible_collections.phasegate.aistack.plugins.module_utils.clients.http import ask_json
from ansible_collections.phasegate.aistack.plugins.module_utils.core.expect import MISSING, check, check_all, describe_all, get_path
from ansible_collections.phasegate.aistack.plugins.module_utils.core.schema import Option
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.base import Attempt, Probe, judge


class Comfyui(Probe):
    """Ask for /system_stats; with a prompt, send it and wait for its history."""

    type = "comfyui"
    target = Option("str", "address of the server", required=True)
    options = {
        "stats": Option("paths", "dotted paths in /system_stats, and what is expected there"),
        "prompt": Option("dict", "workflow in the API's format; it is queued and waited for"),
        "outputs": Option("figure", "number of outputs of that prompt", default={"ge": 1}),
        "within": Option("number", "seconds for the prompt", default=60),
    }
    hint = "try: curl {target}/queue, and look at ComfyUI's log"

    @staticmethod
    def check(spec: Mapping[str, object]) -> list[str]:
        return [f"{key}: needs a prompt" for key in ("outputs", "within") if spec.get(key) is not None and not spec.get("prompt")]

    @property
    def changes(self) -> bool:
        return bool(self.spec.get("prompt"))

    @property
    def default_timeout(self) -> float:
        return float(self.spec.get("within") or 60.0) + 5.0 if self.changes else 5.0

    def expectation(self) -> str:
        parts = [describe_all(self.spec["stats"])] if self.spec.get("stats") else ["system_stats"]
        if self.changes:
            parts.append(f"the prompt is done within {float(self.spec.get('within') or 60.0):g} s")
        return ", ".join(parts)

    def observe(self, context: Context) -> Attempt:
        base = str(self.spec["target"]).rstrip("/")
        stats = ask_json(f"{base}/system_stats", context)
        if get_path(stats, "system") is MISSING:
            raise NotAsExpected(f"no system in /system_stats: {excerpt(json.dumps(stats))}", "an answer in ComfyUI's shape")
        found = check_all(self.spec.get("stats") or {}, stats)
        version = get_path(stats, "system.comfyui_version")
        got = f"version {version}" if version is not MISSING else "system_stats"
        if found or not self.changes:
            return judge(found, self.expectation(), got)
        return self._through_the_queue(base, context.within(float(self.spec.get("within") or 60.0)), got)

    def _through_the_queue(self, base: str, context: Context, got: str) -> Attempt:
        sent = ask_json(f"{base}/prompt", context, "POST", {"prompt": self.spec["prompt"], "client_id": uuid.uuid4().hex})
        refused = sent.get("node_errors") if isinstance(sent, dict) else None
        if refused:  # it is queued all the same, and the rest of it runs
            raise NotAsExpected(_of_nodes(refused, self.spec["prompt"]), "no node of the prompt is refused")
        prompt_id = get_path(sent, "prompt_id")
        if not isinstance(prompt_id, str):
            raise NotAsExpected(f"no prompt_id: {excerpt(json.dumps(sent))}", "the prompt is queued")
        began = time.monotonic()
        while True:
            try:
                entry = get_path(ask_json(f"{base}/history/{prompt_id}", context), prompt_id)
            except NotAsExpected as no:
                if no.got.startswith("no answer within"):
                    raise NotAsExpected(f"prompt {prompt_id} is not done after {time.monotonic() - began:.0f} s") from no
                raise
            status = get_path(entry, "status.status_str")
            if status == "error":
                raise NotAsExpected(f"prompt {prompt_id} failed: {excerpt(json.dumps(get_path(entry, 'status.messages'), default=str))}")
            if entry is not MISSING and (get_path(entry, "status.completed") is True or get_path(entry, "outputs")):
                break
            time.sleep(min(0.3, context.remaining()))
        outputs = get_path(entry, "outputs")
        count = len(outputs) if isinstance(outputs, (dict, list)) else 0
        found = check(self.spec.get("outputs", {"ge": 1}), count, "outputs")
        return judge(found, self.expectation(), f"{got}, {count} outputs in {time.monotonic() - began:.1f} s", f"prompt {prompt_id}")


def _of_nodes(refused: Any, prompt: Mapping[str, object]) -> str:
    """Which nodes were refused, and why."""
    if not isinstance(refused, Mapping):
        return f"nodes are refused: {excerpt(json.dumps(refused, default=str))}"
    said = []
    for number, told in refused.items():
        told = told if isinstance(told, Mapping) else {}
        node = prompt.get(str(number))
        kind = told.get("class_type") or (node.get("class_type") if isinstance(node, Mapping) else None)
        errors = [error for error in told.get("errors") or [] if isinstance(error, Mapping)]
        why = "; ".join(": ".join(str(error[key]) for key in ("message", "details") if error.get(key)) for error in errors)
        said.append(f"node {number}{f' ({kind})' if kind else ''} is refused: {excerpt(why or json.dumps(told, default=str))}")
    return ", ".join(said)
