# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What listens where something of the stack is to listen is named in check mode, by a run of the roles on this machine."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
SLOT = {
    "component": "web", "release": "v1", "config": "c1", "root": "{{ folder }}/opt", "state_dir": "{{ folder }}/state",
    "edge": {"socket": "{{ folder }}/admin", "state_file": "{{ folder }}/edge-state"},
}
ROLES = {
    "edge": {"ansible.builtin.include_role": {"name": "phasegate.aistack.edge", "tasks_from": "configure"}},
    "service": {"ansible.builtin.include_role": {"name": "phasegate.aistack.toolchain", "tasks_from": "service"}},
    "public": {"phasegate.aistack.slot": {**SLOT, "ports": {"blue": 1, "green": 2, "public": "{{ port }}"}}},
    "slot": {"phasegate.aistack.slot": {**SLOT, "ports": {"blue": "{{ port }}", "green": "{{ port }}", "public": 1}}},
}
SYSTEMCTL = """#!/bin/sh
for word; do
  case $word in
    --property=LoadState) echo loaded ;;
    --property=NeedDaemonReload) echo no ;;
    --property=UnitFileState) echo enabled ;;
    --property=ActiveState) echo active ;;
    --property=ActiveEnterTimestamp) echo @9999999999 ;;
  esac
done
"""
"""As of a service that runs, and whose files are older than it: in check mode those that would change are as they were."""


def test_check_mode_names_who_holds_a_port(tmp_path: Path) -> None:
    tasks = [
        {"block": [task], "rescue": [{"ansible.builtin.debug": {"msg": f"{name}= {{{{ ansible_failed_result.msg }}}}"}}]}
        for name, task in ROLES.items()
    ]
    play = {"hosts": "all", "gather_facts": False, "environment": {"PATH": f"{tmp_path}/bin:/usr/bin:/bin"}, "tasks": tasks}
    (tmp_path / "play.yml").write_text(json.dumps([play]))
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "systemctl").write_text(SYSTEMCTL)
    (tmp_path / "bin" / "systemctl").chmod(0o755)
    (tmp_path / "haproxy.cfg").write_text("# as it was\n")
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        given = {
            "folder": str(tmp_path), "port": port, "ansible_python_interpreter": sys.executable,
            "aistack_name": "shop", "aistack_address": "127.0.0.1", "aistack_run": "r1",
            "edge_frontends": [{"name": "web", "port": port, "servers": {"blue": 1, "green": 2}}], "edge_bind": ["127.0.0.1"],
            "__edge_config": f"{tmp_path}/haproxy.cfg", "__edge_registry": f"{tmp_path}/etc",
            "__edge_dropin": f"{tmp_path}/unit.d/aistack.conf", "__edge_state_script": f"{tmp_path}/edge-state",
            "toolchain_unit": "redis.service", "toolchain_places": [f"127.0.0.1:{port}"],
        }
        (tmp_path / "vars.json").write_text(json.dumps(given))
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(tmp_path), "LANG": "C.UTF-8"}
        done = subprocess.run(
            [str(ROOT / ".venv/bin/ansible-playbook"), "--check", "-i", "localhost,", "-c", "local", "-e", f"@{tmp_path}/vars.json",
             str(tmp_path / "play.yml")],
            cwd=ROOT, capture_output=True, text=True, timeout=120, check=False, stdin=subprocess.DEVNULL,
            env={**environment, "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default"},
        )
    assert done.returncode == 0, done.stdout + done.stderr
    said = dict(re.findall(r'"msg": "(\w+)= (.*)"', done.stdout))
    held = rf"127\.0\.0\.1:{port} is held by \S+ \(pid {os.getpid()}\b.*\) on 127\.0\.0\.1\. Expected nobody there but "
    assert re.search(f"^haproxy.service could not listen: {held}haproxy.service", said["edge"]), done.stdout
    assert re.search(f"^redis.service could not listen: {held}redis.service", said["service"]), done.stdout
    assert re.search(f"^web: v1 could not be reached: {held}HAProxy", said["public"]), done.stdout
    assert re.search(rf"^web: v1 would not start: port {port} of slot \w+ is taken by \S+ \(pid {os.getpid()}\b", said["slot"]), done.stdout
    assert (tmp_path / "haproxy.cfg").read_text() == "# as it was\n"
