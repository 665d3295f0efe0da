# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files and archives from elsewhere: whole or not at all, and nothing outside of their place."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.node.download import ZSTD

Call = Callable[..., dict[str, Any]]


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def given(tmp_path: Path) -> dict[str, Any]:
    """Arguments for a file that is there."""
    source = tmp_path / "source"
    source.write_text("program\n", encoding="utf-8")
    return {"url": source.as_uri(), "sha256": sha256(source), "dest": str(tmp_path / "there")}


def test_a_file(call: Call, given: dict[str, Any], tmp_path: Path) -> None:
    dest = tmp_path / "there"
    assert call("download", check=True, **given)["changed"] is True
    assert not dest.exists()
    assert call("download", **given)["changed"] is True
    assert (dest.read_text(encoding="utf-8"), dest.stat().st_mode & 0o7777) == ("program\n", 0o755)
    assert call("download", **given)["changed"] is False
    dest.write_text("another\n", encoding="utf-8")
    assert call("download", **given)["changed"] is True
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source", "there"], "nothing else is left"


def test_what_is_not_expected_changes_nothing(call: Call, given: dict[str, Any], tmp_path: Path) -> None:
    dest = tmp_path / "there"
    dest.write_text("serves\n", encoding="utf-8")
    wrong = call("download", **{**given, "sha256": "0" * 64})
    assert f"expected SHA-256 {'0' * 64}, got {given['sha256']}" in wrong["msg"]
    missing = call("download", **{**given, "url": f"{given['url']}.gone"})
    assert "could not be fetched" in missing["msg"]
    assert "octal digits" in call("download", **given, mode="rwx")["msg"]
    assert dest.read_text(encoding="utf-8") == "serves\n"
    assert "Make it first" in call("download", **{**given, "dest": str(tmp_path / "none" / "there")})["msg"]


@pytest.mark.parametrize("packed", ["gz", "zst"])
def test_an_archive(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packed: str) -> None:
    tree = tmp_path / "made" / "bin"
    tree.mkdir(parents=True)
    (tree / "server").write_text("#!/bin/sh\n", encoding="utf-8")
    (tree / "server").chmod(0o755)
    (tree / "latest").symlink_to("server")
    archive = tmp_path / f"archive.tar.{packed}"
    with tarfile.open(tmp_path / "plain.tar" if packed == "zst" else archive, "w" if packed == "zst" else "w:gz") as bundle:
        bundle.add(tree, "bin")
    if packed == "zst":  # the program, as far as it is used: it takes its signature away
        archive.write_bytes(ZSTD + (tmp_path / "plain.tar").read_bytes())
        (tmp_path / "zstd").write_text("#!/bin/sh\n[ \"$*\" = '--decompress --stdout' ] && exec tail -c +5\n", encoding="utf-8")
        (tmp_path / "zstd").chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    given = {"url": archive.as_uri(), "sha256": sha256(archive), "dest": str(tmp_path / "1.2.3"), "unpack": True}
    assert call("download", check=True, **given)["changed"] is True
    assert call("download", **given)["changed"] is True
    assert (tmp_path / "1.2.3" / "bin" / "latest").read_text(encoding="utf-8") == "#!/bin/sh\n"
    assert (tmp_path / "1.2.3" / "bin" / "server").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "1.2.3").stat().st_mode & 0o777 == 0o755
    assert call("download", **given)["changed"] is False
    assert not list(tmp_path.glob(".*")), "nothing else is left"


def zipped(archive: Path, *names: str) -> dict[str, Any]:
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name in names:
            entry = zipfile.ZipInfo(name)
            entry.external_attr = (0o100755 if name.endswith("server") else 0o100644) << 16
            bundle.writestr(entry, "" if name.endswith("/") else "#!/bin/sh\n")
    return {"url": archive.as_uri(), "sha256": sha256(archive), "dest": str(archive.parent / "there"), "unpack": True}


def test_a_zip(call: Call, tmp_path: Path) -> None:
    assert call("download", **zipped(tmp_path / "archive.zip", "bin/", "bin/server", "README"))["changed"] is True
    assert (tmp_path / "there/bin/server").read_text(encoding="utf-8") == "#!/bin/sh\n"
    modes = [(tmp_path / "there" / name).stat().st_mode & 0o777 for name in ("bin/server", "README")]
    assert modes == [0o755, 0o644]
    assert not list(tmp_path.glob(".*")), "nothing else is left"


@pytest.mark.parametrize("name", ["../evil", "/etc/evil"])
def test_a_zip_stays_in_its_place(call: Call, tmp_path: Path, name: str) -> None:
    refused = call("download", **zipped(tmp_path / "archive.zip", name))
    assert "was not unpacked" in refused["msg"], refused
    assert sorted(path.name for path in tmp_path.iterdir()) == ["archive.zip"]


def test_a_zip_that_is_not_whole(call: Call, tmp_path: Path) -> None:
    given = zipped(tmp_path / "archive.zip", "server")
    (tmp_path / "archive.zip").write_bytes((tmp_path / "archive.zip").read_bytes()[:-30])
    refused = call("download", **{**given, "sha256": sha256(tmp_path / "archive.zip")})
    assert "it is no whole archive" in refused["msg"], refused


@pytest.mark.parametrize(("name", "link"), [("../evil", ""), ("/etc/evil", ""), ("lib", "/etc"), ("lib", "../..")])
def test_an_archive_stays_in_its_place(call: Call, tmp_path: Path, name: str, link: str) -> None:
    archive = tmp_path / "archive.tar"
    with tarfile.open(archive, "w") as bundle:
        member = tarfile.TarInfo(name)
        if link:
            member.type, member.linkname = tarfile.SYMTYPE, link
        bundle.addfile(member, io.BytesIO())
    refused = call("download", url=archive.as_uri(), sha256=sha256(archive), dest=str(tmp_path / "in" / "1.2.3"), unpack=True)
    assert "Make it first" in refused["msg"]
    (tmp_path / "in").mkdir()
    refused = call("download", url=archive.as_uri(), sha256=sha256(archive), dest=str(tmp_path / "in" / "1.2.3"), unpack=True)
    assert "was not unpacked" in refused["msg"]
    assert name in refused["msg"]
    assert list((tmp_path / "in").iterdir()) == []
