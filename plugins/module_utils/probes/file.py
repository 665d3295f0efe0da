# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A file is there, with the right owner, mode and contents; or is not there."""

from __future__ import annotations

import grp
import hashlib
import pwd
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.context import OUTPUT_LIMIT, Context
from ansible_collections.phasegate.aistack.plugins.module_utils.core.expect import check_all, describe, describe_all, show
from ansible_collections.phasegate.aistack.plugins.module_utils.core.schema import Option
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.base import Attempt, Probe, judge

_KEYS = ("mode", "owner", "group", "size", "sha256", "contains", "link")


class File(Probe):
    """Look at one path."""

    type = "file"
    target = Option("str", "path", required=True)
    options = {
        "exists": Option("bool", "whether it is there", default=True),
        "mode": Option("scalar", "permissions, such as '0600'"),
        "owner": Option("scalar", "name of the user"),
        "group": Option("scalar", "name of the group"),
        "size": Option("figure", "bytes"),
        "sha256": Option("scalar", "checksum of the contents"),
        "contains": Option("expect", "contents; a text has to be in them"),
        "link": Option("scalar", "where a symbolic link points"),
    }
    hint = "try: ls -l {target}"

    def expectation(self) -> str:
        if self.spec.get("exists") is False:
            return "nothing there"
        wanted = self._wanted()
        parts = [describe_all({key: rule for key, rule in wanted.items() if key != "contains"})]
        parts += [f"contents {describe(wanted['contains'])}"] if "contains" in wanted else []
        return ", ".join(part for part in parts if part) or "a file"

    def _wanted(self) -> dict[str, object]:
        wanted = {key: self.spec[key] for key in _KEYS if self.spec.get(key) is not None}
        if "mode" in wanted:
            wanted["mode"] = _mode(wanted["mode"])
        if isinstance(wanted.get("contains"), str):
            wanted["contains"] = {"contains": wanted["contains"]}
        return wanted

    def observe(self, context: Context) -> Attempt:
        path = Path(str(self.spec["target"]))
        there = path.is_symlink() or path.exists()
        if self.spec.get("exists") is False:
            return Attempt(not there, f"{path} is there" if there else f"{path} is not there", self.expectation())
        if not there:
            return Attempt(False, f"{path} is not there", self.expectation())
        wanted = self._wanted()
        came = _facts(path, wanted, context)
        found = check_all(wanted, came)
        # contents are compared, never shown: they may be anything
        hidden = [one for one in found if one.path == "contains"]
        shown = show({key: value for key, value in came.items() if key != "contains"})
        seen = judge([one for one in found if one not in hidden], self.expectation(), shown)
        if hidden:
            return Attempt(False, f"{path} does not", f"contents {describe(wanted['contains'])}", seen.got if not seen.ok else "")
        return seen


def _mode(given: Any) -> Any:
    return f"{int(given, 8):04o}" if isinstance(given, str) and given and set(given) <= set("01234567") else given


def _facts(path: Path, wanted: Mapping[str, object], context: Context) -> dict[str, object]:
    facts: dict[str, Any] = {}
    if "link" in wanted and path.is_symlink():
        facts["link"] = str(path.readlink())
    status = path.stat()
    facts["mode"] = f"{stat.S_IMODE(status.st_mode):04o}"
    facts["owner"] = _name(lambda: pwd.getpwuid(status.st_uid).pw_name, status.st_uid)
    facts["group"] = _name(lambda: grp.getgrgid(status.st_gid).gr_name, status.st_gid)
    facts["size"] = status.st_size
    if "sha256" in wanted:
        facts["sha256"] = sha256_of(path, context)
    if "contains" in wanted:
        with path.open("rb") as file:
            facts["contains"] = file.read(OUTPUT_LIMIT).decode("utf-8", "replace")
    return facts


def _name(lookup: Any, number: int) -> str:
    try:
        return str(lookup())
    except KeyError:
        return str(number)


def sha256_of(path: Path, context: Context) -> str:
    """Checksum of a file, read in parts; raises :class:`NotAsExpected` when the attempt's time is over."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            context.remaining()
            digest.update(chunk)
    return digest.hexdigest()
