#!/usr/bin/python
# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pg_restore
short_description: Restore a PostgreSQL database or table beside the live one, compare, swap
version_added: 0.1.0
description:
  - A database of a set, or one table of it, is restored beside the live one and proven there. The live one goes on undisturbed.
  - The two are compared row by row, so that everybody knows what a swap would lose before it is done.
  - The swap renames both in one transaction. Nobody can write for a moment, well below a second as a rule. What was there is kept
    under another name until it is removed. An interrupted swap is undone by the server itself.
  - Owner, encoding, rights, settings and limits of the live database pass to the restored one.
  - M(phasegate.aistack.restore_set) puts a whole backup set back; this module is for one database alone.
author: phasegate contributors (@phasegate)
options:
  state:
    description:
      - V(read) tells what stands beside the live database.
      - V(restored) restores beside.
      - V(compared) tells what the swap would lose, bring back and undo.
      - V(swapped) puts what was restored in the place of the live one.
      - V(dropped) removes what was replaced.
    type: str
    choices: [read, restored, compared, swapped, dropped]
    default: read
  set:
    description: Folder of the set, for O(state=restored).
    type: path
  name:
    description: What the database is called in the set. Left out, there has to be only one.
    type: str
    default: ""
  table:
    description: Only this table, as C(schema.table) or, in C(public), C(table).
    type: str
    default: ""
  beside:
    description:
      - What is compared or swapped in. For a database its name, for a table its schema. The newest that was proven if left out.
      - A replaced database undoes an earlier swap.
    type: str
    default: ""
  wait:
    description: Seconds in which sessions may leave by themselves before the swap, while everything goes on.
    type: float
    default: 10
  terminate:
    description: Whether sessions that are left then are ended. Otherwise they are a refusal that names them.
    type: bool
    default: false
  grace:
    description: Seconds that a session that works is given before it is ended; idle ones are ended at once.
    type: float
    default: 0.5
  older_than:
    description: Only what was replaced more than this many seconds ago, for O(state=dropped).
    type: float
  keep:
    description: How many of the newest are kept, for O(state=dropped).
    type: int
    default: 0
  budget:
    description: Seconds for comparing; tables that are not reached are only counted.
    type: float
    default: 300
  jobs:
    description: Number of processes that restore.
    type: int
    default: 2
  timeout:
    description: Seconds for the restore.
    type: float
    default: 3600
  min_free_bytes:
    description: Bytes that have to stay free where the server keeps its data.
    type: int
    default: 268435456
extends_documentation_fragment:
  - phasegate.aistack.postgres
  - phasegate.aistack.places
  - phasegate.aistack.attributes
attributes:
  check_mode:
    support: full
    description: Refuses what would be refused, and says what would be done.
  diff_mode:
    support: none
    description: What differs is in the result of V(compared).
notes:
  - A table that is entangled with others in a way that a rename cannot keep (partitions, inheritance, policies, materialized views,
    functions of its type) is refused with the reason.
requirements:
  - psql, pg_dump and pg_restore on the node, not older than the server
  - A role on the server that may create databases for others, which is a superuser as a rule
seealso:
  - module: phasegate.aistack.pg_snapshot
  - module: phasegate.aistack.restore_set
"""

EXAMPLES = r"""
- name: Restore beside
  phasegate.aistack.pg_restore:
    state: restored
    set: /var/lib/aistack/backups/20260131T120000Z-deploy
    env_file: /opt/aistack/backend/slots/live/config/env

- name: What would be lost?
  phasegate.aistack.pg_restore:
    state: compared
    env_file: /opt/aistack/backend/slots/live/config/env
  register: price

- name: Show it
  ansible.builtin.debug:
    var: price.lines

- name: Swap
  phasegate.aistack.pg_restore:
    state: swapped
    env_file: /opt/aistack/backend/slots/live/config/env
    terminate: true

- name: What was replaced a week ago goes
  phasegate.aistack.pg_restore:
    state: dropped
    database: app
    older_than: 604800
    keep: 1
"""

RETURN = r"""
database:
  description: Name of the live database.
  returned: success
  type: str
table:
  description: The table.
  returned: one table was restored or swapped
  type: str
beside:
  description: Where it was restored; a database, or for a table a schema.
  returned: state is restored
  type: str
removed:
  description: What an interrupted restore had left.
  returned: state is restored
  type: list
  elements: str
rows:
  description: Rows that were restored and proven; by table, or of the one table.
  returned: state is restored
  type: raw
rewritten:
  description: Definitions that PostgreSQL writes in another way than before, and that mean the same.
  returned: state is restored, of a database
  type: list
  elements: str
seconds:
  description: C(check), C(restore), C(proof) and C(all) of a database; of a table, all.
  returned: state is restored
  type: raw
tables:
  description:
    - For each table C(table), C(live) and C(set) (rows), C(lost), C(returned), C(changed), C(exact), C(same), C(sample) (keys of some
      lost rows) and C(why).
  returned: state is compared
  type: list
  elements: dict
lines:
  description: The same for people, only of tables that differ.
  returned: state is compared
  type: list
  elements: str
lost:
  description: Rows that only the live one has, over all tables.
  returned: state is compared
  type: int
returned:
  description: Rows that only the set has.
  returned: state is compared
  type: int
changed_rows:
  description: Rows that both have and that are others in the set.
  returned: state is compared
  type: int
exact:
  description: Whether every difference was found out.
  returned: state is compared
  type: bool
same:
  description: Whether there is none.
  returned: state is compared
  type: bool
replaced:
  description: What the live one is called now. With O(state=read), what was replaced earlier.
  returned: state is swapped or read
  type: raw
refused_seconds:
  description: How long nobody could write.
  returned: state is swapped
  type: float
waited:
  description: Seconds that were waited for sessions to leave.
  returned: state is swapped, a database
  type: float
ended:
  description: Sessions that were ended.
  returned: state is swapped, a database
  type: list
  elements: dict
live:
  description: The live database with C(name), C(bytes), C(open), or null.
  returned: state is read
  type: dict
restored:
  description: What is restored beside it, oldest first; with O(state=swapped), what has its place now.
  returned: state is read or swapped
  type: raw
dropped:
  description: What was removed.
  returned: state is dropped
  type: list
  elements: str
freed:
  description: Bytes that are free now.
  returned: state is dropped, databases
  type: int
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.phasegate.aistack.plugins.module_utils.backup import catalog, database_request as pg_request
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.catalog import BackupSetError
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts.base import PartError
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres import (
    compare as pg_compare,
    restore as pg_restore,
    swap as pg_swap,
    table as pg_table,
)
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.admin import RestoreError, Server


def _restored(params: dict[str, Any], server: Server, name: str, check: bool) -> dict[str, object]:
    folder = Path(params["set"])
    manifest = catalog.load(folder)
    part = pg_request.part_of(manifest, params["name"])
    more = {"timeout": params["timeout"], "min_free": params["min_free_bytes"], "origin": folder.name, "check": check}
    if params["table"]:
        return pg_table.restore_table(server, name, params["table"], folder, part, manifest["files"], **more)
    return pg_restore.restore_beside(server, name, folder, part, manifest["files"], params["jobs"], **more)


def _compared(params: dict[str, Any], server: Server, name: str) -> dict[str, object]:
    if params["table"]:
        found = pg_table.compare_table(server, name, params["table"], params["beside"], params["budget"])
    else:
        found = pg_compare.compare(server, name, pg_swap.chosen(server, name, params["beside"]), (), params["budget"])
    return {**found, "changed": False, "changed_rows": found["changed"]}


def _answer(params: dict[str, Any], check: bool) -> dict[str, object]:
    server, name = pg_request.administrator(params)
    state, table = params["state"], params["table"]
    if state == "restored":
        return _restored(params, server, name, check)
    if state == "compared":
        return {"database": name, **_compared(params, server, name)}
    if state == "swapped":
        if table:
            return pg_table.swap_table(server, name, table, params["beside"], check=check)
        return pg_swap.swap(server, name, params["beside"], params["wait"], params["terminate"], params["grace"], check)
    if state == "dropped":
        which = {"older_than": params["older_than"], "keep": params["keep"], "check": check}
        dropped = pg_table.drop_tables(server, name, table, **which) if table else pg_swap.drop_beside(server, name, **which)
        return {"database": name, **dropped}
    return {"database": name, **pg_swap.overview(server, name), "changed": False}


def main() -> None:
    """Read arguments, call the core, report."""
    module = AnsibleModule(
        argument_spec={
            **pg_request.SPEC,
            "state": {"type": "str", "choices": ["read", "restored", "compared", "swapped", "dropped"], "default": "read"},
            "set": {"type": "path"},
            "name": {"type": "str", "default": ""},
            "table": {"type": "str", "default": ""},
            "beside": {"type": "str", "default": ""},
            "wait": {"type": "float", "default": 10},
            "terminate": {"type": "bool", "default": False},
            "grace": {"type": "float", "default": 0.5},
            "older_than": {"type": "float"},
            "keep": {"type": "int", "default": 0},
            "budget": {"type": "float", "default": 300},
            "jobs": {"type": "int", "default": 2},
            "timeout": {"type": "float", "default": 3600},
            "min_free_bytes": {"type": "int", "default": 268435456},
        },
        required_if=[("state", "restored", ["set"])],
        supports_check_mode=True,
    )
    try:
        result = _answer(module.params, module.check_mode)
    except RestoreError as problem:
        module.fail_json(msg=str(problem), code=problem.code, **problem.facts)
    except (BackupSetError, PartError) as problem:
        module.fail_json(msg=str(problem), code="set")
    except (LookupError, ValueError, OSError) as problem:
        module.fail_json(msg=f"Nothing was changed: {problem}", code="input")
    module.exit_json(**{"database": module.params["database"], **result})


if __name__ == "__main__":
    main()
