# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: slot
short_description: Start, gate, shift, drain and stop a slot of a component in one call
version_added: 0.1.0
author: phasegate contributors (@phasegate)
description:
  - A component has two slots, V(blue) and V(green). One is live. A release is started in the idle one, proves itself on the
    slot's own port, and only then takes the traffic at the edge; the old slot is drained and stopped, or kept warm for a while.
  - Where the gate fails, the new slot is stopped, the edge stays as it was, and the release is marked bad in the journal.
  - Reads what is real before it acts. A call that was interrupted anywhere is finished, or taken back, by the next one.
options:
  state:
    description:
      - V(active) makes O(release) with O(config) live; nothing is done where it is and serves.
      - V(reverted) takes back what the run O(run) activated for this component.
      - V(restarted) starts what is live, or O(release), again; in the other slot with O(strategy=bluegreen), in place with
        O(strategy=recreate).
      - V(stopped) takes the component out of traffic, stops it and has it not started at boot. The live slot is remembered.
      - V(drained) has the edge refuse new requests, and waits for those that the live slot has; V(resumed) ends that, and so does a
        switch. Without an edge both do nothing. With O(resume_after) the node ends it by itself where nobody does.
      - V(scaled) has what is live run as O(scale_to) processes, while it works. Those that come have to pass the gate that the release was
        activated with; those that go take nothing more and end what they hold before they are stopped. Where that fails there are as many
        as before.
      - V(status) changes nothing and returns what is real.
    type: str
    choices: [active, reverted, restarted, stopped, drained, resumed, scaled, status]
    default: active
  component:
    description: Name of the component.
    type: str
    required: true
  release:
    description: Tag of the release; needed with O(state=active). It has to be staged.
    type: str
  config:
    description: Hash of the config that it runs with; needed where O(release) is given.
    type: str
  unit:
    description:
      - Name of the systemd unit, with V(%s) or V({slot}) where the name of the slot goes.
      - The default is C(aistack-COMPONENT@{slot}.service).
    type: str
    default: ''
  ports:
    description: The port of each slot, and the one that the edge listens on. Empty for a component that listens nowhere.
    type: dict
    default: {}
    suboptions:
      blue: {description: Port of the slot V(blue)., type: int}
      green: {description: Port of the slot V(green)., type: int}
      public: {description: Port that the edge listens on., type: int}
  edge:
    description: The HAProxy in front of the slots. Left out for a component without one.
    type: dict
    suboptions:
      socket:
        description: Its admin socket.
        type: path
        default: /run/haproxy/admin.sock
      backend:
        description: Its backend section, which has the servers V(blue) and V(green). The default is O(component).
        type: str
      state_file:
        description: File to which the state of its servers is written after every switch.
        type: path
        default: /var/lib/haproxy/server-state
      address:
        description: Address on which it listens, for the gate that is asked once more through it.
        type: str
        default: 127.0.0.1
  strategy:
    description:
      - V(bluegreen) starts the new slot while the old one runs.
      - V(recreate) stops the old one first, so that never two run at the same time.
    type: str
    choices: [bluegreen, recreate]
    default: bluegreen
  weight:
    description:
      - With O(state=active) the share of the requests in percent that O(release) gets, 1 to 100. Below V(100) it is started and proven in
        the idle slot and takes that share beside what is live, which stays live; the journal calls that C(canary). V(100) makes it live.
      - It needs an edge, and O(strategy=bluegreen). Where nothing is live, or the release is, a smaller share does nothing.
        It is refused where what is live is down at the edge, since the release would get all requests.
      - O(state=reverted) of the run that shared, a switch to any release, and a boot of the node give what is live all requests again.
    type: int
    default: 100
  gate:
    description:
      - The probes that a slot has to pass and the settings of the gate.
      - It is kept on the node with the release, so that going back judges the old release by its own gate.
      - The default is the gate that the release was activated with.
    type: dict
    suboptions:
      probes:
        description: Probes in their canonical form. They are run on this node.
        type: list
        elements: dict
        default: []
      interval:
        description: Seconds between two attempts.
        type: float
      successes:
        description: Passes in a row that are needed.
        type: int
      min_healthy_time:
        description: Seconds of passing without a break that are needed.
        type: float
      deadline:
        description: Seconds for all of it.
        type: float
      start_period:
        description: Seconds during which failures do not count against O(gate.failures).
        type: float
      failures:
        description: Failures in a row that end it early; V(0) waits for the deadline.
        type: int
  drain_timeout:
    description: Seconds to wait until the old slot has no session left.
    type: float
    default: 60
  resume_after:
    description:
      - For O(state=drained), seconds after which the node's own command lets requests in again, if neither V(resumed) nor V(stopped)
        came by then; the controller may be lost meanwhile. V(0) is never.
    type: int
    default: 0
  stack:
    description: Name of the stack that the node's own command knows, for O(resume_after).
    type: str
    default: ''
  stop_timeout:
    description: Seconds that a unit may take to stop before it is killed.
    type: float
    default: 30
  warm:
    description:
      - Seconds for which the old slot goes on running, out of traffic, so that going back needs no start. V(0) stops it now.
      - Without an edge the old slot is always stopped at once, because it would go on working.
    type: int
    default: 0
  instances:
    description:
      - Processes of a slot, as the inventory says, of a component without a port.
      - The node keeps the number that it has. V(active) and V(restarted) keep one that V(scaled) set, as long as the inventory says the
        same as it did then, and warn of it; a higher number of the inventory is brought about behind the switch, as by V(scaled), a
        lower one by starting no more in the other slot. Where it cannot be had, a warning says so, and the next run tries again.
    type: int
    default: 1
  scale_to:
    description: Processes that the live slot is to have with O(state=scaled), 1 to 64.
    type: int
  workers:
    description: Celery's workers that the processes of a slot are. Those that go are told to take nothing more, and have O(drain_timeout).
    type: dict
    suboptions:
      app:
        description: The application, as C(celery -A) takes it.
        type: str
        required: true
      name:
        description: Name of a worker, with C(${slot}) where that of the process goes.
        type: str
        required: true
  description:
    description:
      - What a node has to know of the component besides the other options, so that it can plan and go back by itself.
      - With V(state=active) and V(state=restarted) it is kept in C(components/<component>.json) below O(state_dir).
      - Left out, nothing is kept.
    type: dict
    suboptions:
      source:
        description: The component whose releases it runs. The default is O(component).
        type: str
      application:
        description: The application that it belongs to.
        type: str
      order:
        description: Its position in the order of dependencies; those that need it have a higher one.
        type: int
        default: 0
      database:
        description: How its database is reached, for a component that brings migrations along.
        type: dict
        suboptions:
          url_variable:
            description: Variable of its environment that holds the address.
            type: str
            default: DATABASE_URL
  reason:
    description: Why something is taken back or stopped; for the journal.
    type: str
    default: ''
  allow_bad:
    description: Activate a release although it is marked bad.
    type: bool
    default: false
  mark_good:
    description: Mark the release good when its gate held.
    type: bool
    default: true
  mark_bad:
    description: Mark a release bad that fails its gate, or that is taken back.
    type: bool
    default: true
extends_documentation_fragment:
  - phasegate.aistack.caller
  - phasegate.aistack.places
attributes:
  check_mode:
    description: Can run in check mode and return what it would do without changing anything.
    support: full
  diff_mode:
    description: Returns slot, release and config before and after.
    support: full
  platform:
    description: Where it runs.
    support: full
    platforms: linux
    details: Needs systemd.
seealso:
  - module: phasegate.aistack.celery_drain
  - module: phasegate.aistack.gate
  - module: phasegate.aistack.journal
"""

EXAMPLES = r"""
- name: Make the release live behind the edge
  phasegate.aistack.slot:
    component: backend
    release: v4.1.0
    config: 3f9c0a12
    ports: {blue: 18000, green: 18001, public: 8000}
    edge: {address: 10.89.0.11}
    gate:
      probes:
        - {name: health, type: http, target: "http://127.0.0.1:${port}/health", json: {version: "${release}"}}
      deadline: 60
      min_healthy_time: 3
    warm: 300
    description: {application: sparklio, order: 7, database: {url_variable: DATABASE_URL}}
    run: "{{ aistack_run }}"

- name: Take back what this run activated
  phasegate.aistack.slot:
    component: backend
    state: reverted
    ports: {blue: 18000, green: 18001, public: 8000}
    edge: {}
    run: "{{ aistack_run }}"
    reason: the frontend did not pass its gate

- name: Four workers where there were two
  phasegate.aistack.slot:
    component: worker
    state: scaled
    instances: 2
    scale_to: 4
    workers: {app: app.celery_app, name: "worker-${slot}@{{ inventory_hostname }}"}
    drain_timeout: 300
    run: "{{ aistack_run }}"
"""

RETURN = r"""
slot:
  description: The slot that is live, or would be; of a release that gets a share of the requests, its own.
  returned: always
  type: str
  sample: green
release:
  description: Its release.
  returned: always
  type: str
  sample: v4.1.0
port:
  description: The port of that slot; null without one.
  returned: success, unless O(state=status)
  type: int
config:
  description: Hash of its config.
  returned: always
  type: str
previous:
  description: What was live before, as C(slot), C(release) and C(config); null if nothing did.
  returned: success, unless O(state=status)
  type: dict
  sample: {slot: blue, release: v4.0.0, config: 77aa01bc}
steps:
  description: What was done, or would be, in this order.
  returned: success, unless O(state=status)
  type: list
  elements: str
  sample: [write green, start green, gate green, ready green, drain blue, gate public green, live green]
timings:
  description: Seconds spent, as C(start_s), C(gate_s), C(shift_s), C(drain_s), C(stop_s).
  returned: success, unless O(state=status)
  type: dict
gate:
  description:
    - Evidence of the gate, as C(verdict), C(summary) and C(probes); empty where none was needed.
    - What was asked after it, such as the gate through the edge, is C(then), one line each.
  returned: success, unless O(state=status)
  type: dict
warm_until:
  description: When the old slot will be stopped, in UTC; null where it was stopped, or there was none.
  returned: success, unless O(state=status)
  type: str
instances:
  description: Processes of a slot that the component has on this node.
  returned: success, unless O(state=status)
  type: int
described:
  description: Whether the node's description of the component changed.
  returned: success, unless O(state=status)
  type: bool
status:
  description: The live slot, and for each slot its content, unit and state at the edge.
  returned: O(state=status)
  type: dict
report:
  description:
    - Why it failed, as C(probe), C(expected), C(got), C(attempts), C(verdict), C(log_tail),
      C(still_serving) (C(release) and C(slot), or null) and C(went_back) (the steps of going back).
  returned: failure of a gate or a step
  type: dict
"""

import shlex
import signal
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from types import FrameType
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.haproxy import EdgeError
from ansible_collections.phasegate.aistack.plugins.module_utils.clients.systemd import UnitError
from ansible_collections.phasegate.aistack.plugins.module_utils.core import privileges
from ansible_collections.phasegate.aistack.plugins.module_utils.core.instances import refusal
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.emergency import EmergencyJournal
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.file import Journal
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.lock import LeaseLost, keep_lease
from ansible_collections.phasegate.aistack.plugins.module_utils.release.content import Content
from ansible_collections.phasegate.aistack.plugins.module_utils.slots import component_file
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.contract import Failed, Refused, Request, Terminated
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.gate import SlotGate
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.intake import of_live
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.node import Spec
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.options import Numbers, given, numbers_of, options, spec_of
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.scaling import EndedBehind, ScalingSlots

COMMAND = "/usr/local/bin/aistack"


def describe(params: Mapping[str, Any], spec: Spec, numbers: Numbers, check: bool) -> bool:
    """Keep on the node what it needs to go back by itself; returns whether that changed. Before the switch: it may be interrupted."""
    if params["description"] is None or params["state"] not in ("active", "restarted"):
        return False
    described = component_file.describe(
        replace(spec, instances=numbers.kept), {**params["description"], "instances_said": numbers.kept_said}
    )
    return component_file.save(described, spec.state_dir, check)


def resume_command(stack: str, component: str, run_id: str) -> str:
    """What the node runs where nobody ends a drain."""
    words = [COMMAND, *(["--stack", stack] if stack else []), "resume", component, *(["--run", run_id] if run_id else [])]
    return f"exec {shlex.join([*words, '--by-timer'])}"


def leave(number: int, _frame: FrameType | None) -> None:
    """Turn a signal into an exception, so that what was begun is ended and the journal says so."""
    raise Terminated(f"ended by signal {number}")


def run(module: AnsibleModule) -> dict[str, object]:
    """Do what was asked and return the result."""
    params = module.params
    gate = SlotGate()
    numbers = numbers_of(params)
    spec = replace(spec_of(params), instances=numbers.starts)
    journal = EmergencyJournal(Journal.of(params["state_dir"]).path)
    slots = ScalingSlots(spec, gate, journal if params["state"] == "reverted" else Journal.of(params["state_dir"]))
    if params["state"] == "status":
        status = slots.status()
        live = status["slots"].get(status["live"], {})
        shown = {"slot": status["live"], "release": live.get("release"), "config": live.get("config")}
        return {"changed": False, "status": status, **shown}
    request = Request(
        run=params["run"],
        actor=params["actor"],
        allow_bad=params["allow_bad"],
        mark_good=params["mark_good"],
        mark_bad=params["mark_bad"],
        reason=params["reason"],
        check=module.check_mode,
    )
    target = Content(params["release"], params["config"]) if params["release"] else None
    described = describe(params, spec, numbers, module.check_mode)
    intake = partial(of_live, slots.node, params["workers"], params["drain_timeout"])
    if params["state"] == "stopped":
        outcome = slots.stop(request)
    elif params["state"] == "drained":
        outcome = slots.drain(request, params["resume_after"], resume_command(params["stack"], params["component"], params["run"]))
    elif params["state"] == "resumed":
        outcome = slots.resume(request)
    elif params["state"] == "reverted":
        if not module.check_mode:
            journal.begin()
        outcome = slots.revert(request)
        outcome.warnings += journal.notes()
    elif params["state"] == "scaled":
        outcome = slots.scale(params["scale_to"], params["instances"], request, intake)
    elif params["state"] == "restarted" or target is None:
        outcome = slots.restart(target, request)
        if params["description"] is not None:
            slots.agree(numbers.wanted, numbers.said, request, intake, outcome)
    elif params["weight"] < 100:
        outcome = slots.share(target, params["weight"], request)
    else:
        outcome = slots.activate(target, request)
        if params["description"] is not None:
            slots.agree(numbers.wanted, numbers.said, request, intake, outcome)
    result = outcome.as_dict()
    result["described"] = described
    result["instances"] = slots.spec.instances
    result["port"] = spec.ports.get(str(result["slot"]))
    result["changed"] = result["changed"] or described
    result["gate"] = gate.evidence
    result["diff"] = {"before": outcome.previous or {}, "after": {key: result[key] for key in ("slot", "release", "config")}}
    if params["state"] in ("stopped", "drained"):
        result["diff"]["after"] = {} if outcome.changed else result["diff"]["before"]
    for warning in outcome.warnings:
        module.warn(warning)
    return result


@privileges.explained
def main() -> None:
    """The module."""
    module = AnsibleModule(
        argument_spec=options(),
        supports_check_mode=True,
        required_if=[("state", "active", ("release", "config")), ("state", "reverted", ("run",)), ("state", "scaled", ("scale_to",))],
        required_by={"release": ("config",)},
    )
    if not 1 <= module.params["weight"] <= 100:
        module.fail_json(msg=f"weight: {module.params['weight']} is no share; expected 1 to 100 percent")
    why = refusal(module.params["component"], module.params["instances"], bool(given(module.params["ports"])))
    if why:
        module.fail_json(msg=f"instances: {why}")
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, leave)
    try:
        if module.check_mode or module.params["state"] in ("status", "resumed"):  # traffic may go on without the lock
            result = run(module)
        else:
            what = f"slot {module.params['component']}: {module.params['state']}"
            with keep_lease(module.params["state_dir"], module.params["run"], what):
                result = run(module)
    except LeaseLost as error:
        if module.params["state"] == "reverted":  # whoever took the lock has decided what is live since
            told = f"{module.params['component']}: nothing was taken back. {error}"
            module.warn(told)
            module.exit_json(changed=False, msg=told)
        module.fail_json(msg=str(error), lease=error.lease)
    except Failed as error:
        module.fail_json(msg=str(error), report=error.report)
    except Refused as error:
        module.fail_json(msg=str(error))
    except UnitError as error:
        module.fail_json(msg=f"{module.params['component']}: {error}", cmd=error.cmd, rc=error.rc, stderr=error.stderr)
    except EdgeError as error:
        module.fail_json(msg=f"{module.params['component']}: {error}")
    except Terminated as error:
        stays = module.params["state"] == "scaled" or isinstance(error, EndedBehind)
        ending = "run the same again, which finishes it" if stays else "what was begun has been taken back. Run the same again"
        module.fail_json(msg=f"{module.params['component']}: {error}; {ending}")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
