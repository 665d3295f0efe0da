#!/usr/bin/python
# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: receipt
short_description: Remember from what components were converged, and tell which are still so
version_added: 0.1.0
description:
  - A receipt holds a hash of everything a component is converged from, and the hashes and modes of the files that its role manages.
  - One call tells for many components whether converging them again could change anything.
  - On the controller C(inputs) is worked out where it is not given.
author: phasegate contributors (@phasegate)
options:
  state:
    description:
      - V(recorded) writes receipts for the files as they are now.
      - V(checked) compares.
    type: str
    choices: [recorded, checked]
    default: checked
  components:
    description:
      - Component name to C(inputs), the hash of what it is converged from, and C(files), the files that its role manages.
      - V(checked) needs C(inputs) alone; which files there were stands in the receipt.
    type: dict
    required: true
extends_documentation_fragment:
  - phasegate.aistack.places
  - phasegate.aistack.attributes
attributes:
  check_mode:
    support: full
    description: Predicts whether a receipt would be written; V(checked) only reads anyway.
  diff_mode:
    support: none
    description: The reason is returned instead.
"""

EXAMPLES = r"""
- name: Which of them are as they were converged
  phasegate.aistack.receipt:
    state: checked
    components:
      redis: {inputs: 1f0c}
      postgres: {inputs: 9d2e}

- name: Remember
  phasegate.aistack.receipt:
    state: recorded
    components:
      redis: {inputs: 1f0c, files: [/etc/redis/redis.conf]}
"""

RETURN = r"""
components:
  description: For each component C(fresh), C(why), C(inputs) and C(known), whether it was converged here before.
  returned: always
  type: dict
  sample:
    redis: {fresh: false, why: file /etc/redis/redis.conf changed, inputs: 1f0c, known: true}
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.phasegate.aistack.plugins.module_utils.core import privileges
from ansible_collections.phasegate.aistack.plugins.module_utils.core.names import COMPONENT_NAME, COMPONENT_WORDS
from ansible_collections.phasegate.aistack.plugins.module_utils.core.places import PLACES
from ansible_collections.phasegate.aistack.plugins.module_utils.release import receipt


def _one(params: dict[str, Any], name: str, given: dict[str, Any], check: bool) -> tuple[bool, dict[str, object]]:
    inputs = str(given.get("inputs") or "")
    if params["state"] == "checked":
        fresh, why = receipt.judge(params["state_dir"], name, inputs)
        return False, {"fresh": fresh, "why": why, "inputs": inputs, "known": receipt.load(params["state_dir"], name) is not None}
    wanted = receipt.compose(inputs, given.get("files") or [])
    present = receipt.load(params["state_dir"], name) or {}
    changed = {key: present.get(key) for key in wanted} != wanted
    if changed and not check:
        receipt.save(params["state_dir"], name, wanted)
    missing = [path for path, found in wanted["files"].items() if found is None]
    why = f"recorded {len(wanted['files'])} files" + (f"; not there: {', '.join(missing)}" if missing else "")
    return changed, {"fresh": True, "why": why if changed else "recorded already", "inputs": inputs, "known": True}


@privileges.explained
def main() -> None:
    """Read arguments, call the core, report."""
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["recorded", "checked"], "default": "checked"},
            "components": {"type": "dict", "required": True},
            **PLACES,
        },
        supports_check_mode=True,
    )
    params: dict[str, Any] = module.params
    wrong = [name for name in params["components"] if not COMPONENT_NAME.fullmatch(name)]
    if wrong:
        module.fail_json(msg=f"Not a component's name: {', '.join(wrong)}; expected {COMPONENT_WORDS}.")
    result: dict[str, Any] = {"changed": False, "components": {}}
    for name, given in params["components"].items():
        try:
            changed, entry = _one(params, name, given or {}, module.check_mode)
        except OSError as error:
            if params["state"] == "recorded":
                module.fail_json(msg=f"The receipt of {name} in {params['state_dir']} could not be written: {privileges.in_words(error)}. "
                                     "Fix that, and run the same command again.")
            changed, entry = False, {"fresh": False, "why": f"cannot be judged: {error}", "inputs": "", "known": True}
        result["changed"] = result["changed"] or changed
        result["components"][name] = entry
    module.exit_json(**result)


if __name__ == "__main__":
    main()
