# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""There is room on the file system of a path."""

from __future__ import annotations

import os
from pathlib import Path

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.context import Context
from ansible_collections.phasegate.aistack.plugins.module_utils.core.expect import check_all, describe_all
from ansible_collections.phasegate.aistack.plugins.module_utils.core.schema import Option
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.base import Attempt, Probe, at_least, judge

_KEYS = ("free_bytes", "free_gib", "free_percent", "free_inodes_percent")


class Disk(Probe):
    """Measure what an ordinary user may still write."""

    type = "disk"
    target = Option("str", "path; of one that is not there yet, the folder that would hold it", required=True)
    options = {
        "free_bytes": Option("figure", "bytes; a number means at least"),
        "free_gib": Option("figure", "GiB; a number means at least"),
        "free_percent": Option("figure", "per cent; a number means at least; 5 where nothing is asked"),
        "free_inodes_percent": Option("figure", "per cent of the inodes; a number means at least"),
    }
    hint = "make room, or prune old releases; see what takes it: du -xsh {target}/*"

    def _wanted(self) -> dict[str, object]:
        return {key: at_least(self.spec[key]) for key in _KEYS if self.spec.get(key) is not None} or {"free_percent": {"ge": 5}}

    def expectation(self) -> str:
        return describe_all(self._wanted())

    def observe(self, context: Context) -> Attempt:
        path = Path(str(self.spec["target"]))
        while not path.exists() and path != path.parent:
            path = path.parent
        size = os.statvfs(path)
        free = size.f_bavail * size.f_frsize
        usable = (size.f_blocks - size.f_bfree + size.f_bavail) * size.f_frsize
        came = {
            "free_bytes": free,
            "free_gib": round(free / 2**30, 2),
            "free_percent": round(100 * free / usable, 1) if usable else 0.0,
            "free_inodes_percent": round(100 * size.f_favail / size.f_files, 1) if size.f_files else 100.0,
        }
        wanted = self._wanted()
        got = ", ".join(f"{key} = {came[key]}" for key in wanted)
        return judge(check_all(wanted, came), self.expectation(), got, f"measured at {path}")
