# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The objects of buckets have a list of their own beside the manifest; listing and planning go without it."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.backup import catalog
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts import bucket as backup_bucket, objects as backup_list
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts.base import hash_files
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback import view as rollback_view

NAME = "20260131T120000Z-daily"
PART = {"kind": "bucket", "name": "media", "path": "buckets/media", "facts": {"objects": 3}}


def a_set(state: Path, name: str = NAME, old: bool = False) -> Path:
    folder = state / "backups" / name
    for file in ("buckets/media/a.txt", "buckets/media/deep/b.txt", "buckets/media/c", "files/state/backup.json"):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(file)
    files, objects = hash_files(folder), None
    if not old:
        files, objects = backup_list.write(folder, [PART], files)
    manifest: dict[str, Any] = {"format": 2, "name": name, "made": "x", "verdict": "verified", "parts": [PART], "files": files}
    catalog.write_json(folder / "manifest.json", {**manifest, **({"objects": objects} if objects else {})})
    return folder


def test_the_manifest_holds_counts_and_the_list_the_rest(tmp_path: Path) -> None:
    folder = a_set(tmp_path)
    manifest = catalog.load(folder)
    assert sorted(manifest["files"]) == ["files/state/backup.json", backup_list.NAME]
    assert manifest["objects"] == {"file": backup_list.NAME, "count": 3, "bytes": 19 + 24 + 15}
    assert [name for name, _entry in backup_list.objects_of(folder, manifest)] == [
        "buckets/media/a.txt", "buckets/media/c", "buckets/media/deep/b.txt",
    ]
    assert catalog.verify(tmp_path, NAME)["problems"] == []
    assert (folder / backup_list.NAME).stat().st_mode & 0o777 == 0o600


def test_a_set_of_an_older_version_is_read_as_it_was(tmp_path: Path) -> None:
    old, new = a_set(tmp_path, "20260130T120000Z-daily", old=True), a_set(tmp_path)
    assert catalog.verify(tmp_path, old.name)["problems"] == []
    seen = [sorted(backup_list.objects_of(folder, catalog.load(folder))) for folder in (old, new)]
    assert seen[0] == seen[1]
    (old / "buckets/media/c").unlink()
    assert catalog.verify(tmp_path, old.name)["problems"][0] == "buckets/media/c is missing"


def test_listing_and_planning_do_not_read_the_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a_set(tmp_path)
    monkeypatch.setattr(gzip, "open", lambda *_given, **_more: pytest.fail("the list was read"))
    (seen,) = catalog.listed(tmp_path)
    assert (seen["verdict"], seen["parts"]) == ("verified", ["bucket:media"])
    assert seen["bytes"] > 19 + 24 + 15
    (planned,) = rollback_view.backup_sets(tmp_path / "backups")
    assert "problem" not in planned or "clock" in planned["problem"]
    (tmp_path / "backups" / NAME / "buckets").rename(tmp_path / "away")
    (planned,) = rollback_view.backup_sets(tmp_path / "backups")
    assert planned["problem"] == "buckets/media is not there"


def rewritten(folder: Path, change: Callable[[list[list[Any]]], list[list[Any]]]) -> None:
    with gzip.open(folder / backup_list.NAME, "rt") as lines:
        entries = [json.loads(line) for line in lines]
    with gzip.open(folder / backup_list.NAME, "wt") as out:
        out.writelines(json.dumps(entry) + "\n" for entry in change(entries))
    manifest = catalog.load(folder)
    manifest["files"].update(hash_files(folder, backup_list.NAME))
    (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda folder: (folder / "buckets/media/c").write_text("other"), "buckets/media/c was changed: expected 15 bytes"),
        (lambda folder: (folder / "buckets/media/c").unlink(), "buckets/media/c is missing"),
        (lambda folder: (folder / "buckets/media/more").write_text("x"), "there are 4 objects, 3 in objects.jsonl.gz"),
        (lambda folder: (folder / backup_list.NAME).unlink(), "objects.jsonl.gz is missing"),
        (lambda folder: (folder / backup_list.NAME).write_bytes(b"x"), "objects.jsonl.gz was changed"),
        (lambda folder: rewritten(folder, lambda entries: entries[:-1]), "objects.jsonl.gz has 2 objects, the manifest 3"),
        (lambda folder: rewritten(folder, lambda entries: [*entries[:-1], entries[0]]), "is out of order"),
        (lambda folder: rewritten(folder, lambda entries: [["../../../etc/passwd", 1, "0"], *entries]), "in no bucket of this set"),
        (lambda folder: rewritten(folder, lambda entries: [["buckets/media/../x", 1, "0"], *entries]), "in no bucket of this set"),
    ],
    ids=["changed", "missing", "more", "no list", "list changed", "list shorter", "twice", "outside", "dots"],
)
def test_what_is_wrong_with_objects_is_told(tmp_path: Path, change: Callable[[Path], Any], told: str) -> None:
    change(a_set(tmp_path))
    problems = catalog.verify(tmp_path, NAME)["problems"]
    assert any(told in problem for problem in problems), problems


def test_what_the_set_before_knows_of_linked_objects_is_taken_from_its_list(tmp_path: Path) -> None:
    before = a_set(tmp_path)
    target = tmp_path / "next" / "buckets" / "media"
    target.mkdir(parents=True)
    (target / "a.txt").hardlink_to(before / "buckets/media/a.txt")
    (target / "c").write_text("buckets/media/c")
    source = (before / "buckets/media", catalog.load(before), "buckets/media")
    known = backup_bucket._known(target, "buckets/media", ["a.txt", "c"], source)
    assert sorted(known) == ["buckets/media/a.txt"], "what is no link of it is read"
