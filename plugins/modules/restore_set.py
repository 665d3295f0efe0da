#!/usr/bin/python
# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: restore_set
short_description: Put a backup set back, or parts of it, after telling what that takes away
version_added: 0.1.0
description:
  - The set is read back whole first; one that cannot be verified, that was not signed with this node's key, or that is of another stack,
    is refused. Files are written only where today's description, or the node's own layout, has them.
  - Databases and tables are restored beside the live ones, proven, compared row by row, and swapped in by rename. Redis is stopped for a
    moment and gets other files by rename. Of a bucket, only objects that differ are touched. An environment comes back as the folder
    that its hash names.
  - What is replaced is kept and entered under C(<state_dir>/replaced), until M(phasegate.aistack.backup_set) prunes it.
  - A restore that was interrupted is finished by running it again.
author: phasegate contributors (@phasegate)
options:
  state:
    description:
      - V(planned) says what would be lost, and changes nothing that is live. For that, databases are restored beside the live ones, and
        stay there for V(restored).
      - V(restored) puts it back.
    type: str
    choices: [planned, restored]
    default: planned
  set:
    description: Name or path of the set, or of the dump that was made before a migration.
    type: str
    required: true
  what:
    description:
      - Parts to put back, each as kind or as C(kind:name), such as V(postgres), V(postgres:sales), V(redis), V(bucket:assets),
        V(sqlite), V(env), V(files:extra), V(files:credentials).
      - Databases, Redis, buckets, SQLite and environments if left out.
    type: list
    elements: str
    default: []
  tables:
    description: Only these tables, as C(schema.table), of the one database that O(what) names.
    type: list
    elements: str
    default: []
  confirm:
    description: The set's name, for O(state=restored). Anything else is refused.
    type: str
    default: ""
  wait:
    description: Seconds in which the sessions of a database may leave by themselves before it is swapped.
    type: float
    default: 10
  terminate:
    description: Whether sessions that are left then are ended. Otherwise they are a refusal.
    type: bool
    default: false
  accept_unsigned:
    description:
      - Names of sets that are put back although the key of this node (C(<state_dir>/backup.key)) did not sign them, such as sets of a
        version that signed none, and of another node with a key of its own. Any other is refused.
      - What such a set holds is written as root; accept only one of which you know where it comes from.
    type: list
    elements: str
    default: []
  lock_wait:
    description: Seconds to wait for another set that is being made, pruned or restored.
    type: int
    default: 60
extends_documentation_fragment:
  - phasegate.aistack.caller
  - phasegate.aistack.backup
  - phasegate.aistack.places
  - phasegate.aistack.backup.restore
attributes:
  check_mode:
    support: full
    description: Refuses what would be refused, and returns the plan. Nothing is restored beside, so the rows that a database would lose
      are not counted.
  diff_mode:
    support: none
    description: The plan says what differs.
  platform:
    support: full
    platforms: posix
    description: Linux with systemd.
notes:
  - Parts are put back one after the other, in the order of the set. Where one fails, RV(done) says which came back before it.
  - Redis with an append-only file has to be version 7 or newer.
  - Objects that come back into a bucket carry the metadata that they had, and file attributes that rclone adds.
seealso:
  - module: phasegate.aistack.backup_set
"""

EXAMPLES = r"""
- name: What would be lost?
  phasegate.aistack.restore_set:
    set: 20260131T120000Z-deploy
    what: ["postgres:sales", redis]
  register: plan

- name: Put it back
  phasegate.aistack.restore_set:
    state: restored
    set: 20260131T120000Z-deploy
    what: ["postgres:sales", redis]
    confirm: "{{ confirm }}"
    run: "{{ aistack_run }}"

- name: One table
  phasegate.aistack.restore_set:
    state: restored
    set: 20260131T120000Z-deploy
    what: ["postgres:sales"]
    tables: [public.orders]
    confirm: 20260131T120000Z-deploy
"""

RETURN = r"""
set:
  description: Name of the set.
  returned: success
  type: str
made:
  description: When it was made.
  returned: success
  type: str
age:
  description: Seconds since then.
  returned: success
  type: int
parts:
  description: What each part would take away, as C(part), C(lines) for people, C(counts) for programs, and C(change).
  returned: success
  type: list
  elements: dict
lines:
  description: All lines.
  returned: success
  type: list
  elements: str
prepared:
  description: Databases, or schemas with a table, that were restored beside the live ones for the plan.
  returned: success
  type: list
  elements: str
warnings_about_set:
  description: What is odd about the set, for example that another node made it.
  returned: success
  type: list
  elements: str
done:
  description: Part to what was done, with where that is which was replaced.
  returned: state is restored; after a failure, as far as it went
  type: dict
seconds:
  description: How long putting it back took.
  returned: state is restored, not in check mode
  type: float
plan:
  description: The plan.
  returned: failure, when it came after the plan
  type: dict
refused:
  description: Set where only a consent is missing.
  returned: failure, when a consent is missing
  type: bool
problems:
  description: Everything that is wrong.
  returned: failure, when there is a list
  type: list
  elements: str
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.phasegate.aistack.plugins.module_utils.backup import restore as restore_set
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.sets import BackupSetError
from ansible_collections.phasegate.aistack.plugins.module_utils.core import privileges
from ansible_collections.phasegate.aistack.plugins.module_utils.core.caller import CALLER
from ansible_collections.phasegate.aistack.plugins.module_utils.core.places import PLACES
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.lock import LeaseLost


@privileges.explained
def main() -> None:
    """Read arguments, call the core, report."""
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["planned", "restored"], "default": "planned"},
            "set": {"type": "str", "required": True},
            "what": {"type": "list", "elements": "str", "default": []},
            "tables": {"type": "list", "elements": "str", "default": []},
            "confirm": {"type": "str", "default": ""},
            "identity": {"type": "str", "no_log": True},
            "identity_file": {"type": "path"},
            "wait": {"type": "float", "default": 10},
            "terminate": {"type": "bool", "default": False},
            "min_free_bytes": {"type": "int", "default": 268435456},
            "timeout": {"type": "int"},
            "accept_unsigned": {"type": "list", "elements": "str", "default": []},
            "lock_wait": {"type": "int", "default": 60},
            **PLACES,
            **CALLER,
        },
        mutually_exclusive=[("identity", "identity_file")],
        supports_check_mode=True,
    )
    params: dict[str, Any] = module.params
    request = restore_set.Request(
        state_dir=Path(params["state_dir"]),
        name=params["set"],
        root=Path(params["root"]),
        what=params["what"],
        tables=params["tables"],
        identity=params["identity"] or "",
        identity_file=params["identity_file"] or "",
        terminate=params["terminate"],
        wait=params["wait"],
        min_free=params["min_free_bytes"],
        timeout=params["timeout"],
        lock_wait=params["lock_wait"],
        accept_unsigned=params["accept_unsigned"],
        run=params["run"],
        actor=params["actor"],
    )
    try:
        if params["state"] == "planned":
            result = restore_set.plan(request, module.check_mode)
            result["changed"] = bool(result["prepared"])
        else:
            result = restore_set.restore(request, params["confirm"], module.check_mode)
    except LeaseLost as lost:
        module.fail_json(msg=str(lost), lease=lost.lease)
    except BackupSetError as error:
        module.fail_json(msg=str(error), **error.extra)
    module.exit_json(**{("warnings_about_set" if key == "warnings" else key): value for key, value in result.items()})


if __name__ == "__main__":
    main()
