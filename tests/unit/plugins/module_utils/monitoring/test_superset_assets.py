# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files that do not fit together are refused, with all that is wrong; what somebody changed is told from a newer file."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.monitoring import superset_assets as core
from ansible_collections.phasegate.aistack.tests.unit.plugins.module_utils.superset_standin import files

CHART, BOARD, SET = "charts/Orders.yaml", "dashboards/sales.yaml", "datasets/shop/orders.yaml"


def test_a_folder_is_read_by_kinds_and_what_else_lies_there_is_left_out() -> None:
    found = core.assets_of({f"export/{path}": content for path, content in files().items()})
    assert [len(found.of(kind)) for kind in core.KINDS] == [1, 2, 1]
    assert [found.name(uuid) for kind in core.KINDS for uuid in found.of(kind)] == [
        "dataset 'orders'", "chart 'Kinds'", "chart 'Orders'", "dashboard 'Sales'",
    ]


def node(given: dict[str, Any], name: str, **more: Any) -> None:
    given[BOARD]["position"][name].update(more)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda given: given.update({CHART: ["a", "list"]}), f"{CHART}: expected a mapping, got list"),
        (lambda given: given[CHART].pop("uuid"), f"{CHART}: uuid: expected one, such as"),
        (lambda given: given[CHART].update(uuid=given[SET]["uuid"]), "is that of chart 'Orders' as well"),
        (lambda given: given[BOARD].pop("dashboard_title"), f"{BOARD}: dashboard_title: is missing"),
        (lambda given: given[CHART].update(dataset_uuid="x"), "chart 'Orders': dataset_uuid x is that of no dataset among the files"),
        (lambda given: given[CHART].update(query_context=None), "chart 'Orders': it has no query_context, so that nobody can ask"),
        (lambda given: given[CHART].update(query_context="no JSON"), "chart 'Orders': it has no query_context, so that nobody can ask"),
        (lambda given: given[CHART].update(params="text"), "chart 'Orders': expected viz_type, and params as a mapping"),
        (lambda given: given[CHART].update(query_context=given[CHART]["query_context"].replace("kind", "kimd")),
         "chart 'Orders': kimd is no column of dataset 'orders'; did you mean 'kind'?"),
        (lambda given: given[CHART].update(query_context=given[CHART]["query_context"].replace("count", "cuont")),
         "chart 'Orders': cuont is no metric of dataset 'orders'; did you mean 'count'?"),
        (lambda given: given[SET].update(columns=[]), "dataset 'orders': columns: expected a list of mappings with column_name"),
        (lambda given: given[SET]["metrics"].append({}), "dataset 'orders': metrics: one has no metric_name, or two have the same"),
        (lambda given: given[BOARD].update(slug="a b"), "dashboard 'Sales': slug: expected letters, digits, - and _"),
        (lambda given: given[BOARD].update(position=[]), "dashboard 'Sales': position: expected a mapping with ROOT_ID and GRID_ID"),
        (lambda given: node(given, "CHART-1", meta={"chartId": 1, "uuid": "x"}), "CHART-1: meta.uuid x is that of no chart among"),
        (lambda given: given[BOARD]["position"]["CHART-1"]["meta"].pop("chartId"), "CHART-1: meta.chartId: expected a number, "),
        (lambda given: node(given, "ROW-1", children=["CHART-1"]), "CHART-2 is below no row: nobody would see it"),
        (lambda given: node(given, "ROW-1", children=["CHART-1", "CHART-2", "CHART-3"]), "ROW-1 has a child CHART-3, which is not there"),
        (lambda given: node(given, "GRID_ID", children=["GRID_ID", "ROW-9"]), "GRID_ID has a child ROW-9, which is not there"),
        (lambda given: given.pop(BOARD), "there is no dashboard among them"),
        (lambda given: given.update({"dashboards/b.yaml": {**given[BOARD], "uuid": "e" * 8 + "-0000-4000-8000-000000000000"}}),
         "dashboard 'Sales': slug: another one has sales as well"),
    ],
)
def test_what_superset_would_leave_out_without_a_word_is_named(change: Callable[[dict[str, Any]], Any], said: str) -> None:
    given = files()
    change(given)
    with pytest.raises(core.AssetError) as refused:
        core.assets_of(given)
    assert said in str(refused.value)


def test_all_that_is_wrong_is_said_at_once() -> None:
    given = files()
    given[CHART]["query_context"] = None
    given[BOARD]["slug"] = None
    with pytest.raises(core.AssetError) as refused:
        core.assets_of(given)
    assert len(refused.value.problems) == 2


def test_an_import_takes_along_what_it_needs_and_no_more() -> None:
    assets = core.assets_of(files())
    database = {"uuid": "the server's"}
    chart = next(iter(assets.chart))
    names = {"databases/database.yaml", f"datasets/{next(iter(assets.dataset))}.yaml"}
    assert set(core.bundle("chart", [chart], assets, database)) == {*names, f"charts/{chart}.yaml"}
    board = core.bundle("dashboard", assets.dashboard, assets, database)
    assert len(board) == 5
    assert {one["database_uuid"] for path, one in board.items() if path.startswith("datasets/")} == {"the server's"}
    assert "database_uuid" not in next(iter(assets.dataset.values())), "the files stay as they are"


def shown(assets: core.Assets) -> dict[str, dict[str, Any]]:
    """The two charts' and the dashboard's files as the API shows them."""
    found = {}
    for uuid, chart in assets.chart.items():
        params = {**chart["params"], "datasource": "7__table", "annotation_layers": [], "slice_id": 3}
        context = json.loads(chart["query_context"])
        context["datasource"]["id"] = 7
        context["queries"][0]["datasource"] = {"id": 7, "type": "table"}
        found[uuid] = {"slice_name": chart["slice_name"], "viz_type": "pie", "description": None, "cache_timeout": None, "id": 3,
                       "params": json.dumps(params), "query_context": json.dumps(context)}
    for uuid, board in assets.dashboard.items():
        position = json.loads(json.dumps(board["position"]))
        position["CHART-1"]["meta"]["chartId"] = 99
        metadata = {**board["metadata"], "chart_configuration": {"99": {}}, "positions": position, "label_colors": {}}
        found[uuid] = {"dashboard_title": "Sales", "slug": "sales", "css": "", "published": True, "changed_by": {"id": 1},
                       "position_json": json.dumps(position), "json_metadata": json.dumps(metadata)}
    return found


def test_a_file_and_what_the_api_shows_of_it_are_the_same() -> None:
    assets = core.assets_of(files())
    there = shown(assets)
    numbers = {7: next(iter(assets.dataset))}
    for kind in ("chart", "dashboard"):
        for uuid, content in assets.of(kind).items():
            assert core.canonical(kind, content) == core.canonical(kind, there[uuid], numbers)
            assert core.differences(core.canonical(kind, content), core.canonical(kind, there[uuid], numbers)) == []


def test_a_change_is_named_by_its_place() -> None:
    assets = core.assets_of(files())
    there = shown(assets)
    uuid, board = next(iter(assets.chart)), next(iter(assets.dashboard))
    there[uuid]["params"] = there[uuid]["params"].replace('"metric": "count"', '"metric": "sum"').replace("}", ', "extra": 1}')
    dark = '"ROW-1", "meta": {"background": "dark"}, "type"'
    there[board]["position_json"] = there[board]["position_json"].replace('"ROW-1", "type"', dark)
    numbers = {7: next(iter(assets.dataset))}
    assert core.differences(core.canonical("chart", assets.chart[uuid]), core.canonical("chart", there[uuid], numbers)) == [
        'params.metric: "count" in the file, "sum" in Superset', "params.extra: nothing in the file, 1 in Superset",
    ]
    assert core.differences(core.canonical("dashboard", assets.dashboard[board]), core.canonical("dashboard", there[board])) == [
        'position.ROW-1.meta: nothing in the file, {"background": "dark"} in Superset'
    ]


def test_long_values_are_cut_and_another_dataset_is_a_change() -> None:
    assert len(core.differences({"a": "x" * 500}, {"a": "y"})[0]) < 150
    assets = core.assets_of(files())
    uuid = next(iter(assets.chart))
    assert core.canonical("chart", shown(assets)[uuid], {8: "another"})["dataset"] == "unknown"


A, B, C = {"x": 1}, {"x": 2}, {"x": 3}


@pytest.mark.parametrize(
    ("wanted", "there", "before", "said"),
    [
        (A, None, None, "missing"),
        (A, None, (A, A), "missing"),
        (A, A, None, "same"),
        (A, B, None, "changed"),
        (A, B, (A, A), "changed"),
        (B, A, (A, A), "old"),
        (B, C, (A, A), "changed"),
        (B, A, (B, A), "same"),  # Superset keeps it otherwise than the file says, as it did when it was imported
        (A, A, (B, A), "old"),  # what a chart asks is not compared, and may be all that is new in its file
        (A, A, (B, B), "same"),
    ],
)
def test_who_changed_what(wanted: Any, there: Any, before: Any, said: str) -> None:
    known = {"file": core.fingerprint(before[0]), "there": core.fingerprint(before[1])} if before else None
    assert core.verdict(wanted, there, known, core.fingerprint(wanted)) == said


def test_a_file_that_asks_for_something_else_is_another_file() -> None:
    chart = files()[CHART]
    other = {**chart, "query_context": chart["query_context"].replace("count", "sum")}
    assert core.canonical("chart", chart) == core.canonical("chart", other)
    assert core.asked("chart", chart) == core.asked("chart", files()[CHART]) != core.asked("chart", other)
