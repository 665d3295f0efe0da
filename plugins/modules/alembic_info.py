#!/usr/bin/python
# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: alembic_info
short_description: Show what a release would do to its database
version_added: 0.1.0
description:
  - Reads the revision graph of a staged release with the release's own Alembic, compares it with the database, and returns the
    steps that would run with their SQL, their locks in plain words, lint findings, whether they can be reversed, and the verdict
    of the policy.
  - Reads only. Where nothing can be known yet it says why instead of failing.
author: phasegate contributors (@phasegate)
options:
  direction:
    description: Which way the plan leads.
    type: str
    choices: [upgrade, downgrade]
    default: upgrade
  target:
    description: Where to; V(head) is the newest revision, V(base) an empty database, V(-1) one step back.
    type: str
    default: head
  scratch:
    description:
      - A release to plan from that is not on the node, as the controller brings it. Its tree and an environment lie in
        C(<root>/cache/plan) while the plan is made; its code gets made-up values, as O(scratch.build_user).
    type: dict
    suboptions:
      archive:
        description: The tag's tree, packed.
        type: path
      archive_sha256:
        description: SHA-256 of O(scratch.archive).
        type: str
      commit:
        description: The tag's commit.
        type: str
        default: ""
      kind:
        description: What the release is; V(image) is made by O(scratch.image), and its migrations are read in it.
        type: str
        choices: [python, image]
        default: python
      image:
        description: How the image is made, as the component's description says.
        type: dict
        default: {}
      seen:
        description: Where the database stands, as this module said.
        type: dict
        default: {}
      schema:
        description: Schema of the component's environment.
        type: list
        elements: dict
        default: []
      lock:
        description: The release's lock file, relative to the component's folder in its tree.
        type: str
      inner:
        description: The component's folder in the tree, where that holds more of the repository.
        type: str
        default: ""
      requires_python:
        description: The Pythons that the release says it runs on.
        type: str
        default: ""
      python:
        description: Interpreter that the environment is made with.
        type: str
        default: python3
      tools:
        description: Folder with uv; C(<root>/tools/bin) if left out.
        type: path
      build_user:
        description: User who installs the packages and reads the release's code.
        type: str
        default: aistack-build
      sdists:
        description: Packages that may be built, or V(true) for all.
        type: raw
        default: false
      environment:
        description: Variables for installing.
        type: dict
        default: {}
      secret_environment:
        description: Variables for installing that are secret.
        type: dict
        default: {}
      timeout:
        description: Seconds that installing may take.
        type: float
        default: 900
      min_free_bytes:
        description: Bytes that have to stay free.
        type: int
        default: 536870912
extends_documentation_fragment:
  - phasegate.aistack.caller
  - phasegate.aistack.migration
  - phasegate.aistack.places
  - phasegate.aistack.attributes
attributes:
  check_mode:
    support: full
    description: Changes nothing in any mode.
  diff_mode:
    support: none
    description: There is nothing to compare; the plan is in the result.
requirements:
  - psql on the node
seealso:
  - module: phasegate.aistack.alembic
"""

EXAMPLES = r"""
- name: What would the next release do to the database
  phasegate.aistack.alembic_info:
    component: backend
    release: v4.1.0
    env_file: /opt/aistack/backend/config/0f3a5c7e9b1d2f40/env
  register: migration

- name: Show it
  ansible.builtin.debug:
    msg: "{{ migration.text.splitlines() }}"
"""

RETURN = r"""
known:
  description: Whether anything could be known. False on a node without the release, its environment or a database; C(why) says which.
  returned: success
  type: bool
why:
  description: Why nothing is known.
  returned: success
  type: str
basis:
  description: How it was planned, where that was not on the node.
  returned: when it was planned on the controller
  type: str
current:
  description: Revisions that the database is at.
  returned: success
  type: list
  elements: str
heads:
  description: Heads of the release.
  returned: success
  type: list
  elements: str
target:
  description: Revisions that it goes to.
  returned: success
  type: list
  elements: str
up_to_date:
  description: Whether there is nothing to do.
  returned: success
  type: bool
note:
  description: Says so where the database is ahead of the release by steps that only expand the schema, so that the release runs on it.
  returned: success
  type: str
fresh:
  description: Whether the database is empty.
  returned: success
  type: bool
pending:
  description:
    - Steps in the order in which they run, each with C(revision), C(down_revisions), C(doc), C(path), C(sha256), C(reversible),
      C(autocommit), C(phase), C(risk), C(sql), C(sql_error), C(statements), C(findings) and C(lint_run).
  returned: success
  type: list
  elements: dict
losses:
  description:
    - What a downgrade takes away, each with C(name), C(kind) (C(table), C(column), C(rows), C(schema)), C(rows) (how many hold
      something there, none where that is not known), C(why) (why it is not known), C(revision) and C(text).
  returned: success
  type: list
  elements: dict
verdict:
  description: C(allowed), C(refusals) (each with C(code), C(revision), C(reason), C(remedy)) and C(warnings).
  returned: success
  type: dict
tables:
  description: Tables that are C(expected), C(present) and C(missing).
  returned: success
  type: dict
database:
  description: Host, port, user and name; never the password.
  returned: success
  type: dict
text:
  description: All of it as a page of text.
  returned: success
  type: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.phasegate.aistack.plugins.module_utils.migration import (
    offline_plan,
    plan as alembic_plan,
    request as alembic_request,
    scratch_plan,
    seen as alembic_seen,
)


def main() -> None:
    """Read arguments, call the core, report."""
    module = AnsibleModule(
        argument_spec={
            **alembic_request.SPEC,
            "direction": {"type": "str", "choices": ["upgrade", "downgrade"], "default": "upgrade"},
            "target": {"type": "str", "default": "head"},
            "scratch": {"type": "dict", "options": scratch_plan.SPEC},
        },
        supports_check_mode=True,
    )
    params: dict[str, Any] = dict(module.params)
    direction = params.pop("direction")
    request = alembic_request.of({**params, "state": "downgraded" if direction == "downgrade" else "upgraded"})
    try:
        if params["scratch"]:
            try:
                plan = scratch_plan.document(request, params["scratch"])
            except offline_plan.Unavailable as problem:
                plan = alembic_plan.unknown(request, str(problem))
            module.exit_json(changed=False, **plan)
        plan = alembic_plan.inspect(request)
    except alembic_plan.MigrationError as problem:
        module.fail_json(msg=str(problem), code=problem.code, **alembic_request.brief(problem.facts))
    if not plan["known"]:
        plan["seen"] = alembic_seen.observe(request)  # for the controller, which can plan without the release being here
    module.exit_json(changed=False, **plan)


if __name__ == "__main__":
    main()
