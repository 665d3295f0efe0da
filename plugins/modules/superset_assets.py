# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: superset_assets
short_description: Dashboards of a repository in Superset, each chart of them proven
version_added: 0.1.0
author: phasegate contributors (@phasegate)
description:
  - Makes the connection to a database, imports datasets, charts and dashboards over it by Superset's API, and reads back what came of it.
    Superset answers that all is well where it left charts out; here that is a failure that names them.
  - Asks the query of every chart where something was imported. A query that fails is a failure; one without a row is named.
  - What is there as it was imported stays as it is, and a newer file replaces it. What somebody changed in Superset is told with every
    difference, and stays unless O(overwrite). What was made there besides is left alone, and so is what the files do not have any more.
options:
  src:
    description:
      - Folders on the controller with an export of Superset, unpacked, a file each below C(datasets), C(charts) and C(dashboards). Other
        folders, such as C(databases), are left out. Charts need their C(query_context), which Superset writes when one is saved.
    type: list
    elements: path
    required: true
  files:
    description: What O(src) holds, path to content. It is filled in on the controller.
    type: dict
  target:
    description: Address of the server, from the node.
    type: str
    default: http://127.0.0.1:8088
  username:
    description: A user with Superset's role Admin.
    type: str
    default: admin
  password_file:
    description: File on the node with its password.
    type: path
    required: true
  ca_file:
    description: CA certificates on the node, instead of the system's.
    type: path
  connection:
    description: The database that every dataset is in.
    type: dict
    required: true
    suboptions:
      name:
        description: What Superset calls it.
        type: str
        required: true
      uri:
        description:
          - Its address for SQLAlchemy, best without a password, which a file for libpq holds. Its user should be one that can only read.
        type: str
        required: true
  memory:
    description: File on the node that remembers what an import left behind. Without it whatever differs counts as changed in Superset.
    type: path
    default: /etc/aistack-superset/assets.json
  overwrite:
    description: Whether what was changed in Superset is replaced by the files as well.
    type: bool
    default: false
  timeout:
    description: Seconds for all of it.
    type: float
    default: 600
extends_documentation_fragment:
  - phasegate.aistack.attributes
attributes:
  check_mode:
    description: Looks at the server, and tells what would be imported.
    support: full
  diff_mode:
    description: What was changed in Superset is told with or without it.
    support: none
"""

EXAMPLES = r"""
- name: Dashboards of the shop
  phasegate.aistack.superset_assets:
    src: ["{{ inventory_dir }}/../dashboards"]
    password_file: /etc/aistack-superset/admin.password
    connection: {name: shop, uri: "postgresql+psycopg2://superset_reader@10.0.0.11:5432/shop"}
"""

RETURN = r"""
imported:
  description: What was imported, by kind and name.
  returned: success
  type: list
  elements: str
  sample: ["dashboard 'Sales'"]
differing:
  description: What somebody changed in Superset, and what differs. Of what was overwritten too.
  returned: success
  type: dict
  sample: {"chart 'Sales a day'": ['params.time_grain_sqla: "P1D" in the file, "P1W" in Superset']}
connection:
  description: C(made) or C(changed), or empty.
  returned: success
  type: str
charts:
  description: How many charts Superset shows of each dashboard.
  returned: success
  type: dict
  sample: {"sales": 5}
without_rows:
  description: Charts whose query answers with no row; asked where something was imported.
  returned: success
  type: list
  elements: str
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.context import CannotJudge, Context, NotAsExpected
from ansible_collections.phasegate.aistack.plugins.module_utils.clients.superset import Superset
from ansible_collections.phasegate.aistack.plugins.module_utils.monitoring.superset import Brought, SupersetError, bring
from ansible_collections.phasegate.aistack.plugins.module_utils.monitoring.superset_assets import AssetError, assets_of


def work(params: dict[str, Any], check: bool) -> Brought:
    """Log in and bring the dashboards."""
    context = Context(params["timeout"])
    api = Superset(params["target"], context, params["ca_file"])
    assets = assets_of(params["files"] or {})
    api.login(params["username"], context.secrets.read(params["password_file"]))
    return bring(api, assets, params["connection"]["name"], params["connection"]["uri"], Path(params["memory"]), params["overwrite"], check)


def main() -> None:
    """Read arguments, call the core, report."""
    module = AnsibleModule(
        argument_spec={
            "src": {"type": "list", "elements": "path", "required": True},
            "files": {"type": "dict"},
            "target": {"type": "str", "default": "http://127.0.0.1:8088"},
            "username": {"type": "str", "default": "admin"},
            "password_file": {"type": "path", "required": True, "no_log": False},
            "ca_file": {"type": "path"},
            "connection": {
                "type": "dict",
                "required": True,
                "options": {"name": {"type": "str", "required": True}, "uri": {"type": "str", "required": True}},
            },
            "memory": {"type": "path", "default": "/etc/aistack-superset/assets.json"},
            "overwrite": {"type": "bool", "default": False},
            "timeout": {"type": "float", "default": 600},
        },
        supports_check_mode=True,
    )
    target = module.params["target"]
    try:
        found = work(module.params, module.check_mode)
    except AssetError as error:
        module.fail_json(msg=f"{', '.join(module.params['src'])} cannot be imported: {error}. Nothing was imported.")
    except SupersetError as error:
        module.fail_json(msg=f"Superset at {target}: {error}")
    except (NotAsExpected, CannotJudge) as error:
        detail = f" ({error.detail})" if isinstance(error, NotAsExpected) and error.detail else ""
        module.fail_json(msg=f"Superset at {target} does not answer as it should: {error}{detail}. Is it up, and is the password in "
                             f"{module.params['password_file']} that of {module.params['username']}?")
    except OSError as error:
        module.fail_json(msg=f"A file on the node cannot be used: {error}.")
    for name, lines in found.changed.items():
        if name not in found.imported:
            module.warn(f"{name} was changed in Superset and stays so: {'; '.join(lines[:5])}")
    module.exit_json(changed=bool(found.imported or found.connection), imported=found.imported, differing=found.changed,
                     connection=found.connection, charts=found.charts, without_rows=found.without_rows)


if __name__ == "__main__":
    main()
