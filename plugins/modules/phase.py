#!/usr/bin/python
# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: phase
short_description: What a phase asks, and what is left to be done in it
version_added: 0.1.0
author: phasegate contributors (@phasegate)
description:
  - Works out for all hosts at once, from the description of the stack, which probes prove that a phase can open and which tell what of
    it is there; then, from what the hosts answered, which of its components have something to do.
  - Runs on the controller alone, once, and changes nothing.
options:
  name:
    description: The phase, a key of C(aistack_phases).
    type: str
    required: true
  state:
    description:
      - V(planned) says what is to be asked.
      - V(judged) says what the answers leave to be done.
    type: str
    choices: [planned, judged]
    default: planned
  receipts:
    description: Name of the variable in which every host has the result of M(phasegate.aistack.receipt).
    type: str
    required: true
  answers:
    description: With V(judged), name of the variable in which every host has the result of M(phasegate.aistack.gate).
    type: str
    default: ''
  probes:
    description: With V(judged), the probes of the required phases, as RV(probes) of V(planned) has them.
    type: list
    elements: dict
    default: []
  proof_seconds:
    description: For how many seconds a gate that passed in this run is not asked again, unless something was changed since.
    type: float
    default: 30
extends_documentation_fragment:
  - phasegate.aistack.attributes.controller
seealso:
  - module: phasegate.aistack.gate
  - module: phasegate.aistack.receipt
"""

EXAMPLES = r"""
- name: What the phase asks
  phasegate.aistack.phase: {name: phase1, receipts: __receipt}
  register: __asked
  run_once: true

- name: What answers now
  phasegate.aistack.gate: {probes: "{{ __asked.asked }}", deadline: 0, enforce: false}
  register: __now

- name: What is to be done
  phasegate.aistack.phase: {name: phase1, state: judged, receipts: __receipt, answers: __now, probes: "{{ __asked.probes }}"}
  register: __todo
  run_once: true
"""

RETURN = r"""
required:
  description: The phases that it stands on, directly or not, in the order of the inventory.
  returned: with V(planned)
  type: list
  elements: str
probes:
  description: What those have to prove, without what passed a moment ago in this run.
  returned: with V(planned)
  type: list
  elements: dict
asked:
  description: RV(probes), and the gates of the phase's own components.
  returned: with V(planned)
  type: list
  elements: dict
absent:
  description: In check mode, the components of which nothing was ever converged on any of their hosts.
  returned: with V(planned)
  type: list
  elements: str
elsewhere:
  description: Whether a probe of a component is asked by another host.
  returned: with V(planned)
  type: bool
stale:
  description: The components of the phase that have something to do, in its order.
  returned: with V(judged)
  type: list
  elements: str
unproven:
  description: Names of the critical probes of the required phases that did not pass.
  returned: with V(judged)
  type: list
  elements: str
"""
