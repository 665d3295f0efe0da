# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.release.provenance import contradiction, statement

FACTS: dict[str, Any] = {
    "repo": "https://git.example.com/shop.git", "commit": "c" * 40, "path": "api", "tag": "v1", "component": "api", "sha256": "a" * 64,
    "lock_hash": "b" * 64, "platform": {"os": "debian 12"}, "root": "/opt/aistack", "built_on": "builder", "built_by": "anna", "run": "r1",
    "built_at": "2026-01-01T00:00:00Z", "tools": {"uv": "uv 1"},
}
RECIPE = {"lock": "requirements.lock", "tests": [["pytest"]], "environment": {"INDEX": "hash"}, "test_env": {"A": "hash"}}
ABOUT = {"tag": "v1", "component": "api", "commit": "c" * 40}


def test_who_built_what_from_which_commit_with_what() -> None:
    said = statement(FACTS, RECIPE, "key", "d" * 64)
    assert said["subject"] == [{"name": "api-v1.tar.gz", "digest": {"sha256": "a" * 64}}]
    definition, run = said["predicate"]["buildDefinition"], said["predicate"]["runDetails"]
    assert definition["externalParameters"]["recipe"] == {"lock": "requirements.lock", "tests": [["pytest"]]}
    assert definition["resolvedDependencies"] == [
        {"uri": "git+https://git.example.com/shop.git", "digest": {"gitCommit": "c" * 40}},
        {"name": "requirements.lock", "digest": {"sha256": "b" * 64}},
    ]
    assert run["builder"] == {"id": "urn:phasegate:aistack:host:builder", "version": {"uv": "uv 1"}}
    assert run["metadata"] == {"invocationId": "r1", "finishedOn": "2026-01-01T00:00:00Z", "actor": "anna"}
    assert run["byproducts"] == [{"name": "sbom", "digest": {"sha256": "d" * 64}}]
    assert "hash" not in json.dumps(said), "nothing of an environment, not even hashes: what is short can be guessed"


def test_a_statement_is_about_what_is_wanted() -> None:
    said = statement(FACTS, RECIPE, "key")
    assert contradiction(said, ABOUT, "a" * 64) == ""
    assert contradiction(said, ABOUT, "e" * 64) == f"its provenance is about a file with the SHA-256 {'a' * 64}, and it has {'e' * 64}"
    assert contradiction(said, {**ABOUT, "tag": "v2"}, "a" * 64) == "its provenance is about tag v1; expected v2"


@pytest.mark.parametrize("wrong", [None, {}, [], {"subject": []}, {"subject": [{"digest": {"sha256": "a" * 64}}], "predicate": 1}])
def test_what_is_no_statement(wrong: Any) -> None:
    assert contradiction(wrong, ABOUT, "a" * 64) == "its provenance is no statement of ours"
