# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documents as artefacts of whoever runs the playbook."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.phasegate.aistack.plugins.action import report
from ansible_collections.phasegate.aistack.tests.unit.plugins.action.controller import Controller

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
