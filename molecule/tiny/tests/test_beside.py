# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two stacks on one node: this one, and the lab's own beside it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any


def test_both_stacks_of_the_node_make_their_sets(lab: Any) -> None:
    """Each has its timer, and there is none of a version before."""
    node = lab.node("gpu-1")
    assert node.check_output("aistack --stack tiny --json status") != node.check_output("aistack --stack lab --json status")
    assert "say --stack with one of lab, tiny" in node.run("aistack status").stderr
    timers = node.check_output("systemctl list-timers --all --plain --no-legend 'aistack-backup*'")
    assert sorted(re.findall(r"aistack-backup\S*timer", timers)) == ["aistack-backup@lab.timer", "aistack-backup@tiny.timer"]


BESIDE = """
- hosts: aistack
  gather_facts: false
  tasks:
    - ansible.builtin.include_role: {name: phasegate.aistack.edge}
      vars:
        edge_stack: other
        edge_frontends: [{name: other, port: 8095, servers: {blue: 18095, green: 18096}}]
        edge_redirects: {}
        edge_tls: {}
    - ansible.builtin.include_role: {name: phasegate.aistack.edge}
"""


def status(node: Any, port: int) -> str:
    """What the edge answers on loopback, which never speaks TLS; 503 where it knows the frontend and nothing serves behind it."""
    return str(node.check_output("curl -s -o /dev/null --max-time 20 -w '%{http_code}' http://127.0.0.1:" + f"{port}/health"))


def test_the_edge_has_the_frontends_of_both(lab: Any, tmp_path: Path) -> None:
    """A reload by one keeps the other's; and the part of one that is gone is cut out, which nobody notices."""
    node = lab.node("gpu-1")
    sums = "sha256sum /etc/haproxy/haproxy.cfg; systemctl show -p MainPID haproxy"
    before = node.check_output(sums)
    play = tmp_path / "play.yml"
    play.write_text(BESIDE, encoding="utf-8")
    try:
        lab.play(str(play)).ended_well()
        assert (status(node, 8080), status(node, 8095)) == ("200", "503")
    finally:
        node.check_output("sed -i '/^# BEGIN stack other$/,/^# END stack other$/d' /etc/haproxy/haproxy.cfg && systemctl reload haproxy")
    assert status(node, 8080) == "200"
    assert node.check_output(sums) == before, "as it was, and never restarted"


def test_another_stack_with_the_same_names_is_refused(lab: Any) -> None:
    """Before anything is touched, with what to do."""
    other = {"aistack_name": "other", "aistack_root": "/opt/other", "aistack_state": "/var/lib/other", "aistack_phase": "phase0"}
    refused = lab.play("playbooks/phase.yml", "-e", json.dumps(other)).ended_badly()
    said = " ".join(refused.output.split())
    assert "The stack other cannot be on this node beside the stack tiny" in said
    assert "the units of both are called aistack-api@: give it another name" in said
    assert lab.node("gpu-1").run("ls -d /opt/other /var/lib/other /etc/aistack/other.json").stdout == ""
