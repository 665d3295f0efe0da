#!/usr/bin/python
# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: celery_drain
short_description: Stop the intake of Celery workers, wait until they hold no task, let them go on
version_added: 0.1.0
author: phasegate contributors (@phasegate)
description:
  - Tells workers through Celery's remote control, by name and queue, to take no more tasks, and waits until they hold none.
    What they have not fetched stays with the broker, for whoever takes from the queue next; nothing is lost and nothing is done twice.
  - The workers are asked by the Python of the release that is live, in its own environment. Secrets reach it only from O(env_file).
  - What was stopped is written to C(<state_dir>/drained/<component>.json) before it is stopped. A run that dies in between is
    repaired by the next O(state=resumed).
options:
  state:
    description:
      - V(drained) stops intake and waits, at most O(timeout), until no task runs and none is held.
      - V(resumed) lets the workers take tasks again. Where nothing was stopped nobody is asked. A worker that does not answer any
        more has ended, and is forgotten.
      - V(status) changes nothing.
    type: str
    choices: [drained, resumed, status]
    default: status
  component:
    description: Name of the component whose workers they are.
    type: str
    required: true
  app:
    description: The application, as C(celery -A) takes it.
    type: str
    required: true
  workers:
    description:
      - Names of the workers; C(${slot}) and the other names of the live slot are filled in. One with C(${slot}) stands for those of
        all its instances.
      - Empty means every worker that answers, which takes the whole time of an answer.
      - With O(state=resumed) they count only together with O(queues); otherwise it is those that were stopped, whichever slot is
        live by now.
    type: list
    elements: str
    default: []
  queues:
    description: Queues to stop, or to go on with. Empty means all that the workers take from, or that were stopped.
    type: list
    elements: str
    default: []
  timeout:
    description: Seconds for all of the waiting.
    type: float
    default: 300
  window:
    description: Tasks that wait for their time and are due within so many seconds are waited for. Later ones go back to the broker.
    type: float
    default: 30
  enforce:
    description:
      - With V(true) a worker that does not answer, or that still holds a task after O(timeout), fails the task, and all the workers
        take tasks again as before.
      - With V(false) intake stays stopped, and RV(drained) and a warning say that it did not come to its end.
    type: bool
    default: true
  stop_timeout:
    description:
      - Seconds that a worker has to end its tasks when its unit is stopped, which somebody is about to do. What then may be killed is
        told in RV(foretold). With V(0) nobody is.
    type: float
    default: 0
  refuse:
    description: With O(state=status), fail where stopping the workers may kill a task, or where one of them does not answer.
    type: bool
    default: false
  python:
    description: The Python that asks; that of the live slot's release if left out.
    type: path
  cwd:
    description: Folder that it runs in; the live slot's release if left out.
    type: path
  env_file:
    description: Environment that it gets; that of the live slot if left out.
    type: path
  user:
    description: System user that it runs as, where the module runs as root; that of the component if left out.
    type: str
extends_documentation_fragment:
  - phasegate.aistack.places
  - phasegate.aistack.attributes
attributes:
  check_mode:
    support: full
    description: Asks the workers and says what would be stopped, and what would be waited for.
  diff_mode:
    support: none
    description: There is nothing to compare.
requirements:
  - Celery 5 in the release
seealso:
  - module: phasegate.aistack.gate
  - module: phasegate.aistack.slot
"""

EXAMPLES = r"""
- name: Take nothing more in, and end what has begun
  phasegate.aistack.celery_drain:
    state: drained
    component: worker
    app: app.celery_app
    workers: ["worker-${slot}@{{ inventory_hostname }}"]
    timeout: 300

- name: Go on, whoever stopped
  phasegate.aistack.celery_drain:
    state: resumed
    component: worker
    app: app.celery_app
"""

RETURN = r"""
drained:
  description: Whether the workers take nothing and hold nothing.
  returned: for O(state=drained) and O(state=status)
  type: bool
running:
  description:
    - Tasks that are held; each with C(worker), C(state) (V(active), V(reserved), V(scheduled)), C(id), C(name), C(seconds) (for how
      long it has been running) and C(due_in) (seconds until it is due).
  returned: always
  type: list
  elements: dict
later:
  description: Tasks that are due after O(window); in the same form.
  returned: always
  type: list
  elements: dict
workers:
  description: The workers that answered, with the queues that they take from now.
  returned: always
  type: dict
  sample: {worker-blue@backend-1: [celery]}
missing:
  description: Workers that were named and did not answer.
  returned: always
  type: list
  elements: str
settings:
  description:
    - What the application says of tasks that take long, C(visibility_timeout) (of C(broker_transport_options), or what its broker's kind
      has by itself), C(time_limit) and C(acks_late).
  returned: always
  type: dict
  sample: {visibility_timeout: 3600, time_limit: null, acks_late: false}
foretold:
  description: What becomes of tasks that take longer than O(stop_timeout) or C(visibility_timeout), a sentence each.
  returned: always
  type: list
  elements: str
stopped:
  description: The workers whose intake is stopped, with the queues.
  returned: always
  type: dict
  sample: {worker-blue@backend-1: [celery]}
waited_s:
  description: Seconds that were waited.
  returned: for O(state=drained)
  type: float
msg:
  description: What was done, and what is still held; each task with its name, id, worker and for how long.
  returned: always
  type: str
"""

import os
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.phasegate.aistack.plugins.module_utils.core import privileges
from ansible_collections.phasegate.aistack.plugins.module_utils.core.instances import for_each
from ansible_collections.phasegate.aistack.plugins.module_utils.core.places import PLACES
from ansible_collections.phasegate.aistack.plugins.module_utils.core.substitute import MissingName, fill
from ansible_collections.phasegate.aistack.plugins.module_utils.core.unit_user import service_user
from ansible_collections.phasegate.aistack.plugins.module_utils.gate.engine import live_context
from ansible_collections.phasegate.aistack.plugins.module_utils.gate.verdict import Names
from ansible_collections.phasegate.aistack.plugins.module_utils.slots import celery_drain
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.celery_drain import Ask, DrainError, Memory, Request, unusable


def argument_spec() -> dict[str, dict[str, object]]:
    """What the module takes."""
    return {
        "state": {"type": "str", "choices": ["drained", "resumed", "status"], "default": "status"},
        "component": {"type": "str", "required": True},
        "app": {"type": "str", "required": True},
        "workers": {"type": "list", "elements": "str", "default": []},
        "queues": {"type": "list", "elements": "str", "default": []},
        "timeout": {"type": "float", "default": 300},
        "window": {"type": "float", "default": 30},
        "enforce": {"type": "bool", "default": True},
        "stop_timeout": {"type": "float", "default": 0},
        "refuse": {"type": "bool", "default": False},
        **PLACES,
        "python": {"type": "path"},
        "cwd": {"type": "path"},
        "env_file": {"type": "path"},
        "user": {"type": "str"},
    }


def asker(params: dict[str, Any], names: Names) -> Ask:
    """Who asks the workers. Raises DrainError where nothing is live that could."""
    if not all((params["python"], params["cwd"], params["env_file"])) and not ("release_path" in names and "config_path" in names):
        raise DrainError(
            f"{params['component']}: nobody can ask the workers: {names.get('missing') or 'its live slot has no release or no config'}."
            " Nothing was changed. Is it live? See: aistack status, on the node; deploy it with site.yml or deploy.yml."
        )
    tree, config = str(names.get("release_path")), str(names.get("config_path"))
    return celery_drain.runner(
        params["python"] or os.path.join(tree, ".venv", "bin", "python"),
        params["cwd"] or tree,
        params["env_file"] or os.path.join(config, "env"),
        params["user"] or service_user(params["component"], str(names.get("unit") or "")),
    )


def named(workers: list[str], names: Names) -> list[str]:
    """The workers' names, filled in, of all instances of the slot. Raises DrainError where nothing is live that would give them."""
    try:
        return [str(worker) for worker in fill(for_each(workers, names.get("instances") or ()), names)]
    except MissingName as problem:
        why = names.get("missing") or "nothing is known of its live slot; see aistack status on the node"
        raise DrainError(f"{names['component']}: workers: {problem.args[0]}; {why}.") from None


def act(params: dict[str, Any], check: bool) -> dict[str, Any]:
    """Do what is asked for. Raises DrainError, and OSError or ValueError for the file of what was stopped."""
    names = live_context(params["root"], params["component"], state_dir=params["state_dir"])
    memory = Memory.of(params["state_dir"], params["component"])

    def ask(question: dict[str, Any]) -> dict[str, object]:
        return asker(params, names)(question)

    request = Request(
        params["component"], params["app"], (), params["queues"], params["timeout"], params["window"], params["stop_timeout"]
    )
    if params["state"] == "resumed" and not params["queues"]:
        return celery_drain.resume(request, ask, memory, check)  # whoever was stopped: another slot may be live by now
    try:
        request.workers = named(params["workers"], names)
        if params["state"] == "resumed":
            return celery_drain.resume(request, ask, memory, check)
        if params["state"] == "status":
            return (celery_drain.refuse_busy if params["refuse"] and not check else celery_drain.status)(request, ask, memory)
        if params["enforce"]:
            return celery_drain.drain_or_go_on(request, ask, memory, check)
        return celery_drain.drain(request, ask, memory, check)
    except DrainError as problem:
        if params["state"] != "drained" or params["enforce"]:
            raise
        nothing = {"changed": bool(memory.workers), "workers": {}, "running": [], "later": [], "missing": [], "stopped": memory.workers}
        return {**nothing, **problem.facts, "drained": False, "msg": str(problem)}


@privileges.explained
def main() -> None:
    """Read arguments, call the core, report."""
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    params: dict[str, Any] = module.params
    if params["state"] == "resumed" and params["queues"] and not params["workers"]:
        module.fail_json(msg="state: resumed with queues needs workers: the names of those that are to take from the queues.")
    try:
        result = act(params, module.check_mode)
    except DrainError as problem:
        module.fail_json(msg=str(problem), **problem.facts)
    except (OSError, ValueError) as problem:
        module.fail_json(msg=unusable(params["state_dir"], params["component"], privileges.in_words(problem)))
    for sentence in result.get("foretold", []):
        module.warn(f"{params['component']}: {sentence}.")
    if params["state"] == "drained" and not result["drained"] and not module.check_mode:
        module.warn(result["msg"])
    module.exit_json(**result)


if __name__ == "__main__":
    main()
