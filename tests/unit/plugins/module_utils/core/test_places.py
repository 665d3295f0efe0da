# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Folders that nodes have already: what is written here is read on them."""

from __future__ import annotations

import re
from pathlib import Path

from ansible_collections.phasegate.aistack.plugins.module_utils.core import places

CORE = Path(places.__file__).parents[1]
FOLDERS = re.compile(r"""/ "(slots|releases)"|"slots", "live"|component, "releases"|/ "config" / [a-z]""")


def test_the_folders_of_a_component() -> None:
    home = places.Home("/opt/aistack", "web")
    found = (home.base, home.release("v2"), home.staging, home.env("0f3a"), home.live_link, home.live_env)
    assert [str(path.relative_to("/opt/aistack/web")) for path in found] == [
        ".", "releases/v2", "staging", "config/0f3a/env", "slots/live", "slots/live/config/env",
    ]


def test_nobody_else_spells_them() -> None:
    found = {path.relative_to(CORE).as_posix() for path in CORE.rglob("*.py") if FOLDERS.search(path.read_text(encoding="utf-8"))}
    assert found == {"core/places.py"}
