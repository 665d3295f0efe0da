# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The files of the eight dashboards are what `make superset-assets` writes, fit together, and ask for tables that the application has."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.phasegate.aistack.plugins.module_utils.monitoring.superset_assets import assets_of, chart_uuids

ROOT = Path(__file__).resolve().parents[3]
SUPERSET = ROOT / "lab/app/superset"
BOARDS = {
    "Global Overview": "global-overview", "Brand Kit": "brand-kit", "Marketing Brief": "marketing-brief", "Generators": "generators",
    "Video Generation": "video-generation", "Editor": "editor", "TrendPipeline": "trendpipeline", "Publishing": "publishing",
}


def there() -> dict[str, str]:
    folder = SUPERSET / "assets"
    return {path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in folder.rglob("*.yaml")}


@pytest.fixture(scope="module")
def read() -> dict[str, Any]:
    return {path: yaml.safe_load(text) for path, text in there().items()}


def test_the_files_are_what_is_described() -> None:
    made = runpy.run_path(str(SUPERSET / "make_assets.py"))["files"]()
    assert there() == made, "run make superset-assets, and commit what it writes"


def test_the_eight_are_there_and_each_has_five_charts_or_more(read: dict[str, Any]) -> None:
    assets = assets_of(read)
    assert {one["dashboard_title"]: one["slug"] for one in assets.dashboard.values()} == BOARDS
    counts = [len(chart_uuids(one)) for one in assets.dashboard.values()]
    assert (min(counts) >= 5, sum(counts)) == (True, len(assets.chart))


def test_they_ask_for_columns_that_the_application_has(read: dict[str, Any]) -> None:
    migration = (ROOT / "lab/app/backend/migrations/versions/0001_six_tables.py").read_text(encoding="utf-8")
    tables = dict(re.findall(r'op\.create_table\(\s*"(\w+)",(.*?)\n    \)', migration, re.DOTALL))
    own = {name: {*re.findall(r'"(\w+)"', text), "id", *(["workflow_id"] if "_workflow(" in text else [])} for name, text in tables.items()}
    plain = [one for one in assets_of(read).dataset.values() if not one["sql"]]
    assert {one["table_name"] for one in plain} == {"workflows", "agent_logs", "router_logs"}
    for one in plain:
        assert {column["column_name"] for column in one["columns"]} <= own[one["table_name"]]
