# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""sequence: what one step answers is used by the next, and one is asked until it holds."""

from __future__ import annotations

import json
import time

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.core.probe_spec import ProbeError


@pytest.fixture
def workflow(web):
    asked = []
    web.routes["/create"] = (200, {"job_id": "w7"})

    def status(_handler, _body):
        asked.append(1)
        return 200, {"status": "completed" if len(asked) >= 3 else "running"}

    web.routes["/status/w7"] = status
    return web


def steps(web, **status):
    return [
        {"http": f"{web.url}/create", "data": {"for": "${component}"}, "capture": {"job": "job_id"}},
        {"name": "done", "http": f"{web.url}/status/${{job}}", "json": {"status": "completed"}, "until": True, "every": 0.05, **status},
    ]


def test_poll_until_done(workflow, observe):
    seen = observe(sequence=steps(workflow, within=5), names={"component": "backend"}, component="backend")
    assert seen.ok, seen
    assert "step 2 of 2, done" in seen.detail
    assert json.loads(workflow.seen[0][3]) == {"for": "backend"}
    assert [path for _m, path, *_r in workflow.seen].count("/status/w7") == 3


def test_not_done_in_time(workflow, observe):
    workflow.routes["/status/w7"] = (200, {"status": "running"})
    began = time.monotonic()
    seen = observe(sequence=steps(workflow, within=0.4), names={"component": "b"}, component="b")
    assert time.monotonic() - began < 20
    assert not seen.ok
    assert seen.got.startswith("step 2 of 2, done: status = running (asked ")
    assert seen.expected == "status = completed"


def test_first_failure_ends_it(workflow, observe):
    workflow.routes["/create"] = (500, "boom")
    seen = observe(sequence=steps(workflow), names={"component": "b"}, component="b")
    assert seen.got == "step 1 of 2, http: status = 500"
    assert len(workflow.seen) == 1


def test_a_name_that_nothing_captured(observe, web):
    with pytest.raises(ProbeError, match=r"step 1: \$\{job\} is not known"):
        observe(sequence=[{"http": f"{web.url}/${{job}}"}])


def test_steps_use_other_types(workflow, observe, program):
    program("psql", r"printf 'n\0362\n'")
    proof = {"postgres": "db:5432", "query": "SELECT count(*) FROM w WHERE id = '${job}'", "value": {"ge": 2}}
    sequence = [*steps(workflow, within=5), proof]
    assert observe(sequence=sequence, names={"component": "b"}, component="b").ok


@pytest.mark.parametrize(
    ("sequence", "said"),
    [
        ([], "must be a list of probes"),
        ([{"tcp": "a:1", "within": 3}], "step 1: within needs until: true"),
        ([{"sequence": [{"tcp": "a:1"}]}], "a sequence inside a sequence"),
        ([{"tcpp": "a:1"}], "'tcpp' (did you mean tcp?)"),
        ([{"tcp": "a:1", "from": "web"}], "'from' belongs to the sequence"),
    ],
)
def test_steps_that_make_no_sense(observe, sequence, said):
    with pytest.raises(ProbeError) as caught:
        observe(sequence=sequence)
    assert said in str(caught.value)
