#!/usr/bin/python
# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: db_fingerprint
short_description: What a PostgreSQL database is at one moment, and what is not as before
version_added: 0.1.0
description:
  - Reads the schema with all its objects, the rows of every table, rows whose parent is missing although a foreign key wants one, and
    on demand a checksum of the contents of tables, all in one transaction that sees one state.
  - Compared with an earlier fingerprint, or with that of a backup set, it lists what differs, table by table.
  - Reads only.
author: phasegate contributors (@phasegate)
options:
  before:
    description: An earlier RV(fingerprint), to compare with.
    type: dict
  before_file:
    description: A file with one, such as C(postgres/<name>/database.json) of a backup set.
    type: path
  foreign_keys:
    description: Look for rows whose parent is missing.
    type: bool
    default: true
  checksums:
    description: Tables whose contents are hashed, as C(schema.table); V(all) hashes every table.
    type: list
    elements: str
    default: []
  budget:
    description: Seconds for all rows together. Tables and keys that are not reached are named, and never taken for the same.
    type: float
    default: 120
extends_documentation_fragment:
  - phasegate.aistack.postgres
  - phasegate.aistack.places
  - phasegate.aistack.attributes
attributes:
  check_mode:
    support: full
    description: Changes nothing in any mode.
  diff_mode:
    support: none
    description: What differs is in the result.
requirements:
  - psql on the node
seealso:
  - module: phasegate.aistack.pg_snapshot
  - module: phasegate.aistack.pg_restore
"""

EXAMPLES = r"""
- name: The database before the rollback
  phasegate.aistack.db_fingerprint:
    env_file: /opt/aistack/backend/slots/live/config/env
  register: before

- name: The database after it
  phasegate.aistack.db_fingerprint:
    env_file: /opt/aistack/backend/slots/live/config/env
    before: "{{ before.fingerprint }}"
  register: after

- name: No row of a table was lost
  ansible.builtin.assert:
    that: after.differences.same
    fail_msg: "{{ after.differences.schema + after.differences.rows }}"

- name: A database that was restored beside the live one, contents included
  phasegate.aistack.db_fingerprint:
    database: app__restore_20260131t120000z
    checksums: [all]
"""

RETURN = r"""
hash:
  description: SHA-256 of the schema. The same hash is the same tables, columns, keys, indexes, views, functions, and so on.
  returned: success
  type: str
objects:
  description: Number of objects in the schema.
  returned: success
  type: int
rows:
  description: Rows by table; null where they were not counted.
  returned: success
  type: dict
uncounted:
  description: Tables whose rows were not counted, for lack of time or rights.
  returned: success
  type: list
  elements: str
heads:
  description: Revisions that Alembic has noted.
  returned: success
  type: list
  elements: str
foreign_keys:
  description:
    - C(checked), a number; C(violations), each with C(constraint), C(table), C(parent), C(rows) (counted up to 1000) and C(more);
      C(not_valid), keys that were never checked by the server; C(unchecked), keys that were not checked now.
  returned: O(foreign_keys) is set
  type: dict
checksums:
  description: SHA-256 of the contents by table; null where they were not read.
  returned: success
  type: dict
fingerprint:
  description: All of it, to be given as O(before) later.
  returned: success
  type: dict
differences:
  description:
    - C(schema), C(rows) and C(contents), a line each; C(by_table) with C(before) and C(now); C(same), whether there are none.
    - C(rewritten) are definitions that mean the same and are written in another way, which a restore does.
  returned: an earlier fingerprint was given
  type: dict
seconds:
  description: How long it took.
  returned: success
  type: float
"""

import json
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.phasegate.aistack.plugins.module_utils.backup import database_request as pg_request
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts.base import PartError
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres import observe as db_fingerprint
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.psql import DatabaseError


def _before(params: dict[str, Any]) -> dict[str, object] | None:
    if not params["before_file"]:
        return dict(params["before"]) if params["before"] is not None else None
    document = json.loads(Path(params["before_file"]).read_text(encoding="utf-8"))
    if not isinstance(document, dict) or "objects" not in document:
        raise ValueError(f"{params['before_file']} is no fingerprint: expected an object with objects and rows")
    return document


def main() -> None:
    """Read arguments, call the core, report."""
    module = AnsibleModule(
        argument_spec={
            **pg_request.SPEC,
            "before": {"type": "dict"},
            "before_file": {"type": "path"},
            "foreign_keys": {"type": "bool", "default": True},
            "checksums": {"type": "list", "elements": "str", "default": []},
            "budget": {"type": "float", "default": 120},
        },
        mutually_exclusive=[("before", "before_file")],
        supports_check_mode=True,
    )
    params: dict[str, Any] = module.params
    try:
        address, variables, user = pg_request.any_of(params)
        result = db_fingerprint.take(
            address, variables, user, _before(params), params["foreign_keys"], params["checksums"], params["budget"]
        )
    except DatabaseError as problem:
        module.fail_json(msg=str(problem), code=problem.kind)
    except (PartError, LookupError, ValueError, OSError) as problem:
        module.fail_json(msg=f"The database could not be looked at: {problem}", code="input")
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
