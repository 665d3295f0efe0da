# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""That a unit made no backup set, in C(<state>/backup.failed): probe C(backup) shows it until a set was made again."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts.base import PartError, run_tool
from ansible_collections.phasegate.aistack.plugins.module_utils.core.durable import write_file
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.file import utc_now

NOTE = "backup.failed"
_LINES = 5


def note(state_dir: Path, unit: str) -> dict[str, Any]:
    """Write it down; returns C(unit), C(time), C(why): what the unit said last."""
    told = {"unit": unit, "time": utc_now(), "why": _said(unit)}
    write_file(state_dir / NOTE, json.dumps(told, indent=1) + "\n", 0o600)
    return told


def _said(unit: str) -> str:
    """The last lines of a unit."""
    try:
        ended = run_tool(["journalctl", "--quiet", "--no-pager", "--output=cat", f"--lines={_LINES}", f"--unit={unit}"], 20)
    except PartError as problem:
        return f"its log cannot be read: {problem}"
    return " | ".join(line.strip() for line in ended.stdout.splitlines() if line.strip()) or f"it said nothing; see journalctl -u {unit}"


def read(state_dir: Path) -> dict[str, object] | None:
    """What was noted last; None where a set was made since."""
    try:
        document = json.loads((state_dir / NOTE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as problem:
        return {"unit": "", "time": "", "why": f"{state_dir / NOTE} cannot be read: {problem}"}
    return dict(document) if isinstance(document, dict) else {"unit": "", "time": "", "why": f"{state_dir / NOTE} is no note"}


def clear(state_dir: Path) -> None:
    """A set was made."""
    with contextlib.suppress(FileNotFoundError):  # most of the time none has failed
        (state_dir / NOTE).unlink()
