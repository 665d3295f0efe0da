#!/usr/bin/python
# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: env_file
short_description: Render a component's environment from a schema
version_added: 0.1.0
description:
  - Checks the values of environment variables against a schema, lists every problem at once, and writes them as an environment file
    of systemd under a name that is made of its content. A configuration is never changed once written; another one gets another name.
  - A problem names the variable, never the value of a secret.
  - Beside it C(secrets.json) keeps which variables the schema declares secret, so that the node can hide them, and take them along
    when it goes back; names only.
author: phasegate contributors (@phasegate)
options:
  component:
    description: Name of the component.
    type: str
    required: true
  schema:
    description: The variables, in order.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the variable.
        type: str
        required: true
      type:
        description: What its value has to be.
        type: str
        choices: [str, int, number, bool, email, url, dsn, path, port, json, enum]
        default: str
      required:
        description: Whether it has to have a value.
        type: bool
        default: false
      secret:
        description: Whether its value must not be shown. Values that everybody knows are refused for secrets.
        type: bool
        default: false
      forbidden:
        description: Values that it must not have, in any case; typically the default of an example.
        type: list
        elements: str
      default:
        description: Value where none is given.
        type: raw
      pattern:
        description: Regular expression that its value has to match.
        type: str
      choices:
        description: Allowed values of the type V(enum).
        type: list
        elements: str
      min_length:
        description: Least number of characters.
        type: int
      description:
        description: For people.
        type: str
  values:
    description: Variable to value.
    type: dict
    default: {}
  schema_version:
    description: Version of the schema; derived from the schema if left out. Part of the configuration's name.
    type: str
  owner:
    description: User that owns the file. The file has mode 0600, its folder 0750; systemd reads it as root.
    type: str
    default: root
extends_documentation_fragment:
  - phasegate.aistack.caller
  - phasegate.aistack.places
  - phasegate.aistack.attributes
attributes:
  check_mode:
    support: full
    description: Predicts the configuration and what differs; nothing is written.
  diff_mode:
    support: full
    description: Shows variables against those of the live slot; secrets and passwords in URLs are masked.
"""

EXAMPLES = r"""
- name: Environment of the backend
  phasegate.aistack.env_file:
    component: backend
    schema:
      - {name: DATABASE_URL, type: dsn, required: true, secret: true}
      - {name: LOG_LEVEL, type: enum, choices: [debug, info, warning], default: info}
      - {name: JWT_KEY, secret: true, required: true, min_length: 32, forbidden: [CHANGEME]}
    values:
      DATABASE_URL: "{{ database_url }}"
      JWT_KEY: "{{ jwt_key }}"
  register: config
"""

RETURN = r"""
config:
  description: Name of the configuration, 16 hex digits.
  returned: success
  type: str
  sample: 0f3a5c7e9b1d2f40
path:
  description: The environment file.
  returned: success
  type: str
  sample: /opt/aistack/backend/config/0f3a5c7e9b1d2f40/env
schema_version:
  description: Version of the schema.
  returned: always
  type: str
problems:
  description: What is wrong with the values, as C(name) and C(message).
  returned: failure
  type: list
  elements: dict
"""

import os
import pwd
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.phasegate.aistack.plugins.module_utils.core import privileges
from ansible_collections.phasegate.aistack.plugins.module_utils.core.caller import CALLER
from ansible_collections.phasegate.aistack.plugins.module_utils.core.names import COMPONENT_NAME, COMPONENT_WORDS
from ansible_collections.phasegate.aistack.plugins.module_utils.core.places import PLACES
from ansible_collections.phasegate.aistack.plugins.module_utils.environment import file as env_file, schema as env_schema
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.file import Journal
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.lock import LeaseLost, require

SCHEMA = {
    "name": {"type": "str", "required": True},
    "type": {"type": "str", "choices": list(env_schema.TYPES), "default": "str"},
    "required": {"type": "bool", "default": False},
    "secret": {"type": "bool", "default": False},
    "forbidden": {"type": "list", "elements": "str", "no_log": False},
    "default": {"type": "raw"},
    "pattern": {"type": "str"},
    "choices": {"type": "list", "elements": "str"},
    "min_length": {"type": "int"},
    "description": {"type": "str"},
}


def _hide(module: AnsibleModule, schema: list[dict[str, Any]]) -> None:
    """Hide what is secret and nothing else.

    The whole of C(values) is declared secret, so that it never reaches the system log. Left so, every
    plain value in it (a port, a 1) would be blotted out of paths and hashes in the result as well.
    """
    values: dict[str, Any] = module.params["values"]
    secrets = {str(entry["name"]) for entry in schema if entry.get("secret")}
    unknown = set(values) - {str(entry["name"]) for entry in schema}  # may be a mistyped secret
    known = [env_schema.as_text(value) for entry in schema for value in entry.get("forbidden") or []]
    defaults = {str(entry["name"]): entry["default"] for entry in schema if entry.get("default") is not None}
    module.no_log_values = env_schema.secret_texts({**defaults, **values}, secrets | unknown, known)
    module.params["values"] = dict.fromkeys(values, env_schema.MASK)
    module.params["schema"] = [
        {**entry, "default": env_schema.MASK} if entry.get("secret") and entry.get("default") is not None else entry
        for entry in module.params["schema"]
    ]


def _owner(module: AnsibleModule) -> tuple[int, int] | None:
    name: str = module.params["owner"]
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        if module.check_mode:
            return None
        module.fail_json(msg=f"The environment of {module.params['component']} is to belong to {name}, but this host has no such user. "
                             "Nothing was written. Run site.yml with its phase, which makes the user.")
    return entry.pw_uid, entry.pw_gid


@privileges.explained
def main() -> None:
    """Read arguments, call the core, report."""
    module = AnsibleModule(
        argument_spec={
            "component": {"type": "str", "required": True},
            **PLACES,
            "schema": {"type": "list", "elements": "dict", "default": [], "options": SCHEMA},
            "values": {"type": "dict", "default": {}, "no_log": True},
            "schema_version": {"type": "str"},
            "owner": {"type": "str", "default": "root"},
            **CALLER,
        },
        supports_check_mode=True,
    )
    params: dict[str, Any] = module.params
    component: str = params["component"]
    schema = [{key: value for key, value in entry.items() if value is not None} for entry in params["schema"]]
    values = params["values"]
    _hide(module, schema)
    if not COMPONENT_NAME.fullmatch(component):
        module.fail_json(msg=f"Not a component's name: {component}; expected {COMPONENT_WORDS}.")
    version = params["schema_version"] or env_schema.version_of(schema)
    resolved = env_schema.resolve(schema, values)
    if resolved.problems:
        lines = "\n".join(f"  - {problem}" for problem in resolved.problems)
        module.fail_json(
            msg=f"The environment of {component} is not as its schema demands ({len(resolved.problems)} problems). "
            f"Nothing was written. Correct these variables in the inventory:\n{lines}",
            problems=[{"name": problem.name, "message": problem.message} for problem in resolved.problems],
            schema_version=version,
        )
    content = env_file.render_env(resolved.values)
    config = env_file.locate(params["root"], component, content, version, resolved.secrets)
    result: dict[str, Any] = {
        "changed": not config.present,
        "config": config.hash,
        "path": str(config.path),
        "schema_version": version,
    }
    owner = _owner(module)
    if result["changed"]:
        before = env_file.live_env(params["root"], component)
        result["diff"] = {
            "before_header": f"{component}: environment of the live slot",
            "after_header": f"{component}: config {config.hash}",
            "before": env_schema.masked_lines(before, resolved.secrets),
            "after": env_schema.masked_lines(resolved.values, resolved.secrets, before),
        }
    if result["changed"] and not module.check_mode:
        journal = Journal.of(params["state_dir"])
        detail = {"config": config.hash, "schema_version": version}
        try:
            require(params["state_dir"], params["run"], f"configure {component}")
            with journal.operation("configure", component, run=params["run"], actor=params["actor"], detail=detail):
                env_file.write_config(config, content, owner)
        except LeaseLost as lost:
            module.fail_json(msg=str(lost), lease=lost.lease)
        except OSError as error:
            module.fail_json(msg=f"The environment of {component} could not be written to {config.path}: {privileges.in_words(error)}")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
