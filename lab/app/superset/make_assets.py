#!/usr/bin/env python3
# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write the dashboards of described.py as Superset exports them, a file each, into assets/: `make superset-assets`."""

from __future__ import annotations

import json
import re
import runpy
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).resolve().parent
ASSETS = HERE / "assets"
DESCRIBED = runpy.run_path(str(HERE / "described.py"))
SPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://example.com/phasegate/aistack/superset")
DATABASE = str(uuid.uuid5(SPACE, "database"))
"""What stands for the connection; whoever imports the files puts in that of his own Superset."""
VIZ = {"number": "big_number_total", "share": "pie", "table": "table", "bars": "echarts_timeseries_bar", "line": "echarts_timeseries_line"}
HEIGHT = {"number": 20, "share": 40, "table": 50, "bars": 50, "line": 50}
"""Of a row on a dashboard, in steps of Superset's own grid."""
MOST_ROWS = 1000


class Indented(yaml.SafeDumper):
    """Items of a list are set in, as everywhere in this repository."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def identity(kind: str, name: str) -> str:
    """The same for the same thing, wherever it is made."""
    return str(uuid.uuid5(SPACE, f"{kind} {name}"))


def slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def dataset_of(one: Any) -> dict[str, Any]:
    metrics = {"count": "COUNT(*)", **one.metrics}
    return {
        "table_name": one.name, "main_dttm_col": one.time or None, "description": None, "default_endpoint": None, "offset": 0,
        "cache_timeout": None, "schema": "public", "sql": one.sql or None, "params": None, "template_params": None,
        "filter_select_enabled": True, "fetch_values_predicate": None, "extra": None, "uuid": identity("dataset", one.name),
        "metrics": [
            {"metric_name": name, "verbose_name": name.replace("_", " "), "metric_type": None, "expression": expression,
             "description": None, "d3format": None, "extra": None, "warning_text": None}
            for name, expression in metrics.items()
        ],
        "columns": [
            {"column_name": name, "verbose_name": None, "is_dttm": name.endswith("_at"), "is_active": True, "type": kind,
             "groupby": True, "filterable": True, "expression": None, "description": None, "python_date_format": None, "extra": None}
            for name, kind in one.columns.items()
        ],
        "version": "1.0.0", "database_uuid": DATABASE,
    }


def adhoc(column: str, value: Any) -> dict[str, Any]:
    """A filter as Superset's editor keeps it."""
    several = isinstance(value, list)
    return {"clause": "WHERE", "expressionType": "SIMPLE", "subject": column, "operator": "IN" if several else "==",
            "operatorId": "IN" if several else "EQUALS", "comparator": value, "filterOptionName": f"filter_{column}"}


def params_of(one: Any, time: str) -> dict[str, Any]:
    """What the editor shows of a chart."""
    metrics, by = list(one.metrics), list(one.by)
    common = {"viz_type": VIZ[one.kind], "adhoc_filters": [adhoc(*pair) for pair in one.only.items()], "time_range": "No filter",
              "granularity_sqla": time, "row_limit": MOST_ROWS}
    if one.kind == "number":
        return {**common, "metric": metrics[0], "y_axis_format": "SMART_NUMBER", "header_font_size": 0.4, "subheader_font_size": 0.15}
    if one.kind == "share":
        return {**common, "metric": metrics[0], "groupby": by, "sort_by_metric": True, "show_legend": True, "label_type": "key_value",
                "donut": True, "color_scheme": "supersetColors"}
    if one.kind == "table":
        return {**common, "query_mode": "aggregate", "metrics": metrics, "groupby": by, "order_desc": True, "server_pagination": False,
                "table_timestamp_format": "smart_date", "show_cell_bars": True}
    return {**common, "x_axis": time, "time_grain_sqla": "P1D", "metrics": metrics, "groupby": by, "color_scheme": "supersetColors",
            "show_legend": True, "rich_tooltip": True, "truncate_metric": True,
            **({"stack": "Stack"} if one.kind == "bars" else {"seriesType": "line"})}


def query_of(one: Any, time: str) -> dict[str, Any]:
    """What a chart asks."""
    over_time = one.kind in ("bars", "line")
    axis = {"timeGrain": "P1D", "columnType": "BASE_AXIS", "sqlExpression": time, "label": time, "expressionType": "SQL"}
    asked = [{"col": column, "op": "IN" if isinstance(value, list) else "==", "val": value} for column, value in one.only.items()]
    found: dict[str, Any] = {
        "granularity": time, "filters": asked, "extras": {"having": "", "where": ""}, "columns": [*([axis] if over_time else []), *one.by],
        "metrics": list(one.metrics), "row_limit": MOST_ROWS, "order_desc": True, "time_range": "No filter",
    }
    if one.kind in ("share", "table"):
        found["orderby"] = [[one.metrics[0], False]]
    if over_time:
        found["extras"]["time_grain_sqla"] = "P1D"
        found["series_columns"] = list(one.by)
    return found


def chart_of(one: Any, board: Any) -> dict[str, Any]:
    time = next(dataset.time for dataset in DESCRIBED["DATASETS"] if dataset.name == one.dataset)
    # Superset puts in the dataset's number when it imports
    context = {"datasource": {"id": 0, "type": "table"}, "force": False, "queries": [query_of(one, time)], "result_format": "json",
               "result_type": "full"}
    return {
        "slice_name": one.title, "description": None, "certified_by": None, "certification_details": None, "viz_type": VIZ[one.kind],
        "params": params_of(one, time), "query_context": json.dumps(context), "cache_timeout": None,
        "uuid": identity("chart", f"{board.slug} {one.title}"), "version": "1.0.0", "dataset_uuid": identity("dataset", one.dataset),
    }


def nodes_of(board: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """The tree of a dashboard, by the names of its nodes."""
    above = ["ROOT_ID", "GRID_ID"]
    yield "ROOT_ID", {"id": "ROOT_ID", "type": "ROOT", "children": ["GRID_ID"]}
    yield "HEADER_ID", {"id": "HEADER_ID", "type": "HEADER", "meta": {"text": board.title}}
    rows = [f"ROW-{number}" for number in range(1, len(board.rows) + 1)]
    yield "GRID_ID", {"id": "GRID_ID", "type": "GRID", "children": rows, "parents": ["ROOT_ID"]}
    number = 0
    for name, row in zip(rows, board.rows):
        charts = [f"CHART-{slug(chart.title)}" for chart in row]
        yield name, {"id": name, "type": "ROW", "children": charts, "parents": list(above),
                     "meta": {"background": "BACKGROUND_TRANSPARENT"}}
        height = max(HEIGHT[chart.kind] for chart in row)
        for place, chart in zip(charts, row):
            number += 1
            # a number of its own in the file, which Superset replaces by that of the chart
            yield place, {"id": place, "type": "CHART", "children": [], "parents": [*above, name],
                          "meta": {"chartId": number, "height": height, "width": chart.width, "sliceName": chart.title,
                                   "uuid": identity("chart", f"{board.slug} {chart.title}")}}


def dashboard_of(one: Any) -> dict[str, Any]:
    return {
        "dashboard_title": one.title, "description": None, "css": "", "slug": one.slug, "certified_by": None,
        "certification_details": None, "published": True, "uuid": identity("dashboard", one.slug),
        "position": {"DASHBOARD_VERSION_KEY": "v2", **dict(nodes_of(one))},
        "metadata": {"color_scheme": "supersetColors", "cross_filters_enabled": True, "refresh_frequency": 0, "label_colors": {},
                     "timed_refresh_immune_slices": [], "expanded_slices": {}, "native_filter_configuration": []},
        "version": "1.0.0",
    }


def files() -> dict[str, str]:
    """Every file below assets/ by its path, and its text."""
    made = {f"datasets/{one.name}.yaml": dataset_of(one) for one in DESCRIBED["DATASETS"]}
    for board in DESCRIBED["DASHBOARDS"]:
        made |= {f"charts/{board.slug}/{slug(chart.title)}.yaml": chart_of(chart, board) for row in board.rows for chart in row}
        made[f"dashboards/{board.slug}.yaml"] = dashboard_of(board)
    said = {"Dumper": Indented, "sort_keys": False, "allow_unicode": True, "width": 120, "explicit_start": True}
    return {path: yaml.dump(content, **said) for path, content in made.items()}


if __name__ == "__main__":
    if ASSETS.exists():
        shutil.rmtree(ASSETS)
    for path, text in files().items():
        (ASSETS / path).parent.mkdir(parents=True, exist_ok=True)
        (ASSETS / path).write_text(text, encoding="utf-8")
