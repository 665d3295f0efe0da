# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The verb itself: what is printed, its exit status, what it writes, and what it leaves alone."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

from ansible_collections.phasegate.aistack.plugins.action.journal import controller_id
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.lock import Lock, Owner

from .conftest import Node, free_port

ROOT = Path(__file__).resolve().parents[3]
PLANTED = "pl4nted-s3cret-value"


def play(node: Node, *arguments: str, more: dict[str, Any] | None = None, **variables: Any) -> tuple[int, str]:
    """Exit status and what was printed. *more*: further hosts."""
    described = {
        "ansible_python_interpreter": sys.executable, "aistack_name": "shop", "aistack_root": str(node.root),
        "aistack_state": str(node.state), "aistack_address": "127.0.0.1", "aistack_ports": {},
        "aistack_applications": {"shop": {"repo": "/none", "release": "v1"}}, "aistack_phases": {},
        "aistack_components": {"worker": {"role": "worker", "hosts": "aistack", "application": "shop", "gate": []}}, **variables,
    }
    hosts = {"node": {"ansible_connection": "local"}, **(more or {})}
    inventory = {"all": {"vars": described, "children": {"aistack": {"hosts": hosts}}}}
    (node.folder / "inventory.yml").write_text(json.dumps(inventory), encoding="utf-8")
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    clean |= {"ANSIBLE_NOCOLOR": "1", "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".collections"), "ANSIBLE_HOME": str(node.folder / "home"),
              "PATH": f"{node.folder / 'bin'}:{clean['PATH']}"}
    argv = [str(ROOT / ".venv/bin/ansible-playbook"), "-i", "inventory.yml", "phasegate.aistack.diagnose", *arguments]
    done = subprocess.run(argv, cwd=node.folder, env=clean, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120,
                          check=False, stdin=subprocess.DEVNULL)
    return done.returncode, done.stdout


def journal_of(node: Node, text: str) -> None:
    """A systemd in which every unit runs, and whose journal holds *text* for each."""
    (node.folder / "bin").mkdir()
    (node.folder / "log").write_text(text, encoding="utf-8")
    said = "LoadState=loaded\\nActiveState=active\\nSubState=running\\n\\n"
    for name, script in {"journalctl": f"cat {node.folder}/log",
                         "systemctl": f'while [ "$1" != -- ]; do shift; done; shift; for u; do printf "Id=$u\\n{said}"; done'}.items():
        (node.folder / "bin" / name).write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        (node.folder / "bin" / name).chmod(0o755)


def laid_down(node: Node) -> dict[str, bytes | None]:
    """Every file of the stack, with what it holds."""
    found = [path for place in (node.root, node.state) for path in place.rglob("*")]
    return {str(path): path.read_bytes() if path.is_file() else None for path in found}


def test_a_lock_of_a_dead_run_and_the_archive(node: Node) -> None:
    """The run is dead, the lock stays as it is; and nowhere stands what is secret."""
    dead = subprocess.Popen(["true"])
    dead.wait()
    ann: Owner = {"actor": "ann", "controller": "here", "controller_id": controller_id(), "pid": dead.pid, "pid_started": "x:1"}
    Lock(node.state).acquire("20260101T000000Z-abcdef", ann)
    node.component("worker", {"API_TOKEN": PLANTED, "LOG_LEVEL": "info"})
    before = laid_down(node)
    journal_of(node, f"first line\nsent the header X-Api: {PLANTED}\n" + "a line of a log\n" * 20000)
    status, text = play(node, "-e", "archive=kept", "-e", "max_bytes=100000", "-e", "output=causes.json")
    assert status == 2, text
    assert "1. The lock of node is held by a run that does not live any more (likely, 85 of 100)" in text, text
    assert "held by ann on here" in text
    assert "the likeliest: The lock of node is held" in text
    assert laid_down(node) == before, "it changes nothing"
    assert json.loads((node.folder / "causes.json").read_text(encoding="utf-8"))[0]["rule"] == "lock_of_a_dead_run"
    (archive,) = (node.folder / "kept").iterdir()
    assert archive.stat().st_mode & 0o777 == 0o600
    held = {}
    with tarfile.open(archive) as packed:
        for entry in packed.getmembers():
            file = packed.extractfile(entry)
            assert file is not None, f"{entry.name} is no file"
            held[entry.name.partition("/")[2]] = file.read()
    listed = {name: (digest, int(size)) for digest, size, name in (line.split("  ") for line in held["CONTENTS"].decode().splitlines())}
    assert listed == {name: (hashlib.sha256(content).hexdigest(), len(content)) for name, content in held.items() if name != "CONTENTS"}
    assert {"diagnosis.txt", "causes.json", "node/evidence.json", "node/journal.jsonl", "node/worker/blue.env"} <= set(listed)
    assert sum(len(content) for name, content in held.items() if name.startswith("node/")) <= 100000
    assert held["node/worker/blue.env"].decode() == "API_TOKEN=****\nLOG_LEVEL=info\n"
    assert held["node/worker/blue.log"].endswith(b"a line of a log\n"), "of a long log the end stays"
    assert [name for name, content in held.items() if PLANTED.encode() in content] == []
    assert PLANTED not in text


def test_a_node_that_does_not_answer(node: Node) -> None:
    """It is named, and the other one is looked at all the same."""
    port = free_port()
    node.component("worker", {"CELERY_BROKER_URL": f"redis://127.0.0.1:{port}/0"})
    journal_of(node, "")
    away = {"away": {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": free_port()}}
    status, text = play(node, "-e", "only=worker", more=away)
    assert status == 2, text
    assert "away does not answer (sure, 90 of 100)" in text, text
    assert "Nothing answers worker as Redis" in text
    assert "2 causes on 1 node" in text


def test_own_rules(node: Node) -> None:
    """One that makes no sense is refused with what was meant; one that does is heeded, and check mode only tells."""
    node.component("worker", {"LOG_LEVEL": "info"})
    journal_of(node, "license of tool X has ended\n")
    rule = {"name": "license", "title": "The license of ${component} has ended", "each": "components", "log": ["license of .* has ended"],
            "certainty": 90, "seen": "${line}", "means": "it does nothing any more", "do": ["buy another one"]}
    status, text = play(node, aistack_diagnoses=[{**rule, "each": "component", "certanty": 90}])
    assert status == 2, text
    assert "aistack_diagnoses[0] (license): unknown key 'certanty'; did you mean 'certainty'?" in text
    assert "did you mean 'components'?" in text
    status, text = play(node, "--check", aistack_diagnoses=[rule])
    assert status == 0, text
    assert "1. The license of worker has ended (sure, 90 of 100)" in text
    assert "seen   node: license of tool X has ended" in text
