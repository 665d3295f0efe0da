# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who may reach a server without a login: those who have business with it, and nobody else."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible.errors import AnsibleFilterError
from jinja2 import Environment, StrictUndefined

from ansible_collections.phasegate.aistack.plugins.filter.stack import networks

ROLES = Path(__file__).resolve().parents[3] / "roles"


def rendered(*allow: str, ports: tuple[int, ...] = (11434,)) -> list[str]:
    """The rules for ports, as the role writes them."""
    jinja = Environment(trim_blocks=True, undefined=StrictUndefined, autoescape=False)
    jinja.filters["phasegate.aistack.networks"] = networks
    text = (ROLES / "toolchain" / "templates" / "port_filter.nft.j2").read_text(encoding="utf-8")
    given = {"toolchain_unit": "ollama.service", "toolchain_ports": ports, "__toolchain_filter_table": "t", "toolchain_allow": allow}
    lines = [line.strip() for line in jinja.from_string(text).render(given).splitlines()]
    return [line for line in lines if line.endswith((" accept", " drop"))]


def test_rules() -> None:
    nobody = ['iif "lo" accept', "tcp dport 11434 drop"]
    assert rendered() == nobody
    assert rendered("10.0.1.9/24", "10.0.1.11", "10.0.0.11", "fd00::1") == [
        nobody[0],
        "tcp dport 11434 ip saddr { 10.0.0.11/32, 10.0.1.0/24 } accept",
        "tcp dport 11434 ip6 saddr { fd00::1/128 } accept",
        nobody[1],
    ]


def test_several_ports_are_a_set() -> None:
    lines = rendered("10.0.0.11", ports=(4317, 4318))
    assert lines[1:] == ["tcp dport { 4317, 4318 } ip saddr { 10.0.0.11/32 } accept", "tcp dport { 4317, 4318 } drop"]


def test_a_name_is_refused() -> None:
    with pytest.raises(AnsibleFilterError, match=r"'backend-1' does not appear to be.*ollama_allow, comfyui_allow, jaeger_allow"):
        networks(["backend-1"])


@pytest.mark.parametrize("role", ["ollama", "comfyui"])
@pytest.mark.parametrize("filtered", [True, False])
def test_a_unit_does_not_start_without_its_filter(role: str, filtered: bool) -> None:
    text = (ROLES / role / "templates" / f"{role}.service.j2").read_text(encoding="utf-8")
    jinja = Environment(trim_blocks=True, autoescape=False)
    folders = {f"{role}_models_dir": "/m", f"{role}_data": "/m"}
    given = {f"__{role}_filtered": filtered, f"__{role}_filter_file": "/etc/filter.nft", **folders}
    lines = jinja.from_string(text).render(given).splitlines()
    assert ("ExecStartPre=+/usr/sbin/nft -f /etc/filter.nft" in lines) is filtered
    assert ("ReloadPropagatedFrom=nftables.service" in lines) is filtered
