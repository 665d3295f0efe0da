#!/usr/bin/python
# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: compatible
short_description: Whether releases that would run side by side run with each other
version_added: 0.1.0
author: phasegate contributors (@phasegate)
description:
  - Judges for all hosts at once what a deployment brings side by side, by C(runs_with) of every component that it is about, those of other
    applications among them. What is there once it is through is judged, and the moments in which one component has switched and the other
    one has not. What is live side by side already is not.
  - Fails where a rule would not hold, and where a tag names no version although the rule asks for one.
  - Hosts that did not say what is live there are named in a warning.
  - Runs on the controller alone, once, and changes nothing.
options:
  released:
    description: The components that are deployed, in the order in which they switch, as RV(phasegate.aistack.stack#module:released) has
      them.
    type: list
    elements: str
    required: true
  release:
    description: The release that they come to.
    type: str
    required: true
  answers:
    description:
      - Name of the variable in which every host has the result of M(phasegate.aistack.release_info) about the components that the filter
        P(phasegate.aistack.runs_beside#filter) names.
    type: str
    required: true
  ignore:
    description: Somebody has said that it is meant. What would be refused is a warning.
    type: bool
    default: false
  enforce:
    description: Fail. Otherwise RV(refused) says why it would be.
    type: bool
    default: true
extends_documentation_fragment:
  - phasegate.aistack.attributes.controller
seealso:
  - module: phasegate.aistack.rollout
"""

EXAMPLES = r"""
- name: What is live of them
  phasegate.aistack.release_info:
    components: "{{ aistack_components | phasegate.aistack.runs_beside(['backend', 'worker']) }}"
  register: __beside

- name: Releases that run side by side run with each other
  phasegate.aistack.compatible:
    released: [backend, worker]
    release: v1.1.0
    answers: __beside
  run_once: true
"""

RETURN = r"""
refused:
  description: Why a deployment would be refused, each with what to do; empty where it would not be.
  returned: success
  type: list
  elements: str
"""
