#!/usr/bin/python
# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: deployment
short_description: What people are told of a deployment
version_added: 0.1.0
author: phasegate contributors (@phasegate)
description:
  - Works out for all hosts at once what a notice says of a deployment, from what the nodes said is live and from what was done.
  - Fails where no release was named and one is live, since that of the inventory may be older.
  - Runs on the controller alone, once, and changes nothing.
options:
  application:
    description: The application, a key of C(aistack_applications).
    type: str
    required: true
  release:
    description: The tag that is deployed.
    type: str
    required: true
  released:
    description: Its components, as RV(phasegate.aistack.stack#module:released) has them.
    type: list
    elements: str
    required: true
  answers:
    description: Name of the variable in which every host has the result of M(phasegate.aistack.release_info).
    type: str
    required: true
  named:
    description: Whether somebody has asked for O(release). Where nobody has it is that of the inventory.
    type: bool
    default: true
  run:
    description: This run.
    type: str
    required: true
  finished:
    description: It has come to its end. RV(facts) say what was done and how long it took.
    type: bool
    default: false
  phases:
    description: With O(finished), the phases that were accepted.
    type: list
    elements: str
    default: []
  migrations:
    description: With O(finished), name of the variable in which hosts have what became of migrations.
    type: str
    default: ''
  evidence:
    description: With O(finished), the summary of the gate that accepted.
    type: str
    default: ''
  drain:
    description: This run has workers end the tasks that they hold. A warning names live components in containers, which it does not reach.
    type: bool
    default: false
extends_documentation_fragment:
  - phasegate.aistack.attributes.controller
seealso:
  - module: phasegate.aistack.notice
"""

EXAMPLES = r"""
- name: What is live
  phasegate.aistack.release_info: {components: [backend]}
  register: __before

- name: Where something is live, the release is named
  phasegate.aistack.deployment:
    application: shop
    release: v1.1.0
    released: [backend]
    answers: __before
    run: "{{ aistack_run }}"
  register: __deployment
  run_once: true
"""

RETURN = r"""
facts:
  description: What M(phasegate.aistack.notice) takes.
  returned: success
  type: dict
live:
  description: The releases that are live, each once.
  returned: success
  type: list
  elements: str
"""
