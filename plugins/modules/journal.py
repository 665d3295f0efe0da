#!/usr/bin/python
# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: journal
short_description: Lock a node for one run, append to its journal, read it
version_added: 0.1.0
description:
  - Takes and gives back the lease under which one run changes a node, appends records to the node's journal, and reads it.
  - The journal is append-only and each record carries the hash of the one before.
    After 5000 records its older part is archived beside it as C(journal.jsonl.<n>.gz); what planning can still need stays at hand.
  - A lease that expired, or whose C(ansible-playbook) process on this controller is dead, is taken over, and the takeover is journaled.
    A lease of a living run is refused with a message that says who holds it, since when, until when, and the remedy.
author: phasegate contributors (@phasegate)
options:
  state:
    description:
      - V(locked) takes the lease for O(run), or renews it. A run that lost its lease to another is refused. It also keeps 8 MiB of the disk
        free for a way back (C(reserve) in O(state_dir)), and warns where there is no room for them.
      - V(renewed) lengthens the lease of O(run) by what it was taken for, and takes none. The controller asks for it while a run goes on
        that took the lease with V(locked), also on nodes on which nothing works; it warns once when a node does not answer.
      - V(unlocked) appends O(record) if there is one, then gives the lease back. A run that lost its lease records no success.
      - V(appended) appends O(record).
      - V(read) returns records and what is wrong with the chain.
    type: str
    choices: [locked, renewed, unlocked, appended, read]
    default: read
  run:
    description: Identifies the run. Required to lock, to renew and to unlock; the same run may lock again.
    type: str
    default: ""
  owner:
    description:
      - Who runs. C(actor), C(controller), C(controller_id), C(pid) and C(pid_started) are filled in on the controller; and C(job), with its
        number, where a job of AWX runs it.
    type: dict
    default: {}
  lease:
    description: Seconds after which the lease ends by itself unless the run goes on.
    type: int
    default: 900
  dead_run:
    description:
      - The run whose process is known to be dead; its lease is taken over at once.
      - Filled in on the controller, when the holder's process ran there, or when AWX says that the job which held it has ended.
    type: str
  break_lock:
    description:
      - Take the lease from whoever has it. Only for a run that is known not to work any more.
      - The journal has whose it was, and a warning says so. That run is refused at its next step on this node.
    type: bool
    default: false
  stack:
    description:
      - With V(locked), the stack whose node this is to be. It is registered in C(/etc/aistack), or refused before anything is touched
        where it would overwrite what another stack has on this node.
    type: dict
    suboptions:
      name:
        description: Name of the stack.
        type: str
        required: true
      claims:
        description:
          - What it has on this node to itself, by the description of the stack.
          - In a playbook the controller works it out of C(aistack_components) and C(aistack_ports) where it is left out.
        type: dict
        default: {}
      registry:
        description: Folder in which the stacks of a node are registered.
        type: path
        default: /etc/aistack
  record:
    description:
      - What to append. Keys are C(op), C(component), C(release), C(outcome) (V(ok) if left out), C(detail).
      - C(run) and C(actor) are taken from O(run) and O(owner) if left out.
    type: dict
  component:
    description: Return only records of this component, and derive its state.
    type: str
  count:
    description:
      - Return at most this many records, the newest. V(0) returns all.
      - Archived parts of the journal are read as far as this needs it.
    type: int
    default: 50
extends_documentation_fragment:
  - phasegate.aistack.places
  - phasegate.aistack.attributes
attributes:
  check_mode:
    support: full
    description: Nothing is written. A lease of another living run, and a stack that may not be here, is refused as it would be.
  diff_mode:
    support: none
    description: There is nothing to compare.
notes:
  - Taking, renewing and giving back the lease is not counted as a change, because the node is afterwards as it was.
    Taking it over from another run, and appending a record, are.
"""

EXAMPLES = r"""
- name: Take the lock
  phasegate.aistack.journal:
    state: locked
    run: "{{ aistack_run }}"

- name: Record that the phase passed and give the lock back
  phasegate.aistack.journal:
    state: unlocked
    run: "{{ aistack_run }}"
    record: {op: phase, component: phase1, outcome: ok}

- name: What happened to the backend
  phasegate.aistack.journal:
    state: read
    component: backend
"""

RETURN = r"""
lease:
  description: The lease that stands after the call, or that stood in the way of it.
  returned: when there is one
  type: dict
lock_action:
  description: One of V(acquired), V(renewed), V(taken_over), V(broken), V(released), V(lost), V(none).
  returned: state is locked, renewed or unlocked
  type: str
msg:
  description: Whose lock was broken, or who has it where this run has lost it; a warning says the same.
  returned: when there is something to say
  type: str
record:
  description: The record as it was written.
  returned: when one was appended
  type: dict
records:
  description: Records, oldest first.
  returned: state is read
  type: list
  elements: dict
component_state:
  description: State derived from the records; C(states), C(marks), C(live), C(previous_good), C(interrupted).
  returned: state is read and O(component) is set
  type: dict
interrupted:
  description: Operations that were begun and never ended.
  returned: state is read
  type: list
  elements: dict
problems:
  description: What is wrong with the chain of C(journal.jsonl), and whether records are missing at its end, one sentence each.
  returned: state is read
  type: list
  elements: str
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.phasegate.aistack.plugins.module_utils.core import privileges
from ansible_collections.phasegate.aistack.plugins.module_utils.core.places import PLACES
from ansible_collections.phasegate.aistack.plugins.module_utils.journal import chain as journal_chain, reserve
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.chain import Entry, Record
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.emergency import EmergencyJournal, EmergencyLock
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.file import Journal
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.lock import Lock, LockHeld, describe
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.state import derive, interrupted
from ansible_collections.phasegate.aistack.plugins.module_utils.node.registry import Refused, entry_of, register


def _append(params: dict[str, Any], check: bool, journal: Journal) -> Record:
    given: Entry = params["record"]
    fields: Entry = {**given}
    fields.setdefault("run", params["run"])
    fields.setdefault("actor", params["owner"].get("actor", ""))
    fields.setdefault("outcome", "ok")
    if check:
        return journal_chain.link(fields, None, "")
    return journal.append(fields)


def _locked(params: dict[str, Any], check: bool) -> dict[str, Any]:
    if params["stack"]:
        stack = params["stack"]
        register(Path(stack["registry"]), entry_of(stack["name"], params["root"], params["state_dir"], stack["claims"]), check)
    lock = Lock(params["state_dir"])
    if not check and not params["break_lock"]:  # a run that lost the lock does not go on as if it had just begun
        lock.require(params["run"], "take the lock again", beside=True)
    if check:
        standing = lock.holder()
        if standing and standing.get("run") not in (params["run"], params["dead_run"]) and not params["break_lock"]:
            raise LockHeld(lock.refusal(standing), standing)
        return {"changed": False, "lock_action": "none"}
    taken = lock.acquire(params["run"], params["owner"], params["lease"], params["dead_run"], params["break_lock"])
    result: dict[str, Any] = {"changed": taken.replaced is not None, "lock_action": taken.how, "lease": taken.lease}
    if not reserve.keep(params["state_dir"]):
        told = (
            f"There is no room to keep {reserve.SIZE >> 20} MiB free for a way back ({params['state_dir']}/{reserve.NAME}). Free some "
            "space: once the disk is full, a rollback may have to go on without lock and journal"
        )
        result["warnings"] = [told]
    if taken.how == "broken" and taken.replaced is not None:
        result["msg"] = f"The lock was taken from {describe(taken.replaced)}; that run stops at its next step on this node"
    return result


def _renewed(params: dict[str, Any], check: bool) -> dict[str, object]:
    held = check or Lock(params["state_dir"]).prolong(params["run"])
    return {"changed": False, "lock_action": "renewed" if held else "lost"}


def _unlocked(params: dict[str, Any], check: bool) -> dict[str, object]:
    result: dict[str, Any] = {"changed": False}
    lock, journal = Lock(params["state_dir"]), EmergencyJournal(Journal.of(params["state_dir"]).path)
    done = bool(params["record"]) and params["record"].get("outcome", "ok") == "ok"
    if done and not check:
        lock.require(params["run"], "say that it is done", beside=True)
    if params["record"]:
        result.update(changed=True, record=_append(params, check, lock.journal if done else journal))
    if check:
        return {**result, "lock_action": "none"}
    if not done:  # a full disk must not keep the lock of a run that failed, or has nothing to say
        lock = EmergencyLock(params["state_dir"], journal)
    try:
        released = lock.release(params["run"], params["break_lock"])
    except LockHeld as held:  # there is nothing to give back; what failed before is what people are to read
        note = f"The lock is another run's by now: {describe(held.lease)}"
        result.update(lock_action="none", lease=held.lease, msg=note)
    else:
        result["lock_action"] = "released" if released else "none"
    notes = journal.notes()
    return {**result, "warnings": notes} if notes else result


def _read(params: dict[str, Any]) -> dict[str, object]:
    journal = Journal.of(params["state_dir"])
    records = journal.read()
    component = params["component"]
    result: dict[str, Any] = {
        "changed": False,
        "records": journal.newest(params["count"], component),
        "interrupted": [asdict(item) for item in interrupted(records, component, params["run"] or None)],
        "problems": journal.verify(),
        "lease": Lock(params["state_dir"]).holder(),
    }
    if component is not None:
        result["component_state"] = derive(records, component, current_run=params["run"] or None).as_dict()
    return result


def _no_room(error: Exception) -> bool:
    return isinstance(error, OSError) and reserve.is_full(error)


@privileges.explained
def main() -> None:
    """Read arguments, call the core, report."""
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["locked", "renewed", "unlocked", "appended", "read"], "default": "read"},
            **PLACES,
            "run": {"type": "str", "default": ""},
            "owner": {"type": "dict", "default": {}},
            "lease": {"type": "int", "default": 900},
            "dead_run": {"type": "str"},
            "break_lock": {"type": "bool", "default": False},
            "stack": {
                "type": "dict",
                "options": {
                    "name": {"type": "str", "required": True},
                    "claims": {"type": "dict", "default": {}},
                    "registry": {"type": "path", "default": "/etc/aistack"},
                },
            },
            "record": {"type": "dict"},
            "component": {"type": "str"},
            "count": {"type": "int", "default": 50},
        },
        required_if=[("state", "appended", ["record"])],
        supports_check_mode=True,
    )
    params: dict[str, Any] = module.params
    check: bool = module.check_mode
    if params["state"] in ("locked", "renewed", "unlocked") and not params["run"]:
        module.fail_json(msg=f"state={params['state']} needs run: the id of the run that owns the lock, got an empty text.")
    try:
        if params["state"] == "locked":
            result = _locked(params, check)
        elif params["state"] == "renewed":
            result = _renewed(params, check)
        elif params["state"] == "unlocked":
            result = _unlocked(params, check)
        elif params["state"] == "appended":
            result = {"changed": True, "record": _append(params, check, Journal.of(params["state_dir"]))}
        else:
            result = _read(params)
    except Refused as refused:
        module.fail_json(msg=f"The stack {refused}.")
    except LockHeld as held:
        module.fail_json(msg=str(held), lease=held.lease)
    except (ValueError, OSError) as error:
        full = " Free some space; to take a release back, emergency_rollback.yml needs none." if _no_room(error) else ""
        module.fail_json(msg=f"The journal in {params['state_dir']} could not be used: {privileges.in_words(error)}.{full}")
    for warning in [*result.pop("warnings", []), *([result["msg"]] if "msg" in result else [])]:
        module.warn(f"{warning}.")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
