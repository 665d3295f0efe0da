# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A job of AWX as the owner of a lock; AWX is a server of three lines here."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.journal.lock import describe
from ansible_collections.phasegate.aistack.plugins.plugin_utils import owner

AWX = "https://awx.example.com"
VARIABLES = {"awx_job_id": 17, "awx_user_name": "kim", "awx_job_template_name": "shop deploy"}
ENDED = {
    "id": 17,
    "name": "shop deploy",
    "status": "canceled",
    "started": "2026-03-01T10:00:00.5Z",
    "finished": "2026-03-01T10:20:00.123456Z",
}


def lease(since: str = "2026-03-01T10:00:30.000Z", expires: str = "2026-03-01T10:34:00.000Z", **job: Any) -> dict[str, Any]:
    """A lease of 900 s that was lengthened at 10:19 for the last time, and is the job's."""
    mine = {"id": "17", "awx": AWX, "api": "", "template": "shop deploy", **job}
    return {"run": "r1", "since": since, "expires": expires, "lease_s": 900, "owner": {"actor": "kim", "controller": "c0ffee", "job": mine}}


@pytest.fixture
def answering() -> Iterator[tuple[dict[str, str], dict[str, Any]]]:
    """The environment of a job whose AWX answers what is put into the second value."""
    says: dict[str, Any] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            good = self.headers["Authorization"] == "Bearer t" and self.path == "/api/v2/jobs/17/"
            self.send_response(200 if good else 401)
            self.end_headers()
            self.wfile.write(json.dumps(says).encode())

        def log_message(self, *_arguments: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield {"CONTROLLER_HOST": f"http://127.0.0.1:{server.server_port}", "CONTROLLER_OAUTH_TOKEN": "t", "AWX_HOST": AWX}, says
    server.shutdown()
    server.server_close()


def test_a_job_is_an_owner_of_its_own() -> None:
    job = {"id": "17", "awx": AWX, "api": "", "template": "shop deploy"}
    assert owner.job_facts(VARIABLES, {"AWX_HOST": f"{AWX}/"}) == {"job": job, "actor": "kim"}
    asked = owner.job_facts(VARIABLES, {"AWX_HOST": AWX, "CONTROLLER_HOST": "https://a/", "CONTROLLER_OAUTH_TOKEN": "t"})
    assert asked["job"]["api"] == "https://a"
    assert "t" not in asked["job"].values(), "a token is no part of an owner, whom everybody sees"
    assert owner.job_facts({"tower_job_id": "3"}, {})["job"]["id"] == "3"
    assert owner.job_facts({}, {"AWX_HOST": AWX}) == {}
    assert describe(lease()).startswith("kim in job 17 of AWX, run r1")


def ended(environment: dict[str, str], held: dict[str, Any], **mine: Any) -> bool:
    """Whether a job 18 of the same AWX takes the holder of a lease for one that has ended."""
    api = environment["CONTROLLER_HOST"]
    held["owner"]["job"]["api"] = held["owner"]["job"]["api"] or api
    return owner.has_ended(held, {"job": {"id": "18", "awx": AWX, "api": api, **mine}}, environment)


@pytest.mark.parametrize("status", ["canceled", "failed", "successful"])
def test_awx_says_that_a_job_has_ended(answering: tuple[dict[str, str], dict[str, Any]], status: str) -> None:
    environment, says = answering
    says.update({**ENDED, "status": status, "job_explanation": ""})
    assert ended(environment, lease())


@pytest.mark.parametrize(
    "said",
    [
        {"status": "running", "finished": None},
        {"finished": None},
        {"status": "pending"},
        {"status": "error"},
        {"status": "failed", "job_explanation": "it was not in the queue; it may still run"},
        {"id": 16},
        {"name": "mail deploy"},
        {"started": "2026-03-01T10:05:00Z"},
        {"started": "2026-03-01T09:00:00Z", "finished": "2026-03-01T09:30:00Z"},
        {"finished": "2026-03-01T10:12:00Z"},
        {"started": "yesterday"},
    ],
    ids=[
        "running",
        "being canceled",
        "pending",
        "AWX does not know",
        "lost",
        "another job",
        "another template",
        "began after the lock was taken",
        "ended before",
        "the lock was lengthened after the end",
        "no time",
    ],
)
def test_where_awx_is_not_sure_the_lock_stays(answering: tuple[dict[str, str], dict[str, Any]], said: dict[str, Any]) -> None:
    environment, says = answering
    says.update(ENDED)
    assert ended(environment, lease()), "the others differ from this in one thing"
    says.update(said)
    assert not ended(environment, lease())


@pytest.mark.parametrize(
    ("holder", "mine", "environment"),
    [
        ({"id": ""}, {}, {}),
        ({"awx": "https://another.example.com"}, {}, {}),
        ({"api": "https://another.example.com"}, {}, {}),
        ({"awx": ""}, {"awx": ""}, {}),
        ({}, {"id": "17"}, {}),
        ({"id": "17/../18"}, {}, {}),
        ({}, {"api": ""}, {"CONTROLLER_OAUTH_TOKEN": ""}),
        ({}, {}, {"CONTROLLER_OAUTH_TOKEN": "wrong"}),
    ],
    ids=["no job", "another AWX", "asked elsewhere", "which AWX is not known", "the very job", "no number", "no token", "wrong token"],
)
def test_where_it_may_not_ask_the_lock_stays(
    answering: tuple[dict[str, str], dict[str, Any]], holder: dict[str, Any], mine: dict[str, Any], environment: dict[str, str]
) -> None:
    given, says = answering
    says.update(ENDED)
    assert ended(given, lease()), "the others differ from this in one thing"
    assert not ended({**given, **environment}, lease(**holder), **mine)
    assert not owner.has_ended({"owner": {"pid": 12}}, {"job": {"id": "18", "awx": AWX, "api": given["CONTROLLER_HOST"]}}, given)


def test_an_awx_that_does_not_answer_says_nothing() -> None:
    silent = {"CONTROLLER_HOST": "http://127.0.0.1:1", "CONTROLLER_OAUTH_TOKEN": "t"}
    assert not ended(silent, lease())


def test_a_refused_job_is_told_whose_lock_it_is_and_the_remedy() -> None:
    told = owner.unanswered(lease(), {"job": {"id": "18"}})
    assert f"{AWX}/#/jobs/playbook/17" in told
    assert "'Consent: break lock'" in told
    assert "-e break_lock" not in told
    assert owner.unanswered({"owner": {"pid": 1}}, {}) == ""
