# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: stack_init
short_description: The first inventory of an application, from what its repository shows
version_added: 0.1.0
author: phasegate contributors (@phasegate)
description:
  - Looks into the tree of a tag, and writes an inventory for one node that passes the check of M(phasegate.aistack.stack).
  - It finds FastAPI, Starlette, Flask, Django, Celery with its schedule, Next.js, Alembic, lock files, and the variables that an example
    of an environment (C(.env.example)), pydantic's settings classes and code (C(os.environ), C(os.getenv), C(config) of decouple and
    Starlette) name. Applications may be made by a function of the repository. Nothing of the application is run.
  - What only its people can know is marked C(TODO), in one sentence. Secrets are made on first use, outside of git; no file holds one.
  - A file that is there is never written over.
  - What is not said and needed is asked for on a terminal, and refused without one.
options:
  stack:
    description: Name of the stack; users, databases and folders are called so.
    type: str
    default: ""
  repo:
    description: The application's repository, an address or a folder on the controller.
    type: str
    default: ""
  release:
    description: The tag to look into; the newest if left out.
    type: str
    default: ""
  dest:
    description: The folder of the inventory; V(inventory) if left out.
    type: str
    default: ""
  address:
    description: The node's address. A TODO if left out.
    type: str
    default: ""
  user:
    description: Who logs in there and may become root. A TODO if left out.
    type: str
    default: ""
  app:
    description: The web application as C(module:object), where it is not found, or another one is.
    type: str
    default: ""
  image:
    description:
      - Whether the application is released as an image, built by its Dockerfile and run in containers.
      - Without a word it is where it has a Dockerfile and no lock file that it could be released by.
    type: str
    choices: ["", "true", "false"]
    default: ""
extends_documentation_fragment:
  - phasegate.aistack.attributes.controller
attributes:
  check_mode:
    support: full
    description: Writes nothing, and says what it would write.
"""

EXAMPLES = r"""
- name: Describe the shop
  phasegate.aistack.stack_init:
    stack: shop
    repo: https://git.example.com/shop.git
    address: 192.0.2.10
    user: ops
"""

RETURN = r"""
files:
  description: The files, below the folder of the inventory.
  returned: success
  type: list
  elements: str
todo:
  description: What is left to do, each with its file.
  returned: success
  type: list
  elements: str
release:
  description: The tag that was looked into.
  returned: success
  type: str
page:
  description: What was found, what was written and what is left to do.
  returned: success
  type: str
"""
