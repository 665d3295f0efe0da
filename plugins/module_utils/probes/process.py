# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Processes run, so many of them, as the right user."""

from __future__ import annotations

import os
import pwd
import re
from pathlib import Path

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.context import CannotJudge, Context, excerpt
from ansible_collections.phasegate.aistack.plugins.module_utils.core.expect import at, check, describe
from ansible_collections.phasegate.aistack.plugins.module_utils.core.schema import Option
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.base import Attempt, Probe, judge

PROC = Path("/proc")


def command_line(pid: str) -> str:
    """The command line of a process; empty for kernel threads, and for those that are gone or hidden."""
    try:
        return (PROC / pid / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").strip()
    except OSError:
        return ""


def parent(pid: str) -> str:
    """Process id of the parent; 0 where there is none."""
    try:
        stat = (PROC / pid / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "0"
    return stat.rpartition(")")[2].split()[1]


def own_line() -> set[str]:
    """This process and those that started it: their command lines may hold the very pattern that is looked for."""
    line: set[str] = set()
    pid = str(os.getpid())
    while pid != "0" and pid not in line:
        line.add(pid)
        pid = parent(pid)
    return line - {"1"}


class Process(Probe):
    """Count the processes whose command line matches."""

    type = "process"
    target = Option("regex", "pattern that has to be found in the command line", required=True)
    options = {
        "count": Option("figure", "how many", default={"ge": 1}),
        "user": Option("str", "only those of this user"),
    }
    hint = "try: ps -ef | grep -E '{target}'"

    def expectation(self) -> str:
        return at("processes", describe(self.spec.get("count", {"ge": 1})))

    def observe(self, context: Context) -> Attempt:
        if not (PROC / "self").exists():
            raise CannotJudge("this system has no /proc")
        uid = None
        if self.spec.get("user"):
            try:
                uid = pwd.getpwnam(self.spec["user"]).pw_uid
            except KeyError as error:
                raise CannotJudge(f"there is no user {self.spec['user']}") from error
        pattern = re.compile(self.spec["target"])
        mine = own_line()
        found: list[str] = []
        for entry in os.listdir(PROC):
            if not entry.isdigit() or entry in mine:
                continue
            line = command_line(entry)
            if line and pattern.search(line) and (uid is None or _owner(entry) == uid):
                found.append(f"{entry}: {excerpt(line, 100)}")
        mismatches = check(self.spec.get("count", {"ge": 1}), len(found), "processes")
        return judge(mismatches, self.expectation(), f"processes = {len(found)}", "\n".join(found[:5]))


def _owner(pid: str) -> int | None:
    try:
        return (PROC / pid).stat().st_uid
    except OSError:
        return None
