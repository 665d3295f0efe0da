# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What role backup writes on a node is for root alone: its description may hold a remote's options, its key signs sets."""

from __future__ import annotations

from pathlib import Path

import yaml

TASKS = Path(__file__).resolve().parents[3] / "roles" / "backup" / "tasks"


def test_the_description_is_for_root_alone() -> None:
    tasks = [task for path in TASKS.glob("*.yml") for task in yaml.safe_load(path.read_text())]
    written = [task["ansible.builtin.copy"] for task in tasks if "ansible.builtin.copy" in task]
    modes = [copied["mode"] for copied in written if copied["dest"] == "{{ __backup_file }}"]
    assert modes == ["0600"]
