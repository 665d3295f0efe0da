# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a node says is not trusted on the controller: names, commits and numbers have their shape, texts no control characters. No I/O."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ansible_collections.phasegate.aistack.plugins.module_utils.core.names import COMMIT, COMPONENT_NAME, RELEASE_NAME, printable

if TYPE_CHECKING:
    from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.contract import Answer

NOT_INSTALLED = 127
"""Exit status of a shell that did not find the command."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,199}")
_SEVERAL = re.compile(rf"{_NAME.pattern}(, {_NAME.pattern})*")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?Z", re.ASCII)
_SHAPES: dict[str, re.Pattern[str]] = {
    "component": COMPONENT_NAME,
    "release": RELEASE_NAME,
    "present": RELEASE_NAME,
    "tags": RELEASE_NAME,
    "commit": COMMIT,
    "config": _NAME,
    "of": _NAME,
    "set": _NAME,
    "run": _NAME,
    "runs": _NAME,
    "changed_by": _NAME,
    "time": _TIME,
    "since": _TIME,
    "do": re.compile(r"[a-z_]{1,30}"),
    "level": re.compile(r"[a-z]{1,20}"),
    "from": _SEVERAL,
    "to": _SEVERAL,
}
"""What stands under a key, as one text, in a list or as the values of a mapping; nothing may stand there as well."""
_NUMBERS = ("seq",)
_LISTS = ("candidates", "relies", "refusals", "steps", "components", "warnings", "unverified", "losses")


def plain(value: Any) -> Any:
    """*value* without what a terminal would obey, wherever it stands in it."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, Mapping):
        return {plain(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    return value


def of_now(answer: Mapping[str, Any]) -> dict[str, object]:
    """An answer in the words of now: the command of before called the remedy of a refusal C(way_out)."""
    found = dict(answer)
    refusals = found.get("refusals")
    if isinstance(refusals, list) and all(isinstance(entry, Mapping) for entry in refusals):
        found["refusals"] = [{("remedy" if key == "way_out" else key): value for key, value in entry.items()} for entry in refusals]
    if isinstance(found.get("plan"), Mapping):
        found["plan"] = of_now(found["plan"])
    return found


def wrong(answer: Mapping[str, Any]) -> str | None:
    """Where an answer is not of the shape that a plan or an outcome has; None where all of it is."""
    for key in ("plan", "descriptions", "open", "last_rollback", "resumes"):
        if answer.get(key) is not None and not isinstance(answer[key], Mapping):
            return f"{key} is no mapping"
    for where, part in (("", answer), ("plan.", answer.get("plan") or {})):
        for key in _LISTS:
            if part.get(key) is None:
                continue
            if not isinstance(part[key], list):
                return f"{where}{key} is no list"
            texts = key in ("warnings", "unverified", "losses")
            if not all(isinstance(entry, str if texts else Mapping) for entry in part[key]):
                return f"{where}{key} holds something else than {'texts' if texts else 'mappings'}"
        for step in part.get("steps") or []:
            if not isinstance(step.get("do"), str) or not isinstance(step.get("detail"), Mapping):
                return f"{where}steps: one lacks what it does"
        for entry in part.get("candidates") or []:
            texts = all(isinstance(entry.get(key), str) for key in ("present", "component", "node"))
            if not texts or not isinstance(entry.get("tags"), list):
                return f"{where}candidates: one lacks its releases"
        for entry in part.get("relies") or []:
            if not all(isinstance(entry.get(key), str) for key in ("component", "node")):
                return f"{where}relies: one lacks who is relied on"
        for entry in part.get("refusals") or []:
            if not all(isinstance(entry.get(key), str) for key in ("reason", "remedy")):
                return f"{where}refusals: one lacks its reason"
    begun = answer.get("open") or {}
    if begun and (not isinstance(begun.get("runs"), list) or not begun["runs"] or not isinstance(begun.get("moves"), Mapping)):
        return "open: it lacks its runs"
    if not all(isinstance(move, Mapping) and isinstance(move.get("to"), Mapping) for move in (begun.get("moves") or {}).values()):
        return "open.moves: one lacks where it goes"
    for name in answer.get("descriptions") or {}:
        if not COMPONENT_NAME.fullmatch(str(name)):
            return "descriptions: a name that is no component's"
    return _walk({key: value for key, value in answer.items() if key != "descriptions"}, "")


def _walk(value: Any, where: str) -> str | None:
    if isinstance(value, Mapping):
        for key, entry in value.items():
            if key in _NUMBERS and not (entry is None or (isinstance(entry, int) and not isinstance(entry, bool) and entry >= 0)):
                return f"{where}.{key} is no number".lstrip(".")
            if key == "report":  # what a gate saw: shown, and used for nothing else
                continue
            place = f"{where}.{key}".lstrip(".")
            shape = _SHAPES.get(str(key))
            said = (_misfits(entry, shape) if shape else None) and f"{place} is not what it has to be"
            said = said or _walk(entry, place)
            if said:
                return said
    elif isinstance(value, list):
        for entry in value:
            said = _walk(entry, where)
            if said:
                return said
    return None


def _misfits(value: Any, shape: re.Pattern[str]) -> bool:
    """Whether *value* is NOT of the shape."""
    if isinstance(value, Mapping):
        # the only mappings under such a key: release to commit, and what a switch goes from, which is walked by itself
        return shape is COMMIT and any(_misfits(entry, shape) or not RELEASE_NAME.fullmatch(str(key)) for key, entry in value.items())
    if isinstance(value, list):
        return any(_misfits(entry, shape) for entry in value)
    return not (value is None or value == "" or (isinstance(value, str) and shape.fullmatch(value)))


def read(rc: int, out: str, err: str) -> Answer:
    """The JSON of a node's command, checked and plain; C(silent) with the reason where there is none, C(absent) without the command."""
    for line in reversed(out.splitlines()):
        if line.startswith("{"):
            try:
                document = json.loads(line)
            except ValueError:
                break
            if isinstance(document, dict):
                document = of_now(document)
                problem = wrong(document)
                if problem is None:
                    answer: Answer = plain(document)
                    return answer
                said = f"its answer cannot be trusted: {plain(problem)[:200]}"
                return {"silent": f"{said}. Look at that node, its command aistack may be changed"}
    if rc == NOT_INSTALLED:
        return {"absent": "the command aistack is not on this node: nothing was ever released here"}
    said = " ".join(plain(err + out).split())[-300:]
    if "unrecognized arguments" in said:
        brings = "to deploy what is live once more brings the present one"
        return {"silent": f"its command aistack is of another version than this collection ({said}); {brings}"}
    return {"silent": f"no answer that can be read (exit status {rc}): {said or 'nothing was said'}"}
