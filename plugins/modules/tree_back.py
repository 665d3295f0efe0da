#!/usr/bin/python
# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: tree_back
short_description: Lay down again what retention removed, so that a way back leads there
version_added: 0.1.0
author: phasegate contributors (@phasegate)
description:
  - Takes the plan of a way back that M(phasegate.aistack.node) made on a node. Where it is refused because the tree of a release that
    was live once is gone, the tree is looked for among the artefacts (C(aistack_artefacts)), proven, and laid down.
  - Nothing that serves is touched. The repository is not asked, and nothing is built.
options:
  answer:
    description: The node's plan, C(answer) of M(phasegate.aistack.node).
    type: dict
    required: true
  release:
    description: The release that the way back leads to.
    type: str
    required: true
  components:
    description: C(aistack_components).
    type: dict
    required: true
  applications:
    description: C(aistack_applications).
    type: dict
    default: {}
  artefacts:
    description: C(aistack_artefacts).
    type: raw
    default: {}
  python:
    description: Interpreter of the virtual environments on the node.
    type: str
    default: python3
  group:
    description: Group that may read the tree.
    type: str
    default: aistack
  min_free_bytes:
    description: Bytes that have to be free besides four times the artefact.
    type: int
    default: 536870912
  allow_bad:
    description: Lay down a release although it is marked bad.
    type: bool
    default: false
  run:
    description: Identifies the run in the journal.
    type: str
    default: ""
extends_documentation_fragment:
  - phasegate.aistack.places
attributes:
  check_mode:
    support: full
    description: Says what would be laid down.
  diff_mode:
    support: none
    description: What a release changes is not a text.
  platform:
    support: full
    platforms: posix
    description: Linux and macOS.
notes:
  - This is an action plugin.
seealso:
  - module: phasegate.aistack.node
  - module: phasegate.aistack.release
"""

EXAMPLES = r"""
- name: What this node can go back to
  phasegate.aistack.node: {verb: plan, to: v4.0.0, enforce: false}
  register: __plan

- name: Bring back what retention removed
  phasegate.aistack.tree_back:
    answer: "{{ __plan.answer }}"
    release: v4.0.0
    components: "{{ aistack_components }}"
    applications: "{{ aistack_applications }}"
"""

RETURN = r"""
laid_down:
  description: By component the artefact that was laid down (C(key), C(from)).
  returned: success
  type: dict
notes:
  description: A sentence for each tree that was laid down.
  returned: success
  type: list
  elements: str
answer:
  description: The plan, with what is known of the trees that it misses in its refusals.
  returned: success
  type: dict
"""
