# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The checklist asks each node's own command whether its journal is as it was written."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from ansible_collections.phasegate.aistack.plugins.filter.stack import verify_probes
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.command import Command
from ansible_collections.phasegate.aistack.plugins.module_utils.pure.verify_text import LEVELS

(PLAY,) = yaml.safe_load((Path(__file__).resolve().parents[3] / "playbooks/verify.yml").read_text(encoding="utf-8"))
JOURNAL = PLAY["vars"]["__journal"]


@pytest.mark.parametrize(("there", "status", "wanted"), [(True, 0, 0), (True, 1, 1), (False, 1, 0)], ids=["holds", "broken", "no stack"])
def test_the_journal_is_asked_where_the_node_has_the_stack(tmp_path: Path, there: bool, status: int, wanted: int) -> None:
    (probe,) = verify_probes([JOURNAL])
    assert JOURNAL["level"] in LEVELS
    assert Command.check(probe) == []
    asked_by = [task for task in PLAY["tasks"] if "__checks" in str(task.get("phasegate.aistack.gate"))]
    assert len(asked_by) == 1
    shell, c, script, _name = probe["target"]
    command = tmp_path / "aistack"
    command.write_text(f'#!/bin/sh\necho "$*" > {tmp_path}/asked\nexit {status}\n', encoding="utf-8")
    command.chmod(0o755)
    if there:
        (tmp_path / "shop.json").touch()
    script = script.replace("/etc/aistack/", f"{tmp_path}/").replace("/usr/local/bin/aistack", str(command))
    assert subprocess.run([shell, c, script, "shop"], check=False).returncode == wanted
    asked = (tmp_path / "asked").read_text(encoding="utf-8") if there else ""
    assert asked == ("--stack shop journal --verify --lines 1\n" if there else "")
