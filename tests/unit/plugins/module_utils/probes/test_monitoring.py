# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Prometheus and Alertmanager judged by their API: what is down is named in the server's own words."""

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
HTML = 'expected a valid start token, got "<" ("INVALID") while parsing: "<"'


def target(component: str, health: str = "up", slot: str = "", error: str = "", job: str = "") -> dict[str, Any]:
    labels = {"job": job or component, "component": component, "node": "one", **({"slot": slot} if slot else {})}
    return {"labels": labels, "scrapeUrl": f"http://{component}{slot}/metrics", "health": health, "lastError": error}


def answers(web: WebServer, *targets: dict[str, Any], rules: int = 0, broken: bool = False, result: Any = ()) -> None:
    web.routes["/api/v1/targets"] = (200, {"data": {"activeTargets": list(targets)}})
    health = "err" if broken else "ok"
    listed = [{"name": f"rule {number}", "health": health, "lastError": "vector cannot contain"} for number in range(rules)]
    web.routes["/api/v1/rules"] = (200, {"data": {"groups": [{"rules": listed}]}})
    web.routes["/api/v1/query"] = (200, {"data": {"result": list(result)}})


def test_every_target_is_up(web: WebServer, observe: Observe) -> None:
    answers(web, target("db"), target("edge"), rules=4)
    seen = observe(prometheus=web.url, up=2, rules=3)
    assert seen.ok
    assert seen.got == "2 targets up, 0 down, 4 alert rules"


def test_of_two_slots_one_is_idle(web: WebServer, observe: Observe) -> None:
    answers(web, target("api", "up", "blue"), target("api", "down", "green", "connection refused"), target("db"))
    assert observe(prometheus=web.url, up=2).ok
    answers(web, target("api", "down", "blue", "refused"), target("api", "down", "green", "refused"), target("db"))
    seen = observe(prometheus=web.url, up=1)
    assert not seen.ok
    assert "api@one: refused" in seen.detail


def test_a_target_that_answers_html_is_named_with_its_words(web: WebServer, observe: Observe) -> None:
    answers(web, target("db"), target("site", "down", error=HTML))
    seen = observe(prometheus=web.url, up=1)
    assert (seen.ok, seen.error) == (False, False)
    assert "targets down = 1" in seen.got
    assert seen.detail == f"site@one: {HTML}"
    assert observe(prometheus=web.url, up=1, down=1).ok
    assert observe(prometheus=web.url, up=1, job="db").ok


def test_too_few_targets_or_rules(web: WebServer, observe: Observe) -> None:
    answers(web, target("db"), rules=2)
    seen = observe(prometheus=web.url, up=7, rules=3)
    assert not seen.ok
    assert "targets up = 1" in seen.got
    assert "alert rules = 2" in seen.got
    assert "targets up >= 7" in seen.expected


def test_many_that_are_down_are_counted(web: WebServer, observe: Observe) -> None:
    answers(web, *(target(f"c{number}", "down", error="refused") for number in range(5)))
    assert observe(prometheus=web.url, up=1).detail.endswith("; and 2 more")


def test_a_rule_that_fails_is_named(web: WebServer, observe: Observe) -> None:
    answers(web, rules=1, broken=True)
    seen = observe(prometheus=web.url, rules=1)
    assert not seen.ok
    assert seen.detail == "rule 0: vector cannot contain"


def test_the_answer_of_a_query(web: WebServer, observe: Observe) -> None:
    answers(web, result=[{"metric": {}, "value": [1, "3"]}])
    assert observe(prometheus=web.url, query="count(up)", value=3).ok
    assert (web.seen[-1][0], web.seen[-1][1], web.seen[-1][3]) == ("POST", "/api/v1/query", b"query=count%28up%29")
    seen = observe(prometheus=web.url, query="count(up)", value={"lt": 3})
    assert not seen.ok
    assert seen.got == "count(up) = 3.0"
    answers(web, result=[])
    gone = observe(prometheus=web.url, query="gone", value=1)
    assert not gone.ok
    assert gone.got == "gone: no series"


def test_who_asks_for_a_password_gets_one(web: WebServer, observe: Observe, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("s3cret\n")
    answers(web, target("db"))
    assert observe(prometheus=web.url, up=1, username="reader", password_file=str(tmp_path / "password")).ok
    assert web.seen[-1][2]["Authorization"] == "Basic " + base64.b64encode(b"reader:s3cret").decode()
    web.routes["/api/v1/targets"] = (401, "Unauthorized")
    seen = observe(prometheus=web.url, up=1)
    assert not seen.ok
    assert seen.got == "status 401: Unauthorized; it wants a login: give username and password_file, or secret_file"
    refused = observe(prometheus=web.url, up=1, secret_file=str(tmp_path / "password"))
    assert refused.got.endswith(f"; it does not take the token in {tmp_path / 'password'}: renew it where it has ended")
    refused = observe(prometheus=web.url, up=1, username="reader", password_file=str(tmp_path / "password"))
    assert refused.got.endswith(f"; it does not take reader with the password in {tmp_path / 'password'}")


@pytest.mark.parametrize(
    ("probe", "said"),
    [
        ({"prometheus": "http://x"}, "give at least one of up, rules, query"),
        ({"prometheus": "http://x", "query": "up"}, "query and value belong together"),
        ({"prometheus": "x:9090", "up": 1}, "does not begin with http://"),
        ({"prometheus": "http://x", "up": 1, "username": "u"}, "username and password_file belong together"),
        ({"prometheus": "http://x", "ups": 1, "rules": 1}, "unknown key 'ups' (did you mean up?)"),
        ({"alertmanager": "http://x", "receiver": ["a"]}, "unknown key 'receiver' (did you mean receivers?)"),
    ],
)
def test_what_cannot_be_asked(probe: dict[str, Any], said: str) -> None:
    with pytest.raises(ProbeError) as refused:
        normalise(dict(probe, name="p"), "c")
    assert said in str(refused.value)


def test_alertmanager(web: WebServer, observe: Observe) -> None:
    web.routes["/api/v2/status"] = (200, {"cluster": {"status": "disabled"}})
    web.routes["/api/v2/receivers"] = (200, [{"name": "nobody"}, {"name": "ops"}])
    web.routes["/api/v2/alerts"] = (200, [{"labels": {"alertname": "TargetDown"}}])
    assert observe(alertmanager=web.url, receivers=["ops"]).ok
    seen = observe(alertmanager=web.url, receivers=["ops", "chat"], alerts=0)
    assert not seen.ok
    assert seen.got == "receiver chat = not there, alerts = 1"
    assert "TargetDown" in seen.detail
    web.routes["/api/v2/status"] = (200, {"cluster": {"status": "settling"}})
    assert not observe(alertmanager=web.url).ok
