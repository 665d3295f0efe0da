# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is looked into of a repository."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

from ansible_collections.phasegate.aistack.plugins.action.stack_init import tree


def test_a_path_that_would_be_more_than_one_line_is_passed_over(tmp_path: Path) -> None:
    archive = tmp_path / "a.tar"
    with tarfile.open(archive, "w") as packed:
        for name in ("main.py", "evil\n  x: y/main.py", "a\u2028b/main.py", "n\u00e4me/main.py"):
            member = tarfile.TarInfo(name)
            member.size = 1
            packed.addfile(member, io.BytesIO(b"x"))
    assert set(tree(archive)) == {"main.py", "n\u00e4me/main.py"}
