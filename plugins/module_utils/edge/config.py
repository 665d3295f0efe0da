# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The configuration of a node's HAProxy as several stacks share it: one C(global) section, then a marked part for each stack.

A stack writes its own part and leaves the others' as they are. A file of a version before has no marks and is one stack's as a whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

BEGIN, END = "# BEGIN stack", "# END stack"
_PART = re.compile(rf"^{BEGIN} (?P<stack>\S+)$.*?^{END} (?P=stack)$", re.MULTILINE | re.DOTALL)
_SHARED = {
    "edge_maxconn": r"^    maxconn (\S+)$",
    "edge_timeouts.hard_stop": r"^    hard-stop-after (\S+)$",
    "edge_admin_socket": r"^    stats socket (\S+) ",
    "edge_state_file": r"^    server-state-base (\S+)\n    server-state-file (\S+)$",
}
"""How the settings that all stacks of a node share are written in C(global); the parts of a match are joined by a slash."""
_METRICS = re.compile(r"^frontend edge_metrics\n    bind \S+:(\d+)$", re.MULTILINE)


def _parts(text: str, stack: str, registered: Sequence[str], frontends: Iterable[str]) -> dict[str, str]:
    """What stands in a configuration for which stack, its marks included; nothing where it is none of this collection's."""
    if "server-state-base" not in text:
        return {}
    found = {match["stack"]: match[0] for match in _PART.finditer(text)}
    start = re.search(r"^defaults$", text, re.MULTILINE)
    if found or start is None:
        return found
    backends = re.findall(r"^backend (\S+)$", text, re.MULTILINE)
    owners = {words[1]: words[0] for line in registered if len(words := line.split()) == 2}
    others = sorted({line.split()[0] for line in registered} - {stack})
    owner = next((owners[name] for name in backends if name in owners), None)
    if owner is None and len(others) == 1 and backends and not set(backends) & set(frontends):
        owner = others[0]  # what it fronts was not released yet
    if owner in (None, stack):
        return {}
    return {str(owner): f"{BEGIN} {owner}\n{text[start.start() :].strip()}\n{END} {owner}"}


def kept(
    text: str, stack: str, registered: Sequence[str], frontends: Sequence[Mapping[str, Any]], shared: Mapping[str, Any], take: bool = False
) -> dict[str, object]:
    """What of a configuration is others', and stays.

    Args:
        text: the file as it is.
        stack: the stack whose part is written again.
        registered: the stacks of the node, a line each, and lines of a stack with one of its components: they tell whose a file without
            marks is.
        frontends: its frontends, C(name) and C(port) each; once more with the port that sends there, where it has one.
        shared: its settings that all stacks of the node share, by the name of their variable.
        take: that it may change them for the others as well.

    Returns:
        ``before`` and ``after``: the others' parts, by name, on either side of this one's. ``metrics``: whether one of them has the
        frontend of the metrics, of which there is one. ``problems``: why this stack's part cannot be put between them.
    """
    found = _parts(text, stack, registered, [item["name"] for item in frontends])
    found.pop(stack, None)
    theirs = "\n".join(found.values())
    metrics = _METRICS.search(theirs)
    problems = []
    for item in frontends:
        whose = [name for name in sorted(found) if re.search(rf"^(frontend|backend) {re.escape(item['name'])}$", found[name], re.MULTILINE)]
        problems += [f"the stack {name} has a frontend {item['name']} there already" for name in whose]
        if re.search(rf"^    bind \S+:{item['port']}\b", theirs, re.MULTILINE):
            problems.append(f"port {item['port']} of {item['name']} is that of a frontend of {', '.join(sorted(found))}")
    now = {name: "/".join(match.groups()) for name, how in _SHARED.items() if (match := re.search(how, text, re.MULTILINE))}
    if metrics:
        now["edge_metrics_port"] = metrics[1]
    problems += [
        f"{name} is {now[name]} for {', '.join(sorted(found))}, and here {wanted}"
        for name, wanted in shared.items()
        if found and not take and wanted and str(wanted) != now.get(name, str(wanted))
    ]
    return {
        "before": "\n".join(found[name] for name in sorted(found) if name < stack),
        "after": "\n".join(found[name] for name in sorted(found) if name > stack),
        "metrics": metrics is not None,
        "tls": " ssl crt " in theirs,
        "problems": list(dict.fromkeys(problems)),
    }
