# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Artefacts in a bucket, with provenance, SBOM and signature: real Ansible, uv, git, MinIO, cosign and cyclonedx-py."""

from __future__ import annotations

import json
import subprocess
import time
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from ..artefacts.world import World
from .conftest import Keys, Server, needed

PLACE = "stacks/shop/api"


class Team:
    """Controllers, each with a folder of its own, in front of one bucket."""

    def __init__(self, tmp: Path, said: dict[str, Any]) -> None:
        self.world, self.said = World(tmp), said

    def stage(self, node: str, folder: str, tools: str = "bare", alone: bool = False, **more: Any) -> dict[str, Any]:
        artefacts = {"folder": str(self.world.tmp / folder), **({} if alone else self.said), **more}
        return self.world.stage([node], tools, artefacts=artefacts)[node]

    def file(self, folder: str, end: str) -> Path:
        (found,) = (self.world.tmp / folder / "shop/api").glob(f"*.{end}")
        return found


@pytest.fixture
def team(tmp_path: Path, server: Server) -> Team:
    return Team(tmp_path, {**server.said(), "store": f"s3://artefacts/{tmp_path.name}"})


def place(team: Team) -> str:
    return f"{team.said['store'].partition('artefacts/')[2]}/shop/api"


def test_what_one_controller_kept_another_lays_down(team: Team) -> None:
    first = team.stage("one", "a", "tools")
    assert first["artefact"]["kept"] is True
    assert not first.get("warnings")
    second = team.stage("two", "b")
    assert second["artefact"] == {"key": first["artefact"]["key"], "from": "one"}
    assert team.world.runs("two")
    assert team.world.tested() == 1
    assert team.file("b", "intoto").read_text() == team.file("a", "intoto").read_text()


def test_one_that_was_changed_in_the_store_is_refused(team: Team, server: Server) -> None:
    key = team.stage("one", "a", "tools")["artefact"]["key"]
    server.bucket().put(f"{place(team)}/{key}.tar.gz", b"something else")
    ended = team.stage("two", "b", "tools", changed="end")
    assert ended["failed"]
    assert f"{key}.tar.gz is damaged: its SHA-256 is not" in ended["msg"]
    assert "Nothing was staged" in ended["msg"]
    assert not team.world.release("two").exists()
    built = team.stage("two", "c", "tools")
    assert "is damaged: its SHA-256 is not" in built["warnings"][0]
    assert built["artefact"]["kept"] is True
    assert team.stage("three", "d")["artefact"]["from"] == "two", "what was built again stands there instead"


def test_a_store_out_of_reach_and_one_that_refuses(team: Team, server: Server, tmp_path: Path) -> None:
    assert team.stage("one", "a", "tools", **server.said("stranger"))["present"]
    refused = team.stage("two", "b", "tools", **server.said("stranger"))
    assert refused["present"]
    assert "Access Denied" in refused["warnings"][0]
    assert "the bucket artefacts" in refused["warnings"][0]
    nobody = {"endpoint": "http://127.0.0.1:1"}
    there = team.stage("two", "b", **nobody)
    assert (there["changed"], there.get("warnings")) == (False, None), "what is there needs no store"
    away = team.stage("three", "c", "tools", **nobody)
    assert away["present"]
    assert "The store of artefacts was not asked: the bucket artefacts at http://127.0.0.1:1: " in away["warnings"][0]
    assert "builder-secret" not in json.dumps([refused, there, away])
    lost = team.stage("four", "d", "tools", secret_key_file=str(tmp_path / "none"))
    assert "cannot be read: No such file or directory" in lost["warnings"][0]


def test_only_what_is_signed_is_laid_down(team: Team, tmp_path: Path) -> None:
    ours, theirs = Keys(tmp_path / "ours"), Keys(tmp_path / "theirs")
    began = time.monotonic()
    first = team.stage("one", "a", "tools", sign=ours.said())
    assert first["artefact"]["kept"] is True, first
    print(f"build, signed: {time.monotonic() - began:.1f} s; {first['timings']}")
    done = subprocess.run(
        [needed("cosign"), "verify-blob", "--key", str(tmp_path / "ours/cosign.pub"), "--insecure-ignore-tlog=true",
         "--signature", str(team.file("a", "intoto.sig")), str(team.file("a", "intoto"))],
        capture_output=True, check=False,
    )
    assert done.returncode == 0, "by the program itself, without us"
    assert team.stage("two", "b", sign=ours.said())["artefact"]["from"] == "one"
    other = team.stage("three", "c", "tools", sign=theirs.said(), changed="end")
    assert other["failed"]
    assert "not signed with" in other["msg"]
    assert not team.world.release("three").exists()
    reader = {"public_key": str(tmp_path / "ours/cosign.pub"), "program": needed("cosign")}
    assert team.stage("three", "d", sign=reader)["artefact"]["from"] == "one", "who only verifies needs no private key"
    statement = team.file("b", "intoto")
    statement.write_text(statement.read_text().replace('"tag": "v1"', '"tag": "v2"'))
    forged = team.stage("four", "b", "tools", sign=ours.said(), alone=True)
    assert "not signed with" in forged["warnings"][0]
    assert forged["present"]


def test_a_signature_of_another_release_is_none(team: Team, tmp_path: Path) -> None:
    keys = Keys(tmp_path / "ours")
    team.stage("one", "a", "tools", sign=keys.said())
    facts = team.file("a", "json")
    packed = team.file("a", "tar.gz")
    packed.write_bytes(b"another release, kept by somebody who has no key")
    facts.write_text(json.dumps({**json.loads(facts.read_text()), "sha256": sha256(packed.read_bytes()).hexdigest()}))
    answer = team.stage("two", "a", "tools", sign=keys.said(), changed="end")
    assert "its provenance is about a file with the SHA-256" in answer["msg"]


def test_an_sbom_of_the_environment(team: Team) -> None:
    began = time.monotonic()
    answer = team.stage("one", "a", "tools", sbom={"python": [needed("cyclonedx-py"), "environment", "{python}"]})
    print(f"with an SBOM: {time.monotonic() - began:.1f} s; {answer['timings']}")
    assert not answer.get("warnings")
    sbom = json.loads(team.file("a", "sbom").read_text())
    assert ("tiny", "1.0") in [(part["name"], part["version"]) for part in sbom["components"]]
    statement = json.loads(team.file("a", "intoto").read_text())
    assert statement["predicate"]["runDetails"]["byproducts"][0]["name"] == "sbom"
    wrong = team.stage("two", "b", "tools", alone=True, sbom={"python": ["/none/such"]})
    assert wrong["present"]
    assert "no SBOM: /none/such cannot be run" in wrong["warnings"][0]
