# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Controller side of C(phasegate.aistack.report): pages for people, and the exit status that goes with them."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError

from ansible_collections.phasegate.aistack.plugins.module_utils.backup.plan import restore_page
from ansible_collections.phasegate.aistack.plugins.module_utils.diagnosis import causes as diagnosis
from ansible_collections.phasegate.aistack.plugins.module_utils.gate.default import without
from ansible_collections.phasegate.aistack.plugins.module_utils.report import junit, plan_page, run_story, run_text
from ansible_collections.phasegate.aistack.plugins.module_utils.report.text import failure_text, health_rows, health_text
from ansible_collections.phasegate.aistack.plugins.module_utils.report.verify import (
    LEVELS,
    data_items,
    failed_items,
    figure_items,
    verify_items,
    verify_markdown,
    verify_text,
)
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.decision import outcome_rows, outcome_text
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.live_text import live_text, schema_lines
from ansible_collections.phasegate.aistack.plugins.plugin_utils import diagnosis_archive, documents, owner, pages, parts
from ansible_collections.phasegate.aistack.plugins.plugin_utils.controller_action import ControllerAction
from ansible_collections.phasegate.aistack.plugins.plugin_utils.rollback_pages import RollbackPages

KINDS = [
    "diagnosis", "failure", "health", "live", "page", "plan", "post_mortem", "restore", "rollback", "rollback_plan", "run", "ticket",
    "verify",
]
ARGUMENTS: dict[str, dict[str, Any]] = {
    "kind": {"type": "str", "required": True, "choices": KINDS},
    "results": {"type": "dict", "default": {}},
    "levels": {"type": "dict", "default": {}},
    "data": {"type": "dict", "default": {}},
    "decision": {"type": "dict", "default": {}},
    "answers": {"type": "dict", "default": {}},
    "facts": {"type": "dict", "default": {}},
    "rollback": {"type": "dict", "default": {}},
    "ended": {"type": "str", "default": "finished", "choices": ["finished", "failed"]},
    "failed_task": {"type": "str", "default": ""},
    "failed_result": {"type": "dict", "default": {}},
    "command": {"type": "str", "default": ""},
    "text": {"type": "str", "default": ""},
    "failure": {"type": "str", "default": ""},
    "output": {"type": "path", "default": ""},
    "junit": {"type": "path", "default": ""},
    "archive": {"type": "path", "default": ""},
    "run": {"type": "str", "default": ""},
    "format": {"type": "str", "default": "text", "choices": ["text", "html", "markdown", "json", "junit"]},
    "quiet": {"type": "bool", "default": False},
    "ask": {"type": "str", "default": ""},
}
LEFT = {"unreachable": True, "msg": "it left this run before its end"}
"""What stands for the answer of a host that was not asked because it is not in the run any more."""
NO_PROBE = "No probe ran: the stack has no gates (gate, in aistack_components), or no node was asked."


ENDINGS = {"html": "html", "markdown": "md", "json": "json", "junit": "xml"}
"""Of the file of a run's report, by its format."""

LARGEST, SHOWN = 64 * 1024, 8 * 1024
"""Bytes that a document may have as an artefact of a job, and the letters that are kept of a larger one: a workflow hands them on."""


@dataclass
class Page:
    """A page of text, the data that it was made of, and what the failure is called where it is one."""

    text: str
    rows: Sequence[Mapping[str, object]] = ()
    markdown: str = ""
    failure: str = ""
    warnings: list[str] = field(default_factory=list)
    junit: str = ""
    file: tuple[str, str] = ("", "")  # the name and the content of what is written, where that is not the page itself


def summed(text: str) -> str:
    """The last line of a page, which sums it up, as the message of its failure."""
    return f"{text.splitlines()[-1].strip()}. What was expected and what came stands on the page above."


def _now(form: str) -> str:
    return datetime.datetime.now(datetime.timezone.utc).strftime(form)


def artefact(name: str, content: str, as_json: bool) -> dict[str, object]:
    """What ``set_stats`` would say of a document: its name and its text, so that it does not go with the container of a job."""
    file = Path(name).name if Path(name).suffix else f"{Path(name).name}.{'json' if as_json else 'md'}"
    kept = content if len(content.encode("utf-8", "replace")) <= LARGEST else f"{content[:SHOWN]}\n[the rest is in the output of the job]"
    return {"data": {"aistack_job_documents": {file: kept}}, "per_host": False, "aggregate": True}


def ticket(facts: Mapping[str, Any], at: datetime.datetime) -> tuple[str, str]:
    """A ticket and what its file is called: C(title), C(text), and C(would), the verb that was not run because of a dry mode."""
    name = re.sub(r"^-|-$", "", re.sub(r"[^a-z0-9]+", "-", str(facts["title"]).lower())[:60])
    would = f" Without the dry mode it would have been: {facts['would']}" if facts.get("would") else ""
    text = (f"# {facts['title']}\n\n{at:%Y-%m-%d %H:%M:%S} UTC\n\n{facts.get('text') or 'The event says no more.'}\n\n"
            f"Nothing was done about it.{would}\n")
    return text, f"{at:%Y%m%dT%H%M%S%f}-{name or 'ticket'}.md"


def joined_results(pair: Sequence[Mapping[str, Any]]) -> dict[str, object]:
    """Several results of ``gate`` on one node as one; unreachable where one of them is."""
    joined: dict[str, Any] = {"probes": [probe for result in pair for probe in result.get("probes", [])]}
    for result in pair:
        if result.get("unreachable"):
            joined.update(unreachable=True, msg=result.get("msg", ""))
    return joined


def answered(args: dict[str, Any], variables: Mapping[str, Any]) -> None:
    """Put what the hosts have in the variables that C(answers) names where an argument would have it."""
    for name, given in args["answers"].items():
        several = [parts.of_hosts(variables, variable) for variable in ([given] if isinstance(given, str) else given)]
        hosts = {host: joined_results([found[host] for found in several]) if len(several) > 1 else several[0][host] for host in several[0]}
        if name in ("results", "data"):
            args[name] = hosts if name == "results" else {host: found.get("results") or [] for host, found in hosts.items()}
        else:
            args["facts"][name] = hosts


class ActionModule(ControllerAction):
    """Print, write, and fail where what is printed is a failure."""

    arguments = ARGUMENTS

    def answer(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Dispatch on the kind of page."""
        if args["kind"] == "failure":
            return self._failure(args)
        answered(args, task_vars)
        try:
            page: Page = getattr(self, f"_{args['kind']}")(args, task_vars)
        except documents.Unwritable as error:
            return pages.refusal(str(error))
        as_json = args["kind"] in ("health", "rollback") or (args["kind"] in ("diagnosis", "verify") and args["output"].endswith(".json"))
        content = json.dumps(page.rows, indent=1) if as_json else page.markdown or page.text
        main = page.file if page.file[0] else (args["output"], content)
        files = {name: text for name, text in (main, (args["junit"], page.junit)) if name and text.strip()}
        for name, text in files.items():
            try:
                Path(name).parent.mkdir(parents=True, exist_ok=True)
                Path(name).write_text(text.rstrip("\n") + "\n", encoding="utf-8")
            except OSError as error:
                pages.show(self._task, page.text)
                word = "documents=FOLDER" if args["quiet"] else "junit=FILE" if name == args["junit"] else "output=FILE"
                return pages.refusal(f"The page above cannot be written to {name}: {error.strerror or error}. Name a "
                                     f"{word.split('=')[1].lower()} that you may write to: -e {word}.")
        if not args["quiet"] or page.failure:
            pages.show(self._task, page.text)
            if files:
                pages.show(self._task, f"Written on this machine: {', '.join(files)}")
        more: dict[str, Any] = {"warnings": page.warnings} if page.warnings else {}
        if args["ask"]:
            more["answer"] = self._answer(args["ask"])
        if "output" in self._task.args and content.strip() and not self._task.no_log and owner.in_runner(task_vars):
            name = args["output"] or str((task_vars).get("aistack_verb") or args["kind"])
            name = "report.md" if args["kind"] == "run" else name  # whatever its file is: a page that is handed on stays small
            more["ansible_stats"] = artefact(name, content, as_json)
        return pages.refusal(page.failure, **more) if page.failure else {"changed": False, **more}

    def _answer(self, question: str) -> str:
        """What somebody types who sits at the terminal of the run; empty where nobody does."""
        try:
            return self._display.prompt_until(f"{question}: ", private=False).decode("utf-8", "replace").strip()
        except AnsibleError:  # nobody is there, or it was broken off: no answer is no consent
            return ""

    def _health(self, args: dict[str, Any], task_vars: dict[str, Any]) -> Page:
        rows = health_rows(args["results"], list(task_vars.get("aistack_components", {})))
        bad = not rows or any(row["verdict"] in ("fail", "error", "inconclusive") for row in rows)
        failed = bad and not self._task.check_mode  # in check mode no gate is enforced
        only = [name.strip() for name in str(task_vars.get("only") or "").split(",") if name.strip()]
        described = task_vars.get("aistack_components", {})
        unasked = without(described if isinstance(described, Mapping) else self._templar.template(described), only)
        text = health_text(rows, without=unasked) if rows else NO_PROBE
        xml = junit.document(str(task_vars.get("aistack_name") or "stack"), junit.health_suites(args["results"]), _now("%Y-%m-%dT%H:%M:%S"))
        return Page(text, rows, failure=(summed(text) if rows else NO_PROBE) if failed else "", junit=xml if args["junit"] else "")

    def _diagnosis(self, args: dict[str, Any], task_vars: dict[str, Any]) -> Page:
        nodes = diagnosis.nodes_of(args["results"])
        silent = [diagnosis.unreachable(node, found["silent"]) for node, found in nodes.items() if found["silent"]]
        found = diagnosis.ranked([*silent, *(one for result in args["results"].values() for one in result.get("findings") or [])])
        name = str(self._templar.template(task_vars.get("aistack_name") or "the stack"))
        text = diagnosis.page(name, found, nodes)
        bad = diagnosis.failed(found) and not self._task.check_mode
        failed = f"{text.splitlines()[-1]}. What was seen and what to do stands on the page above." if bad else ""
        if args["archive"]:
            written = {"diagnosis.txt": text, "causes.json": json.dumps(found, indent=1)}
            files = {node: result["files"] for node, result in args["results"].items() if result.get("files")}
            try:
                place = diagnosis_archive.write(args["archive"], name, written, files, datetime.datetime.now(datetime.timezone.utc))
            except OSError as error:
                said = f"The archive cannot be written to {args['archive']}: {error.strerror or error}. Name a folder that you may write to"
                raise documents.Unwritable(f"{text}\n\n{said}: -e archive=FOLDER.") from error
            pages.show(self._task, f"Archive on this machine, for you alone: {place}")
        return Page(text, found, failure=failed)

    def _run(self, args: dict[str, Any], task_vars: dict[str, Any]) -> Page:
        read = {node: result for node, result in args["results"].items() if "records" in result}
        silent = {node: (str(result.get("msg") or "no answer").splitlines() or ["no answer"])[0]
                  for node, result in args["results"].items() if node not in read}
        name = str(self._templar.template(task_vars.get("aistack_name") or "stack"))
        story = run_story.story_of({node: result["records"] for node, result in read.items()}, args["run"], name, silent)
        if not story["run"]:
            text = run_text.no_run(story)
            return Page(text, failure=f"There is no report: {text.splitlines()[0]}")
        story["next"] += [f"The journal of {node} is not as it was written: {said}" for node, result in read.items()
                          for said in result.get("problems") or []]
        text = run_text.run_text(story)
        chosen = args["format"]
        if chosen == "text":
            chosen = next((known for known, ending in ENDINGS.items() if args["output"].endswith(f".{ending}")), "text")
        output = args["output"]
        if not output and chosen != "text":
            output = f".ansible/reports/{Path(story['run']).name}.{ENDINGS[chosen]}"
        facts = {"story": story, "plot": run_text.layout(story), "events": run_text.events(story)}
        folder = str(self._templar.template(task_vars.get("aistack_templates") or ""))
        markdown = documents.render("report.md.j2", facts, folder)
        content = {
            "html": lambda: documents.render("report.html.j2", facts, folder),
            "markdown": lambda: markdown,
            "json": lambda: json.dumps({**story, "events": facts["events"]}, indent=1),
            "junit": lambda: junit.document(name, junit.run_suites(story), story["began"].replace(" ", "T")),
        }.get(chosen, lambda: text)()
        warnings = [f"not part of the report: {node}: {why}" for node, why in silent.items()]
        return Page(text, markdown=markdown, warnings=warnings, file=(output, content))

    def _verify(self, args: dict[str, Any], task_vars: dict[str, Any]) -> Page:
        items = verify_items(args["results"], args["levels"])
        for node, reports in args["data"].items():
            items += data_items(node, reports)
        asked = bool(items)
        items = sorted([*items, *figure_items(args["facts"].get("figures") or {})], key=lambda item: LEVELS.index(item["level"]))
        title = f"Verification of {task_vars.get('aistack_name', 'the stack')}"
        now = _now("%Y-%m-%d %H:%M:%S UTC")
        text = verify_text(items)
        failed = not self._task.check_mode and (failed_items(items) or not asked)
        return Page(text, items, verify_markdown(items, title, now), summed(text) if failed else "")

    def _rollback(self, args: dict[str, Any], task_vars: dict[str, Any]) -> Page:
        rows = outcome_rows(args["decision"], args["results"])
        if self._task.check_mode:
            return Page(args["decision"]["text"], rows)
        text = outcome_text(args["decision"], rows)
        failed = any(row["outcome"] != "ok" for row in rows)
        # said as warnings too, for those who see warnings and nothing else
        unverified = [(row["node"], row["component"], told) for row in rows for told in row.get("unverified") or []]
        warnings = [f"not verified: {node}: {component}: {told}" for node, component, told in unverified]
        return Page(text, rows, failure=summed(text) if failed else "", warnings=warnings)

    def _page(self, args: dict[str, Any], task_vars: dict[str, Any]) -> Page:
        return Page(args["text"], failure=args["failure"])

    def _plan(self, args: dict[str, Any], task_vars: dict[str, Any]) -> Page:
        facts = {**args["facts"], "groups": task_vars.get("groups", {})}
        return Page(plan_page.page(facts), failure=plan_page.refusal(facts))

    def _live(self, args: dict[str, Any], task_vars: dict[str, Any]) -> Page:
        notes = RollbackPages(self._templar, task_vars, args["rollback"]).notes(args["ended"]) if args["rollback"] else []
        still = task_vars.get("ansible_play_hosts") or []
        results = {node: said or ({} if node in still else LEFT) for node, said in args["results"].items()}
        if args["ended"] == "failed" and not args["rollback"]:
            moved, proven = (parts.of_hosts(task_vars, name) for name in ("migrate_result", "migrate_proof"))
            notes = schema_lines({host: (moved[host], proven[host]) for host in moved})
        return Page("\n".join([live_text(results), *notes]))

    def _rollback_plan(self, args: dict[str, Any], task_vars: dict[str, Any]) -> Page:
        found = RollbackPages(self._templar, task_vars, args["rollback"])
        chosen = {"json": found.written_for_programs, "markdown": found.written}.get(args["format"], found.shown)
        return Page(chosen())

    def _post_mortem(self, args: dict[str, Any], task_vars: dict[str, Any]) -> Page:
        return Page(RollbackPages(self._templar, task_vars, args["rollback"]).post_mortem(args["ended"]))

    def _restore(self, args: dict[str, Any], task_vars: dict[str, Any]) -> Page:
        return Page(restore_page(args["results"]))

    def _ticket(self, args: dict[str, Any], task_vars: dict[str, Any]) -> Page:
        at = datetime.datetime.now(datetime.timezone.utc)
        text, name = ticket(args["facts"], at)
        return Page(text, file=(f"{args['output']}/{name}", text) if args["output"] else ("", ""))

    def _failure(self, args: dict[str, Any]) -> dict[str, Any]:
        if not args["failed_task"]:
            return pages.refusal("Stopped, because another node failed.", quiet=True)
        return pages.refusal(failure_text(args["failed_task"], args["failed_result"], args["command"]))
