# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: gate
short_description: Judge probes together, and let nothing pass that is not proven
version_added: 0.1.0
author: phasegate contributors (@phasegate)
description:
  - Runs a list of probes at the same time, again and again, until all of them have passed as often and for as long as
    asked for, or until the deadline.
  - All probes have to hold at the same moment. One that fails after it had passed starts again.
  - The verdict is C(pass), C(fail) (judged, and not as expected), C(inconclusive) (not enough seen by the deadline) or
    C(error) (could not be judged, for example because a tool is missing or a name cannot be filled in).
    A probe of severity C(warning) never fails the gate.
  - A gate ends before its deadline where a critical probe cannot be judged; where O(failures) says so; and where a C(http) probe of a
    slot's own port expects C(${release}) and the slot's process answers, three times and for two seconds the same, with the name of
    another release. Everything else may still become as expected, and is waited for, since a server that loads a model for minutes
    gives the same answer, from the same process, as one that will never be right. O(failures) or a lower O(deadline) says when it is
    enough.
  - In a playbook the controller picks the probes that belong to the host at hand, prints what is still waited for, and
    contacts no host that has nothing to do.
options:
  probes:
    description:
      - The probes, in the short form with the type as a key, or in the canonical form with C(type) and C(target).
      - "Common keys are C(name), C(severity) (C(critical) or C(warning)), C(timeout) (seconds for one attempt),
        C(component), C(from) (inventory group or host that asks; of a group the first host), C(from_all) (all of them),
        C(hosts) (group, host or list of hosts that the probe runs on), C(log_unit)."
      - "Types are C(http), C(tcp), C(dns), C(postgres), C(redis), C(s3), C(celery), C(process), C(unit), C(log), C(file),
        C(command), C(tls), C(disk), C(port), C(haproxy), C(ollama), C(comfyui), C(metrics), C(prometheus), C(alertmanager),
        C(grafana), C(superset), C(logs), C(traces), C(usage) and C(sequence)."
      - "C(${name}) in any value is filled in on the node; names are C(component), C(release), C(release_path),
        C(config_path), C(slot), C(port) and C(unit)."
      - Secrets never stand in a probe. It names a file on the node.
    type: list
    elements: dict
    required: true
  contexts:
    description:
      - What C(${name}) stands for, by component.
      - For a component that is not named here it is read from its live slot on the node.
    type: dict
    default: {}
  ports:
    description:
      - Ports that the users of a component reach, by component. They go before the port of the live slot.
      - In a playbook they are taken from C(aistack_components) and C(aistack_ports) where they are not given.
    type: dict
    default: {}
  units:
    description:
      - Units whose log is shown when a probe of a component without slots fails, by component.
      - In a playbook they are taken from C(aistack_components) where they are not given.
    type: dict
    default: {}
  judge_by:
    description:
      - By what a component that has a live release on the node is judged.
      - V(given) by O(probes).
      - V(activated) by the gate that the live release was activated with, where the node has it. Probes of O(probes) that are not
        in it are asked once beside it; they do not count, and what fails of them is shown with RV(probes[].judged_by).
      - V(adopted) by O(probes), which become the gate of the live release where they pass. Where O(probes) are the gate that
        another release on the node was activated with, as with V(activated).
      - V(kept) asks nothing. The hosts of the components of O(probes) say which probes with C(from) their live releases have, so that a
        later task of the play, on the hosts that ask them, can judge by them too. Without it those of O(probes) count.
      - V(together) asks no node. What the hosts of the play have said with V(kept) is put together once for all of them (C(run_once)),
        since each would else read the variables of each other one.
      - Probes that belong to no component are always those of O(probes). Unless with V(given), one that fails says so.
    type: str
    choices: [given, activated, adopted, kept, together]
    default: given
  absent:
    description:
      - Components of which nothing is on their nodes yet. In check mode their probes, and those that belong to no component, are not
        asked, as what they ask for would only be made by the run; they count as skipped. Without check mode this means nothing.
    type: list
    elements: str
    default: []
  log_since:
    description:
      - Seconds that every probe of a log looks back, whatever it says itself, such as what a log says since a migration. V(0) leaves
        each its own.
    type: float
    default: 0
  settings:
    description:
      - O(interval), O(successes), O(failures), O(min_healthy_time), O(start_period) and O(deadline) as one mapping, such as the
        C(gate_settings) of a component; what is given beside it counts more.
    type: dict
    default: {}
  elsewhere:
    description: Internal. Component to its probes that another host asks, on the hosts of the component.
    type: dict
    default: {}
  aside:
    description: Internal. Component to its probes with C(from) that this host asks, and that do not count.
    type: dict
    default: {}
  interval:
    description: Seconds from the start of one attempt to the start of the next.
    type: float
    default: 1
  successes:
    description:
      - Consecutive passes that are needed.
      - Probes that change something (C(s3), C(sequence), a C(http) request that is not a C(GET), …) pass once.
    type: int
    default: 1
  failures:
    description: Consecutive failures that end the gate early. With V(0) it waits for the deadline.
    type: int
    default: 0
  min_healthy_time:
    description: Seconds of passing without a break that are needed.
    type: float
    default: 0
  start_period:
    description: Seconds during which failures do not count against O(failures).
    type: float
    default: 0
  deadline:
    description: Seconds for all of it. With V(0) every probe gets one attempt. In check mode it is always V(0).
    type: float
    default: 10
  enforce:
    description:
      - Fail the task unless the verdict is C(pass). Without it the verdict is only returned.
      - In check mode nothing is enforced, since nothing that the play would do has been done.
    type: bool
    default: true
extends_documentation_fragment:
  - phasegate.aistack.attributes
  - phasegate.aistack.places
  - phasegate.aistack.slices
attributes:
  check_mode:
    description: Can run in check mode and tell what it would do.
    support: partial
    details:
      - Probes that only look are run once and reported as they come out. Probes that would change something are C(skipped),
        never C(pass). Nothing is enforced.
  diff_mode:
    description: It changes nothing.
    support: none
requirements:
  - C(psql) for probes of type C(postgres)
  - systemd for probes of type C(unit) and C(log)
seealso:
  - module: phasegate.aistack.slot
"""

EXAMPLES = r"""
- name: The backend answers with its release, and reaches what it needs
  phasegate.aistack.gate:
    probes:
      - name: health
        component: backend
        http: "http://127.0.0.1:${port}/health"
        json: {status: ok, version: "${release}"}
      - name: database
        component: backend
        postgres: {host: 127.0.0.1, user: app, database: app, password_file: /var/lib/aistack/credentials/postgres}
        query: SELECT 1
        value: 1
      - {name: reaches ollama, http: "http://10.0.0.12:11434/api/version", from: backend}
      - {name: room to grow, disk: /, free_percent: 10, severity: warning}
    successes: 2
    min_healthy_time: 5
    deadline: 60

- name: How is it now, without failing
  phasegate.aistack.gate:
    probes: "{{ probes }}"
    deadline: 0
    enforce: false
  register: health
"""

RETURN = r"""
verdict:
  description: C(pass), C(fail), C(inconclusive), C(error), or C(skipped) where check mode left nothing to judge.
  returned: always
  type: str
  sample: pass
left_out:
  description: Probes that were not asked, each with the hosts that should have and are not in this run.
  returned: on the first host of the run, where there are any
  type: list
  elements: str
  sample: ["web/page (web-1)"]
probes:
  description:
    - One entry for each probe that ran on this host.
    - Where the task failed, only those that did not pass, with their names, RV(probes[].verdict), RV(probes[].expected) and
      RV(probes[].got); C(msg) has the rest.
  returned: always
  type: list
  elements: dict
  contains:
    name: {description: What the probe is called., type: str, returned: always}
    component: {description: Whose gate it belongs to., type: str, returned: always}
    type: {description: Type of the probe., type: str, returned: always}
    severity: {description: C(critical) or C(warning)., type: str, returned: always}
    verdict: {description: As for the whole gate., type: str, returned: always}
    expected: {description: What was expected., type: str, returned: always}
    got: {description: What came., type: str, returned: always}
    where: {description: The host that asked., type: str, returned: always}
    attempts: {description: How often it was asked., type: int, returned: always}
    latency_ms: {description: How long the last attempt took., type: float, returned: always}
    elapsed_s: {description: Seconds since the gate began., type: float, returned: always}
    answered:
      description: Whether it answered completely and in good form, but with other values than expected, so that the gate may be wrong.
      type: bool
      returned: always
    detail: {description: Anything more that helps., type: str, returned: always}
    flaps: {description: How often it failed after it had passed., type: int, returned: always}
    history: {description: "C(count), the C(first) and the C(last) five attempts.", type: dict, returned: always}
    log_tail: {description: Last lines of the log of the unit behind it., type: list, returned: when it failed and has a unit}
    hint: {description: What to do., type: str, returned: when it failed}
    judged_by:
      description: C(inventory) for a probe of the inventory that does not count, because the live release has another gate.
      type: str
      returned: with O(judge_by)
    live: {description: The live release that it does not count for., type: str, returned: "with RV(probes[].judged_by)"}
peak_mib:
  description: Memory that the call took on the node at its most, in MiB.
  returned: always
  type: float
elapsed_s:
  description: Seconds that the gate took.
  returned: always
  type: float
  sample: 4.2
summary:
  description: One line.
  returned: always
  type: str
  sample: "6 probes: 6 passed in 4.2 s"
contexts:
  description: What was known about each component that has a slot, such as its C(release).
  returned: success
  type: dict
  sample: {backend: {release: v4.0.0, slot: blue, port: 18000}}
enforced:
  description: Whether a verdict other than C(pass) fails the task.
  returned: always
  type: bool
msg:
  description: What did not pass, where, what was expected, what came, and what to do.
  returned: always
  type: str
kept:
  description: Component to its live C(release) and C(gates), release to the probes that another host asks. A fact of the play, too.
  returned: with O(judge_by=kept) and O(judge_by=together)
  type: dict
state:
  description: Internal. For the next slice.
  returned: when it is not decided yet
  type: dict
"""


from ansible.module_utils.basic import AnsibleModule

from ansible_collections.phasegate.aistack.plugins.module_utils.core import privileges
from ansible_collections.phasegate.aistack.plugins.module_utils.core.places import PLACES
from ansible_collections.phasegate.aistack.plugins.module_utils.gate.call import judge
from ansible_collections.phasegate.aistack.plugins.module_utils.gate.saved import GIVEN, JUDGES


def argument_spec() -> dict[str, dict[str, object]]:
    """What the module takes."""
    return {
        "probes": {"type": "list", "elements": "dict", "required": True},
        "contexts": {"type": "dict", "default": {}},
        "ports": {"type": "dict", "default": {}},
        "units": {"type": "dict", "default": {}},
        "absent": {"type": "list", "elements": "str", "default": []},
        "judge_by": {"type": "str", "choices": list(JUDGES), "default": GIVEN},
        "elsewhere": {"type": "dict", "default": {}},
        "aside": {"type": "dict", "default": {}},
        "log_since": {"type": "float", "default": 0},
        **PLACES,
        "settings": {"type": "dict", "default": {}},
        "interval": {"type": "float", "default": 1},
        "successes": {"type": "int", "default": 1},
        "failures": {"type": "int", "default": 0},
        "min_healthy_time": {"type": "float", "default": 0},
        "start_period": {"type": "float", "default": 0},
        "deadline": {"type": "float", "default": 10},
        "enforce": {"type": "bool", "default": True},
        "slice": {"type": "float", "default": 0},
        "resume": {"type": "dict", "default": {}},
    }


@privileges.explained
def main() -> None:
    """Read arguments, call the core, report."""
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    result = judge(module.params, module.check_mode)
    if result.pop("failed", False):
        module.fail_json(**result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
