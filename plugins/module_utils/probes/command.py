# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A program says what it should: exit status, output, version."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.context import Context, excerpt
from ansible_collections.phasegate.aistack.plugins.module_utils.core.expect import Mismatch, check, check_version, describe_all
from ansible_collections.phasegate.aistack.plugins.module_utils.core.schema import Option
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.base import Attempt, Probe, judge

_VERSION = r"(\d+(?:\.\d+)+|\d+)"


class Command(Probe):
    """Run a program without a shell. It should only look, for it runs in check mode, too; one that does not says C(changes)."""

    type = "command"
    speaks = True
    target = Option("list", "program and arguments", required=True)
    options = {
        "rc": Option("figure", "exit status", default=0),
        "stdout": Option("scalar", "output, without white space around it"),
        "stderr": Option("scalar", "error output, without white space around it"),
        "version": Option("version", "version in the output, compared number by number, such as {ge: '3.11'}"),
        "pattern": Option("regex", "where the version stands in the output: its first group"),
        "cwd": Option("str", "folder to run in"),
        "user": Option("str", "system user who runs it"),
        "environment": Option("dict", "added to its environment; no secrets"),
        "changes": Option("bool", "true: it changes something, so that check mode passes it over, and one pass is enough"),
    }
    hint = "run it by hand on the node"

    @staticmethod
    def check(spec: Mapping[str, Any]) -> list[str]:
        problems = [] if spec["target"] else ["'command' needs a program"]
        if spec.get("pattern") and re.compile(spec["pattern"]).groups < 1:
            problems.append("pattern: needs a group, in parentheses, around the version")
        return problems

    @property
    def changes(self) -> bool:
        return bool(self.spec.get("changes"))

    def expectation(self) -> str:
        wanted = {"rc": self.spec.get("rc", 0)}
        wanted.update({key: self.spec[key] for key in ("stdout", "stderr", "version") if self.spec.get(key) is not None})
        return describe_all(wanted)

    def observe(self, context: Context) -> Attempt:
        environment = {str(name): str(value) for name, value in (self.spec.get("environment") or {}).items()}
        argv = [str(word) for word in self.spec["target"]]
        done = context.execute(argv, environment, self.spec.get("cwd"), self.spec.get("user"))
        out, err = done.stdout.strip(), done.stderr.strip()
        found: list[Mismatch] = check(self.spec.get("rc", 0), done.rc, "rc")
        for key, text in (("stdout", out), ("stderr", err)):
            if self.spec.get(key) is not None:
                found += check(self.spec[key], text, key, text=True)
        got = f"rc = {done.rc}"
        if self.spec.get("version") is not None and not found:
            match = re.search(self.spec.get("pattern") or _VERSION, f"{out}\n{err}")
            if match is None:
                return Attempt(False, f"no version in: {excerpt(out or err)}", self.expectation())
            got = f"version = {match.group(1)}"
            found += check_version(self.spec["version"], match.group(1))
        return judge(found, self.expectation(), got, excerpt(err or out) if found else "")
