# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A node that is not there: what it is asked is answered from a file, so that only the controller's own work takes time."""

from __future__ import annotations

import json
import re
from typing import Any

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.connection import ConnectionBase

DOCUMENTATION = r"""
name: from_file
short_description: Answers of nodes from a file
version_added: 0.1.0
author: phasegate contributors (@phasegate)
description:
  - For the benchmark. Nothing is executed.
options:
  answers:
    description: JSON file with the answer of each module, by its name without the collection; of the gate, the row of a probe.
    type: path
    required: true
    vars:
      - name: bench_answers
extends_documentation_fragment:
  - connection_pipelining
"""

GATE = re.compile(r"/aistack gate --source ")
MODULE = re.compile(rb"ansible_collections\.phasegate\.aistack\.plugins\.modules\.([a-z_]+)'")
"""How the program that Ansible sends names the module in it."""


def gate_answer(asked: bytes, row: dict[str, Any]) -> dict[str, Any]:
    """What the node's command says to a gate whose probes all pass."""
    probes = [{"component": probe.get("component"), "name": probe["name"], **row} for probe in json.loads(asked)["probes"]]
    said = f"{len(probes)} probes passed"
    return {"changed": False, "verdict": "pass", "probes": probes, "elapsed_s": 0.1, "contexts": {}, "summary": said, "msg": said}


class Connection(ConnectionBase):
    """Reads the file, and says what stands there."""

    transport = "from_file"
    has_pipelining = True

    def _connect(self) -> Connection:
        self._connected = True
        return self

    def exec_command(self, cmd: str, in_data: bytes | None = None, sudoable: bool = True) -> tuple[int, bytes, bytes]:
        """The answer to a command; refused is whatever the file has no answer for, so that nothing is measured that did not happen."""
        super().exec_command(cmd, in_data=in_data, sudoable=sudoable)
        with open(self.get_option("answers"), encoding="utf-8") as file:
            answers = json.load(file)
        if GATE.search(cmd):
            return 0, json.dumps(gate_answer(in_data or b"{}", answers["gate"])).encode(), b""
        named = MODULE.search(in_data or b"")
        module = named[1].decode() if named else ""
        if module not in answers:
            raise AnsibleConnectionFailure(f"no answer to {module or cmd[:200]}")
        return 0, json.dumps(answers[module]).encode(), b""

    def put_file(self, in_path: str, out_path: str) -> None:
        """Nothing is laid down on a node that is not there."""
        raise AnsibleConnectionFailure(f"no file is taken: {in_path}")

    def fetch_file(self, in_path: str, out_path: str) -> None:
        """Likewise."""
        raise AnsibleConnectionFailure(f"no file is given: {in_path}")

    def close(self) -> None:
        """Nothing was opened."""
        self._connected = False
