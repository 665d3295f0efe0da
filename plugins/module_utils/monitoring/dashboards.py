# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A dashboard as Grafana's JSON: what is wrong with it, and which questions its panels ask.

Grafana leaves out what it does not know without a word, and a dashboard that it cannot read is a line in its log. So a file is looked at
before it is laid down.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.core.schema import nearest

UID = re.compile(r"[A-Za-z0-9_-]{1,40}")
BOARD = frozenset({
    "annotations", "description", "editable", "fiscalYearStartMonth", "gnetId", "graphTooltip", "id", "links", "liveNow", "panels",
    "preload", "refresh", "revision", "schemaVersion", "snapshot", "style", "tags", "templating", "time", "timepicker", "timezone",
    "title", "uid", "version", "weekStart", "__elements", "__inputs", "__requires",
})
"""What a dashboard may say."""
PANEL = frozenset({
    "alert", "cacheTimeout", "collapsed", "content", "datasource", "description", "fieldConfig", "gridPos", "hideTimeOverride",
    "id", "interval", "libraryPanel", "links", "maxDataPoints", "maxPerRow", "mode", "options", "panels", "pluginVersion",
    "queryCachingTTL", "repeat", "repeatDirection", "targets", "timeCompare", "timeFrom", "timeShift", "title", "transformations",
    "transparent", "type",
})
"""What one panel may say."""
BUILT_IN = ("__from", "__to", "__interval", "__interval_ms", "__rate_interval", "__range", "__range_s", "__range_ms", "__dashboard",
            "__name", "__org", "__user", "timeFilter")
"""Variables that Grafana itself fills in."""
_VARIABLE = re.compile(r"\$([A-Za-z_]\w*)|\$\{([A-Za-z_]\w*)(?:\.[^}:]+)?(?::\w+)?\}|\[\[([A-Za-z_]\w*)\]\]")
_VALUES = re.compile(r"^\s*label_values\(\s*(.+?)\s*,\s*(\w+)\s*\)\s*\Z", re.DOTALL)


def problems(text: str) -> list[str]:
    """What is wrong with a dashboard's file, one line each."""
    try:
        board = json.loads(text)
    except ValueError as error:
        return [f"no JSON: {error}"]
    if not isinstance(board, dict):
        return [f"expected a dashboard, {{…}}, got {type(board).__name__}"]
    if "dashboard" in board and "panels" not in board:
        return ["this is an answer of Grafana's API; the dashboard itself is what it has under 'dashboard'"]
    found = [f"unknown key '{key}'{nearest(key, BOARD)}" for key in board if key not in BOARD]
    uid = board.get("uid")
    if not isinstance(uid, str) or not UID.fullmatch(uid):
        found.append(f"uid: expected letters, digits, - and _, at most 40, by which it is found again; got {uid!r}")
    if not str(board.get("title") or "").strip():
        found.append("title: is missing")
    if board.get("__inputs"):
        found.append("__inputs: it was exported to be shared, and asks for data sources; export it without that")
    if not list(_panels(board)):
        found.append("panels: there are none")
    return found + _panel_problems(board)


def _panel_problems(board: Mapping[str, Any]) -> list[str]:
    known = {*BUILT_IN, *_variables(board)}
    found: list[str] = []
    for panel in _panels(board):
        where = f"panel '{panel.get('title') or panel.get('id')}'"
        found += [f"{where}: unknown key '{key}'{nearest(key, PANEL)}" for key in panel if key not in PANEL]
        if not panel.get("type"):
            found.append(f"{where}: type: is missing")
    for where, expr in questions(board):
        missing = sorted({name for name in names(expr) if name not in known})
        found += [f"{where}: ${name} is no variable of this dashboard{nearest(name, known)}" for name in missing]
    return found


def _panels(board: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Every panel, also those of a row that is folded up."""
    for panel in board.get("panels") or []:
        if isinstance(panel, Mapping):
            yield panel
            yield from _panels(panel)


def _listed(board: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    """The entries of ``templating`` or ``annotations``."""
    part = board.get(key)
    entries = part.get("list") if isinstance(part, Mapping) else None
    return [one for one in entries or [] if isinstance(one, Mapping)]


def _variables(board: Mapping[str, Any]) -> list[str]:
    return [str(one.get("name")) for one in _listed(board, "templating")]


def names(expr: str) -> list[str]:
    """The variables that a question names."""
    return [next(name for name in found if name) for found in _VARIABLE.findall(expr)]


def filled(expr: str, values: Mapping[str, str]) -> str:
    """A question with values in the place of its variables.

    Raises:
        KeyError: a variable has no value.
    """
    return _VARIABLE.sub(lambda found: values[found[1] or found[2] or found[3]], expr)


def questions(board: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What a dashboard asks Prometheus: where, and the expression; of panels, annotations and variables, whose series alone are meant."""
    found = [
        (f"panel '{panel.get('title')}'", str(target["expr"]))
        for panel in _panels(board) for target in panel.get("targets") or [] if isinstance(target, Mapping) and target.get("expr")
    ]
    found += [(f"annotation '{one.get('name')}'", str(one["expr"])) for one in _listed(board, "annotations") if one.get("expr")]
    for one in _listed(board, "templating"):
        query = one.get("query")
        asked = query.get("query") if isinstance(query, Mapping) else query
        match = _VALUES.match(str(asked or ""))
        found += [(f"variable '{one.get('name')}'", match[1])] if match else []
    return found
