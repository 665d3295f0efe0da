# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a unit gives its process."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.unit_text import process_settings

SHOWN = """\
# /etc/systemd/system/aistack-api@.service
[Unit]
Description=api (%i)
[Service]
Type=simple
User=shop
EnvironmentFile=/opt/shop/api/slots/%i/config/env
Environment=A=100%%
; a comment
ExecStart=/opt/python -m \\
  uvicorn
Restart=always
KillMode=mixed
TimeoutStopSec=30
CapabilityBoundingSet=
SystemCallFilter=@system-service
SystemCallFilter=~@privileged
# /etc/systemd/system/aistack-api@.service.d/more.conf
[Service]
ReadWritePaths=/srv/uploads
[Install]
WantedBy=multi-user.target
"""


def test_the_process_and_not_the_service() -> None:
    assert process_settings(SHOWN, "blue") == [
        "User=shop", "EnvironmentFile=/opt/shop/api/slots/blue/config/env", "Environment=A=100%", "CapabilityBoundingSet=",
        "SystemCallFilter=@system-service", "SystemCallFilter=~@privileged", "ReadWritePaths=/srv/uploads",
    ]


def test_nothing_of_the_real_units_sandbox_is_lost() -> None:
    text = (Path(__file__).parents[5] / "roles/release/templates/slot.service.j2").read_text(encoding="utf-8")
    of_the_sandbox = ("Protect", "Private", "Restrict", "NoNew", "System", "Capab", "Memory", "UMask", "Lock")
    wanted = {line.partition("=")[0] for line in text.splitlines() if line.startswith(of_the_sandbox)}
    got = {line.partition("=")[0] for line in process_settings(text, "blue")}
    assert wanted - {"RestartSec", "Restart"} <= got
    assert len(wanted) > 10
