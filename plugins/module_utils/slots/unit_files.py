# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The units of components' slots, and the folders and groups that have to be there before systemd starts one by them."""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.systemd import QUICK, Run, run_command
from ansible_collections.phasegate.aistack.plugins.module_utils.core.durable import write_file

MODE = 0o644


class UnitFileError(Exception):
    """What a unit needs is not as it has to be; the text says what to do."""


@dataclass(frozen=True)
class UnitFile:
    """What is wanted of one component.

    Attributes:
        component: its name.
        text: the unit of its slots.
        user: who its process runs as.
        group: the group of that user.
        groups: groups that its unit names and that have to be there.
        folders: absolute paths that it writes to.
    """

    component: str
    text: str
    user: str
    group: str
    groups: Sequence[str] = ()
    folders: Sequence[str] = ()

    def path(self, units: Path) -> Path:
        """Where its unit is, below the folder of *units*."""
        return units / f"aistack-{self.component}@.service"

    @property
    def pattern(self) -> str:
        """All instances of it, as systemd matches names."""
        return f"aistack-{self.component}@*.service"


@contextlib.contextmanager
def _readable_by_all() -> Iterator[None]:
    """What is made meanwhile others may read, whatever whoever calls us has set."""
    former = os.umask(0o022)
    try:
        yield
    finally:
        os.umask(former)


def _known(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True


def provide(wanted: UnitFile, check: bool = False, run: Run = run_command) -> list[str]:
    """See to the groups and folders of one component.

    What is there is left as it is and has to be the user's to write. A folder is made in one of root's only: who owns that one could
    put something else in its place.

    Returns:
        What was made, or would be: C(group NAME), and paths of folders.

    Raises:
        UnitFileError: a folder is something else, or not the user's; or a group could not be made.
    """
    made = []
    for name in wanted.groups:
        try:
            grp.getgrnam(name)
            continue
        except KeyError:
            made.append(f"group {name}")
        if not check:
            done = run(["groupadd", "--system", name], QUICK)
            if done.rc != 0:
                raise UnitFileError(f"The group {name}, which the unit of {wanted.component} names, could not be made: "
                                    f"{done.stderr.strip() or 'groupadd said nothing'}")
    with _readable_by_all():
        return made + [folder for folder in wanted.folders if _provide_folder(Path(folder), wanted, check, run)]


def _provide_folder(folder: Path, wanted: UnitFile, check: bool, run: Run) -> bool:
    """Whether a folder was missing; it is there afterwards."""
    told = f"{folder}, which {wanted.component} is to write to (writable, cache),"
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise UnitFileError(f"{told} is a link or a file; expected a folder, or nothing, so that it is made. Move it away, or name the "
                            "folder that is meant.")
    user, group = wanted.user, wanted.group
    if folder.is_dir():
        if _known(user) and run(["runuser", "-u", user, "--", "test", "-w", str(folder), "-a", "-x", str(folder)], QUICK).rc != 0:
            raise UnitFileError(
                f"The user {user}, which {wanted.component} runs as, may not write to {folder} (writable, cache); it belongs to "
                f"{_owned(folder)}. Where it is the component's: chown -R -h {user}:{group} {folder}"
            )
        return False
    if not check:
        folder.parent.mkdir(parents=True, exist_ok=True)
        if folder.parent.stat().st_uid != os.geteuid():
            raise UnitFileError(f"{told} is not there, and {folder.parent} is not root's: who owns that could put something else in its "
                                f"place. Make it by hand, and give it to {user}:{group}.")
        try:
            owner = (pwd.getpwnam(user).pw_uid, grp.getgrnam(group).gr_gid)
        except KeyError:
            raise UnitFileError(f"{told} is to belong to {user}:{group}, which this host does not have. Nothing was made. Run site.yml "
                                "with its phase, which makes the user.") from None
        folder.mkdir(mode=0o700)
        os.chown(folder, *owner)
    return True


def _owned(path: Path) -> str:
    """Whose a path is and what it lets others do, in words."""
    found = path.stat()
    user, group = str(found.st_uid), str(found.st_gid)
    with contextlib.suppress(KeyError):  # a number that has no name here
        user = pwd.getpwuid(found.st_uid).pw_name
    with contextlib.suppress(KeyError):  # likewise
        group = grp.getgrgid(found.st_gid).gr_name
    return f"{user}:{group}, mode {stat.S_IMODE(found.st_mode):o}"


def difference(path: Path, text: str) -> dict[str, Any] | None:
    """How a file differs from a *text* that all may read and root alone may write, as Ansible shows differences; None where it does not."""
    headers = {"before_header": str(path), "after_header": str(path)}
    try:
        found, before = path.lstat(), path.read_bytes().decode(errors="surrogateescape")
    except FileNotFoundError:
        return {**headers, "before": "", "after": text}
    if before != text:
        return {**headers, "before": before, "after": text}
    is_, wanted = {"mode": f"{stat.S_IMODE(found.st_mode):04o}"}, {"mode": f"{MODE:04o}"}
    if os.geteuid() == 0:
        is_["owner"], wanted["owner"] = f"{found.st_uid}:{found.st_gid}", "0:0"
    if stat.S_ISLNK(found.st_mode):
        is_["state"], wanted["state"] = "link", "file"
    return None if is_ == wanted else {"before": {"path": str(path), **is_}, "after": {"path": str(path), **wanted}}


def write(path: Path, text: str) -> None:
    """Give a unit its text, its mode and root as its owner."""
    write_file(path, text, MODE, (0, 0) if os.geteuid() == 0 else None)
