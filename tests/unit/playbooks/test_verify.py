# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The checklist asks each node's own command whether its journal is as it was written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from ansible_collections.phasegate.aistack.plugins.filter.stack import verify_probes
from ansible_collections.phasegate.aistack.plugins.module_utils.clients.context import Context
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.command import Command
from ansible_collections.phasegate.aistack.plugins.module_utils.report.verify import LEVELS

ROOT = Path(__file__).resolve().parents[3]
(PLAY,) = yaml.safe_load((ROOT / "playbooks/verify.yml").read_text(encoding="utf-8"))
JOURNAL = PLAY["vars"]["__journal"]


HOLDS, BROKEN = "The chain of all 20 records holds.", "The chain is BROKEN; what follows cannot be relied on:\n- record 2 was changed"


@pytest.mark.parametrize(
    ("says", "verdict"),
    [(HOLDS, True), (BROKEN, False), ("aistack journal: no such stack.", False), ("/state/j.jsonl has no records.", True), (None, True)],
    ids=["holds", "broken", "no answer", "empty", "no stack"],
)
def test_the_journal_is_asked_where_the_node_has_the_stack(tmp_path: Path, says: str | None, verdict: bool) -> None:
    (probe,) = verify_probes([JOURNAL])
    assert JOURNAL["level"] in LEVELS
    assert Command.check(probe) == []
    assert len([task for task in PLAY["tasks"] if "__checks" in str(task.get("phasegate.aistack.gate"))]) == 1
    command = tmp_path / "aistack"
    command.write_text(f"#!/bin/sh\ncat <<'END'\n#   what\n1   lock\n\n{says}\nEND\n", encoding="utf-8")
    command.chmod(0o755)
    if says:
        (tmp_path / "shop.json").touch()
    shell, c, script, _name = probe["target"]
    script = script.replace("/etc/aistack/", f"{tmp_path}/").replace("/usr/local/bin/aistack", str(command))
    attempt = Command({**probe, "target": [shell, c, script, "shop"]}).observe(Context())
    assert attempt.ok == verdict
    assert verdict or says is None or says.splitlines()[-1] in attempt.got, "what is wrong, on the page"


def test_the_database_is_the_one_that_the_component_migrates() -> None:
    """Whoever reads an address out of a component's environment goes by the variable that its migrations name."""
    found = []
    for path in sorted((ROOT / "playbooks").rglob("*.yml")):
        for task in _tasks(yaml.safe_load(path.read_text(encoding="utf-8"))):
            for module, given in task.items():
                if isinstance(given, dict) and "/slots/live/config/env" in str(given.get("env_file")) and module != "vars":
                    found.append((path.name, module, "migrations.database" in str(given.get("url_variable"))))
    assert len(found) >= 3
    assert [one for one in found if not one[2]] == []


def _tasks(value: object) -> Iterator[dict[str, object]]:
    if isinstance(value, dict):
        yield value
    for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _tasks(one)


def _read(name: str) -> Iterator[str]:
    """The texts of a playbook and of all that it imports and includes."""
    path = ROOT / "playbooks" / name
    text = path.read_text(encoding="utf-8")
    yield text
    for more in re.findall(r"(?:import_playbook|include_tasks|import_tasks)[^\n]*?([\w/]+[.]yml)", text):
        yield from _read(str((path.parent / more).relative_to(ROOT / "playbooks")))


def test_nothing_on_the_way_of_an_emergency_asks_prometheus() -> None:
    texts = list(_read("emergency_rollback.yml"))
    assert any("rollback_plan" in text or "phasegate.aistack.node" in text for text in texts)
    assert [text for text in texts if "metric_gate" in text or "asked_of_prometheus" in text] == []
    assert any("metric_gate" in text for text in _read("deploy.yml")), "whoever looks finds it where it is"


def test_what_prometheus_says_is_registered_and_fails_nothing() -> None:
    (asked,) = [task for task in PLAY["tasks"] if "phasegate.aistack.metric_gate" in task]
    assert (asked["failed_when"], asked["phasegate.aistack.metric_gate"]["enforce"], asked["ignore_unreachable"]) == (False, False, True)
    (report,) = [task for task in PLAY["tasks"] if "phasegate.aistack.report" in task]
    assert report["phasegate.aistack.report"]["answers"]["figures"] == asked["register"]
