#!/usr/bin/python
# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: releases
short_description: Stage, lend or prune the releases of several components of a host side by side
version_added: 0.1.0
author: phasegate contributors (@phasegate)
description:
  - Does what M(phasegate.aistack.release) does, for several components at the same time. Each is built, tested and kept, or laid
    down, by itself; one that fails leaves the others alone.
options:
  components:
    description:
      - The components; each with the options of M(phasegate.aistack.release), of which C(component) is needed, and, where it is to be
        staged, C(release) and C(repo).
    type: list
    elements: dict
    required: true
  shared:
    description: Options of M(phasegate.aistack.release) that all of them have; what a component says itself counts.
    type: dict
    default: {}
  at_once:
    description: How many are staged at the same time; V(1) stages one after the other.
    type: int
    default: 4
  build_for:
    description:
      - Where the host of the task builds for others (C(on) of C(aistack_artefacts)), by component, what they said in RV(results) under
        C(to_build), and whether older trees are removed afterwards (C(prune)). What is built is kept as an artefact.
    type: dict
    default: {}
  build_values:
    description:
      - By component C(schema) and C(values) of the variables that its build or tests ask for by name. They are in a file on the host for
        as long as the task takes.
    type: dict
    default: {}
  built_before:
    description: Whether what is not there was built just now, so that it has to be among the artefacts.
    type: bool
    default: false
extends_documentation_fragment:
  - phasegate.aistack.caller
  - phasegate.aistack.places
attributes:
  check_mode:
    support: full
    description: Says what would be staged; refuses what would be refused before anything is built.
  diff_mode:
    support: none
    description: What a release changes is not a text.
  platform:
    support: full
    platforms: posix
    description: Linux, and macOS with uv and npm.
notes:
  - This is an action plugin.
  - What is built at the same time is built as the same user, so that the build of one component could read or change that of another
    of the same release while both go on. Components of different trust want V(1).
seealso:
  - module: phasegate.aistack.release
"""

EXAMPLES = r"""
- name: Stage both, side by side
  phasegate.aistack.releases:
    components:
      - {component: backend, release: v4.1.0, repo: "https://git.example.com/app.git", path: backend, lock: requirements.lock}
      - {component: frontend, release: v4.1.0, repo: "https://git.example.com/app.git", path: frontend, kind: node}
    shared: {group: aistack}
    run: "{{ aistack_run }}"
"""

RETURN = r"""
results:
  description:
    - What came of each, in their order and in the form that M(phasegate.aistack.release) returns; C(component) is its name.
    - C(to_build) where another host has to build it first.
  returned: always
  type: list
  elements: dict
"""
