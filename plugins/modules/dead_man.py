# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: dead_man
short_description: Have a node go back by itself unless the controller confirms in time
version_added: 0.1.0
author: phasegate contributors (@phasegate)
description:
  - Writes down on the node what O(run) is to return to, and sets a timer of systemd that takes it back with the command C(aistack).
  - A confirmation takes plan and timer away. Where it does not come, the node goes back without the controller, and says so in its
    journal. What does not go back at once is tried again for 15 minutes.
  - Either the confirmation or the timer wins, never both. A confirmation that comes too late fails.
options:
  state:
    description:
      - V(armed) has the node go back in O(seconds), counted from now; arming again counts again.
      - V(confirmed) keeps what the run activated. It fails where the node went back already, and does nothing where it is not armed.
    type: str
    choices: [armed, confirmed]
    required: true
  run:
    description: The run whose activations go back.
    type: str
    required: true
  seconds:
    description: Seconds until the node goes back; needed with O(state=armed).
    type: int
  stack:
    description: Name of the stack, where the node has several.
    type: str
    default: ''
  command:
    description: The command that M(phasegate.aistack.node_command) installed.
    type: path
    default: /usr/local/bin/aistack
  actor:
    description: Who asks; for the plan.
    type: str
    default: ''
extends_documentation_fragment:
  - phasegate.aistack.places
attributes:
  check_mode:
    description: Can run in check mode and return what it would do without changing anything.
    support: full
  diff_mode:
    description: There is nothing to compare.
    support: none
  platform:
    description: Where it runs.
    support: full
    platforms: linux
    details: Needs systemd.
notes:
  - The timer and the plan stay over a reboot, from which the seconds count again. C(aistack status) shows it.
seealso:
  - module: phasegate.aistack.node_command
  - module: phasegate.aistack.slot
"""

EXAMPLES = r"""
- name: Go back in a minute, unless told otherwise
  phasegate.aistack.dead_man:
    state: armed
    run: "{{ aistack_run }}"
    seconds: 60

- name: All gates have passed
  phasegate.aistack.dead_man:
    state: confirmed
    run: "{{ aistack_run }}"
"""

RETURN = r"""
expires:
  description: When the node goes back, in UTC.
  returned: O(state=armed)
  type: str
  sample: "2026-01-31T12:01:00Z"
returns:
  description: What each component returns to, as C(release), C(config) and C(slot); null for nothing.
  returned: O(state=armed)
  type: dict
timer:
  description: The unit of the timer.
  returned: O(state=armed)
  type: str
msg:
  description: What was done.
  returned: always
  type: str
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.systemd import UnitError
from ansible_collections.phasegate.aistack.plugins.module_utils.core import privileges
from ansible_collections.phasegate.aistack.plugins.module_utils.core.places import PLACES
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.lock import LeaseLost, require
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback import deadman


@privileges.explained
def main() -> None:
    """Read arguments, call the core, report."""
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["armed", "confirmed"], "required": True},
            "run": {"type": "str", "required": True},
            "seconds": {"type": "int"},
            "stack": {"type": "str", "default": ""},
            **PLACES,
            "command": {"type": "path", "default": "/usr/local/bin/aistack"},
            "actor": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
        required_if=[("state", "armed", ("seconds",))],
    )
    params, check = module.params, module.check_mode
    state_dir = Path(params["state_dir"])
    try:
        if not check:
            what = "keep what it activated" if params["state"] == "confirmed" else "have the node go back unless confirmed"
            require(state_dir, params["run"], what)
        if params["state"] == "confirmed":
            result = deadman.confirm(state_dir, params["run"], check=check)
        else:
            result = deadman.arm(
                state_dir, params["stack"], params["run"], params["seconds"], params["actor"], params["command"], check=check
            )
            would = "would go" if check else "goes"
            result["msg"] = f"this node {would} back at {result['expires']} unless run {params['run']} is confirmed"
    except LeaseLost as lost:
        module.fail_json(msg=str(lost), lease=lost.lease)
    except deadman.DeadManError as error:
        module.fail_json(msg=f"{error}.")
    except UnitError as error:
        module.fail_json(msg=str(error), cmd=error.cmd, rc=error.rc, stderr=error.stderr)
    except OSError as error:
        module.fail_json(
            msg=f"Nothing is armed or confirmed in {state_dir}: {privileges.in_words(error)}. Fix that, and run the same again."
        )
    module.exit_json(**result)


if __name__ == "__main__":
    main()
