#!/usr/bin/python
# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: release_task
short_description: Run a task of a release, once
version_added: 0.1.0
author: phasegate contributors (@phasegate)
description:
  - Runs a command in the tree of a release that is staged, with its environment, as the user and with what the unit of its component's
    slots may touch. The release need not be live. Where containers run it is a container of the release's image.
  - The journal has it. What it says was done for O(release) is not done again, unless O(always) is set, or data was taken back since.
  - Output is shown at its end where it fails, with secrets masked; while it runs its last line is shown.
options:
  name:
    description: What the task is called; by it the journal knows whether it was done.
    type: str
    required: true
  point:
    description: When it runs in a deployment.
    type: str
    required: true
    choices: [before_migration, after_migration, after_activation]
  component:
    description: The component whose tree, environment, user and unit it takes.
    type: str
    required: true
  release:
    description: The release.
    type: str
    required: true
  config:
    description: Configuration of its environment, as M(phasegate.aistack.env_files) returns it. Check mode needs none.
    type: str
    default: ''
  command:
    description:
      - The program and its arguments; C({python}), C({release_path}) and C({tools}) are filled in. No shell reads it, and no secret
        belongs there.
    type: list
    elements: str
    required: true
  timeout:
    description: Seconds that it may take.
    type: float
    default: 600
  always:
    description: Run it in every deployment, also in one of a release for which it was done.
    type: bool
    default: false
  cut_off:
    description: Run it only where the journal has no good end of the run that made O(release) live, which was cut off then.
    type: bool
    default: false
extends_documentation_fragment:
  - phasegate.aistack.places
  - phasegate.aistack.caller
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
seealso:
  - module: phasegate.aistack.slot
  - module: phasegate.aistack.journal
"""

EXAMPLES = r"""
- name: Fill in what the release needs
  phasegate.aistack.release_task:
    name: seed
    point: after_migration
    component: backend
    release: v4.1.0
    config: "{{ configured.config }}"
    command: ["{python}", -m, app.seed]
    timeout: 120
    run: "{{ aistack_run }}"
"""

RETURN = r"""
done:
  description: Whether it was done before, and therefore not now.
  returned: success
  type: bool
when:
  description: When it was done before.
  returned: where it was done before
  type: str
seconds:
  description: How long it took.
  returned: where it was run
  type: float
msg:
  description: What was done.
  returned: always
  type: str
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.phasegate.aistack.plugins.module_utils.core import privileges
from ansible_collections.phasegate.aistack.plugins.module_utils.core.caller import CALLER
from ansible_collections.phasegate.aistack.plugins.module_utils.core.places import PLACES
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.lock import LeaseLost
from ansible_collections.phasegate.aistack.plugins.module_utils.node import release_task as core


@privileges.explained
def main() -> None:
    """Read arguments, call the core, report."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "point": {"type": "str", "required": True, "choices": list(core.STANDS)},
            "component": {"type": "str", "required": True},
            "release": {"type": "str", "required": True},
            "config": {"type": "str", "default": ""},
            "command": {"type": "list", "elements": "str", "required": True},
            "timeout": {"type": "float", "default": core.TIMEOUT},
            "always": {"type": "bool", "default": False},
            "cut_off": {"type": "bool", "default": False},
            **PLACES,
            **CALLER,
        },
        supports_check_mode=True,
    )
    params, places = dict(module.params), {name: module.params[name] for name in PLACES}
    task = core.Task(**{name: value for name, value in params.items() if name not in places})
    try:
        result = core.run(places["root"], Path(places["state_dir"]), task, module.check_mode)
    except LeaseLost as lost:
        module.fail_json(msg=str(lost), lease=lost.lease)
    except core.TaskFailed as failed:
        module.fail_json(msg=str(failed))
    except OSError as error:
        module.fail_json(msg=f"{task.called} cannot be run: {privileges.in_words(error)}.")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
