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
  - C(kind=failure) prints what failed, what was expected, what came instead, what is live now, and always fails.
  - C(kind=verify) prints a checklist on four levels (system, function, performance, data) with the evidence of every item,
    and fails if one of them fails.
  - C(kind=rollback) prints what became of every component of every node, and fails if something is not back.
  - C(kind=run) prints what one run did on all nodes, out of their journals, and writes it in O(format) where that or O(output) is named.
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
    choices: [health, failure, page, rollback, run, verify]
  results:
    description:
      - For C(kind=health) and C(kind=verify), node name to the result of M(phasegate.aistack.gate) there.
      - For C(kind=run), node name to the result of M(phasegate.aistack.journal) there.
      - For C(kind=rollback), node name to what Ansible returned for C(aistack rollback --json) there.
    type: dict
    default: {}
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
        for C(kind=verify) Markdown, or JSON where the name ends with C(.json).
    type: path
    default: ''
  junit:
    description: For C(kind=health), a file on the controller that every probe is written into as JUnit XML.
    type: path
    default: ''
  run:
    description: For C(kind=run), which run. Without it the newest one that did something.
    type: str
    default: ''
  format:
    description:
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
    results: "{{ dict(ansible_play_hosts | zip(ansible_play_hosts | map('extract', hostvars, '__health'))) }}"
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
