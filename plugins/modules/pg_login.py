#!/usr/bin/python
# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pg_login
short_description: Passwords of PostgreSQL's roles, and a second login beside a role while its password is changed
version_added: 0.1.0
description:
  - A role has one password. So that applications can move from one to the other without a refused login, a second login stands in
    meanwhile, C(<role>__rotation); it is a member of the role and becomes it as it connects.
  - Its password follows from the role's new one, so that a run that was interrupted is taken up by the next one.
  - What the server keeps of a password is made on the node; a password never stands in a statement.
author: phasegate contributors (@phasegate)
options:
  state:
    description:
      - V(checked) tells which of the roles in O(users) log in with another password today.
      - V(observed) looks at the first role of O(users) and at the second login beside it.
      - V(bridged) makes the second login, with the role's own settings.
      - V(changed) gives the role its password. Who is connected stays so.
      - V(closed) ends the second login.
      - V(proven) logs in by every address in O(addresses) that names the role or its second login.
    type: str
    choices: [checked, observed, bridged, changed, closed, proven]
    default: checked
  users:
    description: Roles with their passwords. All states but V(checked) work on the first one.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: The role.
        type: str
        required: true
      password:
        description: Its password; where that is being changed, the new one.
        type: str
        required: true
  addresses:
    description: For O(state=proven), values of an environment by name; those that are addresses of databases are used.
    type: dict
    default: {}
  host:
    description: Address or socket directory under which the server's administrator reaches it.
    type: str
    default: /run/postgresql
  port:
    description: Port of the server.
    type: int
    default: 5432
  login_user:
    description: Role of the server's administrator.
    type: str
    default: postgres
  user:
    description: System user that psql runs as, where the module runs as root and reaches the server over a socket.
    type: str
    default: postgres
extends_documentation_fragment:
  - phasegate.aistack.places
  - phasegate.aistack.attributes
attributes:
  check_mode:
    support: full
    description: Looks at the server, and tells what would change.
  diff_mode:
    support: none
    description: What differs is secret.
requirements:
  - psql on the node
"""

EXAMPLES = r"""
- name: Which passwords would change?
  phasegate.aistack.pg_login:
    users: [{name: shop, password: "{{ vault_shop }}"}]
  register: logins

- name: A second login for the time being
  phasegate.aistack.pg_login:
    state: bridged
    users: [{name: shop, password: "{{ vault_shop }}"}]
"""

RETURN = r"""
differ:
  description: Roles that log in with another password today. A role that is not there yet, or has no password, is none of them.
  returned: O(state=checked)
  type: list
  elements: str
seen:
  description: C(exists), C(value) (has that password), C(bridge) (the second login is open), C(admitted) (pg_hba.conf lets it in).
  returned: O(state=observed)
  type: dict
proven:
  description: Names of the variables whose addresses let in.
  returned: O(state=proven)
  type: list
  elements: str
"""


from ansible.module_utils.basic import AnsibleModule

from ansible_collections.phasegate.aistack.plugins.module_utils.core import privileges
from ansible_collections.phasegate.aistack.plugins.module_utils.core.places import PLACES
from ansible_collections.phasegate.aistack.plugins.module_utils.environment.database_url import DatabaseAddress, parse_url
from ansible_collections.phasegate.aistack.plugins.module_utils.environment.rotation import bridge_name
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.psql import DatabaseError, Psql
from ansible_collections.phasegate.aistack.plugins.module_utils.rotation import postgres as pg_login

APPLICATION = "aistack-login"


def _prove(module: AnsibleModule, user: str) -> list[str]:
    """Log in by every address of the role; the first refusal ends the module."""
    proven = []
    for name, value in sorted(module.params["addresses"].items()):
        try:
            address = parse_url(str(value))
        except ValueError:
            continue  # no database's address
        if address.user not in (user, bridge_name(user)):
            continue
        try:
            with Psql(address, {}, None, APPLICATION):
                proven.append(name)
        except DatabaseError as problem:
            if problem.kind == "tool":
                module.warn(f"{name} is not tried from here, where there is no psql; the gates of what uses it are the proof.")
                continue
            module.fail_json(msg=f"{name} does not let in: {problem}")
    return proven


def _work(module: AnsibleModule) -> dict[str, object]:
    params = module.params
    users = {str(entry["name"]): str(entry["password"]) for entry in params["users"]}
    user, password = next(iter(users.items()), ("", ""))
    if params["state"] == "proven":
        return {"changed": False, "proven": _prove(module, user)}
    address = DatabaseAddress(params["host"], params["port"], params["login_user"], "postgres")
    with Psql(address, {}, params["user"] if params["host"].startswith("/") else None, APPLICATION) as psql:
        if params["state"] == "checked":
            return {"changed": False, "differ": pg_login.differing(psql, users)}
        seen = pg_login.observe(psql, user, password)
        if params["state"] == "observed":
            return {"changed": False, "seen": seen.as_dict()}
        if module.check_mode:
            would = {"bridged": not seen.bridge, "changed": not seen.value, "closed": seen.bridge}
            return {"changed": would[params["state"]]}
        if params["state"] == "closed":
            return {"changed": pg_login.close(psql, user)}
        do = pg_login.bridge if params["state"] == "bridged" else pg_login.change
        return {"changed": do(psql, user, password)}


@privileges.explained
def main() -> None:
    """Read arguments, call the core, report."""
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["checked", "observed", "bridged", "changed", "closed", "proven"], "default": "checked"},
            "users": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "name": {"type": "str", "required": True},
                    "password": {"type": "str", "required": True, "no_log": True},
                },
            },
            "addresses": {"type": "dict", "default": {}, "no_log": True},
            "host": {"type": "str", "default": "/run/postgresql"},
            "port": {"type": "int", "default": 5432},
            "login_user": {"type": "str", "default": "postgres"},
            "user": {"type": "str", "default": "postgres"},
            **PLACES,
        },
        supports_check_mode=True,
    )
    if module.params["state"] != "checked" and len(module.params["users"]) != 1:
        module.fail_json(msg=f"state={module.params['state']} works on one role; users has {len(module.params['users'])}.")
    try:
        result = _work(module)
    except (pg_login.LoginError, DatabaseError) as problem:
        module.fail_json(msg=str(problem))
    except LookupError as problem:
        module.fail_json(msg=f"The server cannot be asked: {problem}")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
