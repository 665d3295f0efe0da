# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A page of a run needs nothing but itself and shows what it is told as text; an operator's template stands for the collection's."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.report import run_story, run_text
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback import postmortem, text as rollback_text
from ansible_collections.phasegate.aistack.plugins.plugin_utils import documents, rollback_pages
from ansible_collections.phasegate.aistack.tests.unit.plugins.module_utils.report import sample_run

VOID = {"meta", "br", "hr", "img", "input", "link"}


class Page(HTMLParser):
    """Tags in their order, each closed where it has to be."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.stack: list[str] = []
        self.tags: list[str] = []
        self.text: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(text)
        assert self.stack == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.stack.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def facts(journals: Any, run: str = "", **more: Any) -> dict[str, Any]:
    story = run_story.story_of(journals, run, "sparklio", **more)
    return {"story": story, "plot": run_text.layout(story), "events": run_text.events(story)}


@pytest.mark.parametrize("run", [sample_run.GOOD, sample_run.BAD])
def test_a_page_needs_nothing_but_itself(run: str) -> None:
    told = facts(sample_run.journals(), run)
    text = documents.render("report.html.j2", told)
    page = Page(text)
    assert told["story"]["sentence"] in [data.strip() for data in page.text]
    assert {"script", "link", "img", "iframe", "object"} & set(page.tags) == set()
    assert [pair for pair in page.attributes if pair[0] in ("href", "src", "style", "xlink:href") or pair[0].startswith("on")] == []
    assert re.findall(r"https?://|url\(|@import", text) == []
    assert "prefers-color-scheme: dark" in text
    assert page.tags.count("svg") > 10
    assert len(text) < 100_000


def hostile(value: Any, word: str) -> Any:
    """Every text of a journal's records replaced, but those by which they are understood."""
    if isinstance(value, dict):
        kept = ("op", "outcome", "time", "seq", "verdict", "action", "run")
        return {key: found if key in kept else hostile(found, word) for key, found in value.items()}
    if isinstance(value, list):
        return [hostile(found, word) for found in value]
    return word if isinstance(value, str) else value


@pytest.mark.parametrize("run", [sample_run.GOOD, sample_run.BAD])
def test_what_comes_from_outside_is_text(run: str) -> None:
    word = '"\'><script>alert(1)</script><img src=x onerror=y>{{ 7 * 7 }}`</code><b>`'
    journals = {word + node: hostile(records, word) for node, records in sample_run.journals().items()}
    text = documents.render("report.html.j2", facts(journals, run, silent={word: word}))
    page = Page(text)
    assert {"script", "img", "b"} & set(page.tags) == set()
    assert [pair for pair in page.attributes if pair[0].startswith("on")] == []
    assert "{{ 7 * 7 }}" in text


def test_the_markdown_has_one_line_for_each_row() -> None:
    journals = {node: json.loads(json.dumps(records).replace("kim@laptop", "a|b\\nc")) for node, records in sample_run.journals().items()}
    text = documents.render("report.md.j2", facts(journals, sample_run.BAD))
    assert text.startswith("# sparklio: Deployment\n\nDeployment of v4.3.0 failed")
    assert "| By | a\\|b c |" in text
    assert "| fail | backend v4.3.0 | backend-1 | health on its own port | status 200, status = ok, version = v4.3.0 |" in text


def test_an_operators_template_stands_for_the_collections(tmp_path: Path) -> None:
    (tmp_path / "report.md.j2").write_text("{{ story.stack }}: {{ story.outcome }}\n")
    told = facts(sample_run.journals(), sample_run.BAD)
    assert documents.render("report.md.j2", told, str(tmp_path)) == "sparklio: failed\n"
    assert documents.render("report.html.j2", told, str(tmp_path)).lstrip().startswith("<!DOCTYPE html>")
    (tmp_path / "report.md.j2").write_text("{% extends 'report.html.j2' %}")
    assert "<!DOCTYPE html>" in documents.render("report.md.j2", told, str(tmp_path))


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("one\n{{ story.nothing }}", "report.md.j2 does not work: UndefinedError: 'dict object' has no attribute 'nothing'."),
        ("one\n{% if %}", "report.md.j2:2 does not work: TemplateSyntaxError"),
        ("{{ ''.__class__.__mro__ }}", "report.md.j2 does not work: SecurityError"),
        ("{% include 'other.j2' %}", "There is no template other.j2 in "),
    ],
)
def test_a_fault_of_a_template_is_named_with_its_file(tmp_path: Path, template: str, said: str) -> None:
    (tmp_path / "report.md.j2").write_text(template)
    with pytest.raises(documents.Unwritable) as caught:
        documents.render("report.md.j2", facts(sample_run.journals()), str(tmp_path))
    assert said in str(caught.value)


def test_a_folder_that_is_not_there_is_refused() -> None:
    with pytest.raises(documents.Unwritable, match="aistack_templates: /nowhere is no folder on this machine"):
        documents.render("report.md.j2", {}, "/nowhere")


STEP = {"do": "downgrade", "component": "api", "detail": {"release": "v2", "revisions": ["0002"], "from": ["0002"], "to": ["0001"]}}
MERGED = {"nodes": {"n": {"level": "schema", "from": "v2", "to": "v1", "allowed": True, "steps": [STEP], "losses": ["api: a column"]}}}
TOLD = {"stack": "shop", "reason": "errors", "sql": ["## no heading", "DROP TABLE x;"], "run": "r1"}


def test_the_templates_of_the_collection_change_nothing() -> None:
    plan = rollback_text.plan_markdown(MERGED, TOLD)
    assert rollback_pages.plan_document(MERGED, TOLD).rstrip("\n") == plan.rstrip("\n")
    refused = {"nodes": {"n": {**MERGED["nodes"]["n"], "allowed": False}}}
    assert rollback_pages.plan_document(refused, TOLD).rstrip("\n") == rollback_text.plan_markdown(refused, TOLD).rstrip("\n")
    outcome = {"result": "finished", "rows": [{"node": "n", "component": "api", "outcome": "ok", "seconds": 2.0, "said": ""}]}
    after = postmortem.postmortem_markdown(MERGED, outcome, TOLD)
    assert rollback_pages.postmortem_document(MERGED, outcome, TOLD).rstrip("\n") == after.rstrip("\n")


def test_an_operator_arranges_a_post_mortem_and_a_fault_holds_nobody_up(tmp_path: Path) -> None:
    own = tmp_path / "post-mortem.md.j2"
    own.write_text("{{ facts.stack }} {{ outcome.result }}: {{ sections['What was lost'] }}\n")
    said = rollback_pages.postmortem_document(MERGED, {"result": "finished"}, TOLD, str(tmp_path))
    assert said.startswith("shop finished: - n: api: a column")
    own.write_text("{{ sections['Nothing of the kind'] }}\n")
    said = rollback_pages.postmortem_document(MERGED, {"result": "finished"}, TOLD, str(tmp_path))
    assert said.startswith("# Post-mortem: shop, rollback v2 → v1")
    assert f"> The template {own} does not work: UndefinedError" in said
    assert "> aistack_templates: /nowhere is no folder" in rollback_pages.plan_document(MERGED, TOLD, "/nowhere")
