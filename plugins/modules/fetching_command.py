# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: fetching_command
short_description: Run a command that fetches, with variables that nobody else reads
version_added: 0.1.0
author: phasegate contributors (@phasegate)
description:
  - Like M(ansible.builtin.command), but the variables come as an argument that is not logged, instead of the keyword C(environment), which
    stands on a command line. What the command says is shown without their passwords.
options:
  argv:
    description: The command.
    type: list
    elements: str
    required: true
  stdin:
    description: What it gets on its standard input.
    type: str
    default: ""
  creates:
    description: A path; where it is there, nothing is done.
    type: path
  timeout:
    description: Seconds that it may take; as long as it likes if left out. Then it is ended, with what it started.
    type: float
  secret_environment:
    description: Variables with passwords, such as C(HTTPS_PROXY); see P(phasegate.aistack.secret_environment#filter).
    type: dict
    default: {}
extends_documentation_fragment:
  - phasegate.aistack.attributes
attributes:
  check_mode:
    description: Says whether it would run, by O(creates).
    support: full
  diff_mode:
    description: Nobody knows what it does.
    support: none
seealso:
  - module: ansible.builtin.command
"""

EXAMPLES = r"""
- name: Packages into an environment of their own
  phasegate.aistack.fetching_command:
    argv: [/opt/tool/bin/pip, install, --require-hashes, --requirement, /dev/stdin]
    stdin: "{{ lookup('ansible.builtin.file', 'requirements.txt') }}"
    creates: /opt/tool/bin/tool
    secret_environment: "{{ aistack_environment | phasegate.aistack.secret_environment }}"
"""

RETURN = r"""
rc:
  description: Its exit status.
  returned: when it ran
  type: int
  sample: 0
stdout:
  description: What it said.
  returned: when it ran
  type: str
  sample: ""
stderr:
  description: What it said on its error output.
  returned: when it ran
  type: str
  sample: ""
"""

import os
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.phasegate.aistack.plugins.module_utils.core import proc, progress
from ansible_collections.phasegate.aistack.plugins.module_utils.core.masking import Masker


def main() -> None:
    """Read arguments, run the command, report."""
    module = AnsibleModule(
        argument_spec={
            "argv": {"type": "list", "elements": "str", "required": True},
            "stdin": {"type": "str", "default": ""},
            "creates": {"type": "path"},
            "timeout": {"type": "float"},
            "secret_environment": {"type": "dict", "default": {}, "no_log": True},
        },
        supports_check_mode=True,
    )
    params: dict[str, Any] = module.params
    if params["creates"] and os.path.lexists(params["creates"]):
        module.exit_json(changed=False, msg=f"{params['creates']} is there.")
    if module.check_mode:
        module.exit_json(changed=True)
    secret = {str(name): str(value) for name, value in params["secret_environment"].items()}
    masker = Masker.of(secret, [name for name, value in secret.items() if "://" not in value])

    def shown(output: bytes) -> None:
        progress.tell(masker.mask(progress.last_line(output)))

    try:
        done = proc.finish(params["argv"], params["timeout"], params["stdin"].encode(), {**os.environ, **secret}, said=shown)
    except OSError as error:
        module.fail_json(msg=f"{params['argv'][0]} could not be started: {error.strerror}. Put it in place, then run again.")
    if done.timed_out:
        told = masker.mask(proc.tail(done.stdout or done.stderr, 15)) or "nothing"
        module.fail_json(
            msg=f"The command did not end within {params['timeout']:g} s and was ended. It said:\n{told}\n"
            "Find out what it waits for, or raise the timeout of the task, then run again."
        )
    out, err = (masker.mask(text).rstrip("\n") for text in (done.stdout, done.stderr))
    said: dict[str, Any] = {"rc": done.rc, "stdout": out, "stderr": err, "changed": True}
    if done.rc != 0:
        told = said["stderr"] or said["stdout"] or "It said nothing."
        module.fail_json(msg=f"The command ended with {done.rc}. It said:\n{told}\nFix what it names, then run again.", **said)
    module.exit_json(**said)


if __name__ == "__main__":
    main()
