#!/usr/bin/env python3
# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make Grafana's JSON of the dashboards in described.py, with Grafana's own grafana-foundation-sdk: `make dashboards`.

Beside the JSON lies `made.json`: hashes of what it was made from and of each file, so that a test without the SDK sees when they differ.
"""

from __future__ import annotations

import hashlib
import json
import runpy
from pathlib import Path
from typing import Any

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as options, dashboard as models

HERE = Path(__file__).resolve().parent
FILES = HERE.parent / "files" / "dashboards"
LOCK = HERE.parents[2] / "requirements" / "dashboards.txt"
SOURCES = (HERE / "described.py", HERE / "generate.py", LOCK)
SOURCE = models.DataSourceRef(type_val="prometheus", uid="aistack-prometheus")
WIDTH, HEIGHT = 24, 8
MORE = {"useValueForTime": True, "titleFormat": "{{event}} {{component}} {{release}}", "textFormat": "{{outcome}}",
        "tagKeys": "component,release"}
"""What Prometheus' data source reads of an annotation besides: the value of a series is its time."""


def panel_of(one: Any, columns: int) -> Any:
    """A panel, as wide as so many beside each other leave room for."""
    made = stat.Panel() if one.stat else timeseries.Panel()
    made = made.title(one.title).datasource(SOURCE).unit(one.unit).span(WIDTH // columns).height(HEIGHT // 2 if one.stat else HEIGHT).min(0)
    if one.about:
        made = made.description(one.about)
    if one.full is not None:
        made = made.max(one.full)
    if not one.stat:
        legend = common.VizLegendOptions().display_mode(options.LegendDisplayMode.LIST).placement(options.LegendPlacement.BOTTOM)
        made = made.fill_opacity(8).legend(legend.show_legend(True))
        made = made.tooltip(common.VizTooltipOptions().mode(options.TooltipDisplayMode.MULTI).sort(options.SortOrder.DESCENDING))
    for number, (expr, legend_text) in enumerate(one.queries):
        query = prometheus.Dataquery().expr(expr).legend_format(legend_text).ref_id(chr(ord("A") + number)).datasource(SOURCE)
        made = made.with_target(query.instant() if one.stat else query.range())
    return made


def variable_of(one: Any) -> Any:
    """A variable; all of its values are everything, also what lacks the label."""
    made = dashboard.QueryVariable(one.name).query(one.query).datasource(SOURCE).refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
    made = made.sort(models.VariableSort.ALPHABETICAL_ASC).multi(one.several).include_all(one.several)
    made = made.all_value(".*").current(models.VariableOption(text="All", value="$__all")) if one.several else made
    return made.regex(one.pattern) if one.pattern else made


def mark_of(one: Any) -> Any:
    """An annotation, as far as the SDK knows it; MORE is what it does not know."""
    return dashboard.AnnotationQuery().name(one.name).datasource(SOURCE).enable(True).icon_color(one.color).expr(one.query)


def board_of(one: Any, marks: Any) -> dict[str, Any]:
    """A dashboard as what Grafana reads."""
    made = dashboard.Dashboard(one.title).uid(one.uid).description(one.about).tags(["aistack"]).readonly()
    made = made.time("now-1h", "now").refresh("30s").timezone("browser").tooltip(models.DashboardCursorSync.CROSSHAIR)
    for variable in one.variables:
        made = made.with_variable(variable_of(variable))
    for mark in marks:
        made = made.annotation(mark_of(mark))
    made = made.link(dashboard.DashboardLink("Others").type(models.DashboardLinkType.DASHBOARDS).tags(["aistack"]).include_vars(True)
                     .keep_time(True))
    for title, panels in one.rows.items():
        made = made.with_row(dashboard.Row(title))
        for panel in panels:
            made = made.with_panel(panel_of(panel, 4 if panel.stat else 3))
    found: dict[str, Any] = json.loads(json.dumps(made.build(), cls=JSONEncoder))
    for number, panel in enumerate(found["panels"], start=1):
        panel["id"] = number
    for annotation in found["annotations"]["list"]:
        annotation.update(MORE)
    return found


def source_hash() -> str:
    """The hash of what the JSON is made from."""
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in SOURCES)).hexdigest()


def main() -> None:
    """Write all of it again."""
    described = runpy.run_path(str(HERE / "described.py"))
    FILES.mkdir(parents=True, exist_ok=True)
    for path in FILES.glob("*.json"):
        path.unlink()
    made: dict[str, str] = {}
    for board in described["BOARDS"]:
        text = json.dumps(board_of(board, described["MARKS"]), indent=1, sort_keys=True, ensure_ascii=False) + "\n"
        name = f"{board.uid.removeprefix('aistack-')}.json"
        (FILES / name).write_text(text, encoding="utf-8")
        made[name] = hashlib.sha256(text.encode()).hexdigest()
        print(f"{name}: {text.count('expr')} queries")
    (HERE / "made.json").write_text(json.dumps({"source": source_hash(), "files": made}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
