# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Superset judged by its API; the server is a stand-in that answers in its shapes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.superset import packed
from ansible_collections.phasegate.aistack.plugins.module_utils.core.probe_spec import ProbeError
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.base import Attempt
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.spec import normalise
from ansible_collections.phasegate.aistack.tests.unit.plugins.module_utils.superset_standin import PASSWORD, TOKEN, Standin, files, serving

Observe = Callable[..., Attempt]


@pytest.fixture
def served() -> Iterator[tuple[Standin, str]]:
    with serving() as (standin, url):
        standin.take("dashboard", packed("Dashboard", {path: one for path, one in files().items() if not path.startswith("databases")}))
        yield standin, url


@pytest.fixture
def login(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "password").write_text(f"{PASSWORD}\n")
    return {"username": "boss", "password_file": str(tmp_path / "password")}


def test_all_is_there_and_answers(served: tuple[Standin, str], observe: Observe, login: dict[str, str]) -> None:
    seen = observe(superset=served[1], dashboards=["sales"], **login)
    assert (seen.ok, seen.got) == (True, "health OK, 1 dashboards, 2 charts")
    assert seen.expected == "health OK, dashboards sales, rows of each chart >= 1"
    assert {method for method, _path in served[0].seen} == {"GET", "POST"}
    assert [path for method, path in served[0].seen if method == "POST"] == ["/api/v1/security/login"], "it changes nothing"


def test_its_health_is_asked_without_a_login(served: tuple[Standin, str], observe: Observe) -> None:
    assert observe(superset=served[1]).got == "health OK"
    assert served[0].seen == [("GET", "/health")]
    served[0].health = (200, "<html>")
    assert observe(superset=served[1]).got == "health: status 200: <html>"


@pytest.mark.parametrize(
    ("change", "more", "said"),
    [
        ({"rows": {"Orders": 0}}, {}, "rows of 'sales: Orders' = 0"),
        ({"rows": {"Orders": "relation is gone"}}, {}, "query of 'sales: Orders' = relation is gone"),
        ({"rows": {"Orders": 5}}, {"rows": {"le": 4}}, "rows of 'sales: Orders' = 5"),
        ({"health": (502, "Bad Gateway")}, {}, "health: status 502: Bad Gateway"),
        ({"page": "<!doctype html>"}, {}, "status 200, no JSON: <!doctype html>"),
        ({}, {"dashboards": ["sales", "stock"]}, "dashboard stock = not there"),
    ],
)
def test_what_is_not_as_it_should_be(served: tuple[Standin, str], observe: Observe, login: dict[str, str], change: dict[str, Any],
                                     more: dict[str, Any], said: str) -> None:
    for name, value in change.items():
        setattr(served[0], name, value)
    seen = observe(superset=served[1], **{"dashboards": ["sales"], **login, **more})
    assert (seen.ok, seen.error) == (False, False)
    assert seen.got.startswith(said)


def test_a_dashboard_without_charts_fails(served: tuple[Standin, str], observe: Observe, login: dict[str, str]) -> None:
    served[0].things["chart"].clear()
    assert observe(superset=served[1], dashboards=["sales"], rows=0, **login).got == "dashboard sales = no chart"


def test_rows_may_be_none_where_nothing_happened_yet(served: tuple[Standin, str], observe: Observe, login: dict[str, str]) -> None:
    served[0].rows = {"Orders": 0}
    assert observe(superset=served[1], dashboards=["sales"], rows=0, **login).ok


def test_a_wrong_password(served: tuple[Standin, str], observe: Observe, login: dict[str, str]) -> None:
    Path(login["password_file"]).write_text("another-of-the-boss")
    seen = observe(superset=served[1], dashboards=["sales"], **login)
    assert (seen.ok, seen.got) == (False, "boss is not let in: Not authorized")
    assert "another-of-the-boss" not in f"{seen}"
    assert TOKEN not in f"{seen}"


@pytest.mark.parametrize(
    ("probe", "said"),
    [
        ({"superset": "x:8088"}, "does not begin with http://"),
        ({"superset": "http://x", "username": "u"}, "username and password_file belong together"),
        ({"superset": "http://x", "dashboards": ["a"]}, "are shown to a user alone"),
        ({"superset": "http://x", "rows": 3}, "rows are those of dashboards"),
        ({"superset": "http://x", "dashboard": ["a"]}, "unknown key 'dashboard' (did you mean dashboards?)"),
        ({"superset": "http://x", "secret_file": "/x"}, "unknown key 'secret_file'"),
    ],
)
def test_what_cannot_be_asked(probe: dict[str, Any], said: str) -> None:
    with pytest.raises(ProbeError) as refused:
        normalise(dict(probe, name="p"), "c")
    assert said in str(refused.value)
