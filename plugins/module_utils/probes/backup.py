# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""There is a backup set that is verified and young, and the unit that makes them did not fail since."""

from __future__ import annotations

import datetime
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.context import CannotJudge, Context
from ansible_collections.phasegate.aistack.plugins.module_utils.core.expect import check, describe
from ansible_collections.phasegate.aistack.plugins.module_utils.core.schema import Option
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.base import Attempt, Probe

_AGE = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd]?)")
_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def seconds(value: Any) -> float:
    """A number of seconds, or a text such as 90m, 26h, 2d. Raises ValueError."""
    found = _AGE.fullmatch(str(value).strip())
    if isinstance(value, bool) or not found:
        raise ValueError(f"{value!r} is no age: expected seconds, or a number with s, m, h or d, such as 26h")
    return float(found[1]) * _UNITS[found[2]]


def wanted(value: Any) -> dict[str, float]:
    """The expected age in seconds; a plain value means at most. Raises ValueError."""
    if not isinstance(value, Mapping):
        return {"le": seconds(value)}
    strange = [key for key in value if key not in ("lt", "le", "gt", "ge")]
    if strange:
        raise ValueError(f"an age is compared with lt, le, gt or ge, not with {strange[0]}")
    return {str(key): seconds(operand) for key, operand in value.items()}


def words(age: float) -> str:
    """An age for people."""
    return f"{age / 86400:.1f} d" if age >= 172800 else f"{age / 3600:.1f} h" if age >= 3600 else f"{age / 60:.0f} min"


def _problems(spec: Mapping[str, object]) -> list[str]:
    problems = []
    for key in ("age", "copy"):
        try:
            wanted(DEFAULT if spec.get(key) is None else spec[key])
        except ValueError as problem:
            problems.append(f"{key}: {problem}")
    return problems


DEFAULT = {"lt": "26h"}


def restored(state_dir: Path, now: float) -> str:
    """What proves that the dumps of sets can be put back: a drill restored one. Reading back proves that they are whole and readable."""
    from ansible_collections.phasegate.aistack.plugins.module_utils.journal.file import Journal

    ended = [record for record in Journal.of(state_dir).read() if (record.get("op"), record.get("outcome")) == ("drill", "ok")]
    if not ended:
        return "restored on trial: never (drill.yml)"
    made = datetime.datetime.strptime(str(ended[-1]["time"])[:19], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=datetime.timezone.utc)
    return f"restored on trial: {words(max(0.0, now - made.timestamp()))} ago"


def _proven(state_dir: Path, newest: Mapping[str, Any]) -> str:
    if not any(str(part).startswith("postgres:") for part in newest.get("parts") or []):
        return ""
    try:
        tried = restored(state_dir, time.time())
    except (OSError, ValueError) as problem:
        tried = f"whether it was restored on trial cannot be read: {problem}"
    return f" (dumps read back: checksums, pg_restore --list; {tried})"


class Backup(Probe):
    """Look at the sets of this node. Where there is none yet, the time counts since it is described what to save.

    A verified set was read back: every checksum, and the list of what each dump holds. That it can be put back is proven by a drill
    alone; the probe says when the last one was, and judges by the set's age.
    """

    type = "backup"
    target = Option("str", "state directory of the stack", required=True)
    options = {
        "age": Option("expect", "of the newest verified set, such as {lt: 26h}, which is asked where nothing is"),
        "copy": Option("expect", "age of the newest set that was copied to another place, such as {lt: 50h}"),
    }
    hint = "see: journalctl -u 'aistack-backup@*'; make one now: aistack backup"

    @staticmethod
    def check(spec: Mapping[str, object]) -> list[str]:
        return _problems(spec)

    def expectation(self) -> str:
        copy = self.spec.get("copy")
        more = "" if copy is None else f", one copied elsewhere of age {describe(copy)}"
        return f"a verified backup set of age {describe(self.spec.get('age', DEFAULT))}{more}"

    def observe(self, context: Context) -> Attempt:
        # the parts of a set use probes
        from ansible_collections.phasegate.aistack.plugins.module_utils.backup import (
            catalog,
            copies as backup_copy,
            failure as backup_failed,
        )
        from ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts import registry as backup_jobs
        from ansible_collections.phasegate.aistack.plugins.module_utils.backup.plan import moment

        state_dir = Path(str(self.spec["target"]))
        try:
            newest = catalog.newest_verified(state_dir)
            since = moment(newest["name"]) if newest else (state_dir / backup_jobs.DESCRIPTION).stat().st_mtime
        except FileNotFoundError as problem:
            return Attempt(False, f"nobody said what to save: there is no {problem.filename}", self.expectation())
        except OSError as problem:
            raise CannotJudge(f"the sets in {problem.filename} cannot be read: {problem.strerror}") from problem
        age = max(0.0, time.time() - since)
        got = f"no verified set yet; what to save is described since {words(age)}"
        if newest:
            got = f"{newest['name']}, {words(age)} old{_proven(state_dir, newest)}"
        failed = backup_failed.read(state_dir)
        if failed:
            return Attempt(False, f"{got}; {failed['unit']} failed at {failed['time']}: {failed['why']}", self.expectation())
        good = not check(wanted(self.spec.get("age", DEFAULT)), age)
        if self.spec.get("copy") is not None:
            copied = backup_copy.copied(state_dir)
            since = moment(copied["name"]) if copied else (state_dir / backup_jobs.DESCRIPTION).stat().st_mtime
            age = max(0.0, time.time() - since)
            got += f"; {copied['name']} is in {copied['place']}, {words(age)} old" if copied else "; none was copied yet"
            good = good and not check(wanted(self.spec["copy"]), age)
        return Attempt(good, got, self.expectation())
