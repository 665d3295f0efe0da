# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Dashboards brought into a stand-in of Superset: once, read back, asked; what somebody changed stays."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.context import Context, NotAsExpected
from ansible_collections.phasegate.aistack.plugins.module_utils.clients.superset import Superset
from ansible_collections.phasegate.aistack.plugins.module_utils.monitoring import superset
from ansible_collections.phasegate.aistack.plugins.module_utils.monitoring.superset_assets import Assets, assets_of
from ansible_collections.phasegate.aistack.tests.unit.plugins.module_utils.superset_standin import PASSWORD, Standin, files, serving

URI = "postgresql+psycopg2://reader@10.0.0.11:5432/shop"
ALL = ["dataset 'orders'", "chart 'Kinds'", "chart 'Orders'", "dashboard 'Sales'"]


@pytest.fixture
def served() -> Iterator[tuple[Standin, str]]:
    with serving() as found:
        yield found


@pytest.fixture
def api(served: tuple[Standin, str]) -> Superset:
    found = Superset(served[1], Context(120))
    found.login("boss", PASSWORD)
    return found


@pytest.fixture
def assets() -> Assets:
    return assets_of(files())


@pytest.fixture
def memory(tmp_path: Path) -> Path:
    return tmp_path / "assets.json"


def test_all_is_imported_once(served: tuple[Standin, str], api: Superset, assets: Assets, memory: Path) -> None:
    standin, _url = served
    planned = superset.bring(api, assets, "shop", URI, memory, check=True)
    assert (planned.imported, planned.connection) == (ALL, "made")
    assert not memory.exists()
    assert {method for method, _path in standin.seen[1:]} == {"GET"}
    found = superset.bring(api, assets, "shop", URI, memory)
    assert found == superset.Brought(ALL, {}, "made", {"sales": 2}, [])
    assert memory.stat().st_mode & 0o777 == 0o600
    (connection,) = standin.things["database"].values()
    assert (connection["sqlalchemy_uri"], connection["allow_dml"]) == (URI, False)
    before = memory.read_text()
    standin.seen.clear()
    assert superset.bring(api, assets, "shop", URI, memory) == superset.Brought(charts={"sales": 2})
    assert {method for method, _path in standin.seen} == {"GET"}
    assert not [path for _method, path in standin.seen if "/data/" in path], "nothing is asked where nothing was imported"
    assert memory.read_text() == before
    memory.unlink()
    assert superset.bring(api, assets, "shop", URI, memory).imported == [], "what is as the files say is known as it is"


def test_a_change_by_hand_stays_until_it_is_overwritten(served: tuple[Standin, str], api: Superset, assets: Assets, memory: Path) -> None:
    standin, _url = served
    superset.bring(api, assets, "shop", URI, memory)
    (chart,) = (one for one in standin.things["chart"].values() if one["slice_name"] == "Orders")
    chart["params"] = chart["params"].replace('"count"', '"sum"')
    for _twice in range(2):
        found = superset.bring(api, assets, "shop", URI, memory)
        assert (found.imported, found.changed) == ([], {"chart 'Orders'": ['params.metric: "count" in the file, "sum" in Superset']})
    newer = files()
    newer["charts/Orders.yaml"]["params"]["metric"] = "max"
    assert superset.bring(api, assets_of(newer), "shop", URI, memory).imported == []
    assert superset.bring(api, assets_of(newer), "shop", URI, memory, overwrite=True).imported == ["chart 'Orders'"]
    assert json.loads(standin.things["chart"][chart["id"]]["params"])["metric"] == "max"
    assert superset.bring(api, assets_of(newer), "shop", URI, memory) == superset.Brought(charts={"sales": 2})


def test_a_newer_file_replaces_what_nobody_changed(served: tuple[Standin, str], api: Superset, assets: Assets, memory: Path) -> None:
    superset.bring(api, assets, "shop", URI, memory)
    newer = files()
    newer["dashboards/sales.yaml"]["dashboard_title"] = "All sales"
    newer["datasets/shop/orders.yaml"]["metrics"][0]["expression"] = "COUNT(kind)"
    found = superset.bring(api, assets_of(newer), "shop", URI, memory)
    assert (found.imported, found.changed) == (["dataset 'orders'", "dashboard 'All sales'"], {})


def test_a_file_that_asks_for_something_else_is_imported(served: tuple[Standin, str], api: Superset, assets: Assets, memory: Path) -> None:
    superset.bring(api, assets, "shop", URI, memory)
    newer = files()
    newer["charts/Orders.yaml"]["query_context"] = newer["charts/Orders.yaml"]["query_context"].replace('["kind"]', "[]")
    assert superset.bring(api, assets_of(newer), "shop", URI, memory).imported == ["chart 'Orders'"]
    assert superset.bring(api, assets_of(newer), "shop", URI, memory) == superset.Brought(charts={"sales": 2})


def test_an_import_that_loses_charts_is_a_failure(served: tuple[Standin, str], api: Superset, assets: Assets, memory: Path) -> None:
    served[0].drops = True
    with pytest.raises(superset.SupersetError) as told:
        superset.bring(api, assets, "shop", URI, memory)
    said = "Superset answered that all was imported, but: dashboard 'Sales' was taken and shows no chart; missing: chart 'O"
    assert said in str(told.value)
    assert "Compare identifiers in position, columns and metrics" in str(told.value)
    assert not memory.exists()
    served[0].drops = False
    again = superset.bring(api, assets, "shop", URI, memory)
    assert again.charts == {"sales": 2}, "the next run goes on"


def test_a_query_that_fails_is_a_failure_and_one_without_rows_is_named(served: tuple[Standin, str], api: Superset, assets: Assets,
                                                                       memory: Path) -> None:
    served[0].rows = {"Orders": 'relation "orders" does not exist', "Kinds": 0}
    with pytest.raises(superset.SupersetError, match="chart 'Orders': its query fails: relation"):
        superset.bring(api, assets, "shop", URI, memory)
    served[0].rows = {"Kinds": 0}
    newer = files()
    newer["dashboards/sales.yaml"]["description"] = "of the shop"
    assert superset.bring(api, assets_of(newer), "shop", URI, memory, overwrite=True).without_rows == ["chart 'Kinds'"]


def test_a_connection_goes_where_the_inventory_says(served: tuple[Standin, str], api: Superset, assets: Assets, memory: Path) -> None:
    superset.bring(api, assets, "shop", URI, memory)
    moved = superset.bring(api, assets, "shop", URI.replace(".11", ".12"), memory)
    assert (moved.imported, moved.connection) == ([], "changed")
    assert [one["sqlalchemy_uri"] for one in served[0].things["database"].values()] == [URI.replace(".11", ".12")]
    assert superset.bring(api, assets, "shop", URI.replace(".11", ".12"), memory).connection == ""


def test_a_password_in_an_address_is_shown_by_nobody(served: tuple[Standin, str], api: Superset, assets: Assets, memory: Path) -> None:
    served[0].refuses = "Connection failed"
    with pytest.raises(superset.SupersetError) as told:
        superset.bring(api, assets, "shop", URI.replace("reader@", "reader:s3cret@"), memory)
    assert "s3cret" not in str(told.value)
    assert "reader:XXXXXXXXXX@10.0.0.11" in str(told.value)
    assert "Connection failed" in str(told.value)
    assert "postgres_clients" in str(told.value)


def test_what_superset_refuses_is_told_in_its_words(served: tuple[Standin, str], api: Superset, assets: Assets, memory: Path) -> None:
    standin, _url = served
    standin.add("database", {"uuid": "11111111-1111-4111-8111-111111111111", "database_name": "shop", "sqlalchemy_uri": URI})
    standin.refuses = "Error importing dataset"
    with pytest.raises(superset.SupersetError) as told:
        superset.bring(api, assets, "shop", URI, memory)
    assert """Superset refused dataset 'orders': status 422: Error importing dataset; {"charts/x.yaml": {"extra": [""" in str(told.value)


@pytest.mark.parametrize(
    ("kind", "thing", "said"),
    [
        ("dashboard", {"slug": "sales", "dashboard_title": "Old sales"}, "dashboard 'Old sales' has the address sales already"),
        ("dataset", {"schema": "public", "table_name": "orders"}, "dataset 'orders' is there already, made by hand"),
    ],
)
def test_another_thing_in_its_place_is_named_before_anything_is_imported(
    served: tuple[Standin, str], api: Superset, assets: Assets, memory: Path, kind: str, thing: dict[str, str], said: str
) -> None:
    served[0].add(kind, {"uuid": "99999999-0000-4000-8000-000000000000", **thing})
    with pytest.raises(superset.SupersetError, match=said):
        superset.bring(api, assets, "shop", URI, memory)
    assert {method for method, _path in served[0].seen[1:]} == {"GET"}


def test_more_than_a_page_is_read(served: tuple[Standin, str], api: Superset, assets: Assets, memory: Path) -> None:
    for number in range(150):
        served[0].add("chart", {"uuid": f"{number:08}-0000-4000-8000-000000000000", "slice_name": "of somebody"})
    superset.bring(api, assets, "shop", URI, memory)
    assert superset.bring(api, assets, "shop", URI, memory).imported == []


@pytest.mark.parametrize("text", ["", "{", "[]", '{"things": 7}'])
def test_a_memory_that_cannot_be_read_is_none(served: tuple[Standin, str], api: Superset, assets: Assets, memory: Path, text: str) -> None:
    memory.write_text(text)
    assert superset.bring(api, assets, "shop", URI, memory).imported == ALL


def test_a_wrong_password_and_a_page_of_html(served: tuple[Standin, str], api: Superset, assets: Assets, memory: Path) -> None:
    with pytest.raises(NotAsExpected, match="boss is not let in: Not authorized"):
        Superset(served[1], Context(60)).login("boss", "wrong")
    served[0].page = "<!doctype html><title>Welcome</title>"
    with pytest.raises(NotAsExpected, match="status 200, no JSON: <!doctype html>"):
        superset.bring(api, assets, "shop", URI, memory)
    with pytest.raises(NotAsExpected, match="status 200, no JSON"):
        Superset(served[1], Context(60)).login("boss", PASSWORD)
