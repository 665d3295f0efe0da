#!/usr/bin/python
# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: drill
short_description: Rehearse going back from a release on a copy of its database, and measure it
version_added: 0.1.0
description:
  - Restores the database of a backup set beside the live one, brings it to the schema of the older release, takes it up to that of the
    newer one and back again by the code of the newer release, and compares what it was before with what it is afterwards.
  - The copy is named like the database with C(__drill) behind it, and is removed whatever happens; what a drill that was killed left
    is removed by the next one.
  - The live database is not touched. The code of the releases gets an environment in which the copy has the place of the live database,
    and a connection of it that leads elsewhere is refused.
  - What was found is written beside the newer release's tree, into the journal, and into plans that take the schema back.
  - The code of a release that is an image runs in a container of that image, as in a migration. An older release that brought no
    migrations is not asked; the way back to it ends where no revision is.
  - Nobody waits for a drill. It does not begin while another run holds this node's lock or a migration is under way, and gives way at its
    next step where one has begun since.
author: phasegate contributors (@phasegate)
options:
  component:
    description: Name of the component whose database and releases are meant.
    type: str
    required: true
  from:
    description: The newer release, whose code goes up and down. What is live if left out.
    type: str
    default: ""
  to:
    description:
      - The release to go back to. The previous good one if left out; what is live where O(from) is another release.
    type: str
    default: ""
  set:
    description: Name or path of the backup set; the newest verified one of this node if left out. It is read back whole first.
    type: str
    default: ""
  accept_unsigned:
    description:
      - Names of sets that are drilled with although the key of this node (C(<state_dir>/backup.key)) did not sign them.
        Any other is refused, because what a dump holds is run on the server that serves.
    type: list
    elements: str
    default: []
  user:
    description: System user that runs the releases' code; that of the component if left out.
    type: str
  ini:
    description: Alembic's configuration, from the release's tree or its image's folder; see M(phasegate.aistack.alembic).
    type: str
    default: alembic.ini
  x:
    description: What C(env.py) gets from C(context.get_x_argument()); see M(phasegate.aistack.alembic).
    type: dict
    default: {}
  url_variable:
    description: Variable of the environment that holds the database's address.
    type: str
    default: DATABASE_URL
  tables:
    description: Tables that have to be there at the newer release.
    type: list
    elements: str
    default: []
  budget:
    description: Seconds for the migrations up, and again for those down.
    type: float
    default: 60
  lock_timeout:
    description: Seconds that a statement waits for a lock.
    type: float
    default: 2
  statement_timeout:
    description: Seconds that one statement may take; V(0) is the budget.
    type: float
    default: 0
  timeout:
    description: Seconds for the restore.
    type: int
    default: 3600
  look_timeout:
    description: Seconds for reading the whole copy once, which is done up to four times.
    type: float
    default: 600
extends_documentation_fragment:
  - phasegate.aistack.caller
  - phasegate.aistack.backup
  - phasegate.aistack.places
  - phasegate.aistack.backup.restore
attributes:
  check_mode:
    support: full
    description: Refuses what would be refused, and says what would be restored. Nothing is restored.
  diff_mode:
    support: none
    description: Nothing that serves changes.
  platform:
    support: full
    platforms: posix
    description: Linux and macOS.
notes:
  - The copy needs as much room as the database.
  - The application has to be let into the copy by the server's C(pg_hba.conf), as the platform's role C(postgres) does.
  - What a downgrade does to the rows that the newer release has written shows only with a set that was made while that was live.
seealso:
  - module: phasegate.aistack.alembic
  - module: phasegate.aistack.backup_set
"""

EXAMPLES = r"""
- name: What is live, and the good release before it
  phasegate.aistack.drill:
    component: backend

- name: Two releases, a set
  phasegate.aistack.drill:
    component: backend
    from: v4.17.0
    to: v4.1.0
    set: 20260131T120000Z-daily
    run: "{{ aistack_run }}"
"""

RETURN = r"""
verdict:
  description:
    - V(passed), everything is afterwards as it was before.
    - V(loses), rows or values are not there any more.
    - V(irreversible), a step down does nothing, so that only a restore leads back.
    - V(failed), a step failed, or the schema is not as before.
    - V(unneeded), both releases have the same schema.
  returned: success, not in check mode unless it is unneeded
  type: str
msg:
  description: The result in a line.
  returned: success
  type: str
why:
  description: The verdict's reason; empty where it passed.
  returned: when it was drilled
  type: str
from:
  description: The newer release.
  returned: success
  type: str
to:
  description: The older release.
  returned: success
  type: str
set:
  description: The backup set.
  returned: unless it is unneeded
  type: str
seconds:
  description: Seconds of V(restore), V(prepare) (to the older release's schema, where the set holds another one), V(upgrade),
    V(downgrade), V(all).
  returned: when it was drilled
  type: dict
recovery_s:
  description: Seconds that taking the schema back takes, by the downgrade or, where there is none, by the restore. Null after a failure.
  returned: when it was drilled
  type: float
differences:
  description: Tables that are not as before, as C(table), C(before) and C(after) (rows), C(lost) and C(other) (what else differs).
  returned: when it was drilled
  type: list
  elements: dict
lost:
  description: What is lost, a line each.
  returned: when it was drilled
  type: list
  elements: str
schema:
  description: Objects of the schema that are not as before, a line each.
  returned: when it was drilled
  type: list
  elements: str
goes:
  description: Tables and columns that the downgrade takes, with how many rows held something there; most of it came with the upgrade.
  returned: when it was drilled
  type: list
  elements: str
record:
  description: File that the result was written into.
  returned: when it was drilled
  type: str
code:
  description: Why nothing was drilled, for programs.
  returned: failure
  type: str
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.phasegate.aistack.plugins.module_utils.core import privileges
from ansible_collections.phasegate.aistack.plugins.module_utils.core.caller import CALLER
from ansible_collections.phasegate.aistack.plugins.module_utils.core.places import PLACES
from ansible_collections.phasegate.aistack.plugins.module_utils.core.service_user import TOOLS_USER
from ansible_collections.phasegate.aistack.plugins.module_utils.core.unit_user import service_user
from ansible_collections.phasegate.aistack.plugins.module_utils.drill import run as drill


@privileges.explained
def main() -> None:
    """Read arguments, call the core, report."""
    module = AnsibleModule(
        argument_spec={
            "component": {"type": "str", "required": True},
            "from": {"type": "str", "default": ""},
            "to": {"type": "str", "default": ""},
            "set": {"type": "str", "default": ""},
            "accept_unsigned": {"type": "list", "elements": "str", "default": []},
            "user": {"type": "str"},
            "ini": {"type": "str", "default": "alembic.ini"},
            "x": {"type": "dict", "default": {}},
            "url_variable": {"type": "str", "default": "DATABASE_URL"},
            "tables": {"type": "list", "elements": "str", "default": []},
            "budget": {"type": "float", "default": 60},
            "lock_timeout": {"type": "float", "default": 2},
            "statement_timeout": {"type": "float", "default": 0},
            "timeout": {"type": "int", "default": 3600},
            "look_timeout": {"type": "float", "default": 600},
            "min_free_bytes": {"type": "int", "default": 268435456},
            "identity": {"type": "str", "no_log": True},
            "identity_file": {"type": "path"},
            **PLACES,
            **CALLER,
        },
        mutually_exclusive=[("identity", "identity_file")],
        supports_check_mode=True,
    )
    params: dict[str, Any] = module.params
    request = drill.Request(
        component=params["component"],
        newer=params["from"],
        older=params["to"],
        set=params["set"],
        accept_unsigned=params["accept_unsigned"],
        root=Path(params["root"]),
        state_dir=Path(params["state_dir"]),
        user=(service_user(params["component"]) or TOOLS_USER) if params["user"] is None else params["user"] or None,
        ini=params["ini"],
        x={str(name): str(value) for name, value in params["x"].items()},
        url_variable=params["url_variable"],
        tables=params["tables"],
        budget=params["budget"],
        lock_timeout=params["lock_timeout"],
        statement_timeout=params["statement_timeout"],
        timeout=params["timeout"],
        look_timeout=params["look_timeout"],
        min_free=params["min_free_bytes"],
        identity=params["identity"] or "",
        identity_file=params["identity_file"] or "",
        run=params["run"],
        actor=params["actor"],
    )
    try:
        module.exit_json(**drill.run(request, module.check_mode))
    except drill.DrillError as error:
        module.fail_json(msg=str(error), **error.extra)


if __name__ == "__main__":
    main()
