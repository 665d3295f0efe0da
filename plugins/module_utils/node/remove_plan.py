# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What goes from a node, in words and as steps; and doing it. Each step may be done again, where it was interrupted before."""

from __future__ import annotations

import grp
import json
import pwd
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.docker import Docker
from ansible_collections.phasegate.aistack.plugins.module_utils.clients.systemd import run_command
from ansible_collections.phasegate.aistack.plugins.module_utils.core.durable import write_file
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.lock import Lock, describe

STOP = 120.0
"""Seconds that stopping a unit may take."""
GROUP = "aistack"
"""The group of all users that run releases."""


class Refused(Exception):
    """It was not done, or not to its end; the text says why and what to do."""


@dataclass(frozen=True)
class Places:
    """Where a node has things; tests have them elsewhere."""

    top: Path = Path("/")
    registry: Path = Path("/etc/aistack")

    @property
    def units(self) -> Path:
        """Units of ours, and drop-ins of ours for those of packages."""
        return self.top / "etc/systemd/system"

    @property
    def edge(self) -> Path:
        """The configuration of HAProxy, which has a part for each stack."""
        return self.top / "etc/haproxy/haproxy.cfg"

    @property
    def data(self) -> Path:
        """What services write."""
        return self.top / "var/lib"


@dataclass
class Plan:
    """What goes, and what stays.

    Attributes:
        units: are stopped, and not started at boot.
        timers: transient ones that may be there, with their suffix; they are stopped and not told of.
        tables: of nftables, in the family inet.
        cut: parts of a file that go: its path, the pattern, and what people read.
        paths: files and folders, in this order; of a folder that is a file system of its own, what is in it.
        users: system users; groups: likewise, behind them.
        images: names of images of Docker, whose containers end with the units.
    reload: units that read their configuration again at the end.
        stays: sentences without an end.
        last: what is looked at to make this plan, and goes when all else is gone.
    """

    units: list[str] = field(default_factory=list)
    timers: list[str] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)
    cut: list[tuple[Path, str, str]] = field(default_factory=list)
    paths: list[Path] = field(default_factory=list)
    users: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    images: list[str] = field(default_factory=list)
    reload: list[str] = field(default_factory=list)
    stays: list[str] = field(default_factory=list)
    last: list[Path] = field(default_factory=list)

    @property
    def lines(self) -> list[str]:
        """A line for each thing that goes."""
        return [
            *(f"unit {unit}" for unit in self.units),
            *(f"table inet {table} of nftables" for table in self.tables),
            *(f"{what} in {path}" for path, _pattern, what in self.cut),
            *map(str, (*self.paths, *self.last)),
            *(f"user {user}" for user in self.users),
            *(f"group {group}" for group in self.groups),
            *(f"image {image}" for image in self.images),
        ]

    def add(self, other: Plan) -> None:
        """What another plan has, as well; once."""
        for name in self.__dataclass_fields__:
            mine = getattr(self, name)
            mine.extend(entry for entry in getattr(other, name) if entry not in mine)


def there(paths: Iterable[Path]) -> list[Path]:
    """Those that exist, each once."""
    return [path for path in dict.fromkeys(paths) if path.is_symlink() or path.exists()]


def unlocked(state_dir: Path, run: str) -> None:
    """Refuse it where another run is at work here.

    Raises:
        Refused: it is.
    """
    lease = Lock(state_dir).holder()
    if lease is not None and lease.get("run") != run:
        raise Refused(f"this node is being changed by {describe(lease)}; wait for it to end")


def carry_out(plan: Plan) -> None:
    """Do it, but for what goes last.

    Raises:
        Refused, OSError: see there.
    """
    for timer in plan.timers:
        run_command(["systemctl", "stop", timer], STOP)  # most of the time there is none
    for unit in plan.units:
        stopped = run_command(["systemctl", "disable", "--now", unit], STOP)
        if run_command(["systemctl", "is-active", "--quiet", unit], STOP).rc == 0:
            raise Refused(f"{unit} does not stop: {stopped.stderr.strip()}; stop it, and run this again")
    for image in plan.images:
        why = Docker().remove(image)
        if why:
            raise Refused(f"the image {image} cannot be removed: {why}; fix that, and run this again")
    # before the units that say who they are
    for kind, names in (("user", plan.users), ("group", plan.groups)):
        for name in names:
            gone = run_command([f"{kind}del", name], STOP)
            if gone.rc not in (0, 6):  # 6: there is none
                raise Refused(f"the {kind} {name} cannot be removed: {gone.stderr.strip()}; fix that, and run this again")
    for path, pattern, _what in plan.cut:
        now = re.sub(pattern, "", text(path), flags=re.MULTILINE | re.DOTALL)
        write_file(path, now, path.stat().st_mode & 0o7777, (path.stat().st_uid, path.stat().st_gid))
    for path in plan.paths:
        erase(path)
        if path.parent.suffix == ".d" and path.parent.is_dir() and not any(path.parent.iterdir()):
            path.parent.rmdir()  # of drop-ins, ours was the last
    for table in plan.tables:
        run_command(["nft", "delete", "table", "inet", table], STOP)
    run_command(["systemctl", "daemon-reload"], STOP)
    if plan.units:
        run_command(["systemctl", "reset-failed", *plan.units], STOP)
    for unit in plan.reload:
        done = run_command(["systemctl", "reload", unit], STOP)
        if done.rc != 0:
            raise Refused(f"{unit} does not take its configuration: {done.stderr.strip()}; fix that, and run this again")


def erase(path: Path) -> None:
    """Remove a file, or a folder with what is in it; that it is gone already is well."""
    if not path.is_dir() or path.is_symlink():
        path.unlink(missing_ok=True)
    elif path.is_mount():  # whoever mounted it takes it away
        for entry in path.iterdir():
            erase(entry)
    else:
        shutil.rmtree(path)


def unit_says(unit_file: Path, key: str) -> list[str]:
    """The values of a key of a unit, in its order."""
    found = re.findall(rf"^{re.escape(key)}=(.*)$", text(unit_file), re.MULTILINE)
    return [word for line in found for word in line.split()]


def own_user(user: str, going: Iterable[Path], places: Places, home: Path = Path("/nonexistent")) -> list[str]:
    """The user, where it is one that a role made (with that *home*) and no unit but those that go runs as it; else nothing."""
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        return []
    if not entry.pw_shell.endswith("nologin") or entry.pw_dir != str(home):
        return []  # somebody's own
    if not user.startswith(GROUP) and home == Path("/nonexistent") and _group_of(entry.pw_gid) != GROUP:
        return []  # the distribution's
    others = (path for path in places.units.glob("*.service") if path not in set(going))
    return [] if any(user in unit_says(path, "User") for path in others) else [user]


def _group_of(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return ""


def has_group(name: str) -> bool:
    """Whether the node has it."""
    try:
        grp.getgrnam(name)
    except KeyError:
        return False
    return True


def entry_of(state_dir: Path, places: Places) -> dict[str, Any]:
    """What the registry says of the stack whose state this is; empty where it has none."""
    found = (load(path) for path in sorted(places.registry.glob("*.json")))
    return next((entry for entry in found if entry.get("state_dir") == str(state_dir)), {})


def text(path: Path) -> str:
    """What is in a file; nothing where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def load(path: Path) -> dict[str, Any]:
    """The mapping in a file; an empty one where there is none."""
    try:
        value = json.loads(text(path) or "{}")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
