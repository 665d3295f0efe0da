#!/usr/bin/env python3
# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Print docs/verbs.md: what can be said to each playbook and what its exit status says, out of meta/verbs.yml."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "verbs.md"
HEAD = """# Verbs

Printed from `meta/verbs.yml` by `make verbs`. Each is `ansible-playbook phasegate.aistack.<verb> -e name=value …`; an extra variable that a
verb does not know is refused with the nearest one. All of them print their page themselves, whichever callback is in use; data for programs
is written where `output` says.

The nodes are those of the inventory's group `aistack`, or of another group that is named each time: `-e aistack_hosts=GROUP`. Where it has
no host, a verb is refused. Beside the statuses below every verb ends with 4 where a node cannot be reached and its playbook does not go on
without it, or where a file of the inventory's variables is no YAML that can be read; and with 1 or more than 4 where Ansible itself cannot
go on otherwise (a vault or an option that cannot be read).
`--start-at-task` is refused before any task, with 4: what comes before a task is what makes it safe. `site.yml --list-tags` names
the phases.
"""
LIMITS = {
    "refused": "refused unless `-e partial=true` says that this is meant",
    "told": "named, and the run goes on",
}


def cell(value: Any) -> str:
    """A value in a table."""
    if isinstance(value, bool):
        value = str(value).lower()
    return str(value).replace("|", "\\|")


def default(parameter: dict[str, Any]) -> str:
    """What a parameter is without being given."""
    if parameter.get("required"):
        return "required"
    return "" if parameter["default"] is None else f"`{cell(parameter['default'])}`"


def section(name: str, verb: dict[str, Any]) -> str:
    """One verb."""
    can = ["takes the lock of the nodes" if verb["lock"] else "takes no lock"]
    can += ["`--check` changes nothing"] if verb["check_mode"] else []
    limit = f"; a host that `--limit` leaves out is {LIMITS[verb['limit']]}" if verb["limit"] in LIMITS else ""
    lines = [f"## {name}", "", f"{verb['help']}. It {', '.join(can)}{limit}.", ""]
    lines += ["| status | says |", "| --- | --- |"]
    lines += [f"| {entry['status']} | {cell(entry['meaning'])} |" for entry in verb["statuses"]] + [""]
    if not verb["parameters"]:
        lines.append("Its variables are those of its role." if (ROOT / "roles" / name).is_dir() else "It has no variables of its own.")
    lines += ["| `-e` | type | default | |", "| --- | --- | --- | --- |"] if verb["parameters"] else []
    for parameter in verb["parameters"]:
        kind = ", ".join(f"`{choice}`" for choice in parameter.get("choices", ())) or parameter.get("type", "str")
        lines.append(f"| `{parameter['name']}` | {kind} | {default(parameter)} | {cell(parameter['help'])} |")
    return "\n".join(lines)


def page() -> str:
    """The whole page."""
    verbs = yaml.safe_load((ROOT / "meta" / "verbs.yml").read_text(encoding="utf-8"))
    return "\n".join([HEAD, "\n\n".join(section(name, verb) for name, verb in verbs.items()), ""])


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
