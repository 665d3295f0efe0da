#!/usr/bin/python
# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: awx_plan
short_description: What AWX is to have of a stack
version_added: 0.1.0
author: phasegate contributors (@phasegate)
description:
  - Makes a job template with its survey of each verb in C(meta/verbs.yml), and a workflow of several; asks the application's repository for
    its tags, which are the choices of C(release).
  - Of what AWX has, it says what was made for this stack before and is wanted no more. An object of somebody else's that has a name
    which is needed is a refusal.
  - Nothing is changed; the role P(phasegate.aistack.awx#role) hands what comes to the modules of C(awx.awx).
options:
  stack:
    description: Name of the stack; everything is called after it.
    type: str
    required: true
  organization:
    description: Name of the organization.
    type: str
    required: true
  found:
    description: What AWX has, kind (as its API calls it) to objects with C(id), C(name) and C(description).
    type: dict
    default: {}
  names:
    description: Kind to the names that the role gives besides those of templates, workflow and notifications.
    type: dict
    default: {}
  verbs:
    description: Verbs that become job templates; all that can be a job if left out.
    type: list
    elements: str
    default: []
  releases:
    description: Tags to choose from. Without any, O(repo) is asked.
    type: list
    elements: str
    default: []
  repo:
    description: The application's repository, as the controller reaches it. Without it and without O(releases), a release is typed.
    type: str
    default: ""
  shown:
    description: At most so many tags, the newest.
    type: int
    default: 20
  playbooks:
    description: Folder of the project that has a playbook for each verb.
    type: str
    default: ""
  documents:
    description: Folder in the container of a job that outlives it; what verbs write goes there.
    type: str
    default: ""
  extra_vars:
    description: Extra variables of every job template.
    type: dict
    default: {}
  approval_timeout:
    description: Seconds after which a deployment that nobody approved is given up; V(0) is never.
    type: int
    default: 0
  notifications:
    description: Entries with C(name), C(type), C(configuration) and C(on).
    type: list
    elements: dict
    default: []
extends_documentation_fragment:
  - phasegate.aistack.attributes.controller
attributes:
  check_mode:
    support: full
    description: Nothing is changed in any case.
"""

EXAMPLES = r"""
- name: What AWX is to have
  phasegate.aistack.awx_plan:
    stack: shop
    organization: shop
    repo: https://git.example.com/shop.git
  register: wanted
"""

RETURN = r"""
templates:
  description: Job templates, as arguments of C(awx.awx.job_template), each with its C(verb).
  returned: success
  type: list
  elements: dict
workflow:
  description:
    - Name, description, survey and nodes; empty where a verb of it is left out.
    - Without nodes where AWX has them already; C(redrawn) says that it has others.
  returned: success
  type: dict
notifications:
  description: Notification templates, each with its events.
  returned: success
  type: list
  elements: dict
files:
  description: File name to content of the playbooks that the project needs.
  returned: success
  type: dict
operates:
  description: Names of the job templates that an operator may run.
  returned: success
  type: list
  elements: str
missing:
  description: What AWX does not have yet, one line each.
  returned: success
  type: list
  elements: str
stale:
  description: What was made for this stack before and is wanted no more, with C(kind), C(id) and C(name).
  returned: success
  type: list
  elements: dict
own:
  description: Everything that was made for this stack, in the order in which it can go.
  returned: success
  type: list
  elements: dict
left:
  description: What is in the organization besides, one line each.
  returned: success
  type: list
  elements: str
"""
