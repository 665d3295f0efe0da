# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: listeners
short_description: Refuse to start a service whose ports somebody else holds, and prove that it listens on all of them
version_added: 0.1.0
author: phasegate contributors (@phasegate)
description:
  - Looks at the node's sockets and changes nothing. A refusal names the process that holds a port, and its unit.
options:
  unit:
    description: Unit of systemd whose ports they are; what it holds itself is not in its way.
    type: str
    required: true
  places:
    description: Addresses with ports, such as V(127.0.0.1:8000), V([::1]:8000) or V(*:8000).
    type: list
    elements: str
    required: true
  state:
    description:
      - V(free) refuses where O(unit) could not listen on one of O(places).
      - V(held) waits until O(unit) listens on all of them.
    type: str
    choices: [free, held]
    default: free
  socket:
    description:
      - Admin socket of HAProxy, for O(state=held). The process that answers there has to hold them; one from before a reload does not
        count.
    type: path
  timeout:
    description: Seconds to wait for O(state=held).
    type: float
    default: 10
attributes:
  check_mode:
    description: Can run in check mode and return the same result; V(held) is not waited for, since nothing was done.
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
"""

EXAMPLES = r"""
- name: Nobody else is where the edge is going to listen
  phasegate.aistack.listeners:
    unit: haproxy.service
    places: ["127.0.0.1:8000", "10.89.0.11:8000"]

- name: The edge listens wherever it is told to
  phasegate.aistack.listeners:
    unit: haproxy.service
    places: ["127.0.0.1:8000", "10.89.0.11:8000"]
    state: held
    socket: /run/haproxy/admin.sock
"""

RETURN = r"""
problems:
  description: What is not as it has to be, a sentence each.
  returned: always
  type: list
  elements: str
  sample: ["127.0.0.1:8000 is held by nginx (pid 812, unit nginx.service) on 0.0.0.0"]
"""

import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.haproxy import EdgeError, parse_info
from ansible_collections.phasegate.aistack.plugins.module_utils.core import sockets
from ansible_collections.phasegate.aistack.plugins.module_utils.edge.haproxy import Edge

_PACE_S = 0.1


def places_of(given: list[str]) -> list[sockets.Place]:
    """Addresses and ports.

    Raises:
        ValueError: with the first that is none.
    """
    found = []
    for text in given:
        address, colon, port = text.rpartition(":")
        if not colon or not port.isdigit() or not 0 < int(port) < 65536:
            raise ValueError(f"an address with a port is wanted, such as 127.0.0.1:8000, got {text!r}")
        found.append((address, int(port)))
    return found


def wait(params: dict[str, Any], places: list[sockets.Place]) -> list[str]:
    """What is not held when the time is over."""
    end = time.monotonic() + params["timeout"]
    while True:
        try:
            pid = int(parse_info(Edge(params["socket"], "", "").command("show info"))[0]) if params["socket"] else 0
            problems = sockets.not_held(places, params["unit"], pid)
        except EdgeError as error:
            problems = [str(error)]
        if not problems or time.monotonic() >= end:
            return problems
        time.sleep(_PACE_S)


def main() -> None:
    """Read arguments, call the core, report."""
    module = AnsibleModule(
        argument_spec={
            "unit": {"type": "str", "required": True},
            "places": {"type": "list", "elements": "str", "required": True},
            "state": {"type": "str", "choices": ["free", "held"], "default": "free"},
            "socket": {"type": "path"},
            "timeout": {"type": "float", "default": 10},
        },
        supports_check_mode=True,
    )
    params: dict[str, Any] = module.params
    unit = params["unit"]
    try:
        places = places_of(params["places"])
        problems = []
        if params["state"] == "free":
            problems = sockets.in_the_way(places, unit)
        elif not module.check_mode:
            problems = wait(params, places)
    except (ValueError, sockets.CannotSee) as error:
        module.fail_json(msg=f"The ports of {unit} cannot be looked at: {error}.", problems=[str(error)])
    if problems and params["state"] == "free":
        module.fail_json(
            msg=f"{unit} could not listen: {'; '.join(problems)}. Expected nobody there but {unit}, which goes on as it was. Stop what "
            "holds the place, or give the component another port in aistack_ports or another address to listen on, then run again.",
            problems=problems,
        )
    if problems:
        module.fail_json(
            msg=f"{unit} does not listen wherever it was told to: {'; '.join(problems)}. Expected all of {', '.join(params['places'])} "
            f"within {params['timeout']:g} s. What it listened on before is served as before, but a restart would fail. See "
            f"journalctl -u {unit} -n 50; fix what it says, then run again.",
            problems=problems,
        )
    module.exit_json(changed=False, problems=[])


if __name__ == "__main__":
    main()
