#!/usr/bin/python
# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: node
short_description: Ask a node's own command what it can go back to, what is live, or to go back
version_added: 0.1.0
author: phasegate contributors (@phasegate)
description:
  - Runs C(aistack) on the node, which every release brings along, and reads its answer. Nothing is copied to the node, and no Python is
    looked for there.
  - What a node says is checked for its shape and stripped of what a terminal would obey.
  - A node that is out of reach is unreachable, as with any other task.
options:
  verb:
    description:
      - V(plan) says what the node can go back to.
      - V(status) says what is live.
      - V(rollback) goes back. It is skipped in check mode.
    type: str
    required: true
    choices: [plan, rollback, status]
  stack:
    description: The stack. Without it that of the node, where it has only one.
    type: str
    default: ''
  level:
    description: With V(plan) and V(rollback), the level, C(app), C(config), C(schema) or C(system). Without it C(app).
    type: str
    default: ''
  to:
    description: The release, or the configuration, to go to. Without it the node chooses.
    type: str
    default: ''
  set:
    description: With V(plan), the backup set of the level C(system).
    type: str
    default: ''
  elsewhere:
    description:
      - With V(plan) and the levels C(schema) and C(system), component to the host that moves its database.
      - Of the hosts of a component its first one does. The others plan to stand still meanwhile, and to go back afterwards.
    type: dict
    default: {}
  reason:
    description: With V(rollback), why, for the journal.
    type: str
    default: ''
  run:
    description: With V(rollback), the run that holds the lock.
    type: str
    default: ''
  allow_bad:
    description: A release that is marked bad may be gone back to.
    type: bool
    default: false
  best_effort:
    description: Components that cannot go there hold the others back no more.
    type: bool
    default: false
  force_lock:
    description: With V(rollback), go on although another run holds the lock.
    type: bool
    default: false
  enforce:
    description:
      - Fail where the answer cannot be read, and with V(rollback) where the node is not back. At the target already is no failure.
      - Without it whoever reads RV(answer) judges.
    type: bool
    default: true
extends_documentation_fragment:
  - phasegate.aistack.attributes
attributes:
  check_mode:
    support: partial
    description: V(rollback) is skipped, the others change nothing.
  diff_mode:
    support: none
    description: It shows no difference; a rollback is told as a plan.
notes:
  - This is an action plugin.
seealso:
  - module: phasegate.aistack.rollback_plan
"""

EXAMPLES = r"""
- name: What each node can go back to
  phasegate.aistack.node: {verb: plan, stack: shop, enforce: false}
  register: __plan
  ignore_unreachable: true

- name: Go back
  phasegate.aistack.node: {verb: rollback, stack: shop, to: v4.0.0, reason: answers are wrong}
"""

RETURN = r"""
answer:
  description:
    - What the node said.
    - With C(silent) that it said nothing that can be read, and why; with C(absent) that there is no such command on it.
  returned: always
  type: dict
rc:
  description: Exit status of the command.
  returned: always
  type: int
"""
