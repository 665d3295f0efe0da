# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Configuration and certificates as the roles lay them down, and a throw-away CA that stands in for an operator's."""

from __future__ import annotations

import grp
import json
import os
import pwd
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from ansible.constants import DEFAULT_VAULT_ID_MATCH
from ansible.parsing.vault import VaultLib, VaultSecret

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.context import Context
from ansible_collections.phasegate.aistack.plugins.module_utils.probes import REGISTRY
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.base import Attempt
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.spec import normalise
from ansible_collections.phasegate.aistack.tests.unit.plugins.module_utils.pki import Authority

from ..conftest import Cluster

ROOT = Path(__file__).resolve().parents[3]
VAULT = b"words-of-the-vault"
PLAY = """
- hosts: all
  gather_facts: false
  tasks:
    - ansible.builtin.include_vars: "{{ root }}/roles/{{ item }}.yml"
      loop: [redis/defaults/main, redis/vars/main, postgres/defaults/main, postgres/vars/main, edge/defaults/main, edge/vars/main]
    - ansible.builtin.include_role: {name: phasegate.aistack.toolchain, tasks_from: tls}
      vars:
        toolchain_caller: "{{ one.role }}"
        toolchain_tls: "{{ tls }}"
        toolchain_tls_files:
          - {path: "{{ one.path }}", holds: [certificate, key], owner: "{{ one.owner }}", group: "{{ one.group }}", mode: "0600"}
      loop: "{{ laid }}"
      loop_control: {loop_var: one, label: "{{ one.role }}"}
    - ansible.builtin.template: {src: "{{ root }}/roles/{{ item.src }}", dest: "{{ item.dest }}", mode: "0644"}
      loop: "{{ rendered }}"
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def observe(**spec: Any) -> Attempt:
    """One attempt of a probe in its short form."""
    described = normalise({"name": "p", **spec}, None)
    return REGISTRY[described["type"]](described).run(Context(spec.get("timeout", 20)))


@dataclass
class World:
    """Folders that the servers may read, the CA, and what the roles are told."""

    folder: Path
    authority: Authority
    cluster: Cluster
    ports: dict[str, int] = field(default_factory=lambda: {name: free_port() for name in ("redis", "web", "app", "redirect", "slot")})

    def file(self, name: str) -> Path:
        return self.folder / name

    def converge(self, pair: tuple[Path, Path], **more: Any) -> subprocess.CompletedProcess[str]:
        """What the roles write with that pair."""
        me, postgres = pwd.getpwuid(os.geteuid()), pwd.getpwuid(self.cluster.folder.stat().st_uid)
        owner = {"redis": me, "edge": me, "postgres": postgres}
        files = {role: str(self.file(f"{role}-tls.pem")) for role in owner}
        ports = self.ports
        slots = {"blue": ports["slot"], "green": ports["slot"]}
        given: Mapping[str, Any] = {
            "ansible_python_interpreter": sys.executable, "root": str(ROOT), "aistack_address": "127.0.0.1", "aistack_ports": {},
            "aistack_name": "shop", "__edge_before": {"stdout": "", "stderr_lines": [""]},  # nothing of another stack is there
            "aistack_state": str(self.folder), "aistack_root": str(self.folder), "aistack_ca": str(self.authority.ca),
            "tls": {"certificate": str(pair[0]), "key": str(pair[1]), "names": ["localhost", "127.0.0.1", "127.0.0.2"]},
            "redis_tls": {"certificate": "x"}, "postgres_tls": {"certificate": "x"}, "edge_tls": {"certificate": "x"},
            **{f"__{role}_tls_file": path for role, path in files.items()},
            "laid": [{"role": role, "path": path, "owner": owner[role].pw_name, "group": grp.getgrgid(owner[role].pw_gid).gr_name}
                     for role, path in files.items()],
            "redis_listen": ["127.0.0.1"], "redis_port": ports["redis"], "__redis_users": str(self.file("users.conf")),
            "redis_password": "app-password", "__redis_hashes": [],
            "postgres_listen": ["127.0.0.1"], "postgres_port": self.cluster.port, "__postgres_socket": str(self.cluster.folder),
            "postgres_clients": [{"database": "postgres", "user": "app", "address": "0.0.0.0/0"},
                                 {"database": "template1", "user": "app", "address": "127.0.0.1/32"}],
            "edge_bind": ["127.0.0.1", "127.0.0.2"], "edge_admin_socket": str(self.file("admin")),
            "edge_state_file": str(self.file("state")),
            "edge_frontends": [{"name": name, "port": ports[name], "servers": slots} for name in ("web", "app")],
            "edge_redirects": {"web": ports["redirect"]},
            "rendered": [
                {"src": f"{source}.j2", "dest": str(self.file(target))}
                for source, target in (
                    ("redis/templates/aistack.conf", "redis.conf"), ("redis/templates/users.conf", "users.conf"),
                    ("postgres/templates/aistack.conf", "postgres.conf"), ("postgres/templates/pg_hba.conf", "pg_hba.conf"),
                    ("edge/templates/haproxy.cfg", "haproxy.cfg"),
                )
            ],
            **more,
        }
        self.file("vars.json").write_text(json.dumps(given))
        self.file("play.yml").write_text(PLAY)
        self.file("vault").write_bytes(VAULT)
        command = [str(ROOT / ".venv/bin/ansible-playbook"), "-i", "localhost,", "-c", "local", "-e", f"@{self.file('vars.json')}"]
        return subprocess.run(
            [*command, "--diff", "--vault-password-file", str(self.file("vault")), str(self.file("play.yml"))],
            cwd=ROOT, capture_output=True, text=True, timeout=120, check=False, stdin=subprocess.DEVNULL,
        )

    def lock(self, path: Path) -> None:
        """Put a file into a vault."""
        vault = VaultLib([(DEFAULT_VAULT_ID_MATCH, VaultSecret(VAULT))])
        path.write_bytes(vault.encrypt(path.read_bytes()))


@pytest.fixture(scope="module")
def world(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> World:
    """Converged, with a key that is in a vault."""
    folder = cluster.folder / "tls"
    folder.mkdir()
    folder.chmod(0o755)
    here = World(folder, Authority(tmp_path_factory.mktemp("pki")), cluster)
    pair = here.authority.issue("first", "localhost", "127.0.0.1", "127.0.0.2")
    here.lock(pair[1])
    done = here.converge(pair)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "PRIVATE KEY" not in done.stdout + done.stderr
    return here
