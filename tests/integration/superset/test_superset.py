# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The eight dashboards in a real Superset: imported, read back, every chart asked; what somebody changes there is seen and stays."""

from __future__ import annotations

import copy
import json
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.phasegate.aistack.plugins.action.superset_assets import read
from ansible_collections.phasegate.aistack.plugins.module_utils.clients.context import Context, NotAsExpected
from ansible_collections.phasegate.aistack.plugins.module_utils.clients.superset import Superset, packed
from ansible_collections.phasegate.aistack.plugins.module_utils.monitoring import superset
from ansible_collections.phasegate.aistack.plugins.module_utils.monitoring.superset_assets import Assets, assets_of, bundle, canonical
from ansible_collections.phasegate.aistack.plugins.module_utils.probes import REGISTRY
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.base import Attempt
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.spec import normalise

from ..conftest import PASSWORD, Cluster
from .conftest import ADMIN, ASSETS, READER, World

BOARDS = ["brand-kit", "editor", "generators", "global-overview", "marketing-brief", "publishing", "trendpipeline", "video-generation"]
CHARTS = 42


@pytest.fixture
def api(world: World) -> Superset:
    found = Superset(world.url, Context(300))
    found.login("boss", ADMIN)
    found.writes()
    return found


@pytest.fixture
def assets() -> Assets:
    return assets_of(copy.deepcopy(read(ASSETS)))


@pytest.fixture
def uri(cluster: Cluster) -> str:
    return f"postgresql+psycopg2://reader@127.0.0.1:{cluster.port}/shop"


@pytest.fixture
def memory(world: World) -> Path:
    return world.folder / "etc/assets.json"


@pytest.fixture
def imported(world: World, api: Superset, assets: Assets, uri: str, memory: Path) -> World:
    """All that the files hold is there, as they have it."""
    bring(api, assets, uri, memory, overwrite=True)
    return world


def number(api: Superset, kind: str, uuid: str) -> int:
    return next(int(row["id"]) for row in api.listed(kind, ("id", "uuid")) if row["uuid"] == uuid)


def uuid_of(assets: Assets, name: str) -> str:
    return next(uuid for kind in superset.KINDS for uuid in assets.of(kind) if assets.name(uuid) == name)


def bring(api: Superset, assets: Assets, uri: str, memory: Path, **more: Any) -> superset.Brought:
    return superset.bring(api, assets, "shop", uri, memory, **more)


def probe(world: World, **more: Any) -> Attempt:
    """Ask once, as a gate does."""
    login = {"username": "boss", "password_file": str(world.password_file)}
    one = REGISTRY["superset"](normalise({"name": "it", "superset": world.url, **login, **more}, None))
    return one.run(Context(timeout=one.attempt_timeout, names={}))


def test_the_role_imports_all_and_then_nothing(world: World) -> None:
    todo = {"stdout": ""}
    planned = world.play("dashboards", words=("--check",), __superset_todo=todo)
    assert (planned.returncode, planned.stdout.count("changed: [localhost]")) == (0, 1), planned.stdout + planned.stderr
    done = world.play("dashboards", words=("-v",), __superset_todo=todo)
    assert (done.returncode, done.stdout.count("changed: [localhost]")) == (0, 1), done.stdout + done.stderr
    assert "dashboard 'TrendPipeline'" in done.stdout
    assert '"without_rows": []' in done.stdout
    again = world.play("dashboards", words=("-v",), __superset_todo=todo)
    assert (again.returncode, again.stdout.count("changed: [localhost]")) == (0, 0), again.stdout + again.stderr
    for text in (done.stdout, done.stderr, again.stdout):
        assert ADMIN not in text
        assert READER not in text


def test_every_chart_of_the_eight_dashboards_answers_rows(imported: World, api: Superset) -> None:
    seen = probe(imported, dashboards=BOARDS)
    assert seen.ok, (seen.got, seen.detail)
    assert seen.got == f"health OK, 8 dashboards, {CHARTS} charts"
    counts = {slug: len(api.charts_of(slug)) for slug in BOARDS}
    assert sum(counts.values()) == CHARTS
    assert all(count >= 5 for count in counts.values()), counts


def test_what_was_imported_is_what_the_files_say(imported: World, api: Superset, assets: Assets, uri: str, tmp_path: Path) -> None:
    found = bring(api, assets, uri, tmp_path / "nobody remembers", check=True)
    assert (found.imported, found.changed, found.connection) == ([], {}, "")


def test_nothing_secret_is_where_it_does_not_belong(imported: World, cluster: Cluster) -> None:
    dump = cluster.admin("SELECT sqlalchemy_uri, password IS NULL OR password = '' FROM dbs", "superset")
    assert dump == f"postgresql+psycopg2://reader@127.0.0.1:{cluster.port}/shop|t"
    etc = imported.folder / "etc"
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in etc.iterdir()}
    assert modes == {"admin.password": 0o600, "assets.json": 0o600, "pgpass": 0o400, "prepared": 0o600, "secret.key": 0o640,
                     "settings.json": 0o640, "superset_config.py": 0o644}
    told = "".join((etc / name).read_text() for name in ("superset_config.py", "settings.json", "prepared"))
    told += (imported.folder / "unit.service").read_text() + (etc / "assets.json").read_text()
    for secret in (ADMIN, READER, PASSWORD, (etc / "secret.key").read_text()):
        assert secret not in told


def test_its_user_can_only_read(imported: World, cluster: Cluster) -> None:
    refused = subprocess.run(
        ["psql", "-XqAt", "-h", "127.0.0.1", "-p", str(cluster.port), "-U", "reader", "-d", "shop", "-c", "DELETE FROM workflows"],
        env={"PATH": "/usr/bin:/bin", "PGPASSFILE": str(imported.folder / "etc/pgpass")}, capture_output=True, text=True, check=False,
    )
    assert refused.returncode != 0
    assert "permission denied for table workflows" in refused.stderr


def test_a_role_that_has_prepared_does_so_once_and_follows_the_password(imported: World) -> None:
    key = (imported.folder / "etc/secret.key").read_text()
    again = imported.play("stage", "configure", "prepare")
    assert (again.returncode, again.stdout.count("changed: [localhost]")) == (0, 0), again.stdout + again.stderr
    other = imported.play("configure", "prepare", superset_admin_password="another-of-the-boss")
    assert other.returncode == 0, other.stdout + other.stderr
    assert "administrator: password" in other.stdout
    assert probe(imported).ok
    with pytest.raises(NotAsExpected, match="boss is not let in"):
        Superset(imported.url, Context(30)).login("boss", ADMIN)
    back = imported.play("configure", "prepare")
    assert back.returncode == 0, back.stdout + back.stderr
    assert (imported.folder / "etc/secret.key").read_text() == key
    assert "another-of-the-boss" not in other.stdout + other.stderr


def test_what_somebody_changed_is_shown_and_stays(imported: World, api: Superset, assets: Assets, uri: str, memory: Path) -> None:
    uuid = uuid_of(assets, "chart 'Workflows a day'")
    place = number(api, "chart", uuid)
    params = json.loads(api.get(f"/chart/{place}")["result"]["params"])
    api.send("PUT", f"/chart/{place}", {"slice_name": "Workflows a week", "params": json.dumps({**params, "time_grain_sqla": "P1W"})})
    board = number(api, "dashboard", uuid_of(assets, "dashboard 'Global Overview'"))
    api.send("PUT", f"/dashboard/{board}", {"dashboard_title": "Mine"})
    found = bring(api, assets, uri, memory)
    assert (found.imported, found.connection) == ([], "")
    assert found.changed["chart 'Workflows a day'"] == [
        'slice_name: "Workflows a day" in the file, "Workflows a week" in Superset',
        'params.time_grain_sqla: "P1D" in the file, "P1W" in Superset',
    ]
    assert found.changed["dashboard 'Global Overview'"] == ['dashboard_title: "Global Overview" in the file, "Mine" in Superset']
    told = imported.play("dashboards", __superset_todo={"stdout": ""})
    assert "changed: [localhost]" not in told.stdout
    assert "was changed in Superset and stays so: slice_name" in " ".join((told.stdout + told.stderr).split())

    assets.chart[uuid]["slice_name"] = "Workflows each day"  # a newer file does not change whose it is
    assert bring(api, assets, uri, memory).imported == []
    assert api.get(f"/chart/{place}")["result"]["slice_name"] == "Workflows a week"
    written = bring(api, assets, uri, memory, overwrite=True)
    assert written.imported == ["chart 'Workflows each day'", "dashboard 'Global Overview'"]
    assert api.get(f"/chart/{place}")["result"]["slice_name"] == "Workflows each day"
    assert bring(api, assets, uri, memory) == superset.Brought(charts=written.charts)


def test_a_newer_file_replaces_what_nobody_changed(imported: World, api: Superset, assets: Assets, uri: str, memory: Path) -> None:
    chart, dataset = uuid_of(assets, "chart 'Agents'"), uuid_of(assets, "dataset 'agent_logs'")
    assets.chart[chart]["params"]["row_limit"] = 5
    assets.dataset[dataset]["metrics"].append({"metric_name": "longest", "expression": "MAX(duration_ms)"})
    assert bring(api, assets, uri, memory, check=True).imported == ["dataset 'agent_logs'", "chart 'Agents'"]
    found = bring(api, assets, uri, memory)
    assert (found.imported, found.changed) == (["dataset 'agent_logs'", "chart 'Agents'"], {})
    assert bring(api, assets, uri, memory).imported == []


def test_what_was_deleted_comes_back(imported: World, api: Superset, assets: Assets, uri: str, memory: Path) -> None:
    board = number(api, "dashboard", uuid_of(assets, "dashboard 'Editor'"))
    api.send("DELETE", f"/dashboard/{board}", {})
    assert not probe(imported, dashboards=["editor"]).ok
    assert bring(api, assets, uri, memory).imported == ["dashboard 'Editor'"]
    assert probe(imported, dashboards=["editor"]).ok


def test_superset_says_200_to_an_import_without_charts_and_this_says_so(imported: World, api: Superset, assets: Assets, uri: str,
                                                                       memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    board = uuid_of(assets, "dashboard 'Editor'")
    api.send("DELETE", f"/dashboard/{number(api, 'dashboard', board)}", {})
    real = bundle

    def wrong(kind: str, *rest: Any) -> dict[str, Any]:
        """As a folder looks whose identifiers do not fit together: every chart's is another one than the position says."""
        made = real(kind, *rest)
        made[f"dashboards/{board}.yaml"] = json.loads(json.dumps(made[f"dashboards/{board}.yaml"]).replace('"uuid": "', '"uuid": "0'))
        made[f"dashboards/{board}.yaml"]["uuid"] = board
        return made

    monkeypatch.setattr(superset, "bundle", wrong)
    with pytest.raises(superset.SupersetError, match=r"dashboard 'Editor' was taken and shows no chart; missing: chart 'Edits") as told:
        bring(api, assets, uri, memory)
    assert "Compare identifiers" in str(told.value)
    assert probe(imported, dashboards=["editor"]).got == "dashboard editor = no chart"
    monkeypatch.undo()
    assert bring(api, assets, uri, memory, overwrite=True).imported == ["dashboard 'Editor'"]


def test_a_query_that_fails_is_told_in_the_database_s_words(imported: World, api: Superset, assets: Assets, uri: str, memory: Path,
                                                            cluster: Cluster) -> None:
    cluster.admin("ALTER TABLE router_logs RENAME COLUMN user_id TO person", "shop")
    try:
        seen = probe(imported, dashboards=["global-overview"])
        assert not seen.ok
        assert seen.got.startswith("query of 'global-overview: Users of the router' = ")
        assert 'column "user_id" does not exist' in seen.got
        assets.chart[uuid_of(assets, "chart 'Agents'")]["description"] = "of today"
        with pytest.raises(superset.SupersetError, match=r"chart 'Users of the router': its query fails: .*user_id"):
            bring(api, assets, uri, memory)
    finally:
        cluster.admin("ALTER TABLE router_logs RENAME COLUMN person TO user_id", "shop")


def test_a_chart_without_rows_fails_a_gate_and_is_named_by_an_import(imported: World, api: Superset, assets: Assets, uri: str, memory: Path,
                                                                     cluster: Cluster) -> None:
    cluster.admin("UPDATE workflow_nodes SET output = '{\"top\": {}}' WHERE agent_name = 'TrendCollector'", "shop")
    try:
        seen = probe(imported, dashboards=["trendpipeline"])
        assert (seen.ok, seen.got) == (False, "rows of 'trendpipeline: Words people asked with' = 0")
        assert probe(imported, dashboards=["trendpipeline"], rows=0).ok
        assets.chart[uuid_of(assets, "chart 'Agents'")]["description"] = "of yesterday"
        assert bring(api, assets, uri, memory).without_rows == ["chart 'Words people asked with'"]
    finally:
        cluster.admin("UPDATE workflow_nodes SET output = '{\"top\": {\"launch\": 4}}' WHERE agent_name = 'TrendCollector'", "shop")


def test_a_dataset_of_somebody_else_is_in_the_way(imported: World, api: Superset, assets: Assets, uri: str, memory: Path) -> None:
    lost = uuid_of(assets, "dataset 'agent_logs'")
    assets.dataset["8a0dc8b2-0000-4000-8000-06fddb0949b9"] = {**assets.dataset.pop(lost), "uuid": "8a0dc8b2-0000-4000-8000-06fddb0949b9"}
    for chart in assets.chart.values():
        chart["dataset_uuid"] = chart["dataset_uuid"].replace(lost, "8a0dc8b2-0000-4000-8000-06fddb0949b9")
    with pytest.raises(superset.SupersetError, match=r"dataset 'agent_logs' is there already, made by hand.*Nothing was imported"):
        bring(api, assets, uri, memory)


def test_a_connection_that_does_not_answer_is_refused_and_the_one_before_stays(imported: World, api: Superset, assets: Assets, uri: str,
                                                                               memory: Path) -> None:
    with pytest.raises(superset.SupersetError, match=r"does not take the connection 'elsewhere'.*postgres_clients"):
        superset.bring(api, assets, "elsewhere", uri.replace("reader@", "nobody@"), memory)
    assert probe(imported, dashboards=["editor"]).ok


def test_a_wrong_archive_is_refused_in_superset_s_words(imported: World, api: Superset, assets: Assets) -> None:
    chart = uuid_of(assets, "chart 'Agents'")
    database = {"database_name": "shop", "uuid": "none", "sqlalchemy_uri": "postgresql://h/shop", "version": "1.0.0", "extra": {}}
    files = bundle("chart", [chart], assets, database)
    with pytest.raises(NotAsExpected, match=r"status 422: Error importing chart: databases/database.yaml: .*Not a valid UUID"):
        api.upload("chart", packed("Slice", files))


def test_canonical_forms_are_those_of_an_export_too(imported: World, api: Superset, assets: Assets, tmp_path: Path) -> None:
    """An operator's own dashboards are exported; what Superset exports of ours is what the files say."""
    board = number(api, "dashboard", uuid_of(assets, "dashboard 'Editor'"))
    answer = api._answer("GET", f"/api/v1/dashboard/export/?q=!({board})")
    assert answer.status == 200
    (tmp_path / "export.zip").write_bytes(answer.body)
    shutil.unpack_archive(tmp_path / "export.zip", tmp_path / "export")
    found = assets_of(read(tmp_path / "export"))
    for kind in superset.KINDS:
        for uuid, content in found.of(kind).items():
            assert canonical(kind, content) == canonical(kind, assets.of(kind)[uuid]), found.name(uuid)


def test_files_that_do_not_fit_together_never_reach_a_node(world: World, tmp_path: Path) -> None:
    shutil.copytree(ASSETS, tmp_path / "mine")
    path = tmp_path / "mine/charts/editor/edits.yaml"
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    content["query_context"] = content["query_context"].replace('"count"', '"cuont"')
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    done = world.play("dashboards", __superset_todo={"stdout": ""}, superset_assets=[str(tmp_path / "mine")])
    assert done.returncode == 2
    assert "chart 'Edits': cuont is no metric of dataset 'edits'; did you mean 'count'?" in " ".join(done.stdout.split())


def test_sqlite_holds_what_is_its_own_where_nothing_else_is_said(world: World, tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "data").mkdir()
    places = {"__superset_folder": str(tmp_path / "etc"), "__superset_data": str(tmp_path / "data"), "superset_metadata": {}}
    done = world.play("configure", "prepare", **places, __superset_unit_file=str(tmp_path / "unit.service"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "data/superset.db").stat().st_size > 100_000
