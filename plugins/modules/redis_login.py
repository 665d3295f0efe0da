#!/usr/bin/python
# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: redis_login
short_description: A new password of a Redis user beside the former one, for as long as it takes to bring it everywhere
version_added: 0.1.0
description:
  - A user of Redis may have several passwords. The new one is let in, applications move to it, and the former one is withdrawn.
  - The file of users that the server reads when it starts is changed with the server, so that a restart on the way changes nothing.
  - The server gets hashes; a password never stands in a command.
author: phasegate contributors (@phasegate)
options:
  state:
    description:
      - V(observed) looks.
      - V(admitted) lets O(password) in beside what is valid.
      - V(closed) withdraws every other password. Who is connected stays so.
      - V(proven) logs in by every address in O(addresses) that names the user.
    type: str
    choices: [observed, admitted, closed, proven]
    default: observed
  user:
    description: The user.
    type: str
    required: true
  password:
    description: Its new password.
    type: str
    required: true
  addresses:
    description: For O(state=proven), values of an environment by name; those that are addresses of Redis are used.
    type: dict
    default: {}
  users_file:
    description: File of users that the server reads when it starts. Required unless O(state=proven).
    type: path
  server:
    description: How the server's administrator reaches it. Required unless O(state=proven).
    type: dict
    suboptions:
      host:
        description: Address.
        type: str
        default: 127.0.0.1
      port:
        description: Port.
        type: int
        default: 6379
      username:
        description: User that may change users.
        type: str
        required: true
      password_file:
        description: File on the node with its password.
        type: path
        required: true
      certificate:
        description: Where the server speaks TLS, the PEM file on the node whose first certificate it has to show.
        type: path
      server_name:
        description: Name in that certificate, where it is not O(server.host).
        type: str
  timeout:
    description: Seconds to wait for the server.
    type: int
    default: 20
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
"""

EXAMPLES = r"""
- name: Let the new password in
  phasegate.aistack.redis_login:
    state: admitted
    user: shop
    password: "{{ vault_shop }}"
    users_file: /etc/redis/aistack-users.conf
    server: {username: admin, password_file: /var/lib/aistack/credentials/redis_admin}
"""

RETURN = r"""
seen:
  description: C(exists), C(value) (has that password), C(bridge) (another one is valid as well).
  returned: O(state=observed)
  type: dict
proven:
  description: Names of the variables whose addresses let in.
  returned: O(state=proven)
  type: list
  elements: str
"""

from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.context import CannotJudge, Context, NotAsExpected
from ansible_collections.phasegate.aistack.plugins.module_utils.clients.http import client_context
from ansible_collections.phasegate.aistack.plugins.module_utils.clients.redis import Connection, RedisError
from ansible_collections.phasegate.aistack.plugins.module_utils.core import privileges
from ansible_collections.phasegate.aistack.plugins.module_utils.core.places import PLACES
from ansible_collections.phasegate.aistack.plugins.module_utils.environment.check import login_of
from ansible_collections.phasegate.aistack.plugins.module_utils.rotation import redis as redis_login
from ansible_collections.phasegate.aistack.plugins.module_utils.rotation.redis import LoginError, PartError, Server

NO_ADMIN = (
    "If the server has no user yet that may change users: set redis_admin_password in the inventory, run site.yml once with the former"
    " password, then this again."
)


def _prove(module: AnsibleModule) -> list[str]:
    """Log in by every address of the user; the first refusal ends the module."""
    proven = []
    for name, value in sorted(module.params["addresses"].items()):
        login = login_of(str(value))
        if login is None or login.kind != "redis" or login.user != module.params["user"]:
            continue
        trusted = dict(parse_qsl(urlsplit(str(value)).query)).get("ssl_ca_certs")
        try:
            tls = client_context(trusted) if login.tls else None
            line = Connection(login.address, login.port, Context(float(module.params["timeout"])), tls)
            try:
                line.command("AUTH", login.user, login.password)
            finally:
                line.close()
        except (RedisError, NotAsExpected, CannotJudge, OSError) as problem:
            module.fail_json(msg=f"{name} does not let in: {getattr(problem, 'got', problem)}")
        proven.append(name)
    return proven


def _work(module: AnsibleModule) -> dict[str, object]:
    params = module.params
    if params["state"] == "proven":
        return {"changed": False, "proven": _prove(module)}
    path, user, password = Path(params["users_file"]), params["user"], params["password"]
    with Server({"name": "server", **params["server"]}, float(params["timeout"])) as server:
        seen = redis_login.observe(server, path, user, password)
        if params["state"] == "observed":
            return {"changed": False, "seen": seen.as_dict()}
        if module.check_mode:
            return {"changed": not seen.value or (params["state"] == "closed" and seen.bridge)}
        do = redis_login.admit if params["state"] == "admitted" else redis_login.close
        return {"changed": do(server, path, user, password)}


@privileges.explained
def main() -> None:
    """Read arguments, call the core, report."""
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["observed", "admitted", "closed", "proven"], "default": "observed"},
            "user": {"type": "str", "required": True},
            "password": {"type": "str", "required": True, "no_log": True},
            "addresses": {"type": "dict", "default": {}, "no_log": True},
            "users_file": {"type": "path"},
            "server": {
                "type": "dict",
                "options": {
                    "host": {"type": "str", "default": "127.0.0.1"},
                    "port": {"type": "int", "default": 6379},
                    "username": {"type": "str", "required": True},
                    "password_file": {"type": "path", "required": True, "no_log": False},
                    "certificate": {"type": "path"},
                    "server_name": {"type": "str"},
                },
            },
            "timeout": {"type": "int", "default": 20},
            **PLACES,
        },
        required_if=[("state", state, ["users_file", "server"]) for state in ("observed", "admitted", "closed")],
        supports_check_mode=True,
    )
    try:
        result = _work(module)
    except LoginError as problem:
        module.fail_json(msg=str(problem))
    except PartError as problem:
        module.fail_json(msg=f"{str(problem).rstrip('.')}. Nothing was changed by this. {NO_ADMIN}")
    except OSError as problem:
        module.fail_json(msg=f"The file of users of Redis cannot be used: {problem}. Nothing was changed. Fix that, and run again.")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
