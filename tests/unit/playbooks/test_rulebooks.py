# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rulebooks call verbs that there are, with what these know, are throttled, and hand nothing on that Ansible would take for a template.

What ansible-rulebook itself says to them is asked by ``make eda``; ansible-lint checks their schema.
"""

from __future__ import annotations

import json
import re
import textwrap
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.phasegate.aistack.plugins.module_utils.notice.messages import EVENTS
from ansible_collections.phasegate.aistack.plugins.module_utils.stack import verbs
from ansible_collections.phasegate.aistack.plugins.plugin_utils.verb_table import read_verbs

ROOT = Path(__file__).resolve().parents[3]
RULEBOOKS = sorted((ROOT / "extensions" / "eda" / "rulebooks").glob("*.yml"))
OWN = "{{ eda_ticket | default('phasegate.aistack.ticket') }}"
"""The one playbook that an operator may replace."""


def rules() -> list[dict[str, Any]]:
    return [rule for path in RULEBOOKS for each in yaml.safe_load(path.read_text(encoding="utf-8")) for rule in each["rules"]]


def condition(rule: dict[str, Any]) -> str:
    return " and ".join(rule["condition"]["all"])


def unescaped(text: str) -> list[str]:
    """The expressions in a text that hand on something of an event with its braces."""
    return [found for found in re.findall(r"\{\{(.*?)\}\}(?!')", text) if "event" in found and "| replace('{', '(')" not in found]


def test_there_are_some() -> None:
    assert len(rules()) > 3


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["name"])
def test_a_rule(rule: dict[str, Any]) -> None:
    assert set(rule) == {"name", "condition", "throttle", "action"}
    assert {"once_within", "group_by_attributes"} == set(rule["throttle"])
    asked = rule["action"]["run_playbook"]
    name = "phasegate.aistack.ticket" if asked["name"] == OWN else asked["name"]
    verb = read_verbs()[name.removeprefix("phasegate.aistack.")]
    known = verbs.parameters(verb)
    assert set(asked["extra_vars"]) <= set(known)
    assert {key for key, entry in known.items() if entry.get("required")} <= set(asked["extra_vars"])
    assert verb["limit"] != "refused", "what has to be asked for by hand"
    assert [key for key in asked["extra_vars"] if known[key].get("consent")] == [], "consent is a person's"
    said = condition(rule)
    assert re.search(r"\.(stack|aistack_stack) == vars\.eda_stack", said), "events of other stacks are none of its business"
    assert set(re.findall(r'payload\.event == "(\w+)"', said)) <= set(EVENTS)
    acts = name == "phasegate.aistack.emergency_rollback"
    assert acts == ("vars.eda_act == true" in said)
    if acts:
        dry = [other for other in rules() if condition(other) == said.replace("vars.eda_act == true", "vars.eda_act != true")]
        assert [other["action"]["run_playbook"]["extra_vars"]["would"] for other in dry] == ["emergency_rollback"]
        assert rule["throttle"]["once_within"] == "15 minutes", "as emergency_rollback has it"


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["name"])
def test_what_an_event_says_is_no_template(rule: dict[str, Any]) -> None:
    assert [found for text in rule["action"]["run_playbook"]["extra_vars"].values() for found in unescaped(text)] == []


def test_templates_are_found() -> None:
    assert unescaped("alert {{ event.labels.alertname }}") == [" event.labels.alertname "]
    assert unescaped("alert {{ event.labels.alertname | replace('{', '(') }} of {{ eda_stack }}") == []


@pytest.mark.parametrize("path", RULEBOOKS, ids=lambda path: path.stem)
def test_nobody_is_heard_without_a_token(path: Path) -> None:
    for each in yaml.safe_load(path.read_text(encoding="utf-8")):
        for source in each["sources"]:
            listens = source["eda.builtin.webhook"]
            assert listens["token"] == "{{ eda_token }}"
            assert "default('127.0.0.1')" in listens["host"]


def test_the_guide_names_every_variable() -> None:
    guide = (ROOT / "docs" / "guide-eda.md").read_text(encoding="utf-8")
    used = {name for path in RULEBOOKS for name in re.findall(r"\beda_[a-z]+\b", path.read_text(encoding="utf-8"))}
    assert used == set(re.findall(r"\beda_[a-z]+\b", guide))
    shown = [yaml.safe_load(textwrap.dedent(block)) for block in re.findall(r"^ *```yaml\n(.*?)^ *```$", guide, re.MULTILINE | re.DOTALL)]
    assert {"eda_stack", "eda_act", "eda_token", "eda_port", "eda_tickets"} <= {key for block in shown for key in block}
    assert "emergency_rollback" in json.dumps(shown)
