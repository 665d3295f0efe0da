# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An application that nobody tuned for is deployed, proven and checked by the same playbooks."""

from __future__ import annotations

import http.client
import json
import re
import secrets
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml


def test_every_gate_passes(lab: Any, tmp_path: Path) -> None:
    """Its health check has rows, and all of them pass."""
    output = tmp_path / "health.json"
    ran = lab.play("playbooks/healthcheck.yml", "-e", f"output={output}", "-e", "deadline=20").ended_well()
    assert re.search(r"^api +gpu-1 +v1\.0\.0 +PASS ", ran.output, re.MULTILINE), "a table for people, whichever callback is in use"
    rows = json.loads(output.read_text(encoding="utf-8"))
    assert sum(row["probes"] for row in rows) > 0
    assert {row["verdict"] for row in rows} == {"pass"}, rows


def test_what_is_live_is_judged_by_the_gate_that_it_was_activated_with(lab: Any, tmp_path: Path) -> None:
    """The inventory's gate of today is another: it is asked beside, shown, and fails nothing."""
    described = yaml.safe_load((lab.inventory / "group_vars" / "all" / "stack.yml").read_text(encoding="utf-8"))
    components = described["aistack_components"]
    components["api"]["gate"] = [{"name": "health", "http": "http://127.0.0.1:${port}/health", "json": {"status": "of a later release"}}]
    today, output = tmp_path / "today.json", tmp_path / "health.json"
    today.write_text(json.dumps({"aistack_components": components}), encoding="utf-8")
    lab.play("playbooks/healthcheck.yml", "-e", f"@{today}", "-e", f"output={output}", "-e", "only=api").ended_well()
    (row,) = json.loads(output.read_text(encoding="utf-8"))
    assert (row["verdict"], row["probes"]) == ("pass", 1), row
    (said,) = row["inventory"]
    assert "v1.0.0 is live, and passes the gate that it was activated with. The inventory's gate of today says: health: " in said


def test_nothing_of_the_first_application_came_along(lab: Any) -> None:
    """Its root holds its own component and the tools, and nothing else."""
    variables = lab.inventory / "group_vars" / "all"
    text = "\n".join(path.read_text(encoding="utf-8") for path in sorted(variables.glob("*.yml")))
    for word in ("sparklio", "postgres", "redis", "celery", "ollama"):
        assert word not in text


def test_its_own_tests_saw_nothing_of_the_node(lab: Any) -> None:
    """They ran in the sandbox, as their user, with a made-up variable and none but their own processes in sight."""
    node = lab.node("gpu-1")
    tests = json.loads(node.file("/opt/tiny/api/slots/live/release/release.json").content_string)["tests"]
    assert [test["sandbox"] for test in tests] == ["systemd"]
    words = re.fullmatch(r"(\S+), (\S+) sees (\d+) processes", tests[0]["summary"])
    assert words, tests
    assert words[1] == "xxxxxxxx", "the value of production is hello"
    assert words[2] == "aistack-test"
    assert int(words[3]) < 10, "it saw the processes of others"


def shown(context: ssl.SSLContext, address: str) -> str:
    """The serial number of the certificate that the edge shows, after it answered a request."""
    client = http.client.HTTPSConnection(address, 8443, timeout=30, context=context)
    try:
        client.request("GET", "/health")
        serial = client.sock.getpeercert()["serialNumber"]
        assert client.getresponse().status == 200
        return str(serial)
    finally:
        client.close()


def test_a_renewed_certificate_is_read_without_a_lost_request(lab: Any, root: Path) -> None:
    """The edge speaks TLS to who comes from elsewhere, plain text is sent there, and a renewal is a reload that nobody notices."""
    address, pki = lab.addresses["gpu-1"], root / ".lab" / "tls"
    trusted = ssl.create_default_context(cafile=str(pki / "ca.pem"))
    plain = http.client.HTTPConnection(address, 8090, timeout=30)
    plain.request("GET", "/health?a=b")
    assert plain.getresponse().headers["Location"] == f"https://{address}:8443/health?a=b"
    before = shown(trusted, address)
    lost: list[str] = []
    over = threading.Event()

    def visit() -> None:
        while not over.is_set():
            try:
                shown(trusted, address)
            except (AssertionError, OSError, http.client.HTTPException) as problem:
                lost.append(repr(problem))
            over.wait(0.02)

    user = threading.Thread(target=visit, daemon=True)
    user.start()
    try:
        subprocess.run([root / "lab/bin/throw-away-ca", pki, "shop", address, "shop.example.com"], check=True)
        ran = lab.play("site.yml", "--tags", "phase0").ended_well()
    finally:
        over.set()
        user.join(60)
    assert ran.changed["gpu-1"] > 0, "a renewed file under the same path is something to do"
    assert shown(trusted, address) != before
    assert lost == []
    assert lab.node("gpu-1").file("/etc/haproxy/aistack-tiny.pem").mode == 0o600


def test_what_a_service_keeps_outlives_its_slot_and_is_saved(lab: Any) -> None:
    """A folder of its own, a home for caches, memory that it writes and runs: all in one service, whose tree is read-only."""
    node, state = lab.node("gpu-1"), "/var/lib/tiny"
    url = "http://127.0.0.1:8080/uploads/a.txt"
    assert json.loads(node.check_output(f"curl -sS --fail -X PUT {url}")) == {"home": f"{state}/cache/api/home"}
    before = node.check_output("readlink /opt/tiny/api/slots/live")
    lab.play("playbooks/restart.yml", "-e", "only=api").ended_well()
    assert node.check_output("readlink /opt/tiny/api/slots/live") != before
    assert json.loads(node.check_output(f"curl -sS --fail {url}")) == {"by": "v1.0.0"}
    made = json.loads(node.check_output("aistack --stack tiny --json backup --reason uploads"))
    saved = f"{made['path']}/files/writable{state}"
    assert node.file(f"{saved}/data/api/uploads/a.txt").content_string == "v1.0.0"
    assert not node.file(f"{saved}/cache").exists, "what can be fetched again is not saved"


LAID_DOWN = """
- hosts: aistack
  gather_facts: false
  vars:
    place: /var/tmp/aistack-artefact
    described: {component: api, release: v1.0.0, repo: "{{ aistack_applications.tiny.repo }}", min_free_bytes: 0,
                artefacts: {folder: STORE}}
  tasks:
    - block:
        - phasegate.aistack.release: "{{ described | combine({'root': root, 'state_dir': root ~ '/state', 'tools': tools}) }}"
          vars: {root: "{{ place }}/one", tools: "{{ aistack_root }}/tools/bin"}
          register: built
        - phasegate.aistack.release: "{{ described | combine({'root': root, 'state_dir': root ~ '/state', 'tools': '/nonexistent'}) }}"
          vars: {root: "{{ place }}/two"}
          register: laid
        - ansible.builtin.command: "{{ place }}/two/api/releases/v1.0.0/.venv/bin/python -c 'print(42)'"
          register: runs
        - ansible.builtin.assert:
            that:
              - built.artefact.kept
              - laid.artefact.from == inventory_hostname
              - laid.manifest.tree_hash == built.manifest.tree_hash
              - runs.stdout == '42'
      always:
        - ansible.builtin.file: {path: "{{ place }}", state: absent}
"""


def test_a_release_is_laid_down_where_nothing_can_build(lab: Any, tmp_path: Path) -> None:
    """Over SSH and as another user than root: packed, fetched, kept, brought back to a root without tools. It needs no packages."""
    play = tmp_path / "play.yml"
    play.write_text(LAID_DOWN.replace("STORE", str(tmp_path / "store")), encoding="utf-8")
    lab.play(str(play)).ended_well()
    kept = [path for path in (tmp_path / "store").rglob("*") if path.is_file()]
    assert [path.stat().st_mode & 0o077 for path in kept] == [0] * len(kept)
    assert sorted(path.name.partition(".")[2] for path in kept) == ["intoto", "json", "lock", "tar.gz"]


ROOT_CONF = "/etc/ssh/sshd_config.d/05-root.conf"
ROOT_KEYS = "/etc/ssh/authorized_keys.d/root"
# a daemon that is reloaded starts itself anew, and for a moment nobody listens: it says when it does
RELOAD = (
    "began=$(date +%s) && systemctl reload ssh && timeout 30 sh -c "
    '"until journalctl --quiet --output cat --unit ssh --since @$began | grep -q \'Server listening\'; do sleep 0.1; done"'
)


@pytest.fixture
def root_password(lab: Any) -> Iterator[str]:
    """On the node root may log in with the lab's key, and has a password for su; afterwards it is as it was."""
    node, password = lab.node("gpu-1"), secrets.token_hex(8)
    try:
        node.check_output(f"printf 'PermitRootLogin prohibit-password\\nAllowUsers root\\n' > {ROOT_CONF}")
        node.check_output(f"install -m 0644 /etc/ssh/authorized_keys.d/ops {ROOT_KEYS} && {RELOAD}")
        node.check_output("echo root:%s | chpasswd", password)
        yield password
    finally:
        node.check_output(f"rm -f {ROOT_CONF} {ROOT_KEYS} && usermod --password '*' root && {RELOAD}")


@pytest.mark.parametrize("way", ["as root", "su"])
def test_it_needs_no_sudo(lab: Any, tmp_path: Path, root_password: str, way: str) -> None:
    """Verbs work by other ways to the rights of root than sudo."""
    become = {"as root": {"ansible_user": "root", "ansible_become": False}}.get(
        way, {"ansible_become_method": "su", "ansible_become_password": root_password}
    )
    variables, output = tmp_path / "variables.json", tmp_path / "health.json"
    variables.write_text(json.dumps(become), encoding="utf-8")
    lab.play("playbooks/healthcheck.yml", "-e", f"@{variables}", "-e", f"output={output}", "-e", "deadline=20").ended_well()
    assert {row["verdict"] for row in json.loads(output.read_text(encoding="utf-8"))} == {"pass"}
