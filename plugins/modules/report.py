# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: report
short_description: Print what was found, what failed, or what would be done, for people
version_added: 0.1.0
author: phasegate contributors (@phasegate)
description:
  - C(kind=health) prints a table of every component and its gate, and fails if one of them fails.
  - C(kind=diagnosis) prints causes, the likeliest first, out of what M(phasegate.aistack.diagnose) found, and fails where there is one.
  - C(kind=failure) prints what failed, what was expected, what came instead, what is live now, and always fails.
  - C(kind=verify) prints a checklist on four levels (system, function, performance, data) with the evidence of every item,
    and fails if one of them fails.
  - C(kind=rollback) prints what became of every component of every node, and fails if something is not back.
  - C(kind=run) prints what one run did on all nodes, out of their journals, and writes it in O(format) where that or O(output) is named.
  - C(kind=plan) prints what a deployment would do, and fails where it would be refused.
  - C(kind=live) prints what is live on every node, as M(phasegate.aistack.node) has asked them.
  - C(kind=restore) prints what putting a backup set back would take away, as M(phasegate.aistack.restore_set) says.
  - C(kind=rollback_plan) prints the plan of a rollback, or makes of it a document, by O(format); C(kind=post_mortem) is the one behind it.
  - C(kind=ticket) writes what an event outside says into a file of its own in the folder O(output), for a person.
  - C(kind=page) prints a text, and writes it into a file where one is named; with O(failure) it fails then.
  - Where a job of AWX or ansible-runner runs it, a page that went well and has O(output), if only an empty one, is an artefact as well,
    C(aistack_job_documents), by the name of its file.
  - The page is printed by the task itself, whichever callback is in use. Its result holds none of it; programs read O(output).
  - Runs on the controller alone.
options:
  kind:
    description: What to print.
    type: str
    required: true
    choices: [diagnosis, failure, health, live, page, plan, post_mortem, restore, rollback, rollback_plan, run, ticket, verify]
  results:
    description:
      - For C(kind=health) and C(kind=verify), node name to the result of M(phasegate.aistack.gate) there.
      - For C(kind=diagnosis), node name to the result of M(phasegate.aistack.diagnose) there.
      - For C(kind=run), node name to the result of M(phasegate.aistack.journal) there.
      - For C(kind=rollback), node name to what Ansible returned for C(aistack rollback --json) there.
    type: dict
    default: {}
  answers:
    description:
      - Names of the variables in which every host has what is to be printed, for O(results), O(data) or a key of O(facts), so that no
        playbook puts that together. Of a list of names the results on each host are joined.
    type: dict
    default: {}
  facts:
    description:
      - For C(kind=plan), what is known of the deployment beside the answers of its nodes.
      - For C(kind=ticket), C(title), C(text), and C(would), what would have been run without a dry mode.
    type: dict
    default: {}
  rollback:
    description:
      - For C(kind=rollback_plan) and C(kind=post_mortem), what the playbook knows of the rollback, C(decision), C(level), C(reason),
        C(owner), C(consent), C(run), C(document), C(postmortem), C(templates), C(began), and C(answers), names of the variables
        in which hosts have their results.
      - For C(kind=live), where one was done.
    type: dict
    default: {}
  ended:
    description: For C(kind=post_mortem) and C(kind=live), how the rollback ended.
    type: str
    choices: [finished, failed]
    default: finished
  levels:
    description: For C(kind=verify), name of a probe to the level of the checklist that it stands on.
    type: dict
    default: {}
  data:
    description: For C(kind=verify), node name to the list of results of M(phasegate.aistack.db_fingerprint) there.
    type: dict
    default: {}
  decision:
    description: For C(kind=rollback), the result of M(phasegate.aistack.rollback_plan).
    type: dict
    default: {}
  failed_task:
    description: For C(kind=failure), the name of the task that failed on this node; empty where another node failed.
    type: str
    default: ''
  failed_result:
    description: For C(kind=failure), the result of that task.
    type: dict
    default: {}
  command:
    description: For C(kind=failure), what was typed. It is named again where the failure says what has to be added to it.
    type: str
    default: ''
  text:
    description: For C(kind=page), the page.
    type: str
    default: ''
  failure:
    description: For C(kind=page), that the page is one of something that is not as it should be, and what that is, in a sentence.
    type: str
    default: ''
  output:
    description:
      - A file on the controller that the result is written into as well. JSON for C(kind=health) and C(kind=rollback),
        the text for C(kind=page),
        for C(kind=verify) Markdown, or JSON where the name ends with C(.json), as for C(kind=diagnosis).
    type: path
    default: ''
  junit:
    description: For C(kind=health), a file on the controller that every probe is written into as JUnit XML.
    type: path
    default: ''
  archive:
    description:
      - For C(kind=diagnosis), a folder on the controller for an archive of mode 0600. It holds the page, what every node gave for it, and
        C(CONTENTS), which lists all of it with SHA-256 and bytes.
    type: path
    default: ''
  run:
    description: For C(kind=run), which run. Without it the newest one that did something.
    type: str
    default: ''
  format:
    description:
      - For C(kind=rollback_plan), V(text) for the terminal, else what the document is.
      - For C(kind=run), what is written. Without O(output) into C(.ansible/reports/), unless it is V(text).
      - With V(text) the name of O(output) may say otherwise by how it ends, with C(.html), C(.md), C(.json) or C(.xml).
      - V(html) is one file that needs no network and no script. V(html) and V(markdown) are made from C(report.html.j2) and
        C(report.md.j2); a file of that name in the folder C(aistack_templates) of the inventory stands for that of the collection.
    type: str
    choices: [text, html, markdown, json, junit]
    default: text
  quiet:
    description: Write into O(output) and print nothing, unless it is a failure.
    type: bool
    default: false
  ask:
    description: A question that is asked below the page, at a terminal. Without one nothing is asked, and RV(answer) is empty.
    type: str
    default: ''
extends_documentation_fragment:
  - phasegate.aistack.attributes.controller
"""

EXAMPLES = r"""
- name: Print the table
  phasegate.aistack.report:
    kind: health
    answers: {results: __health}
  run_once: true
"""

RETURN = r"""
msg:
  description: What is not as it should be, in a sentence or two; for C(kind=failure) the whole report.
  returned: failure
  type: str
  sample: "1 of 3 components fail: postgres. What was expected and what came stands on the page above."
answer:
  description: What was typed; empty where nobody sits at a terminal.
  returned: when O(ask) is set
  type: str
"""
