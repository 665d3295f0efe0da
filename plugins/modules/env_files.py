#!/usr/bin/python
# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: env_files
short_description: Render the environments of components from their schemas
version_added: 0.1.0
description:
  - Checks the values of environment variables against a schema, lists every problem at once, and writes them as an environment file
    of systemd under a name that is made of its content. A configuration is never changed once written; another one gets another name.
  - A problem names the variable, never the value of a secret.
  - Beside it C(secrets.json) keeps which variables the schema declares secret, so that the node can hide them, and take them along
    when it goes back; names only.
  - The values of all components are checked first; where one has a problem, nothing is written of any.
author: phasegate contributors (@phasegate)
options:
  components:
    description: The components. Nothing of it reaches the system log.
    type: list
    elements: dict
    required: true
    suboptions:
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
    description: Predicts the configurations and what differs; nothing is written.
  diff_mode:
    support: full
    description: Shows variables against those of the live slots; secrets and passwords in URLs are masked.
"""

EXAMPLES = r"""
- name: Environments of both
  phasegate.aistack.env_files:
    components:
      - component: backend
        schema:
          - {name: DATABASE_URL, type: dsn, required: true, secret: true}
          - {name: LOG_LEVEL, type: enum, choices: [debug, info, warning], default: info}
          - {name: JWT_KEY, secret: true, required: true, min_length: 32, forbidden: [CHANGEME]}
        values: {DATABASE_URL: "{{ database_url }}", JWT_KEY: "{{ jwt_key }}"}
      - component: frontend
        schema:
          - {name: PUBLIC_URL, type: url, required: true}
        values: {PUBLIC_URL: "https://shop.example.com"}
    run: "{{ aistack_run }}"
  register: configs
"""

RETURN = r"""
results:
  description:
    - What came of each, in their order.
    - After a failure those that are to blame have C(failed) and C(msg), and nothing was written of the others.
  returned: always
  type: list
  elements: dict
  contains:
    component:
      description: Name of the component.
      returned: always
      type: str
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

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.phasegate.aistack.plugins.module_utils.core import privileges
from ansible_collections.phasegate.aistack.plugins.module_utils.core.caller import CALLER
from ansible_collections.phasegate.aistack.plugins.module_utils.core.places import PLACES
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.lock import LeaseLost
from ansible_collections.phasegate.aistack.plugins.module_utils.release import environments
from ansible_collections.phasegate.aistack.plugins.module_utils.release.environments import By, Environment, Refused


def judged(wanted: list[Environment], only_looks: bool) -> list[dict[str, Any]]:
    """What is to be of each; what is wrong where it is refused."""
    rows: list[dict[str, Any]] = []
    for one in wanted:
        row: dict[str, Any] = {"component": one.component}
        try:
            one.check(only_looks)
            row.update(one.result())
        except Refused as error:
            row.update(error.extra, failed=True, changed=False, msg=str(error))
        rows.append(row)
    return rows


@privileges.explained
def main() -> None:
    """Read arguments, call the core, report."""
    module = AnsibleModule(
        argument_spec={
            # as a whole, so that it never reaches the system log, where a secret inside a structure is written otherwise than it is
            "components": {"type": "list", "elements": "dict", "required": True, "no_log": True, "options": environments.OPTIONS},
            **PLACES,
            **CALLER,
        },
        supports_check_mode=True,
    )
    params: dict[str, Any] = dict(module.params)
    wanted = [Environment(params["root"], given) for given in params["components"]]
    # left so, every plain value and name in it would be blotted out of the result as well
    module.no_log_values = {text for one in wanted for text in one.secret_texts()}
    module.params["components"] = [environments.masked(given) for given in params["components"]]
    rows = judged(wanted, module.check_mode)
    refused = [row["msg"] for row in rows if row.get("failed")]
    if refused:
        module.fail_json(msg="\n".join(refused), changed=False, results=rows)
    changed = any(row["changed"] for row in rows)
    try:
        for one in () if module.check_mode else wanted:
            one.write(By(params["state_dir"], params["run"], params["actor"]))
    except LeaseLost as lost:
        module.fail_json(msg=str(lost), lease=lost.lease)
    except Refused as error:
        module.fail_json(msg=str(error), **error.extra)
    diffs = [row["diff"] for row in rows if "diff" in row]
    module.exit_json(changed=changed, results=rows, **({"diff": diffs} if diffs else {}))


if __name__ == "__main__":
    main()
