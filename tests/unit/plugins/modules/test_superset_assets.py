# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module's answers, by a stand-in of Superset's server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.tests.unit.plugins.module_utils.superset_standin import PASSWORD, Standin, files, serving

Call = Callable[..., dict[str, Any]]


@pytest.fixture
def served() -> Iterator[tuple[Standin, str]]:
    with serving() as found:
        yield found


@pytest.fixture
def given(served: tuple[Standin, str], tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "password").write_text(f"{PASSWORD}\n")
    return {"src": ["/of/the/controller"], "files": files(), "target": served[1], "username": "boss",
            "password_file": str(tmp_path / "password"), "memory": str(tmp_path / "assets.json"),
            "connection": {"name": "shop", "uri": "postgresql+psycopg2://reader@10.0.0.11:5432/shop"}}


def test_check_run_and_run_again(call: Call, given: dict[str, Any], served: tuple[Standin, str]) -> None:
    planned = call("superset_assets", check=True, **given)
    assert (planned["changed"], len(planned["imported"]), served[0].things["chart"]) == (True, 4, {})
    done = call("superset_assets", **given)
    assert (done["changed"], done["connection"], done["charts"], done["differing"]) == (True, "made", {"sales": 2}, {})
    again = call("superset_assets", **given)
    assert (again["changed"], again["imported"], again["connection"]) == (False, [], "")
    assert PASSWORD not in done["text"] + again["text"]


def test_what_somebody_changed_is_a_warning(call: Call, given: dict[str, Any], served: tuple[Standin, str], warned: list[str]) -> None:
    call("superset_assets", **given)
    next(iter(served[0].things["dashboard"].values()))["dashboard_title"] = "Mine"
    found = call("superset_assets", **given)
    assert found["changed"] is False
    assert found["differing"] == {"dashboard 'Sales'": ['dashboard_title: "Sales" in the file, "Mine" in Superset']}
    (said,) = warned
    assert said == """dashboard 'Sales' was changed in Superset and stays so: dashboard_title: "Sales" in the file, "Mine" in Superset"""
    warned.clear()
    assert call("superset_assets", overwrite=True, **given)["imported"] == ["dashboard 'Sales'"]
    assert warned == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"password_file": "/nonexistent"}, "A file on the node cannot be used: "),
        ({"files": {}}, "/of/the/controller cannot be imported: there is no dashboard among them"),
        ({"target": "http://127.0.0.1:9"}, "at http://127.0.0.1:9 does not answer as it should: connection refused"),
        ({"target": "no address"}, "does not answer as it should: 'no address/api/v1/security/login' is no http"),
        ({"username": "somebody", "password_file": __file__}, "somebody is not let in: Not authorized"),
    ],
)
def test_what_goes_wrong_is_said(call: Call, given: dict[str, Any], change: dict[str, Any], said: str) -> None:
    found = call("superset_assets", **{**given, **change})
    assert found["failed"] is True
    assert said in found["msg"]


def test_an_import_without_charts_fails_in_words(call: Call, given: dict[str, Any], served: tuple[Standin, str]) -> None:
    served[0].drops = True
    found = call("superset_assets", **given)
    said = f"Superset at {served[1]}: Superset answered that all was imported, but: dashboard 'Sales' was taken and shows no"
    assert said in found["msg"]
