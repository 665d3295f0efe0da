# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Folders, groups and units of components, as the user of the test or root, whose groups and commands are made up."""

from __future__ import annotations

import getpass
import grp
import os
import pwd
from collections.abc import Sequence
from pathlib import Path

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.core.proc import Ended
from ansible_collections.phasegate.aistack.plugins.module_utils.slots import unit_files
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.unit_files import UnitFile, UnitFileError

USER, GROUP = getpass.getuser(), grp.getgrgid(os.getgid()).gr_name


class Host:
    """Remembers the commands; refuses those that begin like *refused*."""

    def __init__(self, refused: str = "-") -> None:
        self.refused, self.did = refused, list[str]()

    def __call__(self, cmd: Sequence[str], timeout: float) -> Ended:
        self.did.append(" ".join(cmd))
        return Ended(1, "", "no way") if cmd[0] == self.refused else Ended(0, "", "")


def wanted(*folders: Path, user: str = USER, groups: Sequence[str] = ()) -> UnitFile:
    return UnitFile("api", "[Service]\n", user, GROUP, groups, [str(folder) for folder in folders])


def test_folders_are_made_once(tmp_path: Path) -> None:
    host, uploads = Host(), tmp_path / "state/data/api/uploads"
    asked = wanted(uploads, groups=["no-such-group", GROUP])
    predicted = unit_files.provide(asked, True, host)
    assert (predicted, host.did, uploads.parent.exists()) == (["group no-such-group", str(uploads)], [], False)
    former = os.umask(0o077)
    try:
        assert unit_files.provide(asked, False, host) == predicted
    finally:
        os.umask(former)
    assert host.did == ["groupadd --system no-such-group"]
    assert uploads.stat().st_mode & 0o777 == 0o700
    assert (uploads.stat().st_uid, uploads.stat().st_gid) == (pwd.getpwnam(USER).pw_uid, os.getgid())
    assert uploads.parent.stat().st_mode & 0o777 == 0o755, "root's, so that nobody exchanges what is in it"
    (uploads / "file").write_text("kept")
    assert unit_files.provide(wanted(uploads), False, host) == []
    assert (uploads / "file").read_text() == "kept"
    assert host.did[1:] == [f"runuser -u {USER} -- test -w {uploads} -a -x {uploads}"]


def test_a_folder_of_somebody_else_is_named(tmp_path: Path) -> None:
    host = Host("runuser")
    (tmp_path / "media").mkdir()
    with pytest.raises(UnitFileError, match=f"The user {USER}, which api runs as, may not write to {tmp_path}/media ") as no:
        unit_files.provide(wanted(tmp_path / "media"), True, host)
    assert f"it belongs to {USER}:{GROUP}, mode 755" in str(no.value)
    assert f"chown -R -h {USER}:{GROUP} {tmp_path}/media" in str(no.value)
    assert unit_files.provide(wanted(tmp_path / "media", user="no-such-user"), True, host) == [], "its user is yet to be made"


@pytest.mark.parametrize("check", [True, False])
def test_a_link_or_a_file_is_no_folder(tmp_path: Path, check: bool) -> None:
    (tmp_path / "link").symlink_to("elsewhere")
    (tmp_path / "file").touch()
    for name in ("link", "file"):
        with pytest.raises(UnitFileError, match=f"{tmp_path}/{name}, which api is to write to .* is a link or a file; expected a folder"):
            unit_files.provide(wanted(tmp_path / name), check, Host())
    assert (tmp_path / "link").is_symlink()


def test_nothing_is_made_in_a_folder_of_somebody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(UnitFileError, match=f"{tmp_path} is not root's: who owns that could put something else in its place"):
        unit_files.provide(wanted(tmp_path / "new"), False, Host())
    assert not (tmp_path / "new").exists()


def test_what_cannot_be_made_is_said(tmp_path: Path) -> None:
    with pytest.raises(UnitFileError, match="The group no-such-group, which the unit of api names, could not be made: no way"):
        unit_files.provide(wanted(groups=["no-such-group"]), False, Host("groupadd"))
    with pytest.raises(UnitFileError, match=r"is to belong to no-such-user:\w+, which this host does not have. Nothing was made"):
        unit_files.provide(wanted(tmp_path / "new", user="no-such-user"), False, Host())
    assert not (tmp_path / "new").exists()


def test_a_difference_is_shown_until_it_is_written(tmp_path: Path) -> None:
    path = wanted().path(tmp_path)
    assert path.name == "aistack-api@.service"
    assert unit_files.difference(path, "new\n") == {"before": "", "after": "new\n", "before_header": str(path), "after_header": str(path)}
    unit_files.write(path, "old\n")
    assert path.stat().st_mode & 0o777 == 0o644
    found = unit_files.difference(path, "new\n")
    assert found
    assert (found["before"], found["after"]) == ("old\n", "new\n")
    unit_files.write(path, "new\n")
    assert unit_files.difference(path, "new\n") is None


def test_a_unit_that_others_may_write_or_that_is_a_link_is_written_again(tmp_path: Path) -> None:
    path = wanted().path(tmp_path)
    unit_files.write(path, "new\n")
    path.chmod(0o666)
    found = unit_files.difference(path, "new\n")
    assert found
    assert (found["before"]["mode"], found["after"]["mode"]) == ("0666", "0644")
    path.rename(tmp_path / "elsewhere")
    path.symlink_to("elsewhere")
    found = unit_files.difference(path, "new\n")
    assert found
    assert (found["before"]["state"], found["after"]["state"]) == ("link", "file")
    unit_files.write(path, "new\n")
    assert unit_files.difference(path, "new\n") is None
    assert (tmp_path / "elsewhere").stat().st_mode & 0o777 == 0o666, "what it led to is somebody else's"
