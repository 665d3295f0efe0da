# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role's step that lets the live release prove itself on a migrated schema, in a play on this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.gate import saved
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.file import Journal
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.spec import normalise

ROOT = Path(__file__).resolve().parents[3]
PLAYBOOK = Path(sys.executable).with_name("ansible-playbook")
RAN = {
    "changed": True,
    "from": ["0002"],
    "current": ["0017"],
    "plan": {"pending": [{"revision": "0017", "phase": "expand"}]},
}


@pytest.fixture
def play(tmp_path: Path) -> Any:
    """Return ``play(migrate_result, passes, live)``; the probe of the component passes where the file ``marker`` is."""
    slots = tmp_path / "root" / "backend" / "slots"

    def run(
        result: dict[str, Any], passes: bool = True, live: bool = True, *arguments: str, sharpened: bool = False
    ) -> subprocess.CompletedProcess[str]:
        if live:
            (slots / "blue").mkdir(parents=True)
            (slots / "live").symlink_to("blue")
            (tmp_path / "root" / "backend" / "releases" / "v4.1.0").mkdir(parents=True)
            (slots / "blue" / "release").symlink_to("../../releases/v4.1.0")
            (slots / "blue" / "slot.env").write_text("AISTACK_PORT=18000\n")
        if passes:
            (tmp_path / "marker").write_text("")
        asked = {"name": "its own port", "command": ["sh", "-c", f"test -e {tmp_path}/marker && test ${{port}} = 18000"]}
        gate = [asked]
        if sharpened:  # together with the release that is to come
            saved.save(tmp_path / "state", "backend", {"v4.1.0": {"probes": [normalise(asked, "backend")]}})
            gate = [asked, {"name": "the new page", "file": f"{tmp_path}/new-page"}]
        variables = {
            "migrate_result": result,
            "migrate_component": "backend",
            "migrate_release": "v4.17.0",
            "migrate_env_file": "/absent",
            "migrate_evidence_gate": {"interval": 0.1, "successes": 1, "deadline": 0.5},
            "aistack_run": "run-1",
            "aistack_components": {"backend": {"hosts": "all", "gate": gate}},
        }
        defaults = {"root": str(tmp_path / "root"), "state_dir": str(tmp_path / "state")}
        playbook = [
            {
                "hosts": "all",
                "gather_facts": False,
                "module_defaults": {
                    "group/phasegate.aistack.aistack": defaults,
                    "phasegate.aistack.gate": {**defaults, "ports": {"backend": 8000}},  # as deploy.yml has it
                },
                "tasks": [{"include_role": {"name": "phasegate.aistack.migrate", "tasks_from": "evidence"}}],
            }
        ]
        (tmp_path / "play.yml").write_text(json.dumps(playbook))
        (tmp_path / "vars.json").write_text(json.dumps(variables))
        return subprocess.run(
            [str(PLAYBOOK), "-i", "localhost,", "-c", "local", str(tmp_path / "play.yml"), "-e", f"@{tmp_path}/vars.json",
             "-e", f"ansible_python_interpreter={sys.executable}", *arguments],
            cwd=ROOT, env={**os.environ, "ANSIBLE_NOCOLOR": "1"}, text=True, capture_output=True, check=False, stdin=subprocess.DEVNULL,
        )

    return run


def proofs(tmp_path: Path) -> list[dict[str, Any]]:
    return Journal.of(tmp_path / "state").read()


def test_what_passes_is_written_down(play: Any, tmp_path: Path) -> None:
    done = play(RAN)
    assert done.returncode == 0, done.stdout
    [record] = proofs(tmp_path)
    assert (record["op"], record["component"], record["release"], record["run"]) == ("mark", "backend", "v4.1.0", "run-1")
    assert (record["detail"]["state"], record["detail"]["heads"]) == ("runs_on", ["0017"])
    assert "the schema that v4.17.0 brought: 1 probe: 1 passed" in record["detail"]["reason"]


def test_what_does_not_run_on_an_expanded_schema_ends_the_deployment(play: Any, tmp_path: Path) -> None:
    done = play(RAN, passes=False)
    assert done.returncode != 0
    said = " ".join((done.stdout + done.stderr).split())
    assert "release v4.1.0, which is live, does not pass its gate on the schema at 0017" in said
    assert "-e migrate_state=downgraded -e migrate_target=0002" in said
    assert "its own port" in said
    assert proofs(tmp_path) == []


@pytest.mark.parametrize("passes", [True, False])
def test_a_gate_sharpened_for_the_release_to_come_is_not_asked_of_the_live_one(play: Any, tmp_path: Path, passes: bool) -> None:
    done = play(RAN, passes, sharpened=True)
    assert (done.returncode == 0) is passes, done.stdout
    assert [record["release"] for record in proofs(tmp_path)] == ["v4.1.0"] * passes


@pytest.mark.parametrize(
    ("result", "passes", "live", "arguments"),
    [
        ({"changed": False}, True, True, ()),  # nothing was migrated
        (RAN, True, False, ()),  # nothing is live yet
        (RAN, True, True, ("--check",)),
        ({**RAN, "plan": {"pending": [{"phase": "contract"}]}}, False, True, ()),  # accepted by name: the old code may well not run
    ],
)
def test_where_there_is_nothing_to_prove(
    play: Any, tmp_path: Path, result: dict[str, Any], passes: bool, live: bool, arguments: tuple[str, ...]
) -> None:
    done = play(result, passes, live, *arguments)
    assert done.returncode == 0, done.stdout
    assert proofs(tmp_path) == []
