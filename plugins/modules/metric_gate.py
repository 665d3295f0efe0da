#!/usr/bin/python
# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: metric_gate
short_description: Judge figures over a window, and say so where there are too few to judge
version_added: 0.1.0
author: phasegate contributors (@phasegate)
description:
  - Looks at counters and gauges every O(interval), from a metrics endpoint in Prometheus' text format, from HAProxy's counters,
    from the node itself or from Prometheus, and judges what they did within a window, against a limit or against a baseline.
  - The verdict of each condition is C(pass), C(fail), C(inconclusive) (too small a sample, or nothing to compare with) or C(error)
    (its source does not answer). A Prometheus that does not answer is C(inconclusive) and named as not verified, since it is what watches
    that is away, not what is watched. What C(inconclusive) counts as is declared per condition; no data at all is never a pass.
  - Counters are followed over restarts. Where a source names its process (C(process_start_time_seconds), HAProxy's C(Pid)), figures
    of two processes are never subtracted from each other, such as those of two slots.
  - Whatever is asked over HTTP is asked side by side, each question once.
  - It ends early when a condition has failed for good, or when every one is decided.
  - In a playbook the controller picks the conditions that belong to the host at hand, asks in slices, prints one line per interval,
    and ends the watch of all hosts when one of them fails. More hosts than C(forks) are watched in turn.
options:
  conditions:
    description:
      - What to judge, as in C(aistack_triggers). Those with C(source=manual) are left out.
      - "Every condition has a C(name) and a C(source): C(metrics) (C(target) is an address), C(haproxy) (C(target) is a backend
        section, figures are columns of C(show stat)), C(node) (C(target) is C(cpu), C(memory) or C(swap), in percent) or C(prometheus)
        (C(target) is the address of the server)."
      - "The figure is one of C(ratio) (two counters), C(rate) (growth of a counter in a second), C(gauge) with C(over) (C(mean),
        C(max), C(min), C(last)) and, for metrics, C(quantile) (a share and a histogram). Names of metrics may have labels;
        C(label=~) is a regular expression."
      - "What it has to be is C(value), or C(times) as a multiple of its baseline. A number means at most; operators are those of
        probes, such as C({lt: 0.9})."
      - "Of C(prometheus) the figure is what C(query) answers, for each series: on a node the slot that fails counts, every node has to
        pass, and no series at all is inconclusive. C(sample) is a query with the same labels, of which C(min_sample) is needed.
        C(times) compares with C(baseline), another query with the same labels, with the same query C(offset) seconds before, or, where
        C(slot) is given, with the other slot at the same time. C(nodes) leaves out other nodes, and wants each of these.
        What C(${name}) stands for is escaped within queries."
      - "C(window) is in seconds (60), C(min_sample) in requests for C(ratio) and C(quantile) (20), in looks for the rest (2)."
      - "C(on_inconclusive) is C(wait) (by default: it counts neither way), C(pass) or C(fail). C(failure_limit) (0) failures are
        borne, C(consecutive) or in C(total) by C(failures); C(error_limit) (4) errors after each other."
      - "C(max_age) (a week) and C(baseline_sample) (50) say which baselines count. A baseline has to be of the same figure and window."
      - "C(hosts) and C(from) say which hosts watch, C(component) makes C(${port}) and other names of its live slot known; metrics
        and Prometheus may have C(username), C(password_file), C(secret_file) and C(ca_file), HAProxy C(server) and C(socket)."
    type: list
    elements: dict
    required: true
  interval:
    description: Seconds from one observation to the next.
    type: float
    default: 5
  duration:
    description: Seconds for all of it. With V(0) as long as the longest window.
    type: float
    default: 0
  window:
    description: Seconds that are judged together, for all conditions. With V(0) each has its own.
    type: float
    default: 0
  passes:
    description: Measurements of each condition that have to pass. With V(0) it watches until O(duration) is over.
    type: int
    default: 1
  record:
    description:
      - Keep what is measured in the last window as baselines, in C(<state_dir>/baselines), and compare nothing.
      - Only conditions with C(times) are measured. Too small a sample is C(inconclusive) and leaves the baseline as it was.
    type: bool
    default: false
  at_once:
    description:
      - Judge at the first look by what lies before it, instead of waiting for the window to be over.
      - Prometheus alone knows that, so every condition has to have C(source=prometheus). It may reach back before what is live now.
    type: bool
    default: false
  enforce:
    description: Fail the task unless the verdict is C(pass). Nothing is enforced in check mode.
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
    details: It measures as it does otherwise, since that changes nothing, but enforces nothing and keeps no baseline.
  diff_mode:
    description: Returns details on what has changed.
    support: none
    details: It changes nothing but the baselines.
seealso:
  - module: phasegate.aistack.gate
"""

EXAMPLES = r"""
- name: Not more than one answer in twenty is an error
  phasegate.aistack.metric_gate:
    conditions:
      - name: errors above 5 %
        source: haproxy
        target: backend
        ratio: [hrsp_5xx, req_tot]
        value: {le: 0.05}
        window: 60
        min_sample: 20
    duration: 300     # at low traffic it waits so long for twenty requests

- name: The slot that has a tenth of the requests is not half as slow again as the other one at the same time
  phasegate.aistack.metric_gate:
    conditions:
      - name: slower than the other slot
        component: backend
        source: prometheus
        target: http://127.0.0.1:9090
        query: >-
          sum by (node, slot) (rate(http_request_seconds_sum{component="backend"}[5m]))
          / sum by (node, slot) (rate(http_request_seconds_count{component="backend"}[5m]))
        sample: sum by (node, slot) (increase(http_request_seconds_count{component="backend"}[5m]))
        slot: green
        times: {lt: 1.5}
        window: 300

- name: Remember how fast it is before a deployment
  phasegate.aistack.metric_gate:
    conditions: &fast
      - name: response time doubled
        component: backend
        source: metrics
        target: "http://127.0.0.1:${port}/metrics"
        ratio: [http_request_seconds_sum, http_request_seconds_count]
        times: {lt: 2}
        window: 300
    record: true

- name: It is not twice as slow as then
  phasegate.aistack.metric_gate:
    conditions: *fast
"""

RETURN = r"""
verdict:
  description: C(pass), C(fail), C(inconclusive) or C(error).
  returned: always
  type: str
  sample: pass
conditions:
  description: One entry for each condition that was watched on this host; where the task failed, for those that did not pass, in short.
  returned: always
  type: list
  elements: dict
  contains:
    name: {description: What the condition is called., type: str, returned: always}
    where: {description: "The host that looked; of what Prometheus answers, the nodes that it is about.", type: str, returned: always}
    source: {description: Where its figures come from., type: str, returned: always}
    kind: {description: The runbook's word for it., type: str, returned: always}
    then: {description: "What follows a failure: C({level: …}), C(notice) or C(manual).", type: raw, returned: always}
    verdict: {description: As for all of them., type: str, returned: always}
    expected: {description: What was expected., type: str, returned: always}
    got: {description: "The measurement that failed first, or the last one.", type: str, returned: always}
    now: {description: The last measurement., type: str, returned: always}
    value: {description: Its figure., type: float, returned: always}
    sample: {description: The requests or looks that it stands on., type: float, returned: always}
    measurements: {description: "How many C(passed), C(failed), were C(inconclusive) or C(errors), or passed C(by_policy).",
                   type: dict, returned: always}
    window_s: {description: Seconds that were judged together., type: float, returned: always}
    elapsed_s: {description: Seconds since the watch began., type: float, returned: always}
elapsed_s:
  description: Seconds that it took.
  returned: always
  type: float
duration_s:
  description: Seconds that it would have taken without an early end.
  returned: always
  type: float
summary:
  description: One line.
  returned: always
  type: str
enforced:
  description: Whether a verdict other than C(pass) fails the task.
  returned: always
  type: bool
msg:
  description: What did not pass, with its figures, what was expected, and how often it was measured.
  returned: always
  type: str
state:
  description: Internal. For the next slice.
  returned: when it is not decided yet
  type: dict
due_s:
  description: Internal. Seconds until the next look is due.
  returned: when it is not decided yet
  type: float
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.phasegate.aistack.plugins.module_utils.core import privileges
from ansible_collections.phasegate.aistack.plugins.module_utils.core.places import PLACES
from ansible_collections.phasegate.aistack.plugins.module_utils.gate.verdict import PASS, WAITING
from ansible_collections.phasegate.aistack.plugins.module_utils.gate.watch import GateError, Watch, prepared


def argument_spec() -> dict[str, dict[str, object]]:
    """What the module takes."""
    return {
        "conditions": {"type": "list", "elements": "dict", "required": True},
        "interval": {"type": "float", "default": 5},
        "duration": {"type": "float", "default": 0},
        "window": {"type": "float", "default": 0},
        "passes": {"type": "int", "default": 1, "no_log": False},  # a number, whatever its name reminds of
        "record": {"type": "bool", "default": False},
        "at_once": {"type": "bool", "default": False},
        "enforce": {"type": "bool", "default": True},
        **PLACES,
        "slice": {"type": "float", "default": 0},
        "resume": {"type": "dict", "default": {}},
    }


@privileges.explained
def main() -> None:
    """Read arguments, call the core, report."""
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    params: dict[str, Any] = module.params
    try:
        watch = Watch(
            prepared(params["conditions"], params["window"]), params["interval"], params["duration"], params["passes"],
            params["record"], params["root"], params["state_dir"], params["resume"],
            params["at_once"],
        )
        result = watch.run(params["slice"], module.check_mode)
    except GateError as problem:
        module.fail_json(msg=str(problem), verdict="error")
    except OSError as problem:
        module.fail_json(msg=f"A baseline cannot be kept in {params['state_dir']}/baselines: {privileges.in_words(problem)}. "
                             "Fix that, and run the same command again.", verdict="error")
    enforced = params["enforce"] and not module.check_mode
    result["enforced"] = enforced
    if enforced and result["verdict"] not in (PASS, WAITING):
        module.fail_json(**result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
