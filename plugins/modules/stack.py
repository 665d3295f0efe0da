# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: stack
short_description: Validate the description of a stack before anything is touched
version_added: 0.1.0
author: phasegate contributors (@phasegate)
description:
  - Reads the C(aistack_*) variables of the inventory and checks them against the tables that C(docs/reference.md) is printed from.
  - Unknown keys are reported with the nearest known one, and so are options that a component's role does not look for, and variables
    that begin with C(aistack_), or like those of a role that the stack uses, and that nothing reads. Cycles, phases that require a
    later one, unknown groups, ports that are given twice, and probes that make no sense are reported too, all at once.
  - Runs on the controller alone; no node is contacted.
  - Gives the run its identifier, which every record in the journals of the nodes carries.
  - With O(verb), extra variables (C(-e)) that the verb does not know are refused with the nearest name that it knows, and values
    that its parameters cannot have. What verbs know stands in C(meta/verbs.yml) of the collection. Variables of the inventory, of
    roles, and those that begin with C(ansible_), C(awx_), C(tower_) or an underscore are nobody's mistake; further ones
    are named in the variable C(aistack_extra_vars), a list.
  - With O(verb), hosts that the verb works on and that C(--limit) or an earlier failure leaves out of the run are a refusal, unless
    C(partial=true) says that this is meant; or a warning where the verb loses nothing by it.
options:
  verb:
    description: The verb that runs, by its name in C(meta/verbs.yml). Nothing of it is looked at where this is left out.
    type: str
    default: ''
  description:
    description: Validate the description of the stack. Without, only what O(verb) concerns is looked at, and the run gets no identifier.
    type: bool
    default: true
  level:
    description: The level of a rollback, which says whose hosts have to be there.
    type: str
    default: ''
  phase:
    description:
      The phase that is about to be opened. It has to exist. Without, the verb V(site) goes by
      all phases that C(--tags) and C(--skip-tags) leave, and refuses a tag that no phase is called.
    type: str
    default: ''
  application:
    description: The application that is about to be deployed. It has to exist.
    type: str
    default: ''
  release:
    description: The tag that the operator asked for. A name that can come to mean something else, or that no release can have, is refused.
    type: str
    default: ''
  accepted:
    description: Acceptance probes that passed in this run. They are remembered for its later phases, and nothing is validated.
    type: list
    elements: str
    default: []
  proven:
    description:
      - Components whose gates passed a moment ago. They are remembered with the time, so that later phases of the same run need
        not ask again within O(proof_seconds).
    type: list
    elements: str
    default: []
  changed:
    description: Something was changed since the gates of other components passed. Their proofs are forgotten.
    type: bool
    default: false
  proof_seconds:
    description: Seconds for which a gate that passed counts as passing now, as long as this run changes nothing.
    type: float
    default: 30
  only:
    description: Components that the operator named. Each has to exist.
    type: list
    elements: str
    default: []
  environments:
    description:
      - Check the values of C(aistack_env) of every released component as well, as its hosts see them, against their schema.
      - A login in there that a role of this stack manages has to hold the password that the role gives it.
      - Names are told, values of secrets never.
    type: bool
    default: false
extends_documentation_fragment:
  - phasegate.aistack.attributes.controller
"""

EXAMPLES = r"""
- name: Check the description of the stack
  phasegate.aistack.stack:
    verb: phase
    phase: phase1
  run_once: true
"""

RETURN = r"""
released:
  description:
    - With O(verb), the components that have a release, in the order of dependencies; those of O(application) where that is given.
    - Beside it C(order), all of them or those of O(only), C(migrated), those that have migrations, C(migrating), those of the first that
      have, and C(foundation), those without a release, in the order of the description.
    - The verbs V(deploy) and V(plan) are told C(phases), which contain one of them or stand on such a phase; the verbs V(site) and V(phase)
      are told C(chosen), those of the first that the phases of the run contain.
  returned: success, with O(verb)
  type: list
  elements: str
ansible_facts:
  description: Facts for the rest of the run.
  returned: success
  type: dict
  contains:
    aistack_accepted:
      description: Acceptance probes that passed in this run.
      type: list
      elements: str
    aistack_run:
      description: Identifier of this run, C(<UTC time>-<random>).
      type: str
      sample: 20261121T031500Z-9f3a1c
doubts:
  description:
    - By component, why its release could not be staged now. That is no matter where it is staged already, which nodes have to be asked.
    - V(site) and V(phase) look at what the inventory names, V(deploy), V(plan) and V(migrate) at the release that was named.
  returned: success, with O(verb); empty behind the first play of a run, which has looked
  type: dict
good:
  description: A line that says that the description is good, with the number of its components, hosts and phases.
  returned: success, with the verb V(check)
  type: str
left_out:
  description: Host to its components, for each host that O(verb) works on and that is not in this run.
  returned: where there are any
  type: dict
phases:
  description: The phases that C(--tags) and C(--skip-tags) leave, in their order.
  returned: success, with the verb V(site) and without O(phase)
  type: list
  elements: str
refused:
  description: The description of the stack cannot be used, or what was asked of it cannot be. The faults stand in C(msg), a line each.
  returned: where that is so
  type: bool
"""
