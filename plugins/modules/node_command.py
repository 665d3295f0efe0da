# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: node_command
short_description: Install the command aistack, with which a node sees itself and goes back without the controller
version_added: 0.1.0
author: phasegate contributors (@phasegate)
description:
  - Installs O(command), one file that the system's Python runs and that needs nothing else, and registers the stack in O(registry).
  - The file holds this collection's own code. It is sent only where the node has another one, and compiled for the node's Python.
  - At each boot of the node the command brings slots, edge and links into agreement (C(aistack reconcile)), where the power was lost
    in the middle of a switch; the unit C(aistack-reconcile@STACK.service) is put in O(units) for that.
  - C(aistack --help) says what it does.
options:
  stack:
    description: Name of the stack.
    type: str
    required: true
  command:
    description: Where the command is installed.
    type: path
    default: /usr/local/bin/aistack
  registry:
    description: Folder in which the stacks of a node are registered, a file each.
    type: path
    default: /etc/aistack
  python:
    description: Interpreter that runs it; 3.9 or newer, with the standard library.
    type: path
    default: /usr/bin/python3
  units:
    description: Folder of systemd's units, for the one that runs at boot. Where it does not exist, none is put there.
    type: path
    default: /etc/systemd/system
  archive:
    description: Path of the packed sources on the node. Filled in on the controller, where they have to be sent.
    type: path
  source:
    description: SHA-256 of the sources. Filled in on the controller.
    type: str
extends_documentation_fragment:
  - phasegate.aistack.attributes
  - phasegate.aistack.places
attributes:
  check_mode:
    description: Can run in check mode and return what it would change without changing anything.
    support: full
  diff_mode:
    description: Returns the entry in the registry before and after.
    support: full
seealso:
  - module: phasegate.aistack.slot
  - module: phasegate.aistack.dead_man
"""

EXAMPLES = r"""
- name: The command with which the node goes back by itself
  phasegate.aistack.node_command:
    stack: "{{ aistack_name }}"
    root: "{{ aistack_root }}"
    state_dir: "{{ aistack_state }}"
"""

RETURN = r"""
command:
  description: Path of the command.
  returned: always
  type: str
  sample: /usr/local/bin/aistack
registered:
  description: Path of the stack's entry in the registry.
  returned: always
  type: str
  sample: /etc/aistack/sparklio.json
needed:
  description: Whether the sources have to be sent, because the node has another command, or none.
  returned: always
  type: bool
source:
  description: SHA-256 of the sources of the command.
  returned: always
  type: str
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.phasegate.aistack.plugins.module_utils.core import privileges
from ansible_collections.phasegate.aistack.plugins.module_utils.core.places import PLACES
from ansible_collections.phasegate.aistack.plugins.module_utils.node.install import InstallError, Wanted, ensure


@privileges.explained
def main() -> None:
    """Read arguments, call the core, report."""
    module = AnsibleModule(
        argument_spec={
            "stack": {"type": "str", "required": True},
            **PLACES,
            "command": {"type": "path", "default": "/usr/local/bin/aistack"},
            "registry": {"type": "path", "default": "/etc/aistack"},
            "python": {"type": "path", "default": "/usr/bin/python3"},
            "units": {"type": "path", "default": "/etc/systemd/system"},
            "archive": {"type": "path"},
            "source": {"type": "str"},
        },
        supports_check_mode=True,
    )
    params = module.params
    if not params["source"]:
        module.fail_json(msg="source is missing: it is filled in on the controller. Call node_command as a task of a playbook.")
    wanted = Wanted(
        name=params["stack"],
        root=params["root"],
        state_dir=params["state_dir"],
        command=Path(params["command"]),
        registry=Path(params["registry"]),
        python=params["python"],
        source=params["source"],
        archive=params["archive"] or "",
        units=Path(params["units"]),
    )
    try:
        result = ensure(wanted, module.check_mode)
    except InstallError as error:
        module.fail_json(msg=f"The command aistack for {wanted.name}: {error}.")
    except OSError as error:
        where = error.filename or params["command"]
        module.fail_json(msg=f"{where}: {error.strerror or error}. Expected to be allowed to write there: run the task as root (become).")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
