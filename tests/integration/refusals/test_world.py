# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A world that does not play along: ports, passwords, disks, other operators, dead nodes, dead controllers."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from .conftest import FINGERPRINT, Lab

OTHERS = pytest.mark.whole(beside="tests/integration/refusals/test_world.py")  # the same, for one case


@pytest.mark.usefixtures("untouched")
def test_a_port_that_something_else_holds(lab: Lab) -> None:
    live = lab.on("backend-1", "readlink /opt/aistack/backend/slots/live").strip()
    idle_port = 18001 if live == "blue" else 18000
    lab.on("backend-1", f"systemctl stop 'aistack-backend@{'green' if live == 'blue' else 'blue'}.service'; systemd-run --quiet "
                        f"--unit=test-squatter python3 -m http.server {idle_port} --bind 127.0.0.1; sleep 1")
    try:
        outcome = lab.play("deploy", "-e", "release=v4.10.0", "-e", "allow_bad=true")
    finally:
        lab.on("backend-1", "systemctl stop test-squatter")
    assert outcome.rc != 0
    outcome.says(str(idle_port), "python3", "pid")


@pytest.mark.whole(beside="tests/integration/edge/test_taken.py")
@pytest.mark.usefixtures("untouched")
def test_a_port_of_the_edge_that_something_else_holds(lab: Lab) -> None:
    """Refused before the configuration is replaced: HAProxy would take it for good, and fail at its next restart."""
    nodes, held = ("backend-1", "web-1"), "sha256sum /etc/haproxy/haproxy.cfg; systemctl show -p MainPID,StateChangeTimestamp haproxy"
    before = [lab.on(node, held) for node in nodes]
    for node in nodes:
        lab.on(node, "systemd-run --quiet --unit=test-squatter python3 -m http.server 18999 --bind 127.0.0.1; sleep 1")
    try:
        outcome = lab.play("site.yml", "--tags", "phase1", "-e", "edge_metrics_port=18999")
    finally:
        for node in nodes:
            lab.on(node, "systemctl stop test-squatter")
    assert outcome.rc != 0
    outcome.says("127.0.0.1:18999 is held by python3", "test-squatter.service", "aistack_ports")
    assert [lab.on(node, held) for node in nodes] == before


@pytest.mark.whole(beside="tests/unit/plugins/module_utils/probes/test_postgres.py")
@pytest.mark.usefixtures("untouched")
def test_a_wrong_database_password(lab: Lab) -> None:
    lab.on("backend-1", "cp -p /var/lib/aistack/credentials/postgres_sparklio /root/kept;"
                        "printf wrong > /var/lib/aistack/credentials/postgres_sparklio")
    try:
        outcome = lab.play("healthcheck", "-e", "only=postgres")
    finally:
        lab.on("backend-1", "mv /root/kept /var/lib/aistack/credentials/postgres_sparklio")
    assert outcome.rc != 0
    outcome.says("password authentication failed", "sparklio")


@pytest.mark.usefixtures("untouched")
def test_a_database_that_is_not_reachable(lab: Lab) -> None:
    lab.on("backend-1", "systemctl stop postgresql")
    try:
        outcome = lab.play("deploy", "-e", "release=v4.10.0", "-e", "allow_bad=true", "-e", "aistack_open_deadline=3")
    finally:
        lab.on("backend-1", "systemctl start postgresql; sleep 3")
    assert outcome.rc != 0
    outcome.says("postgres", "onnection refused")


@pytest.mark.whole(beside="tests/integration/disk/test_full.py")
@pytest.mark.usefixtures("untouched")
def test_a_disk_that_is_too_full_to_stage(lab: Lab) -> None:
    lab.on("backend-1", "rm -rf /opt/aistack/backend/releases/v4.10.0")
    outcome = lab.play("deploy", "-e", json.dumps({"release": "v4.10.0", "allow_bad": True, "release_min_free_bytes": 10**15}))
    assert outcome.rc != 0
    outcome.says("free", "staged", "/opt/aistack")


@pytest.mark.usefixtures("untouched")
def test_a_second_deployment_while_one_runs(lab: Lab) -> None:
    seq = lab.journal()[-1]["seq"]
    first = lab.start("deploy", "-e", "release=v4.4.0", "-e", "allow_bad=true")
    lab.wait_for_journal("stage", "backend", "started", after=seq)
    second = lab.play("deploy", "-e", "release=v4.10.0", "-e", "allow_bad=true")
    first.communicate(timeout=300)
    assert second.rc != 0
    second.says("lock", "held by", "since", "until")


@pytest.mark.whole(beside="tests/unit/plugins/module_utils/probes/test_local.py")
@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    ("name", "value"),
    [("python", {"toolchain_python_minimum": "4.0"}), ("node.js", {"sparklio_node_minimum": "99.0"})],
)
def test_a_runtime_that_is_too_old(lab: Lab, name: str, value: dict[str, str]) -> None:
    outcome = lab.play("site.yml", "--tags", "phase0", "-e", json.dumps({**value, "aistack_gate_settings": {"deadline": 2}}))
    assert outcome.rc != 0
    outcome.says(name, next(iter(value.values())))


@pytest.fixture
def still_serving(lab: Lab) -> Iterator[None]:
    """The same releases serve afterwards, on the same schema, and no lock is left; acceptance may have written rows."""
    serving, schema = lab.serving(), lab.on("backend-1", FINGERPRINT).splitlines()[:2]
    yield
    assert lab.serving() == serving
    assert lab.on("backend-1", FINGERPRINT).splitlines()[:2] == schema
    assert "lock.json" not in lab.on("backend-1", "ls /var/lib/aistack")


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    "playbook", ["deploy", *(pytest.param(name, marks=OTHERS) for name in ("site.yml", "healthcheck", "restart", "migrate"))]
)
def test_a_node_that_is_not_reachable(lab: Lab, playbook: str) -> None:
    unreachable = ["-e", json.dumps({"ansible_port": 9})]
    release = ["-e", "release=v4.10.0", "-e", "allow_bad=true"] if playbook in ("deploy", "migrate") else []
    outcome = lab.play(playbook, *release, *unreachable)
    assert outcome.rc != 0
    outcome.says("backend-1", "port 9")


@pytest.mark.parametrize(
    ("operation", "release"),
    [pytest.param("stage", "v4.10.0", marks=OTHERS), ("migrate", "v4.7.0"), pytest.param("prepare", "v4.2.0", marks=OTHERS)],
    ids=["staging", "a migration", "a slot that is proven"],
)
@pytest.mark.usefixtures("still_serving")
def test_the_controller_is_killed(lab: Lab, operation: str, release: str) -> None:
    """Killed in the middle, nothing serves wrongly; the next run goes on without anybody cleaning up.

    What the dead run had begun on the node ends by itself, and the next run waits for it: here a migration that never
    gets its lock gives up within its budget.
    """
    seq = lab.journal()[-1]["seq"]
    live = lab.serving()["backend"]
    lab.on("backend-1", f"rm -rf /opt/aistack/backend/releases/{release}")
    if operation == "migrate":
        lab.on("backend-1", "systemd-run --quiet --unit=test-lock --uid=postgres psql -X sparklio "
                            "-c 'begin; lock table workflows in access share mode; select pg_sleep(900)'")
    process = lab.start("deploy", "-e", f"release={release}", "-e", "allow_bad=true")
    try:
        lab.wait_for_journal(operation, "backend", "started", after=seq)
        time.sleep(0.5)
        lab.kill(process)
        assert lab.serving()["backend"] == live
        after = lab.play("deploy", "-e", f"release={live}", "-e", "allow_bad=true")
    finally:
        lab.on("backend-1", "systemctl stop test-lock", check=False)
    assert after.rc == 0, after.text
    assert lab.play("healthcheck").rc == 0
