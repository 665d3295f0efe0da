#!/usr/bin/python
# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: diagnose
short_description: Gather what may be wrong with a node and its components, and find causes by rules
version_added: 0.1.0
author: phasegate contributors (@phasegate)
description:
  - One call looks at a node as a whole. The units of its components with their last lines, the probes of their gates, who holds their
    ports, the servers that their environments name (asked with the component's own login), queues, disks, memory, clock, certificates,
    edges, the lock, and what was begun and never ended.
  - The controller completes what only it knows, such as whether the process that holds a lock still lives, and compares all of it with
    rules. Those of the collection are in C(meta/diagnoses/), those of the operator in C(aistack_diagnoses); see C(docs/reference.md).
  - Nothing is changed, and no lock is taken. A write is asked for of Redis that does nothing (C(LPUSHX) to a list that is not there), since
    a server whose memory is used up still reads.
  - Whatever is returned is masked on the node.
  - C(phasegate.aistack.report) with C(kind=diagnosis) makes a page of what all nodes returned.
options:
  only:
    description: Components to look at; all of this node if left out. A node that has none of them is not asked.
    type: list
    elements: str
    default: []
  probes:
    description:
      - The probes of the gates of components, as M(phasegate.aistack.gate) takes them.
      - Without them no gate is asked.
    type: list
    elements: dict
    default: []
  archive_bytes:
    description: Also return texts for an archive, at most so many bytes for this node. V(0) returns none.
    type: int
    default: 0
  components:
    description: Internal. What the controller says of the components of this node.
    type: list
    elements: dict
    default: []
  places:
    description: Internal. Where servers of the inventory are.
    type: list
    elements: dict
    default: []
  addresses:
    description: Internal. Addresses of this node.
    type: list
    elements: str
    default: []
  workers:
    description: Internal. The queues of every worker.
    type: dict
    default: {}
  gate:
    description: Internal. What a gate is asked with.
    type: dict
    default: {}
  controller_time:
    description: Internal. Seconds since 1970 by the controller's clock.
    type: float
    default: 0
extends_documentation_fragment:
  - phasegate.aistack.places
attributes:
  check_mode:
    description: Can run in check mode and return the same result.
    support: full
  diff_mode:
    description: It changes nothing.
    support: none
  platform:
    description: Where it runs.
    support: full
    platforms: linux
seealso:
  - module: phasegate.aistack.gate
  - module: phasegate.aistack.report
"""

EXAMPLES = r"""
- name: Look at every node
  phasegate.aistack.diagnose:
    probes: "{{ aistack_components | phasegate.aistack.gate_probes }}"
  register: __looked
  ignore_unreachable: true

- name: Name the causes
  phasegate.aistack.report:
    kind: diagnosis
    answers: {results: __looked}
  run_once: true
"""

RETURN = r"""
findings:
  description: What rules found here, with C(rule), C(component), C(title), C(certainty), C(seen), C(means) and C(do).
  returned: always
  type: list
  elements: dict
lock:
  description: Who has the lock; empty where nobody has.
  returned: always
  type: str
problems:
  description: What could not be seen, a sentence each.
  returned: always
  type: list
  elements: str
asked:
  description: Whether this node has anything of what was asked for.
  returned: always
  type: bool
files:
  description: Name to text, for the archive.
  returned: O(archive_bytes) is set
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.phasegate.aistack.plugins.module_utils.core import privileges
from ansible_collections.phasegate.aistack.plugins.module_utils.core.places import PLACES
from ansible_collections.phasegate.aistack.plugins.module_utils.diagnosis import bundle
from ansible_collections.phasegate.aistack.plugins.module_utils.diagnosis.evidence import Asked, gather


def argument_spec() -> dict[str, dict[str, object]]:
    """What the module takes."""
    return {
        "only": {"type": "list", "elements": "str", "default": []},
        "probes": {"type": "list", "elements": "dict", "default": []},
        "archive_bytes": {"type": "int", "default": 0},
        "components": {"type": "list", "elements": "dict", "default": []},
        "places": {"type": "list", "elements": "dict", "default": []},
        "addresses": {"type": "list", "elements": "str", "default": []},
        "workers": {"type": "dict", "default": {}},
        "gate": {"type": "dict", "default": {}},
        "controller_time": {"type": "float", "default": 0},
        **PLACES,
    }


@privileges.explained
def main() -> None:
    """Read arguments, call the core, report."""
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    given = module.params
    gate = {**given["gate"], "probes": given["probes"], "root": given["root"], "state_dir": given["state_dir"]}
    asked = Asked(given["root"], given["state_dir"], given["components"], gate, given["places"], given["addresses"], given["workers"],
                  given["controller_time"])
    found = gather(asked)
    files = {"files": bundle.texts(asked, found, given["archive_bytes"])} if given["archive_bytes"] > 0 else {}
    module.exit_json(changed=False, evidence=found.evidence, lease=found.lease, problems=found.problems, **files)


if __name__ == "__main__":
    main()
