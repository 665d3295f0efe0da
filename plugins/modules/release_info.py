#!/usr/bin/python
# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: release_info
short_description: What releases a node holds, what is live, where it can go back to
version_added: 0.1.0
description:
  - Reads releases, slots and the journal, and derives from them the state of each release. Changes nothing.
  - On a bare node every component is there, and empty.
author: phasegate contributors (@phasegate)
options:
  components:
    description: Names of the components; all that are under O(root) if left out.
    type: list
    elements: str
  run:
    description: This run; what it has begun is not shown as interrupted.
    type: str
    default: ""
  refuse_bad:
    description: Fail where O(release) is marked bad on the node and is not live there. The controller judges that.
    type: bool
    default: false
  release:
    description:
      - What would be chosen, with O(refuse_bad) and O(doubts). Without it that is what is live, and where nothing is that which the
        inventory names.
    type: str
    default: ""
  doubts:
    description:
      - What M(phasegate.aistack.stack) doubts of releases, by component. Fail where O(answers) do not settle it, which the controller
        judges for all hosts of the play; no node is asked.
    type: dict
  answers:
    description: Name of the variable in which each host has registered what this module said of the components of O(doubts).
    type: str
    default: ""
  answer:
    description: What an earlier task has registered of the same components, which are not asked again then.
    type: dict
extends_documentation_fragment:
  - phasegate.aistack.places
  - phasegate.aistack.attributes
attributes:
  check_mode:
    support: full
    description: It only reads.
  diff_mode:
    support: none
    description: It only reads.
"""

EXAMPLES = r"""
- name: What is here
  phasegate.aistack.release_info:
    components: [backend]
  register: here

- name: Where it would go back to
  ansible.builtin.debug:
    var: here.components.backend.previous_good
"""

RETURN = r"""
components:
  description:
    - By component.
    - C(releases) is tag to manifest of what is staged, C(states) tag to V(staged), V(active), V(good) or V(bad),
      C(marks) tag to the last mark, C(reasons) tag to its reason.
    - C(live) is C(release), C(slot), C(config) as the links have it, or null; C(journal_live) the same as the journal has it;
      C(agree) tells whether they name the same.
    - C(slots) is what blue and green point at, C(previous_good) the release to go back to or null,
      C(interrupted) what was begun and never ended.
    - C(drills) is tag to what was drilled from there (M(phasegate.aistack.drill)), the record for each release that it went back to.
    - C(contracted) tells whether a migration took away what the release before may use, since a run that ended well brought another
      release.
    - C(disk) is C(bytes) of all releases, shared files counted where they were first staged.
  returned: always
  type: dict
journal:
  description: C(records), the count; C(torn), whether the last line is; C(problems) of the chain.
  returned: always
  type: dict
disk:
  description: C(free) and C(total) bytes of the file system of O(root).
  returned: always
  type: dict
"""

import os
import shutil
from dataclasses import asdict
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.phasegate.aistack.plugins.module_utils.core import privileges
from ansible_collections.phasegate.aistack.plugins.module_utils.core.places import PLACES
from ansible_collections.phasegate.aistack.plugins.module_utils.journal import chain as journal_chain
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.file import Journal
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.state import derive
from ansible_collections.phasegate.aistack.plugins.module_utils.release.store import Layout, Manifest
from ansible_collections.phasegate.aistack.plugins.module_utils.rollout import risk


def _component(layout: Layout, records: list[journal_chain.Record], run: str) -> dict[str, object]:
    releases: dict[str, Manifest] = {tag: layout.manifest(tag) or {} for tag in layout.staged()}
    state = derive(records, layout.component, staged=releases, current_run=run or None)
    live = layout.live()
    journal_live = asdict(state.live) if state.live else None
    sizes = [manifest["disk"].get("new_bytes", 0) for manifest in releases.values() if manifest.get("disk")]
    return {
        "releases": releases,
        "states": state.states,
        "marks": state.marks,
        "reasons": state.reasons,
        "live": live,
        "journal_live": journal_live,
        "agree": (live["release"] if live else None) == (state.live.release if state.live else None),
        "slots": layout.slots(),
        "previous_good": state.previous_good,
        "interrupted": [asdict(item) for item in state.interrupted],
        "drills": {tag: drills for tag in releases if (drills := layout.drills(tag))},
        "contracted": risk.contracted(records, layout.component),
        "disk": {"bytes": sum(sizes)},
    }


def _known(root: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in os.scandir(root) if (Path(entry.path) / "releases").is_dir())
    except OSError:
        return []


@privileges.explained
def main() -> None:
    """Read arguments, call the core, report."""
    module = AnsibleModule(
        argument_spec={
            "components": {"type": "list", "elements": "str"},
            **PLACES,
            "run": {"type": "str", "default": ""},
            # read by the action
            "refuse_bad": {"type": "bool", "default": False},
            "release": {"type": "str", "default": ""},
            "answer": {"type": "dict"},
            "doubts": {"type": "dict"},
            "answers": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    root = Path(module.params["root"])
    reading, problems = Journal.of(module.params["state_dir"]).seen()
    names = module.params["components"] if module.params["components"] is not None else _known(root)
    where = root
    while not where.exists():
        where = where.parent
    space = shutil.disk_usage(where)
    module.exit_json(
        changed=False,
        components={name: _component(Layout(root, name), reading.records, module.params["run"]) for name in names},
        journal={
            "records": len(reading.records),
            "torn": reading.torn is not None,
            "problems": problems + journal_chain.verify(reading.records),
        },
        disk={"free": space.free, "total": space.total},
    )


if __name__ == "__main__":
    main()
