# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is taken from a shelf and what is not. A bucket is a mapping here, cosign a script; the real ones: tests/integration/store."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.s3 import S3Problem
from ansible_collections.phasegate.aistack.plugins.module_utils.release import artefact_settings
from ansible_collections.phasegate.aistack.plugins.module_utils.release.artefact_store import Wanted
from ansible_collections.phasegate.aistack.plugins.plugin_utils import shelf as module
from ansible_collections.phasegate.aistack.plugins.plugin_utils.shelf import Refused, Shelf, Unsigned

BUCKET = {"store": "s3://kept/team", "endpoint": "http://s3", "access_key_id": "k", "secret_key_file": "/none"}
COSIGN = """#!/bin/sh
# stands in for cosign: a signature is the password's and the file's SHA-256
verb=$1; shift
for word; do last=$word; done
while [ $# -gt 0 ]; do case $1 in --key) key=$2 ;; --output-signature) out=$2 ;; --signature) given=$2 ;; esac; shift; done
made=$(cat "$(dirname "$key")/secret" "$last" | sha256sum)
case $verb in
  sign-blob) [ "$COSIGN_PASSWORD" = "pass word" ] || { echo "wrong password" >&2; exit 1; }; echo "$made" > "$out" ;;
  verify-blob) [ "$made" = "$(cat "$given")" ] || { echo "invalid signature" >&2; exit 1; } ;;
esac
"""


class Bucket:
    """Keeps objects by their name."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.fails = ""

    def _asked(self) -> None:
        if self.fails:
            raise S3Problem(self.fails)

    def put(self, key: str, body: bytes) -> None:
        self._asked()
        self.kept[key] = body

    def put_file(self, key: str, path: Path, digest: str) -> None:
        self.put(key, path.read_bytes())
        assert sha256(self.kept[key]).hexdigest() == digest

    def get(self, key: str) -> bytes | None:
        self._asked()
        return self.kept.get(key)

    def get_file(self, key: str, target: Path) -> bool:
        self._asked()
        if key in self.kept:
            target.write_bytes(self.kept[key])
        return key in self.kept


class World:
    """Controllers with a folder each."""

    def __init__(self, tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.tmp, self.bucket = tmp, Bucket()
        monkeypatch.setattr(module, "bucket_of", lambda _settings: self.bucket)
        (tmp / "cosign").write_text(COSIGN)
        (tmp / "cosign").chmod(0o755)
        for name in ("ours", "theirs"):
            (tmp / name).mkdir()
            (tmp / name / "secret").write_text(name)
            (tmp / name / "password").write_text("pass word\n")

    def sign(self, whose: str = "ours", **more: Any) -> dict[str, Any]:
        here = self.tmp / whose
        return {"sign": {"key": f"{here}/key", "public_key": f"{here}/pub", "password_file": f"{here}/password",
                         "program": str(self.tmp / "cosign"), **more}}

    def shelf(self, folder: str = "a", **said: Any) -> Shelf:
        settings = artefact_settings.read({"folder": str(self.tmp / folder), **said})
        assert settings is not None
        return Shelf(settings, "https://git.example.com/shop.git", "api")

    def wanted(self, shelf: Shelf, commit: str = "c1", root: str = "/opt", **built: Any) -> Wanted:
        described = {"platform": {"os": "debian 12"}, "tools": {"uv": "uv 1"}, **built}
        return Wanted(shelf.store, commit, "api", {"release": "v1", "component": "api"}, described, root)

    def keep(self, shelf: Shelf, content: bytes = b"a tree", bound: bool = False, sbom: str = "") -> None:
        wanted = self.wanted(shelf)
        fetched = shelf.store.incoming(wanted.key)
        fetched.write_bytes(content)
        manifest, digest = {"tag": "v1", "component": "api"}, sha256(content).hexdigest()
        packed = {"manifest": manifest, "sha256": digest, "size": len(content), "bound": bound}
        facts = wanted.facts(packed, built_on="one", built_by="anna", run="r1", repo="https://git.example.com/shop.git")
        shelf.keep(wanted, fetched, facts, sbom)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


def test_what_one_keeps_another_finds_in_the_bucket(world: World) -> None:
    world.keep(world.shelf("a", **BUCKET), sbom='{"bomFormat": "CycloneDX"}')
    assert {name.rpartition(".")[2] for name in world.bucket.kept if "/base/" not in name and "/tag/" not in name} == {
        "gz", "json", "intoto", "sbom",
    }
    other = world.shelf("b", **BUCKET)
    found = other.usable(world.wanted(other))
    assert found is not None
    assert found.path.read_bytes() == b"a tree"
    assert (other.notes, found.built_on) == ([], "one")
    bare = world.shelf("c", **BUCKET)
    assert bare.usable(world.wanted(bare, tools={})) is not None, "who has no tools takes what any have built"
    assert bare.usable(world.wanted(bare, commit="c2")) is None
    assert world.shelf("d").usable(world.wanted(world.shelf("d"))) is None


def test_what_is_bound_to_another_root_is_not_fetched(world: World) -> None:
    world.keep(world.shelf("a", **BUCKET), bound=True)
    other = world.shelf("b", **BUCKET)
    assert other.usable(world.wanted(other, root="/srv")) is None
    assert other.of_tag("v1", {"os": "debian 12"}, "/srv") is None
    assert other.of_tag("v1", {"os": "debian 12"}, "/opt") is not None


def test_a_bucket_that_does_not_answer_is_said_once(world: World) -> None:
    world.bucket.fails = "the bucket kept at http://s3: status 403 AccessDenied: Access Denied."
    here = world.shelf("a", **BUCKET)
    assert here.usable(world.wanted(here)) is None
    world.keep(here)
    (note,) = here.notes
    assert note == f"The store of artefacts was not asked: {world.bucket.fails} Look at store, endpoint and the keys of aistack_artefacts."
    assert here.usable(world.wanted(here)) is not None, "the folder has it"


def test_one_that_was_changed_is_refused_by_name(world: World) -> None:
    world.keep(world.shelf("a", **BUCKET))
    (packed,) = [name for name in world.bucket.kept if name.endswith(".tar.gz")]
    world.bucket.kept[packed] = b"another tree"
    ends = world.shelf("b", **BUCKET, changed="end")
    with pytest.raises(Refused, match=r"tar\.gz is damaged: its SHA-256 is not .* Nothing was staged"):
        ends.usable(world.wanted(ends))
    again = world.shelf("c", **BUCKET)
    assert again.usable(world.wanted(again)) is None
    assert again.usable(world.wanted(again)) is None
    assert len(again.notes) == 1
    assert again.notes[0].endswith("It was removed from the controller; the release is built.")
    world.keep(again)
    after = world.shelf("d", **BUCKET)
    assert after.usable(world.wanted(after)) is not None


def test_only_what_is_signed_with_the_key_is_taken(world: World) -> None:
    world.keep(world.shelf("a"))
    here = world.shelf("a", **world.sign(), changed="end")
    with pytest.raises(Refused, match=r"is not signed: .*sig is not there"):
        here.usable(world.wanted(here))
    world.keep(here)
    assert here.usable(world.wanted(here)) is not None
    other = world.shelf("a", **world.sign("theirs"), changed="end")
    with pytest.raises(Refused, match=r"is not signed with .*theirs/pub: invalid signature"):
        other.usable(world.wanted(other))
    statement = next((world.tmp / "a").rglob("*.intoto"))
    statement.write_text(statement.read_text().replace('"v1"', '"v2"'))
    with pytest.raises(Refused, match="is not signed with"):
        here.usable(world.wanted(here))


def test_a_good_signature_of_something_else_is_none(world: World) -> None:
    here = world.shelf("a", **world.sign(), changed="end")
    world.keep(here)
    facts, packed = (next((world.tmp / "a").rglob(f"*.{end}")) for end in ("json", "tar.gz"))
    packed.write_bytes(b"forged")
    facts.write_text(json.dumps({**json.loads(facts.read_text()), "sha256": sha256(b"forged").hexdigest()}))
    with pytest.raises(Refused, match="its provenance is about a file with the SHA-256"):
        here.usable(world.wanted(here))


def test_what_cannot_be_signed_is_not_kept(world: World) -> None:
    (world.tmp / "ours/password").write_text("wrong\n")
    with pytest.raises(Unsigned, match=r"could not sign with .*ours/key: wrong password"):
        world.keep(world.shelf("a", **world.sign()))
    with pytest.raises(Unsigned, match="has no key to sign with"):
        world.keep(world.shelf("a", **world.sign(key="")))
    with pytest.raises(Unsigned, match="none/such"):
        world.keep(world.shelf("a", **world.sign(program="/none/such")))
    assert list((world.tmp / "a").rglob("*.tar.gz")) == []


def test_two_builds_of_the_same_that_gave_something_else() -> None:
    lines = [f"changed {number}" for number in range(12)]
    said = module.other_bytes("api", "v1", "one", lines)
    assert said.startswith("api v1 was built again from the same as on one, and 12 files are not the same: changed 0; changed 1; ")
    assert said.endswith("changed 9; and 2 more")
    assert module.other_bytes("api", "v1", "one", lines[:1]).endswith("and 1 file is not the same: changed 0")
