#!/usr/bin/python
# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: rollout
short_description: Which hosts change together, in which order
version_added: 0.1.0
author: phasegate contributors (@phasegate)
description:
  - Works out for all hosts at once the steps of a deployment, by C(strategy) of each component. A component whose strategy is rolling has
    a step for each batch of its hosts, one whose strategy is canary a step for each share of the requests, every other one a single step.
    A host on which nothing is live takes part in the last share alone.
  - Where a component has C(careful), that is taken instead where the tag has another major version than what is live, where a schema has
    lost what the release before may use, or where O(risk) says so.
  - What an earlier run has switched already keeps its place, and is held again only where that run may have ended in its hold.
  - Prints the order where a component has more than one batch, and which strategy was taken where there was one to choose.
  - Runs on the controller alone, once, and changes nothing.
options:
  released:
    description: The components, as RV(phasegate.aistack.stack#module:released) has them.
    type: list
    elements: str
    required: true
  release:
    description: The release that is deployed.
    type: str
    required: true
  answers:
    description: Name of the variable in which every host has the result of M(phasegate.aistack.release_info) from before the run.
    type: str
    required: true
  configured:
    description: Name of the variable in which every host has the result of M(phasegate.aistack.env_files).
    type: str
    required: true
  drain:
    description:
      - Have workers end the tasks that they hold before they are switched, whatever C(slots.long_tasks) says; but C(refuse) stays so.
    type: bool
    default: false
  risk:
    description: V(high) takes C(careful) wherever there is one, V(low) C(strategy).
    type: str
    choices: ['', high, low]
    default: ''
  contracted:
    description: Name of the variable in which a host has the components from whose schema this run has taken something away.
    type: str
    default: ''
extends_documentation_fragment:
  - phasegate.aistack.attributes.controller
seealso:
  - module: phasegate.aistack.slot
  - module: phasegate.aistack.metric_gate
"""

EXAMPLES = r"""
- name: In which order
  phasegate.aistack.rollout:
    released: [backend, worker]
    release: v1.1.0
    answers: __before
    configured: __release_configured
  register: __rollout
  run_once: true
"""

RETURN = r"""
steps:
  description:
    - What is done one after the other, each with C(component), C(hosts), C(number) and C(of) (which batch of how many), C(proof)
      (whether a gate stands behind it), C(hold) (seconds), C(triggers), C(judges) (hosts that these are judged on),
      C(look) (seconds between two looks of theirs), C(gate) (how the gate is judged), C(armed) (hosts whose dead man's switch counts
      again), C(long_tasks) (what is done about tasks that workers hold), C(drain) (seconds that this may take) and C(label).
  returned: success
  type: list
  elements: dict
first:
  description: Host to the components that it switches in their first batch.
  returned: success
  type: dict
text:
  description: The order in words; empty where each component has one step, and there was nothing to choose.
  returned: success
  type: str
"""
