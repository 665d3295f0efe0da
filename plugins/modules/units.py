#!/usr/bin/python
# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: units
short_description: Write the units of the slots of several components
version_added: 0.1.0
author: phasegate contributors (@phasegate)
description:
  - Sees to the groups and folders that each unit needs, writes the units that differ, and has systemd read its units again where
    it holds an older one of a slot that is loaded.
  - Systemd is asked each time, so that a run that was killed after it wrote a unit is made good by the next one. Slots that are not
    loaded need nothing, systemd reads the file when it starts them.
  - Nothing is started or stopped. What runs goes on with the unit that it was started by.
options:
  components:
    description: The components.
    type: list
    elements: dict
    required: true
    suboptions:
      component:
        description: Name of the component; its unit is C(aistack-NAME@.service).
        type: str
        required: true
      unit:
        description: Text of the unit. Others may read it.
        type: str
        required: true
      user:
        description: System user that its process runs as. It has to be there where a folder is made.
        type: str
        required: true
      group:
        description: Group of that user.
        type: str
        required: true
      groups:
        description: Groups that the unit names besides; made where they are missing.
        type: list
        elements: str
        default: []
      folders:
        description:
          - Folders that it writes to; made for the user, with mode 0700, where they are missing, in a folder of root's.
          - One that is there is left as it is, and has to be the user's to write.
        type: list
        elements: path
        default: []
  units:
    description: Folder of systemd's units.
    type: path
    default: /etc/systemd/system
extends_documentation_fragment:
  - phasegate.aistack.caller
  - phasegate.aistack.places
attributes:
  check_mode:
    support: full
    description: Says which units, groups and folders would be written; what would be refused of a folder is refused. Systemd is not asked.
  diff_mode:
    support: full
    description: Shows each unit that differs.
  platform:
    description: Where it runs.
    support: full
    platforms: linux
    details: Needs systemd.
seealso:
  - module: phasegate.aistack.slots
"""

EXAMPLES = r"""
- name: The units of both
  phasegate.aistack.units:
    components:
      - {component: backend, unit: "{{ lookup('ansible.builtin.template', 'backend.service.j2') }}", user: aistack-backend, group: aistack}
      - component: worker
        unit: "{{ lookup('ansible.builtin.template', 'worker.service.j2') }}"
        user: aistack-worker
        group: aistack
        folders: [/srv/uploads]
    run: "{{ aistack_run }}"
"""

RETURN = r"""
written:
  description: Components whose unit was written, or would be in check mode.
  returned: success
  type: list
  elements: str
made:
  description: What else was made, or would be; C(group NAME), or the path of a folder.
  returned: success
  type: list
  elements: str
reloaded:
  description: Whether systemd was made to read its units again.
  returned: success
  type: bool
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.systemd import Systemd, UnitError
from ansible_collections.phasegate.aistack.plugins.module_utils.core import privileges
from ansible_collections.phasegate.aistack.plugins.module_utils.core.caller import CALLER
from ansible_collections.phasegate.aistack.plugins.module_utils.core.names import COMPONENT_NAME, COMPONENT_WORDS
from ansible_collections.phasegate.aistack.plugins.module_utils.core.places import PLACES
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.lock import LeaseLost, require
from ansible_collections.phasegate.aistack.plugins.module_utils.slots import unit_files
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.unit_files import UnitFile, UnitFileError

COMPONENT: dict[str, Any] = {
    "component": {"type": "str", "required": True},
    "unit": {"type": "str", "required": True},
    "user": {"type": "str", "required": True},
    "group": {"type": "str", "required": True},
    "groups": {"type": "list", "elements": "str", "default": []},
    "folders": {"type": "list", "elements": "path", "default": []},
}


def written(wanted: list[UnitFile], units: Path, check: bool) -> dict[str, Any]:
    """Write what differs, folders first: systemd starts nothing whose folders are not there."""
    made = [what for one in wanted for what in unit_files.provide(one, check)]
    differences = {one.component: unit_files.difference(one.path(units), one.text) for one in wanted}
    names, reloaded = [name for name, found in differences.items() if found], False
    if not check:
        for one in wanted:
            if one.component in names:
                unit_files.write(one.path(units), one.text)
        systemd = Systemd()
        reloaded = bool(wanted) and systemd.needs_reload(*(one.pattern for one in wanted))
        if reloaded:
            systemd.reload()
    return {
        "changed": bool(made or names or reloaded), "written": names, "made": made, "reloaded": reloaded,
        **({"diff": [differences[name] for name in names]} if names else {}),
    }


@privileges.explained
def main() -> None:
    """Read arguments, call the core, report."""
    module = AnsibleModule(
        argument_spec={
            "components": {"type": "list", "elements": "dict", "required": True, "options": COMPONENT},
            "units": {"type": "path", "default": "/etc/systemd/system"},
            **PLACES,
            **CALLER,
        },
        supports_check_mode=True,
    )
    wanted = [
        UnitFile(one["component"], one["unit"], one["user"], one["group"], one["groups"], one["folders"])
        for one in module.params["components"]
    ]
    wrong = [one.component for one in wanted if not COMPONENT_NAME.fullmatch(one.component)]
    if wrong:
        module.fail_json(msg=f"Not a component's name: {', '.join(wrong)}; expected {COMPONENT_WORDS}.")
    try:
        if not module.check_mode:
            names = ", ".join(one.component for one in wanted)
            require(module.params["state_dir"], module.params["run"], f"write the units of {names}")
        module.exit_json(**written(wanted, Path(module.params["units"]), module.check_mode))
    except LeaseLost as lost:
        module.fail_json(msg=str(lost), lease=lost.lease)
    except UnitFileError as error:
        module.fail_json(msg=str(error))
    except UnitError as error:
        module.fail_json(msg=str(error), cmd=error.cmd, rc=error.rc, stderr=error.stderr)


if __name__ == "__main__":
    main()
