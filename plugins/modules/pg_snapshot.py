#!/usr/bin/python
# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pg_snapshot
short_description: Dump one PostgreSQL database into a set of its own, or read such a set back
version_added: 0.1.0
description:
  - Several processes dump the database in directory format while every table is counted and the schema's fingerprint is taken from
    the very snapshot that the dump is made from, so that a restore can be proven row by row.
  - The set has a manifest with the SHA-256 of every file. It gets its name when it is whole; what fails leaves nothing.
  - M(phasegate.aistack.backup_set) saves all that a deployment could damage, databases included; this module is for one alone.
author: phasegate contributors (@phasegate)
options:
  state:
    description:
      - V(saved) makes the set, unless it is there and whole.
      - V(verified) reads it back.
    type: str
    choices: [saved, verified]
    default: saved
  set:
    description: Folder of the set. Its name is that of the set.
    type: path
    required: true
  name:
    description: What the database is called in the set.
    type: str
    default: database
  jobs:
    description: Number of processes that dump.
    type: int
    default: 2
  timeout:
    description: Seconds for the dump.
    type: float
    default: 3600
  min_free_bytes:
    description: Bytes that have to stay free beside the set.
    type: int
    default: 268435456
extends_documentation_fragment:
  - phasegate.aistack.postgres
  - phasegate.aistack.places
  - phasegate.aistack.attributes
attributes:
  check_mode:
    support: full
    description: Connects, and looks whether there is room.
  diff_mode:
    support: none
    description: There is nothing to compare.
requirements:
  - psql, pg_dump and pg_restore on the node, not older than the server
seealso:
  - module: phasegate.aistack.pg_restore
  - module: phasegate.aistack.backup_set
"""

EXAMPLES = r"""
- name: The database before something daring
  phasegate.aistack.pg_snapshot:
    set: /var/lib/aistack/backups/20260131T120000Z-daring
    env_file: /opt/aistack/backend/slots/live/config/env

- name: Can it still be used?
  phasegate.aistack.pg_snapshot:
    state: verified
    set: /var/lib/aistack/backups/20260131T120000Z-daring
    env_file: /opt/aistack/backend/slots/live/config/env
"""

RETURN = r"""
set:
  description: Folder of the set.
  returned: success
  type: str
part:
  description:
    - C(kind), C(name), C(path), C(bytes), C(seconds) and C(facts) with C(rows) by table, C(hash) of the schema, C(heads) of Alembic,
      C(size) of the database, C(tool), C(server).
  returned: there is a set
  type: dict
space:
  description: C(free) bytes, and C(wanted) ones that the dump takes at most.
  returned: check mode, and the set is to be made
  type: dict
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.phasegate.aistack.plugins.module_utils.backup import catalog, database_request as pg_request
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.catalog import BackupSetError
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts.base import PartError
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres import snapshot as pg_snapshot
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.dump import BackupError
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.psql import DatabaseError, Psql


def _verified(params: dict[str, Any], where: Path) -> dict[str, object]:
    manifest = catalog.load(where)
    part = pg_request.part_of(manifest, params["name"])
    problems = pg_snapshot.verify(where, part, manifest["files"], params["jobs"])
    if problems:
        raise BackupError(f"The set {where} cannot be used: {' '.join(problems)} Make another one.")
    return {"changed": False, "set": str(where), "part": part}


def _saved(params: dict[str, Any], where: Path, check: bool) -> dict[str, object]:
    if where.exists():
        return _verified(params, where)
    address, variables, user = pg_request.any_of(params)
    if check:
        with Psql(address, variables, user) as psql:
            return {"changed": True, "set": str(where), "space": pg_snapshot.space(psql, where, params["min_free_bytes"])}
    part = pg_snapshot.alone(
        where, params["name"], address, variables, user, params["jobs"], params["timeout"], params["min_free_bytes"]
    )
    return {"changed": True, "set": str(where), "part": part}


def main() -> None:
    """Read arguments, call the core, report."""
    module = AnsibleModule(
        argument_spec={
            **pg_request.SPEC,
            "state": {"type": "str", "choices": ["saved", "verified"], "default": "saved"},
            "set": {"type": "path", "required": True},
            "name": {"type": "str", "default": "database"},
            "jobs": {"type": "int", "default": 2},
            "timeout": {"type": "float", "default": 3600},
            "min_free_bytes": {"type": "int", "default": 268435456},
        },
        supports_check_mode=True,
    )
    params: dict[str, Any] = module.params
    where = Path(params["set"])
    try:
        result = _verified(params, where) if params["state"] == "verified" else _saved(params, where, module.check_mode)
    except (BackupError, BackupSetError, PartError, DatabaseError) as problem:
        module.fail_json(msg=str(problem))
    except (LookupError, ValueError, OSError) as problem:
        module.fail_json(msg=f"The database could not be saved: {problem}")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
