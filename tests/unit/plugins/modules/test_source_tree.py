# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The node's part of a tag's tree."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Call = Callable[..., dict[str, Any]]


def packed(path: Path, name: str, link: str = "") -> dict[str, str]:
    """Make an archive of one member; returns the arguments for it."""
    with tarfile.open(path, "w:gz") as bundle:
        member = tarfile.TarInfo(name)
        if link:
            member.type, member.linkname = tarfile.SYMTYPE, link
        bundle.addfile(member, io.BytesIO())
    return {"archive": str(path), "archive_sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "tag": "v1", "commit": "c"}


def test_it_is_made_again(call: Call, tmp_path: Path) -> None:
    dest = tmp_path / ".v1.part"
    dest.mkdir()
    (dest / "left").touch()
    given = packed(tmp_path / "a.tar.gz", "main.py")
    assert call("source_tree", check=True, dest=str(dest), **given)["changed"] is True
    assert (dest / "left").exists()
    assert call("source_tree", dest=str(dest), **given)["commit"] == "c"
    assert [path.name for path in dest.iterdir()] == ["main.py"]


@pytest.mark.parametrize(("name", "link"), [("../evil", ""), ("lib", "/etc")])
def test_what_leads_elsewhere_is_refused(call: Call, tmp_path: Path, name: str, link: str) -> None:
    refused = call("source_tree", dest=str(tmp_path / "there"), **packed(tmp_path / "a.tar.gz", name, link))
    assert "was not unpacked" in refused["msg"]
    assert not (tmp_path / "there").exists()


def test_what_was_damaged_is_refused(call: Call, tmp_path: Path) -> None:
    given = {**packed(tmp_path / "a.tar.gz", "main.py"), "archive_sha256": "0" * 64}
    assert "damaged on its way" in call("source_tree", dest=str(tmp_path / "there"), **given)["msg"]
