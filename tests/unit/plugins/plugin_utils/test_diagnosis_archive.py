# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The archive of a diagnosis."""

from __future__ import annotations

import datetime
import hashlib
import tarfile
from pathlib import Path

import pytest

from ansible_collections.phasegate.aistack.plugins.plugin_utils import diagnosis_archive

AT = datetime.datetime(2026, 1, 31, 12, tzinfo=datetime.timezone.utc)


def read(path: Path) -> dict[str, bytes]:
    """Every file of an archive."""
    with tarfile.open(path) as packed:
        files = {entry.name: packed.extractfile(entry) for entry in packed.getmembers()}
        return {name: handle.read() for name, handle in files.items() if handle}


def test_it_is_its_owner_s_and_lists_what_it_holds(tmp_path: Path) -> None:
    path = diagnosis_archive.write(str(tmp_path / "new"), "shop", {"diagnosis.txt": "page"}, {"n1": {"api/blue.log": "ä line"}}, AT)
    assert path == tmp_path / "new" / "diagnosis-shop-20260131T120000Z.tar.gz"
    assert path.stat().st_mode & 0o777 == 0o600
    base = "diagnosis-shop-20260131T120000Z"
    held = read(path)
    assert set(held) == {f"{base}/{name}" for name in ("CONTENTS", "diagnosis.txt", "n1/api/blue.log")}
    line = f"{hashlib.sha256('ä line'.encode()).hexdigest()}  7  n1/api/blue.log"
    assert line in held[f"{base}/CONTENTS"].decode().splitlines()


def test_a_node_does_not_say_where_its_files_go(tmp_path: Path) -> None:
    path = diagnosis_archive.write(str(tmp_path), "../shop", {}, {"../n1": {"../../etc/passwd": "x", "/abs": "y"}}, AT)
    assert path.parent == tmp_path
    names = [name for name in read(path) if not name.endswith("/CONTENTS")]
    assert len(names) == 2
    assert [name for name in names if ".." in name.split("/") or name.startswith("/")] == []


def test_passwords_in_addresses_go_on_the_controller_as_well(tmp_path: Path) -> None:
    held = read(diagnosis_archive.write(str(tmp_path), "shop", {}, {"n1": {"x": "to redis://:s3cret@host/0"}}, AT))
    assert [name for name, content in held.items() if b"s3cret" in content] == []


def test_half_of_one_is_not_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_words: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tarfile.TarFile, "addfile", full)
    with pytest.raises(OSError, match="No space left"):
        diagnosis_archive.write(str(tmp_path), "shop", {}, {}, AT)
    assert list(tmp_path.iterdir()) == []
