# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: rollback_plan
short_description: One release that the whole stack can go back to, or why there is none
version_added: 0.1.0
author: phasegate contributors (@phasegate)
description:
  - Every node plans for itself with C(aistack plan --json). This takes the plans of all nodes and chooses the newest release
    that every component on every node can be at.
  - Refuses before anything is touched, with the reason and with what to do instead.
  - Runs on the controller alone and changes nothing.
options:
  state:
    description:
      - V(decided) decides.
      - V(again) says, of a O(decision) that was consented to, what each node has to do by the plan that it made since, in RV(todo).
    type: str
    choices: [decided, again]
    default: decided
  decision:
    description: With V(again), the result of V(decided).
    type: dict
    default: {}
  reason:
    description: With V(again), why it is done, for the journals.
    type: str
    default: ''
  answers:
    description:
      - Name of the variable in which every host of the play has the result of M(phasegate.aistack.node) with the verb C(plan), hosts
        that are out of reach included.
    type: str
    required: true
  to:
    description: The release to go to. Without it one is chosen.
    type: str
    default: ''
  level:
    description: The level that the nodes were asked about, C(app), C(config), C(schema) or C(system). Any other is refused in these words.
    type: str
    default: app
  best_effort:
    description: Go on without nodes that do not answer, and without components that cannot go there.
    type: bool
    default: false
  again:
    description:
      - Go back although a rollback ended a quarter of an hour ago or less, and no release is named.
      - Without it only that one is finished, since two people who call for the same emergency must not go back twice.
    type: bool
    default: false
  repositories:
    description:
      - Addresses of the repositories that releases come from. What their mirrors on the controller have is told as C(code).
      - Nothing is fetched; without them C(code) is empty.
    type: list
    elements: str
    default: []
extends_documentation_fragment:
  - phasegate.aistack.attributes.controller
seealso:
  - module: phasegate.aistack.node
"""

EXAMPLES = r"""
- name: What each node can go back to
  phasegate.aistack.node: {verb: plan, enforce: false}
  register: __plan
  ignore_unreachable: true

- name: Decide
  phasegate.aistack.rollback_plan:
    answers: __plan
  register: __decision
  run_once: true
"""

RETURN = r"""
# A refusal has its reasons and ways out in C(msg), and nothing besides.
code:
  description: The commits that the code loses, newest first, a line each, and a line with their sum.
  returned: success
  type: list
  elements: str
to:
  description: The release that everything goes to.
  returned: success
  type: str
from:
  description: The releases that serve now, with commas between them.
  returned: success
  type: str
allowed:
  description: Whether it may be carried out.
  returned: success
  type: bool
refusals:
  description: Reasons against it, each with C(node), C(component), C(reason) and C(remedy).
  returned: success
  type: list
  elements: dict
nodes:
  description: The nodes that take part.
  returned: success
  type: list
  elements: str
silent:
  description: Nodes that gave no plan, and why.
  returned: success
  type: dict
warnings:
  description: What is to be known besides, and what could not be verified.
  returned: success
  type: list
  elements: str
notes:
  description: What is known of rollbacks that were begun before; part of RV(warnings).
  returned: success
  type: list
  elements: str
there:
  description: Whether everything is where it is to go. Where RV(resumes) is empty as well, nothing is to be done.
  returned: success
  type: bool
resumes:
  description: The runs that had begun what this finishes, whether they were killed or failed, or went back a moment ago.
  returned: success
  type: list
  elements: str
began:
  description: When the first of them began, in seconds since 1970.
  returned: success
  type: float
todo:
  description:
    - Host to what it has to do; nothing on a host that takes no part. C(steps) are all of its steps, C(restores), C(downgrades), C(stop)
      and C(start) those of a kind, the last two with what slots are stopped and started by. C(allowed) are the downgrades below which no
      set is put back, C(backup) says whether a set has to be made first, C(goes) whether there are components for the node's command, and
      C(edges) what of each component is drained.
    - With V(again), C(holds) says whether the plan of now does nothing but what was shown, C(begins) what the journal says then, and
      C(notes) what it says of the databases that another host has taken back.
  returned: success
  type: dict
moves:
  description: Whether any node has anything to do.
  returned: with V(decided)
  type: bool
plans:
  description: The plan of each node. One that is where it is to go has no steps.
  returned: success
  type: dict
sets:
  description: The backup sets that are put back on any node, each once.
  returned: success
  type: list
  elements: str
text:
  description: All of it for people.
  returned: success
  type: str
"""
