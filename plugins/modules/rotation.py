# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: rotation
short_description: Give a secret of the inventory a new value, once, for as long as it takes to bring it everywhere
version_added: 0.1.0
author: phasegate contributors (@phasegate)
description:
  - Works on the file that the inventory looks a secret up in (C(file) of its entry in C(aistack_rotations)), as
    P(ansible.builtin.password#lookup) writes it. The new value is random, of letters and digits, and as long as the former one.
  - While the change lasts, C(.next) and C(.before) beside the file hold the new and the former value, so that a run that was interrupted
    is taken up with the same value.
  - A secret without C(file) comes from elsewhere, a vault perhaps; it has its new value already, and nothing is done here.
  - Runs on the controller alone; no node is contacted. Values are never shown.
options:
  secret:
    description: Name in C(aistack_rotations).
    type: str
    required: true
  state:
    description:
      - V(begun) makes the new value, unless a change was begun.
      - V(abandoned) puts the former value back.
      - V(checked) refuses where O(described) is a refusal, or where a host of the server or of a released component is not in the run.
      - V(planned) says what is left to do, by what the hosts of the play have found.
      - V(finished) forgets it, unless the entry has C(previous); then it stays in C(.before) until V(forgotten).
    type: str
    choices: [begun, checked, planned, abandoned, finished, forgotten]
    default: begun
  described:
    description: With V(checked), what M(phasegate.aistack.stack) said of the description with the new value.
    type: dict
    default: {}
  foreseen:
    description: With V(planned), whether V(begun) has made the value, or would have in check mode, where it is nowhere yet.
    type: bool
    default: false
  forget:
    description: With V(planned), whether components stop to accept the former value.
    type: bool
    default: false
  seen:
    description: With V(planned), name of the variable in which each host of the server has what that knows, C(value) and C(bridge).
    type: str
    default: ''
  live:
    description: With V(planned), name of the variable in which each host has the components that are live there.
    type: str
    default: ''
  behind:
    description: With V(planned), name of the variable in which each host has those of them that run with other values.
    type: str
    default: ''
extends_documentation_fragment:
  - phasegate.aistack.attributes.controller
"""

EXAMPLES = r"""
- name: A new value for the database's password
  phasegate.aistack.rotation:
    secret: postgres
  run_once: true
  register: begun
"""

RETURN = r"""
fresh:
  description: Whether this call made the new value, or would make it.
  returned: success
  type: bool
steps:
  description: What is left to do, in this order. Beside it C(behind), the components that run with other values, and C(text), in words.
  returned: with O(state=planned)
  type: list
  elements: str
generated:
  description: Whether values of this secret are made here.
  returned: success
  type: bool
"""
