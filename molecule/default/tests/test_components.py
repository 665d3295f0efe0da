# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every component runs on its node, is what the journal says, and listens only where its users are."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

COMPONENTS = ["toolchain", "postgres", "redis", "minio", "ollama", "comfyui", "edge", "backend", "worker", "beat", "frontend",
              "exporters", "alertmanager", "prometheus", "logs", "log_shipper"]
TABLES = {"workflows", "workflow_nodes", "workflow_edges", "agent_logs", "context_traces", "router_logs"}
SLOTTED = [("backend-1", "backend"), ("backend-1", "worker"), ("backend-1", "beat"), ("web-1", "frontend")]
# units and the exposure that systemd-analyze may find at most; 10 is worst. PostgreSQL's and HAProxy's units are Debian's.
HARDENED = [
    ("backend-1", "minio.service"), ("gpu-1", "ollama.service"), ("gpu-1", "comfyui.service"),
    ("backend-1", "aistack-prometheus.service"), ("backend-1", "aistack-alertmanager.service"),
    ("backend-1", "victorialogs.service"), ("gpu-1", "aistack-log-shipper.service"),
    ("backend-1", "aistack-postgres-exporter.service"), ("gpu-1", "aistack-node-exporter.service"),
]


@pytest.fixture(scope="module")
def health(lab: Any, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The rows of `healthcheck.yml`."""
    output = tmp_path_factory.mktemp("health") / "health.json"
    lab.play("playbooks/healthcheck.yml", "-e", f"output={output}", "-e", "deadline=30").ended_well()
    rows: list[dict[str, Any]] = json.loads(output.read_text(encoding="utf-8"))
    return rows


def live(lab: Any, name: str, component: str) -> dict[str, str]:
    """The live slot of a component as the node has it: slot, release and port."""
    slots = f"/opt/aistack/{component}/slots"
    slot = lab.node(name).check_output("readlink %s/live", slots)
    env = dict(line.split("=", 1) for line in lab.node(name).file(f"{slots}/{slot}/slot.env").content_string.splitlines() if "=" in line)
    return {"slot": slot, "release": env["AISTACK_RELEASE"].strip('"'), "port": env.get("AISTACK_PORT", "").strip('"')}


@pytest.mark.parametrize("component", COMPONENTS)
def test_every_gate_passes(health: list[dict[str, Any]], component: str) -> None:
    """Each component has a gate with probes, and all of them pass."""
    rows = [row for row in health if row["component"] == component]
    assert rows
    assert sum(row["probes"] for row in rows) > 0
    assert {row["verdict"] for row in rows} == {"pass"}, rows


def test_both_debian_releases_are_there(lab: Any) -> None:
    """The same roles run on Debian 12 and 13."""
    assert {lab.node(name).system_info.release.split(".")[0] for name in lab.names} == {"12", "13"}


@pytest.mark.parametrize(("name", "component"), SLOTTED)
def test_one_slot_lives(lab: Any, name: str, component: str) -> None:
    """The live slot's unit runs and is the only one enabled."""
    slot = live(lab, name, component)["slot"]
    other = {"blue": "green", "green": "blue"}[slot]
    assert lab.node(name).service(f"aistack-{component}@{slot}").is_running
    assert lab.node(name).service(f"aistack-{component}@{slot}").is_enabled
    assert not lab.node(name).service(f"aistack-{component}@{other}").is_enabled


def test_health_names_the_release(lab: Any) -> None:
    """Through the edge, the backend that answers is the one that the slot says."""
    answer = json.loads(lab.node("web-1").check_output("curl -sf http://%s:8000/health", lab.addresses["backend-1"]))
    assert answer["status"] == "ok"
    assert answer["version"] == live(lab, "backend-1", "backend")["release"]


def test_page_names_the_release(lab: Any) -> None:
    """Through the edge, the page is the one of the live release."""
    page = lab.node("web-1").check_output("curl -sf http://%s:3000/", lab.addresses["web-1"])
    assert live(lab, "web-1", "frontend")["release"] in page
    assert lab.node("web-1").run("curl -sf -o /dev/null http://%s:3000/editor", lab.addresses["web-1"]).rc == 0


def test_database_is_at_head_with_its_tables(lab: Any) -> None:
    """The tables of the runbook exist, and Alembic's version is recorded."""
    query = "runuser -u postgres -- psql -qAtX -d sparklio -c %s"
    tables = lab.node("backend-1").check_output(query, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    assert set(tables.split()) >= TABLES
    assert lab.node("backend-1").check_output(query, "SELECT count(*) FROM alembic_version") == "1"


def test_exactly_one_beat(lab: Any) -> None:
    """Two would do everything twice."""
    beats = [lab.node(name).run("pgrep -fc -- '-m [c]elery .* beat '").stdout.strip() for name in lab.names]
    assert sum(int(count or 0) for count in beats) == 1


@pytest.mark.parametrize(
    ("name", "unit", "when"),
    [
        ("backend-1", "'postgresql@*-main.service'", "on-failure"),
        ("backend-1", "redis-server.service", "always"),
        ("backend-1", "minio.service", "always"),
        ("backend-1", "haproxy.service", "always"),
        ("web-1", "haproxy.service", "always"),
    ],
)
def test_what_dies_is_started_again_for_as_long_as_it_takes(lab: Any, name: str, unit: str, when: str) -> None:
    """As systemd has it, drop-ins and all."""
    shown = lab.node(name).check_output(f"systemctl show --property=Restart,RestartUSec,StartLimitIntervalUSec {unit}")
    assert set(shown.split()) == {f"Restart={when}", "RestartUSec=2s", "StartLimitIntervalUSec=0"}


@pytest.mark.parametrize("name", ["backend-1", "gpu-1", "web-1"])
def test_nothing_failed(lab: Any, name: str) -> None:
    """No unit of the node has failed."""
    assert lab.node(name).check_output("systemctl --failed --plain --no-legend") == ""


@pytest.mark.parametrize(
    ("source", "target", "port", "reached"),
    [
        ("web-1", "backend-1", 8000, True),
        ("backend-1", "gpu-1", 11434, True),
        ("backend-1", "gpu-1", 8188, True),
        ("gpu-1", "gpu-1", 11434, True),
        ("web-1", "gpu-1", 11434, False),
        ("web-1", "gpu-1", 8188, False),
        ("web-1", "backend-1", 18000, False),
        ("web-1", "backend-1", 18001, False),
        ("backend-1", "web-1", 13000, False),
        ("backend-1", "web-1", 9100, True),
        ("gpu-1", "web-1", 9100, False),
        ("web-1", "backend-1", 9090, False),
        ("web-1", "backend-1", 9093, False),
        ("web-1", "backend-1", 9187, False),
    ],
)
def test_ports_answer_their_users_only(lab: Any, source: str, target: str, port: int, reached: bool) -> None:
    """Slots listen on the loopback interface; the edge and the servers where their users are."""
    command = f"timeout 3 bash -c '</dev/tcp/{lab.addresses[target]}/{port}'"
    assert (lab.node(source).run(command).rc == 0) is reached


def test_database_refuses_the_wrong_node(lab: Any) -> None:
    """A client from a node that has no business there gets no session, whatever password it knows."""
    startup = (
        "import socket,struct;"
        f"s=socket.create_connection(('{lab.addresses['backend-1']}',5432),5);"
        "b=struct.pack('!i',196608)+b'user\\0sparklio\\0database\\0sparklio\\0\\0';"
        "s.sendall(struct.pack('!i',len(b)+4)+b);print(s.recv(400))"
    )
    answer = lab.node("web-1").run("python3 -c %s", startup)
    assert "no pg_hba.conf entry" in answer.stdout or answer.rc != 0, answer.stdout


@pytest.mark.parametrize(("name", "unit"), HARDENED)
def test_units_are_hardened(lab: Any, name: str, unit: str) -> None:
    """At most 3.0 on systemd's own scale."""
    said = lab.node(name).run("systemd-analyze security --no-pager %s", unit).stdout
    level = re.search(r"Overall exposure level for \S+: ([\d.]+)", said)
    assert level, said
    assert float(level[1]) <= 3.0


@pytest.mark.parametrize(("name", "component"), SLOTTED)
def test_slot_units_are_hardened(lab: Any, name: str, component: str) -> None:
    """The same for what the collection's own template runs."""
    test_units_are_hardened(lab, name, f"aistack-{component}@{live(lab, name, component)['slot']}.service")


@pytest.mark.parametrize("name", ["backend-1", "gpu-1", "web-1"])
def test_secrets_are_for_root(lab: Any, name: str) -> None:
    """Credentials and rendered environments can be read by root alone."""
    loose = lab.node(name).check_output(
        # a node without credentials or without environments is no fault
        "set -e; for folder in /var/lib/aistack/credentials /opt/aistack/*/config; do [ ! -d $folder ] || "
        "find $folder -type f '(' -not -user root -o -perm /077 ')'; done"
    )
    assert loose == ""


@pytest.mark.parametrize("name", ["backend-1", "gpu-1", "web-1"])
def test_secrets_stand_nowhere_else(lab: Any, root: Path, name: str) -> None:
    """No generated secret on a command line, in the journal, in the system's log or in a file that others may read."""
    values = yaml.safe_load((root / "inventories/sparklio/group_vars/all/secrets.yml").read_text(encoding="utf-8"))
    folder = Path(os.environ.get("AISTACK_SECRETS_DIR") or root / ".lab" / "secrets")
    secrets = [path.read_text(encoding="utf-8").split()[0] for path in sorted(folder.iterdir()) if path.is_file()]
    assert len(secrets) >= len(values["aistack_secrets"]) - 1, "the secrets are not where this test looks for them"
    places = {
        "a command line": "cat /proc/[0-9]*/cmdline | tr '\\0' '\\n'",
        "the journal": "cat /var/lib/aistack/journal.jsonl",
        "the log": "journalctl --no-pager --quiet --boot",
        "a readable file": "find /opt/aistack /etc /var/lib/aistack -xdev -type f -perm -004 -size -64k -not -path '*/.venv/*' "
        "-not -path '*/node_modules/*' -print0 2>/dev/null | xargs -0 -r cat",
    }
    for place, command in places.items():
        command += " | tr -cd '\\11\\12\\40-\\176'"  # binary files are no text; secrets are
        text = lab.node(name).run(f"bash -c {json.dumps(command).replace('$', chr(92) + '$')}").stdout
        assert [index for index, secret in enumerate(secrets) if secret in text] == [], f"{place} on {name}"
