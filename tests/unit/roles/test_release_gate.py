# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How slots are judged is said in the role and in the code: the same in both."""

from __future__ import annotations

from pathlib import Path

import yaml

from ansible_collections.phasegate.aistack.plugins.module_utils.gate.verdict import OF_A_SLOT

ROLE = Path(__file__).resolve().parents[3] / "roles" / "release"


def test_the_roles_defaults_are_those_of_the_description() -> None:
    said = yaml.safe_load((ROLE / "defaults" / "main.yml").read_text(encoding="utf-8"))["release_gate_settings"]
    assert {**OF_A_SLOT, **said} == OF_A_SLOT
