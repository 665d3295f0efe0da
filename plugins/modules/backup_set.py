#!/usr/bin/python
# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_set
short_description: Save everything that a deployment could damage, together and proven; verify, list and prune such sets
version_added: 0.1.0
description:
  - A set holds what C(<state_dir>/backup.json) describes (databases, Redis, buckets, SQLite, files), and always the environments that
    the slots point at, the node's credentials and state, and the manifests of what is live.
  - Its parts are saved side by side and read back. Only then is the set named. A set that does not fit, or of which any part cannot be
    saved or read back, is an error and leaves nothing behind.
  - Role P(phasegate.aistack.backup#role) writes the description.
author: phasegate contributors (@phasegate)
options:
  state:
    description:
      - V(made) makes a set.
      - V(verified) reads a set back, every checksum and every part, and fails where it cannot be used.
      - V(pruned) removes the sets that are older than the description keeps them; never the newest verified one, nor one that the
        journal names with a migration or an activation of a release that is live, previous good or still staged. What restores
        replaced, and what they restored beside a database and never swapped in, goes after the same number of days, unless somebody
        works on it.
      - V(listed) returns the sets that are there.
      - V(copied) copies the newest verified set to where C(copy) of the description says, and removes copies that are as old as sets are
        kept.
      - V(fetched) brings O(set) back from there, and reads it back.
    type: str
    choices: [made, verified, pruned, listed, copied, fetched]
    default: made
  reason:
    description: Why a set is made; becomes part of its name.
    type: str
    default: manual
  stamp:
    description: The time in its name, as C(yyyymmddThhmmssZ), so that the sets of several nodes are called alike. Now if left out.
    type: str
    default: ""
  set:
    description: Name or path of the set for O(state=verified), where V(newest) is the newest that counts as verified; its name for
      O(state=fetched).
    type: str
    default: newest
  node:
    description: For O(state=fetched), the name of the node whose set it is; this one if left out.
    type: str
    default: ""
  required:
    description: Whether it is an error that this node has no description. V(false) makes no set there and says so.
    type: bool
    default: true
  min_free_bytes:
    description: Bytes that have to stay free besides; those of the description, or 268435456, if left out.
    type: int
  wait:
    description: Seconds to wait for another set that is being made, pruned or restored.
    type: int
    default: 300
extends_documentation_fragment:
  - phasegate.aistack.caller
  - phasegate.aistack.backup
  - phasegate.aistack.places
attributes:
  check_mode:
    support: full
    description: For O(state=made), looks at everything that is to be saved and at the disk, and says what the set would be.
  diff_mode:
    support: none
    description: There is nothing to compare.
  platform:
    support: full
    platforms: posix
    description: Linux. Needs the programs of what is saved, C(pg_dump), C(redis-check-rdb), C(rclone), and C(age) where it is encrypted.
notes:
  - A bucket has no snapshot. Objects that are written while it is copied are taken as they were at some moment in between, and counted.
    Objects that did not change are hard links to the set before.
seealso:
  - module: phasegate.aistack.restore_set
"""

EXAMPLES = r"""
- name: Save everything before the release is activated
  phasegate.aistack.backup_set:
    reason: deploy
    run: "{{ aistack_run }}"

- name: Can the newest set still be used?
  phasegate.aistack.backup_set:
    state: verified

- name: Remove what nobody needs
  phasegate.aistack.backup_set:
    state: pruned
"""

RETURN = r"""
name:
  description: Name of the set.
  returned: state is made, verified, copied or fetched, when there is one
  type: str
  sample: 20260131T120000Z-deploy
path:
  description: Its folder.
  returned: state is made or verified, when there is one
  type: str
verdict:
  description: V(verified), or why it cannot be used.
  returned: state is made or verified, when there is one
  type: str
bytes:
  description: Bytes of all its files.
  returned: state is made, not in check mode
  type: int
seconds:
  description: How long it took.
  returned: state is made or verified
  type: float
parts:
  description: Its parts with C(kind), C(name), C(bytes), C(seconds) and C(facts). In check mode, the bytes that each may take.
  returned: state is made
  type: raw
needed:
  description: Bytes that have to be free.
  returned: state is made, in check mode or where they are not
  type: int
free:
  description: Bytes that are free.
  returned: state is made, in check mode or where they are too few
  type: int
left_out:
  description: What is described and left out, because nothing of it is on this node yet.
  returned: state is made
  type: list
  elements: str
problems:
  description: Everything that is wrong.
  returned: failure
  type: list
  elements: str
removed:
  description: Sets that were removed, or would be in check mode; of copies, those that were.
  returned: state is pruned or copied
  type: list
  elements: str
kept:
  description: Sets that stay, and why.
  returned: state is pruned
  type: dict
replaced:
  description: What restores replaced, and was removed or would be.
  returned: state is pruned
  type: list
  elements: str
beside:
  description:
    - >-
      What was removed, or would be, on the servers of the described databases, such as C(database <name>__restore_<stamp>) or
      C(table <database>: <schema>.<name>__replaced_<stamp>).
  returned: state is pruned
  type: list
  elements: str
beside_kept:
  description: What is as old and stays there, and why; each is a warning as well.
  returned: state is pruned
  type: dict
place:
  description: Where the copies of the node's sets are, as rclone names it.
  returned: state is copied or fetched
  type: str
sets:
  description: What is there, newest first, with C(name), C(path), C(made), C(reason), C(bytes), C(parts), C(verdict), C(checked), ….
  returned: state is listed
  type: list
  elements: dict
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.phasegate.aistack.plugins.module_utils.backup import (
    copies as backup_copy,
    prune as restore_prune,
    sets as backup_set,
)
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts import registry as backup_jobs
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.sets import BackupSetError
from ansible_collections.phasegate.aistack.plugins.module_utils.core import privileges
from ansible_collections.phasegate.aistack.plugins.module_utils.core.caller import CALLER
from ansible_collections.phasegate.aistack.plugins.module_utils.core.places import PLACES
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.lock import LeaseLost

ARGUMENTS: dict[str, Any] = {
    "state": {"type": "str", "choices": ["made", "verified", "pruned", "listed", "copied", "fetched"], "default": "made"},
    "reason": {"type": "str", "default": "manual"},
    "stamp": {"type": "str", "default": ""},
    "set": {"type": "str", "default": "newest"},
    "node": {"type": "str", "default": ""},
    "required": {"type": "bool", "default": True},
    "min_free_bytes": {"type": "int"},
    "timeout": {"type": "int"},
    "wait": {"type": "int", "default": 300},
    **PLACES,
    **CALLER,
}


def _made(request: backup_set.Request, check: bool) -> dict[str, object]:
    made = backup_set.make(request, check)
    if check:
        return {**made, "changed": True, "msg": f"would make {made['name']}"}
    manifest = made["manifest"]
    return {
        "changed": True,
        "verdict": manifest["verdict"],
        "parts": manifest["parts"],
        **{key: made[key] for key in ("name", "path", "bytes", "seconds", "left_out")},
    }


def _verified(state_dir: Path, name: str, check: bool) -> dict[str, object]:
    if name == "newest":
        newest = backup_set.newest_verified(state_dir)
        if newest is None:
            raise BackupSetError(f"There is no set in {backup_set.folder_of(state_dir)} that counts as verified. Make one: backup.yml.")
        name = newest["name"]
    seen = backup_set.verify(state_dir, name, note=not check)
    if seen["problems"]:
        raise BackupSetError(
            f"The set {seen['path']} cannot be used: {'; '.join(seen['problems'][:5])}. Take another set, and make a new one.",
            **{key: seen[key] for key in ("name", "path", "problems", "verdict", "seconds")},
        )
    return {"changed": False, **{key: seen[key] for key in ("name", "path", "verdict", "seconds")}}


@privileges.explained
def main() -> None:
    """Read arguments, call the core, report."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    params: dict[str, Any] = module.params
    check: bool = module.check_mode
    state_dir = Path(params["state_dir"])
    request = backup_set.Request(
        state_dir=state_dir,
        reason=params["reason"],
        root=Path(params["root"]),
        run=params["run"],
        actor=params["actor"],
        stamp=params["stamp"],
        min_free=params["min_free_bytes"],
        timeout=params["timeout"],
        wait=params["wait"],
    )
    description = state_dir / backup_jobs.DESCRIPTION
    if not params["required"] and params["state"] in ("made", "pruned") and not description.exists():
        module.exit_json(changed=False, left_out=[], msg=f"nobody said what this node has to save: there is no {description}")
    try:
        if params["state"] == "made":
            result = _made(request, check)
        elif params["state"] == "verified":
            result = _verified(state_dir, params["set"], check)
        elif params["state"] == "pruned":
            gone = {**backup_set.pruned(request, check), **restore_prune.prune(request, check)}
            for name, why in gone["beside_kept"].items():
                module.warn(f"{name} stays, although it is old: {why}")
            result = {"changed": bool(gone["removed"] or gone["replaced"] or gone["beside"]), **gone}
        elif params["state"] == "copied":
            result = backup_copy.copy(request, check)
        elif params["state"] == "fetched":
            result = backup_copy.fetch(request, params["set"], params["node"], check)
        else:
            result = {"changed": False, "sets": backup_set.listed(state_dir)}
    except LeaseLost as lost:
        module.fail_json(msg=str(lost), lease=lost.lease)
    except BackupSetError as error:
        module.fail_json(msg=str(error), **error.extra)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
