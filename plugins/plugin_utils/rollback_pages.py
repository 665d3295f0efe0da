# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is shown, written and sent of a planned rollback, out of what all hosts have answered by then."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ansible_collections.phasegate.aistack.plugins.filter.stack import released
from ansible_collections.phasegate.aistack.plugins.module_utils.report.text import failures
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.decision import outcome_rows
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.postmortem import evidence, notice_facts, postmortem_markdown
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.text import plan_markdown, plan_text
from ansible_collections.phasegate.aistack.plugins.plugin_utils import parts
from ansible_collections.phasegate.aistack.plugins.plugin_utils.documents import arranged

if TYPE_CHECKING:
    from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.contract import Decision, Merged


def plan_document(merged: Merged, facts: Any, templates: str = "") -> str:
    """The plan of a rollback, as the template C(rollback-plan.md.j2) arranges it."""
    return arranged("rollback-plan.md.j2", plan_markdown(merged, facts), {"facts": facts, "plan": merged}, templates)


def postmortem_document(merged: Merged, outcome: Any, facts: Any, templates: str = "") -> str:
    """The document after a rollback, as the template C(post-mortem.md.j2) arranges it."""
    given = {"facts": facts, "plan": merged, "outcome": outcome}
    return arranged("post-mortem.md.j2", postmortem_markdown(merged, outcome, facts), given, templates)


class RollbackPages:
    """The pages of one rollback.

    Args:
        templar: fills in variables of the inventory.
        variables: of the task, with C(hostvars).
        given: what the playbook says of it: C(decision), C(level), C(reason), C(owner), C(consent), C(run), C(document), C(postmortem),
            C(templates), C(began) (seconds since 1970), and C(answers), which names the variables in which hosts have their results:
            C(data_loss), C(backs), C(gates), C(data), C(restored), C(journals), C(saved) (a list of names), C(audience).
    """

    def __init__(self, templar: Any, variables: Mapping[str, Any], given: Mapping[str, Any]) -> None:
        self._templar, self._vars, self._given = templar, variables, given
        self.decision: Decision = given["decision"]
        self.level = str(given["level"])

    def _of(self, name: str, key: str = "") -> dict[str, Any]:
        variable = self._given["answers"].get(name)
        return parts.of_hosts(self._vars, variable, key) if variable else {}

    def plan(self) -> Merged:
        """The plans of the nodes that take part, what the sets that they put back take away, and what they do not cover."""
        data_loss = self._of("data_loss", "results")
        not_covered: list[str] = []
        if self.level == "system":
            components = parts.described(self._templar, self._vars, ("application", "release_from", "after"))
            not_covered = [name for name in components if name not in released(components)]
        return {
            "nodes": {node: self.decision["plans"][node] for node in self.decision["nodes"]},
            "data_loss": {node: data_loss.get(node) or [] for node in self.decision["nodes"]},
            "notes": self.decision["notes"], "not_covered": not_covered,
        }

    def facts(self) -> dict[str, Any]:
        """What documents and people are told besides the plan."""
        given, to = self._given, self.decision["to"]
        owner = str(given.get("owner") or "")
        notified: list[str] = next((answer["sent"] for answer in self._of("audience").values() if answer.get("sent")), [])
        approved = f"by {owner or 'an operator'}, by the name of the target" if given.get("consent") == to else ""
        return {
            "stack": str(self._templar.template(self._vars.get("aistack_name") or "")), "reason": given["reason"], "owner": owner,
            "approved": approved, "notified": notified,
            "time": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC"),
            "run": given["run"], "level": self.level, "from": self.decision["from"], "to": to,
            "nodes": self.decision["nodes"], "resumes": self.decision["resumes"], "code": self.decision["code"],
            "document": given["document"],
        }

    def shown(self) -> str:
        """The plan, for the terminal."""
        return str(plan_text(self.plan()))

    def written(self) -> str:
        """The plan, as a document."""
        return plan_document(self.plan(), self.facts(), self._folder())

    def written_for_programs(self) -> str:
        """The same as JSON."""
        return json.dumps({"format": 1, "facts": self.facts(), "plan": self.plan()}, indent=1, sort_keys=True)

    def asked(self) -> list[str]:
        """The nodes that were asked to go back: only these can have failed at it."""
        return [node for node, back in self._of("backs").items() if back]

    def outcome(self, result: str) -> dict[str, Any]:
        """What became of it; *result* is C(finished) or C(failed)."""
        backs, failed = self._of("backs"), result == "failed"
        restored, data = self._of("restored", "results"), self._of("data", "results")
        rows = outcome_rows({**self.decision, "nodes": self.asked()} if failed else self.decision, backs)
        began = float(self._given.get("began") or 0)
        hosts = [self._vars["hostvars"].raw_get(host) for host in self._vars.get("ansible_play_hosts_all") or []]
        return {
            "rows": rows,
            "restored": {node: restored.get(node) or [] for node in self.decision["nodes"]},
            "verification": evidence(self._of("gates"), {host: found or [] for host, found in data.items()}),
            "seconds": datetime.datetime.now(datetime.timezone.utc).timestamp() - began, "result": result,
            **({"error": "; ".join(failures(hosts))} if failed else {}),
        }

    def final_facts(self) -> dict[str, Any]:
        """:meth:`facts`, with what is known at the end."""
        part, journals = self.decision["nodes"], self._of("journals", "records")
        saved = [parts.of_hosts(self._vars, name, "name") for name in self._given["answers"].get("saved") or []]
        names = dict.fromkeys(str(found[node]) for found in saved for node in part if found.get(node))
        return {**self.facts(), "plan": self._given["document"], "journals": {node: journals.get(node) or [] for node in part},
                "backup": ", ".join(names)}

    def post_mortem(self, result: str) -> str:
        """The document after it."""
        return postmortem_document(self.plan(), self.outcome(result), self.final_facts(), self._folder())

    def notice(self, result: str = "") -> dict[str, Any]:
        """What people are told: before it, or with *result* after it."""
        if not result:
            return notice_facts(self.plan(), self.facts())
        outcome = self.outcome(result)
        found = notice_facts(self.plan(), self.final_facts(), outcome)
        return {**found, "error": outcome["error"]} if "error" in outcome else found

    def notes(self, result: str) -> list[str]:
        """Lines below the page of what is live."""
        lines = ["", "Written on this machine", f"  plan         {self._given['document']}", f"  post-mortem  {self._given['postmortem']}"]
        if result == "failed" and self.level in ("schema", "system") and self.asked():
            went = f"The data is that of {self.decision['to']} already"
            lines += [
                "",
                f"{went}: what is live at another release may answer with errors until either is done",
                "  the same command again, which goes on from there",
                f"  ansible-playbook phasegate.aistack.migrate -e release={self.decision['from']}, which takes the schema forward to it",
            ]
        return lines

    def _folder(self) -> str:
        return str(self._given.get("templates") or "")
