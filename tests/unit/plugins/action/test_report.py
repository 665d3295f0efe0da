# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documents as artefacts of whoever runs the playbook."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest

from ansible_collections.phasegate.aistack.plugins.action import report
from ansible_collections.phasegate.aistack.tests.unit.plugins.action.controller import Controller
from ansible_collections.phasegate.aistack.tests.unit.plugins.module_utils.report import sample_run

PLAY = """
- hosts: a
  gather_facts: false
  vars: {{aistack_verb: plan}}
  tasks:
    - phasegate.aistack.report: {{kind: page, text: "the plan of {run}", output: ""}}
    - phasegate.aistack.report: {{kind: page, text: "a post-mortem", output: "{state}/rollbacks/rollback-1.md"}}
    - phasegate.aistack.report: {{kind: page, text: "no document"}}
    - phasegate.aistack.report: {{kind: page, text: "a secret", output: ""}}
      no_log: true
"""


@pytest.mark.parametrize("words", [["-e", "awx_job_id=17"], []], ids=["in a job of AWX", "by hand"])
def test_a_job_has_its_documents_as_artefacts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    monkeypatch.setenv("ANSIBLE_SHOW_CUSTOM_STATS", "1")
    monkeypatch.delenv("AWX_ISOLATED_DATA_DIR", raising=False)
    controller = Controller(tmp_path)
    said = controller.start("first", 0, PLAY, *words).communicate(timeout=60)[0]
    stats = said.partition("CUSTOM STATS")[2]
    assert (tmp_path / "state" / "rollbacks" / "rollback-1.md").read_text() == "a post-mortem\n"
    assert ('"plan.md": "the plan of first"' in stats) == bool(words), said
    assert ('"rollback-1.md": "a post-mortem"' in stats) == bool(words), said
    assert "no document" not in stats
    assert "a secret" not in said


def test_an_artefact_is_not_too_large_to_be_handed_on() -> None:
    kept = report.artefact("plan", "x" * (report.LARGEST + 1), False)["data"]["aistack_job_documents"]["plan.md"]
    assert len(kept) < report.SHOWN + 100
    assert kept.endswith("[the rest is in the output of the job]")


OF_RUNS = """
- hosts: a
  gather_facts: false
  vars:
    aistack_name: shop
    aistack_templates: "{state}/own"
    told: "{{{{ lookup('file', '{state}/journals.json') | from_json }}}}"
  tasks:
    - phasegate.aistack.report: {{kind: run, results: "{{{{ told }}}}", format: html}}
    - phasegate.aistack.report: {{kind: run, results: "{{{{ told }}}}", run: RUN, output: "{state}/run.xml"}}
    - phasegate.aistack.report: {{kind: run, results: "{{{{ told }}}}", output: "{state}/run.md"}}
    - phasegate.aistack.report:
        kind: health
        results: {{a: {{probes: [{{name: up, component: api, verdict: fail, severity: critical, expected: "200", got: "502"}}]}}}}
        junit: "{state}/health.xml"
      ignore_errors: true # a gate that fails is the answer that is written down
    - phasegate.aistack.report: {{kind: run, results: "{{{{ told }}}}", run: nope}}
"""


def test_a_run_and_a_health_check_are_written_as_somebody_wants_them(tmp_path: Path) -> None:
    controller = Controller(tmp_path)
    (controller.state / "own").mkdir(parents=True)
    (controller.state / "own" / "report.md.j2").write_text("own: {{ story.outcome }}\n")
    results = {node: {"records": records, "problems": []} for node, records in sample_run.journals().items()}
    told = {**results, "gpu-1": {"unreachable": True, "msg": "no route\nto host"}}
    (controller.state / "journals.json").write_text(json.dumps(told))
    process = controller.start("first", 0, OF_RUNS.replace("RUN", sample_run.GOOD))
    said = process.communicate(timeout=60)[0]
    page = (tmp_path / ".ansible" / "reports" / f"{sample_run.BAD}.html").read_text()
    assert "Deployment of v4.3.0 failed: backend on backend-1 did not pass its gate" in page, said
    assert "gpu-1 did not answer, and is not part of this report: no route" in page
    assert f"Written on this machine: .ansible/reports/{sample_run.BAD}.html" in said
    run = ElementTree.parse(controller.state / "run.xml").getroot()
    assert (run.attrib["name"], run.attrib["failures"]) == ("shop", "0")
    assert (controller.state / "run.md").read_text() == "own: failed\n"
    health = ElementTree.parse(controller.state / "health.xml").getroot()
    assert [failure.attrib["message"] for failure in health.iter("failure")] == ["expected 200, got 502"]
    assert "There is no report: No journal that was read knows of a run nope." in said
    assert process.returncode == 2


def test_results_of_one_node_are_joined() -> None:
    both = [{"probes": [{"name": "a"}]}, {"unreachable": True, "msg": "gone"}]
    assert report.joined_results(both) == {"probes": [{"name": "a"}], "unreachable": True, "msg": "gone"}
    assert report.joined_results([both[0], both[0]]) == {"probes": [{"name": "a"}, {"name": "a"}]}


def test_a_host_that_left_the_run_is_named_on_the_page_of_what_is_live() -> None:
    plugin = report.ActionModule.__new__(report.ActionModule)
    args = {"results": {"a": {"answer": {"applications": {}}}, "b": {}, "c": {}}, "rollback": {}, "ended": "failed"}
    moved = {"changed": True, "from": ["0001"], "current": ["0002"], "noted": {"component": "api"}}
    hosts = SimpleNamespace(raw_get={"a": {"migrate_result": moved}, "b": {}, "c": {}}.get)
    text = plugin._live(args, {"ansible_play_hosts": ["a", "c"], "ansible_play_hosts_all": ["a", "b", "c"], "hostvars": hosts}).text
    assert "not known of b: not reached: it left this run before its end" in text
    assert "known of c" not in text, "it was not asked, and is still there"
    assert "the schema of api's database stays at 0002, to which this run took it from 0001; no gate has proven" in text
