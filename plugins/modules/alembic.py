#!/usr/bin/python
# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: alembic
short_description: Migrate a database with a release's Alembic, within rules
version_added: 0.1.0
description:
  - In one call plans, applies the policy, makes a verified backup, takes an advisory lock, upgrades or downgrades within a budget of
    time, verifies revision and tables, and writes the journal. With nothing pending it only looks.
  - A statement never waits longer for a lock than O(lock_timeout), so that the running release does not queue up behind it; the
    migration is tried again with growing pauses while O(budget) lasts. Who stood in the way is named.
  - After a failure the database is as before, proven by a fingerprint of its schema. Where a script committed part-way, what differs
    is listed together with the command that restores the backup.
  - A run that was killed leaves nothing working on the server; the next one recognises it in the journal and goes on.
author: phasegate contributors (@phasegate)
options:
  state:
    description:
      - V(upgraded) goes up to O(target).
      - V(downgraded) goes down to O(target), which has to be named; it is run by the code of the newer release.
      - V(stamped) notes O(target) without running anything.
    type: str
    choices: [upgraded, downgraded, stamped]
    default: upgraded
  target:
    description:
      - A revision, a unique beginning of one, a branch label, V(head), V(heads) or V(base).
      - V(-1), V(-2) … go back by that many steps, with O(state=downgraded).
    type: str
    default: head
  budget:
    description: Seconds that all steps together may take, waiting for locks and new tries included.
    type: float
    default: 60
  lock_timeout:
    description: Seconds that a statement waits for a lock before it gives up for this try.
    type: float
    default: 2
  statement_timeout:
    description: Seconds that one statement may take; V(0) or more than O(budget) means O(budget).
    type: float
    default: 0
  lock_wait:
    description: Seconds to wait for another run that migrates the same database.
    type: float
    default: 90
  backup:
    description: Whether to dump the database to C(<state_dir>/backups) and verify the dump before anything runs.
    type: bool
    default: true
  backup_timeout:
    description: Seconds that the dump may take; C(timeout) of C(<state_dir>/backup.json) if left out, else an hour.
    type: float
  min_free_bytes:
    description: Bytes that have to stay free besides the size of the database.
    type: int
    default: 268435456
  accept_interrupted:
    description: Go on although an interrupted run left half a step behind; for a schema that was repaired by hand.
    type: bool
    default: false
extends_documentation_fragment:
  - phasegate.aistack.caller
  - phasegate.aistack.migration
  - phasegate.aistack.places
  - phasegate.aistack.attributes
attributes:
  check_mode:
    support: full
    description: Plans only, the SQL included; policy refuses as it would. On a node where nothing is known yet it says why.
  diff_mode:
    support: full
    description: Shows the revisions before and after and the SQL between.
requirements:
  - psql, pg_dump and pg_restore on the node, not older than the server
seealso:
  - module: phasegate.aistack.alembic_info
"""

EXAMPLES = r"""
- name: Bring the database to the release's head
  phasegate.aistack.alembic:
    component: backend
    release: v4.1.0
    env_file: /opt/aistack/backend/config/0f3a5c7e9b1d2f40/env
    tables: [workflows, workflow_nodes]
    run: "{{ aistack_run }}"

- name: One step back, by the code that knows it
  phasegate.aistack.alembic:
    state: downgraded
    component: backend
    release: v4.1.0
    target: 3f2a9c1b7d10
    env_file: /opt/aistack/backend/config/0f3a5c7e9b1d2f40/env
    accept_loss: [router_logs.language, router_visits]
"""

RETURN = r"""
plan:
  description: What was planned.
  returned: unless it failed before the plan was made
  type: dict
  contains:
    known:
      description: Whether anything could be known. False on a node without the release, its environment or a database; C(why) says which.
      type: bool
    why:
      description: Why nothing is known.
      type: str
    basis:
      description: How it was planned, where that was not on the node.
      returned: when it was planned on the controller
      type: str
    current:
      description: Revisions that the database is at.
      type: list
      elements: str
    heads:
      description: Heads of the release.
      type: list
      elements: str
    target:
      description: Revisions that it goes to.
      type: list
      elements: str
    up_to_date:
      description: Whether there is nothing to do.
      type: bool
    note:
      description: Says so where the database is ahead of the release by steps that only expand the schema, so that the release runs on it.
      type: str
    fresh:
      description: Whether the database is empty.
      type: bool
    pending:
      description:
        - Steps in the order in which they run, each with C(revision), C(down_revisions), C(doc), C(path), C(sha256), C(reversible),
          C(autocommit), C(phase), C(risk), C(sql), C(sql_error), C(statements), C(findings) and C(lint_run).
      type: list
      elements: dict
    losses:
      description:
        - What a downgrade takes away, each with C(name), C(kind) (C(table), C(column), C(rows), C(schema)), C(rows) (how many hold
          something there, none where that is not known), C(why) (why it is not known), C(revision) and C(text).
      type: list
      elements: dict
    verdict:
      description: C(allowed), C(refusals) (each with C(code), C(revision), C(reason), C(remedy)) and C(warnings).
      type: dict
    tables:
      description: Tables that are C(expected), C(present) and C(missing).
      type: dict
    database:
      description: Host, port, user and name; never the password.
      type: dict
    text:
      description: All of it as a page of text.
      type: str
from:
  description: Revisions before.
  returned: when the database was reached
  type: list
  elements: str
to:
  description: Revisions that it was to go to.
  returned: when the database was reached
  type: list
  elements: str
backup:
  description: C(path), C(dump), C(sha256), C(bytes), C(seconds), C(entries), C(tables) and C(made) of the backup.
  returned: when steps were to run
  type: dict
noted:
  description: What other hosts of the component write into their journals, so that they can go back as this one can.
  returned: when steps were run
  type: dict
attempts:
  description: Each try with C(outcome), C(seconds) and, after a failure, C(revision), C(message) and C(waited_for).
  returned: when steps were to run
  type: list
  elements: dict
waited_for:
  description: The lock that the migration last waited for and the sessions that held it.
  returned: when steps were to run
  type: list
  elements: dict
fingerprint:
  description: C(before) and C(after) (hash of the schema, rows per table), C(differences) of the schema and of C(rows).
  returned: when steps were run
  type: dict
database_state:
  description: Whether the database is V(unchanged), V(changed) or V(unknown).
  returned: failure while steps ran
  type: str
restore_command:
  description: Command for the controller that puts the backup back, after it has shown what that takes away.
  returned: failure that left changes
  type: str
resumed:
  description: The run whose interrupted migration was taken up.
  returned: when there was one
  type: str
code:
  description: Kind of the failure, for programs.
  returned: failure
  type: str
  sample: several_heads
output:
  description: Last lines that the release's code printed, without secrets.
  returned: failure while steps ran
  type: str
seconds:
  description: Wall time of all of it.
  returned: changed
  type: float
"""

import contextlib

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.phasegate.aistack.plugins.module_utils.core import privileges
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.lock import LeaseLost, keep_lease
from ansible_collections.phasegate.aistack.plugins.module_utils.migration import (
    migrate as alembic,
    plan as alembic_plan,
    request as alembic_request,
    seen as alembic_seen,
)


@privileges.explained
def main() -> None:
    """Read arguments, call the core, report."""
    module = AnsibleModule(
        argument_spec={
            **alembic_request.SPEC,
            "state": {"type": "str", "choices": ["upgraded", "downgraded", "stamped"], "default": "upgraded"},
            "target": {"type": "str", "default": "head"},
            "budget": {"type": "float", "default": 60},
            "lock_timeout": {"type": "float", "default": 2},
            "statement_timeout": {"type": "float", "default": 0},
            "lock_wait": {"type": "float", "default": 90},
            "backup": {"type": "bool", "default": True},
            "backup_timeout": {"type": "float"},
            "min_free_bytes": {"type": "int", "default": 268435456},
            "accept_interrupted": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    request = alembic_request.of(module.params)
    if request.state == "downgraded" and request.target in ("head", "heads"):
        module.fail_json(msg="state: downgraded needs a target: the revision to go back to, or base.", code="no_target")
    # a run that takes over from a dead controller waits for this process: it may still be migrating
    lease = contextlib.nullcontext() if module.check_mode else keep_lease(
        module.params["state_dir"], module.params["run"], f"migrate {module.params['component']}")
    try:
        with lease:
            result = alembic.migrate(request, check=module.check_mode)
    except LeaseLost as lost:
        module.fail_json(msg=str(lost), code="lock_lost", lease=lost.lease)
    except alembic_plan.MigrationError as problem:
        module.fail_json(msg=str(problem), code=problem.code, **alembic_request.brief(problem.facts))
    if module.check_mode and not result.get("plan", {}).get("known", True):
        result["seen"] = alembic_seen.observe(request)  # for the controller, which can plan without the release being here
    module.exit_json(**result)


if __name__ == "__main__":
    main()
