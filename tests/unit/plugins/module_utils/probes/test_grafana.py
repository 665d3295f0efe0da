# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Grafana judged by its API; the server is a stand-in that answers in its shapes."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.core.probe_spec import ProbeError
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.base import Attempt
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.spec import normalise

from .conftest import WebServer

Observe = Callable[..., Attempt]
UIDS = ["aistack-system", "aistack-worker"]


@pytest.fixture
def login(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "password").write_text("s3cret\n")
    return {"username": "admin", "password_file": str(tmp_path / "password")}


def answers(web: WebServer, source: tuple[int, Any] = (200, {"status": "OK", "message": "Successfully queried the Prometheus API."}),
            uids: Any = None) -> None:
    web.routes["/api/health"] = (200, {"database": "ok", "version": "11.6.0", "commit": "0"})
    web.routes["/api/datasources/uid/aistack-prometheus/health"] = source
    uids = UIDS if uids is None else uids
    listed = [{"uid": uid, "type": "dash-db", "title": uid} for uid in uids] if isinstance(uids, list) else uids
    web.routes["/api/search"] = (200, listed)


def test_all_is_there(web: WebServer, observe: Observe, login: dict[str, str]) -> None:
    answers(web)
    seen = observe(grafana=web.url, datasource="aistack-prometheus", dashboards=UIDS, **login)
    assert seen.ok
    assert seen.got == "database ok, data source aistack-prometheus: OK, 2 dashboards"
    assert web.seen[-1][2]["Authorization"] == "Basic " + base64.b64encode(b"admin:s3cret").decode()


def test_its_health_is_asked_without_a_login(web: WebServer, observe: Observe, login: dict[str, str]) -> None:
    answers(web)
    assert observe(grafana=web.url, **login).ok
    assert "Authorization" not in web.seen[-1][2]
    web.routes["/api/health"] = (200, {"database": "failing"})
    seen = observe(grafana=web.url)
    assert (seen.ok, seen.got) == (False, "database = failing")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"source": (200, {"status": "ERROR", "message": "connection refused"})}, "data source aistack-prometheus = connection refused"),
        ({"source": (400, {"status": "ERROR", "message": "connection refused"})}, 'status 400: {"status": "ERROR", "message": "conn'),
        ({"source": (404, {"message": "data source not found"})}, "status 404: "),
        ({"source": (401, {"message": "Invalid username or password"})}, "status 401: "),
        ({"source": (200, "<!doctype html><title>Grafana</title>")}, "status 200, no JSON: <!doctype html>"),
        ({"uids": ["aistack-system"]}, "dashboard aistack-worker = not there"),
        ({"uids": {"message": "x"}}, "no list of dashboards: "),
    ],
)
def test_what_is_not_as_it_should_be(web: WebServer, observe: Observe, login: dict[str, str], change: dict[str, Any], said: str) -> None:
    answers(web, **change)
    seen = observe(grafana=web.url, datasource="aistack-prometheus", dashboards=UIDS, **login)
    assert not seen.ok
    assert seen.got.startswith(said)


@pytest.mark.parametrize(
    ("probe", "said"),
    [
        ({"grafana": "x:3001"}, "does not begin with http://"),
        ({"grafana": "http://x", "username": "u"}, "username and password_file belong together"),
        ({"grafana": "http://x", "dashboards": ["a"]}, "are shown to a user alone"),
        ({"grafana": "http://x", "dashboard": ["a"]}, "unknown key 'dashboard' (did you mean dashboards?)"),
    ],
)
def test_what_cannot_be_asked(probe: dict[str, Any], said: str) -> None:
    with pytest.raises(ProbeError) as refused:
        normalise(dict(probe, name="p"), "c")
    assert said in str(refused.value)
