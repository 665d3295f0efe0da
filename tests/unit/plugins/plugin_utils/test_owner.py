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
LEASE = {
    "run": "r1",
    "since": "s",
    "expires": "e",
    "owner": {"actor": "kim", "controller": "c0ffee", "pid": 12, "job": {"id": "17", "awx": AWX}},
}
MINE = {"job": {"id": "18", "awx": AWX}}


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
    assert owner.job_facts(VARIABLES, {"AWX_HOST": f"{AWX}/"}) == {
        "job": {"id": "17", "awx": AWX, "template": "shop deploy"},
        "actor": "kim",
    }
    assert owner.job_facts({"tower_job_id": "3"}, {})["job"]["id"] == "3"
    assert owner.job_facts({}, {"AWX_HOST": AWX}) == {}
    assert describe(LEASE).startswith("kim in job 17 of AWX, run r1")


@pytest.mark.parametrize(
    ("said", "ended"),
    [
        ({"status": "canceled", "finished": "now"}, True),
        ({"status": "failed", "finished": "now", "job_explanation": ""}, True),
        ({"status": "successful", "finished": "now"}, True),
        ({"status": "running", "finished": None}, False),
        ({"status": "canceled", "finished": None}, False),
        ({"status": "pending"}, False),
        ({"status": "error", "finished": "now"}, False),
        ({"status": "failed", "finished": "now", "job_explanation": "it was not in the queue; it may still run"}, False),
        ({"status": "canceled", "finished": "now", "id": 16}, False),
        ({}, False),
    ],
    ids=["canceled", "failed", "done", "running", "being canceled", "pending", "AWX does not know", "lost", "another job", "nothing"],
)
def test_awx_says_whether_a_job_has_ended(answering: tuple[dict[str, str], dict[str, Any]], said: dict[str, Any], ended: bool) -> None:
    environment, says = answering
    says.update({"id": 17, **said})
    assert owner.has_ended(LEASE, MINE, environment) is ended


@pytest.mark.parametrize(
    ("holder", "mine", "environment"),
    [
        ({"pid": 12}, MINE, {}),
        ({"job": {"id": "17", "awx": "https://another.example.com"}}, MINE, {}),
        ({"job": {"id": "17", "awx": ""}}, {"job": {"id": "18", "awx": ""}}, {}),
        ({"job": {"id": "17", "awx": AWX}}, {"job": {"id": "17", "awx": AWX}}, {}),
        ({"job": {"id": "17", "awx": AWX}}, {}, {}),
        ({"job": {"id": "17/../18", "awx": AWX}}, MINE, {}),
        ({"job": {"id": "17", "awx": AWX}}, MINE, {"CONTROLLER_OAUTH_TOKEN": ""}),
        ({"job": {"id": "17", "awx": AWX}}, MINE, {"CONTROLLER_OAUTH_TOKEN": "wrong"}),
        ({"job": {"id": "17", "awx": AWX}}, MINE, {"CONTROLLER_HOST": "http://127.0.0.1:1"}),
    ],
    ids=[
        "no job",
        "another AWX",
        "which AWX is not known",
        "the very job",
        "asked by no job",
        "no number",
        "no token",
        "wrong token",
        "silent",
    ],
)
def test_where_it_is_not_sure_the_lock_stays(
    answering: tuple[dict[str, str], dict[str, Any]], holder: dict[str, Any], mine: dict[str, Any], environment: dict[str, str]
) -> None:
    given, says = answering
    says.update({"id": 17, "status": "canceled", "finished": "now"})
    assert owner.has_ended({"owner": {"job": {"id": "17", "awx": AWX}}}, MINE, given), "the others differ from this in one thing"
    assert not owner.has_ended({"owner": holder}, mine, {**given, **environment})


def test_a_refused_job_is_told_whose_lock_it_is_and_the_way_out() -> None:
    told = owner.unanswered(LEASE, MINE)
    assert f"{AWX}/#/jobs/playbook/17" in told
    assert "'Consent: break lock'" in told
    assert "-e break_lock" not in told
    assert owner.unanswered({"owner": {"pid": 1}}, MINE) == ""
