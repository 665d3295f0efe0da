# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Units of systemd as roles write them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2
import pytest

ROLES = Path(__file__).resolve().parents[3] / "roles"
SERVICES = sorted(path for path in ROLES.glob("*/templates/*service*.j2") if "Type=oneshot" not in path.read_text(encoding="utf-8"))
COMPONENTS = {
    "postgres": {"hosts": "data", "unit": "postgresql.service"},
    "ollama": {"hosts": "gpu", "unit": "ollama.service"},
    "backend": {"hosts": "data", "application": "shop"},
    "toolchain": {"hosts": "data"},
}


def rendered(**more: Any) -> dict[str, list[str]]:
    """The unit of a worker's slots on the host ``one``, as section to lines."""
    template = jinja2.Environment(keep_trailing_newline=True, trim_blocks=True, undefined=jinja2.StrictUndefined).from_string(
        (ROLES / "release/templates/slot.service.j2").read_text(encoding="utf-8")
    )
    template.environment.filters["dictsort"] = lambda value: sorted(value.items())
    text = template.render({
        "ansible_managed": "managed", "aistack_root": "/opt/aistack", "release_component": "worker",
        "release_user": "aistack-worker", "release_group": "aistack",
        "release_unit": {"description": "Worker", "exec": "/bin/true"}, "__release_slots": {"stop_timeout": 30},
        "aistack_components": COMPONENTS, "groups": {"data": ["one"], "gpu": ["two"]}, "inventory_hostname": "one",
        "release_description": {"after": ["postgres", "ollama", "backend", "toolchain"]}, **more,
    })  # fmt: skip
    sections: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.startswith("["):
            sections[line[1:-1]] = []
        elif sections and line and not line.startswith("#"):
            sections[list(sections)[-1]].append(line)
    return sections


def test_there_are_services() -> None:
    assert {path.parent.parent.name for path in SERVICES} >= {"release", "minio", "ollama", "comfyui"}


@pytest.mark.parametrize("path", SERVICES, ids=lambda path: path.parent.parent.name)
def test_a_service_is_started_again_for_as_long_as_what_it_needs_is_not_there(path: Path) -> None:
    """A database may replay its log for minutes after a power cut: systemd gives up on nothing that is to run."""
    text = path.read_text(encoding="utf-8")
    unit, service = text.partition("[Service]")[::2]
    assert "StartLimitIntervalSec=0" in unit.splitlines()
    assert "Restart=always" in service.splitlines()
    assert "RestartSec=2" in service.splitlines()


@pytest.mark.parametrize(("role", "when"), [("redis", "always"), ("edge", "always"), ("postgres", "on-failure")])
def test_so_is_a_service_of_the_distribution(role: str, when: str) -> None:
    text = (ROLES / role / "templates/unit.conf.j2").read_text(encoding="utf-8")
    unit, service = text.partition("[Service]")[::2]
    assert "StartLimitIntervalSec=0" in unit.splitlines()
    assert {f"Restart={when}", "RestartSec=2"} <= set(service.splitlines())


def test_slots_start_after_what_they_stand_on_where_it_is_on_the_same_host() -> None:
    after = [line for line in rendered()["Unit"] if line.startswith("After=")]
    assert after == [
        "After=network-online.target", "After=postgresql.service", "After=aistack-backend@blue.service aistack-backend@green.service",
    ]  # fmt: skip
    assert [line for line in rendered(release_description={})["Unit"] if line.startswith("After=")] == ["After=network-online.target"]


def test_a_slot_runs_as_the_user_of_its_component() -> None:
    """A group of all components reads the trees; what one of them runs is no business of the others."""
    service = rendered()["Service"]
    assert {"User=aistack-worker", "Group=aistack", "ProtectProc=invisible"} <= set(service)


def test_a_runtime_is_asked_to_end_as_it_wants_it() -> None:
    """nginx cuts off who is being answered where it gets SIGTERM."""
    assert not [line for line in rendered()["Service"] if line.startswith("KillSignal")]
    unit = {"description": "Site", "exec": "/usr/sbin/nginx", "kill_signal": "SIGQUIT"}
    assert "KillSignal=SIGQUIT" in rendered(release_unit=unit)["Service"]
