# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role lays its files down and brings the eight dashboards to a stand-in of Superset's server. The real one is `make superset`."""

from __future__ import annotations

import json
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.context import Context
from ansible_collections.phasegate.aistack.plugins.module_utils.probes import REGISTRY
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.spec import normalise
from ansible_collections.phasegate.aistack.tests.unit.plugins.module_utils.superset_standin import PASSWORD, Standin, serving

from ..role_tasks import run_tasks

ROOT = Path(__file__).resolve().parents[3]
ASSETS = ROOT / "lab/app/superset/assets"
READER = "s3cret:of-the-reader"
BOARDS = ["brand-kit", "editor", "generators", "global-overview", "marketing-brief", "publishing", "trendpipeline", "video-generation"]


@pytest.fixture
def served() -> Iterator[tuple[Standin, str]]:
    with serving() as found:
        yield found


def play(folder: Path, url: str) -> subprocess.CompletedProcess[str]:
    """What the role does around a server that runs, without its user."""
    (folder / "data").mkdir(exist_ok=True)
    (folder / "etc").mkdir(exist_ok=True)
    variables = {
        "ansible_python_interpreter": "/usr/bin/python3", "superset_user": "root", "superset_port": int(url.rpartition(":")[2]),
        "superset_admin_user": "boss", "superset_admin_password": PASSWORD, "superset_assets": [str(ASSETS)],
        "superset_connection": {"name": "shop", "host": "10.0.0.11", "database": "shop", "user": "reader", "password": READER},
        "__superset_folder": str(folder / "etc"), "__superset_data": str(folder / "data"), "__superset_todo": {"stdout": ""},
        "__superset_unit_file": str(folder / "unit.service"),
    }
    return run_tasks(folder, [("superset", "configure"), ("superset", "dashboards")], variables)


def test_eight_dashboards_are_brought_once_and_a_change_by_hand_stays(served: tuple[Standin, str], tmp_path: Path) -> None:
    standin, url = served
    done = play(tmp_path, url)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [len(standin.things[kind]) for kind in ("database", "dataset", "chart", "dashboard")] == [1, 9, 42, 8]
    (connection,) = standin.things["database"].values()
    assert connection["sqlalchemy_uri"] == "postgresql+psycopg2://reader@10.0.0.11:5432/shop"
    login = {"username": "boss", "password_file": str(tmp_path / "etc/admin.password")}
    probe: dict[str, Any] = normalise({"name": "it", "superset": url, "dashboards": BOARDS, **login}, None)
    seen = REGISTRY["superset"](probe).run(Context(timeout=30, names={}))
    assert (seen.ok, seen.got) == (True, "health OK, 8 dashboards, 42 charts")

    etc = tmp_path / "etc"
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in etc.iterdir()}
    assert modes == {"admin.password": 0o600, "assets.json": 0o600, "pgpass": 0o400, "secret.key": 0o640, "settings.json": 0o640,
                     "superset_config.py": 0o644}
    assert (etc / "pgpass").read_text() == "10.0.0.11:5432:shop:reader:s3cret\\:of-the-reader\n"
    own = json.loads((etc / "settings.json").read_text())["SQLALCHEMY_DATABASE_URI"]
    assert own == f"sqlite:///{tmp_path / 'data'}/superset.db?check_same_thread=false"

    key = (etc / "secret.key").read_text()
    (chart,) = (one for one in standin.things["chart"].values() if one["slice_name"] == "Agents")
    chart["slice_name"] = "Mine"
    again = play(tmp_path, url)
    assert (again.returncode, ", 0 changes, " in again.stdout) == (0, True), again.stdout + again.stderr
    said = " ".join((again.stdout + again.stderr).split())
    assert "chart 'Agents' was changed in Superset and stays so: slice_name: \"Agents\" in the file, \"Mine\" in Superset" in said
    assert (chart["slice_name"], (etc / "secret.key").read_text()) == ("Mine", key)
    for secret in (PASSWORD, READER, key):
        assert secret not in done.stdout + done.stderr + again.stdout + again.stderr
