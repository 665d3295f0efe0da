# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: slots
short_description: Start and prove the new slots of several components side by side
version_added: 0.1.0
author: phasegate contributors (@phasegate)
description:
  - Starts a release in the idle slot of each component and gates it on the slot's own port, all of them at the same time.
    Nothing takes traffic, and the live release is not touched; M(phasegate.aistack.slot) then moves the traffic, one component after
    the other, and asks a slot that was proven here only once more.
  - Only components behind an edge are prepared. What works without being asked, such as a worker, would begin to work.
  - Where a gate fails, its slot is stopped again and the release is marked bad. The slots of the others stay until
    M(phasegate.aistack.slot) takes them back with O(phasegate.aistack.slot#module:state=reverted), or a timer of the node does.
options:
  components:
    description:
      - The components; each with the options of M(phasegate.aistack.slot), of which C(component), C(release) and C(config) are needed.
      - C(state), C(run), C(actor), C(root) and C(state_dir) are those of this module.
    type: list
    elements: dict
    required: true
extends_documentation_fragment:
  - phasegate.aistack.caller
  - phasegate.aistack.places
attributes:
  check_mode:
    description: Can run in check mode and return what it would do without changing anything.
    support: full
  diff_mode:
    description: Shows what changes.
    support: none
  platform:
    description: Where it runs.
    support: full
    platforms: linux
    details: Needs systemd.
seealso:
  - module: phasegate.aistack.slot
"""

EXAMPLES = r"""
- name: Start and prove both, before one of them takes traffic
  phasegate.aistack.slots:
    components:
      - component: backend
        release: v4.1.0
        config: 3f9c0a12
        ports: {blue: 18000, green: 18001, public: 8000}
        edge: {address: 10.89.0.11}
        gate: {probes: [{name: health, type: http, target: "http://127.0.0.1:${port}/health"}]}
      - component: frontend
        release: v4.1.0
        config: 77aa01bc
        ports: {blue: 13000, green: 13001, public: 3000}
        edge: {address: 10.89.0.11}
    run: "{{ aistack_run }}"
"""

RETURN = r"""
components:
  description: What came of each that did not fail, in the form that M(phasegate.aistack.slot) returns; C(component) is its name.
  returned: success
  type: list
  elements: dict
report:
  description: Why the first one failed, in the form that M(phasegate.aistack.slot) returns.
  returned: failure of a gate or a step
  type: dict
"""

import signal
import threading
from types import FrameType
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.phasegate.aistack.plugins.module_utils.core import privileges
from ansible_collections.phasegate.aistack.plugins.module_utils.core.caller import CALLER
from ansible_collections.phasegate.aistack.plugins.module_utils.core.places import PLACES
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.file import Journal
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.lock import LeaseLost, keep_lease
from ansible_collections.phasegate.aistack.plugins.module_utils.release.content import Content
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.contract import Failed, Request
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.gate import SlotGate
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.options import options, spec_of
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.prepare import PreparingSlots, Work, asked_to_end, side_by_side

SHARED = ("run", "actor", "root", "state_dir")


def works(module: AnsibleModule, stop: threading.Event) -> list[Work]:
    """What is to be prepared; ends the module where a component is not described well."""
    found = []
    for number, given in enumerate(module.params["components"]):
        checked = ArgumentSpecValidator(options()).validate({**given, **{key: module.params[key] for key in SHARED}})
        values: dict[str, Any] = checked.validated_parameters
        problems = list(checked.error_messages) or [f"{key} is missing" for key in ("release", "config") if not values.get(key)]
        if problems:
            module.fail_json(msg=f"components[{number}] ({given.get('component', '?')}): {'; '.join(problems)}")
        slots = PreparingSlots(spec_of(values), asked_to_end(SlotGate(), stop), Journal.of(values["state_dir"]))
        request = Request(run=values["run"], actor=values["actor"], allow_bad=values["allow_bad"], check=module.check_mode)
        found.append(Work(slots, Content(values["release"], values["config"]), request))
    return found


@privileges.explained
def main() -> None:
    """The module."""
    module = AnsibleModule(
        argument_spec={
            "components": {"type": "list", "elements": "dict", "required": True},
            **PLACES,
            **CALLER,
        },
        supports_check_mode=True,
    )
    stop = threading.Event()

    def leave(_number: int, _frame: FrameType | None) -> None:
        stop.set()  # the gates see it, and what was begun is stopped again

    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, leave)
    work = works(module, stop)
    if module.check_mode:
        done, failed = side_by_side(work)
    else:
        names = ", ".join(item.slots.spec.component for item in work)
        try:
            with keep_lease(module.params["state_dir"], module.params["run"], f"slots {names}: prepare"):
                done, failed = side_by_side(work)
        except LeaseLost as lost:
            module.fail_json(msg=str(lost), lease=lost.lease)
    rows = [{"component": name, **outcome.as_dict()} for name, outcome in done]
    changed, said = any(row["changed"] for row in rows), [row["msg"] for row in rows]
    for _name, outcome in done:
        for warning in outcome.warnings:
            module.warn(warning)
    if failed:
        reports = [error.report for error in failed if isinstance(error, Failed)]
        more: dict[str, Any] = {"report": reports[0]} if reports else {}
        module.fail_json(msg="\n".join(str(error) or repr(error) for error in failed), changed=changed, **more)
    module.exit_json(changed=changed, components=rows, msg="; ".join(said))


if __name__ == "__main__":
    main()
