# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.release.artefact_key import RECIPE, artefact_key, base_key, recipe_of

OPTIONS: dict[str, Any] = {"release": "v1", "component": "backend", "environment": {"HTTPS_PROXY": "http://u:secret@p"}}
BUILT = {"platform": {"os": "debian 12"}, "tools": {"uv": "uv 0.9"}, "variables": "abc"}


def key(options: Mapping[str, Any] = MappingProxyType(OPTIONS), commit: str = "c", path: str = "backend", **built: Any) -> str:
    return artefact_key(commit, path, recipe_of(options), {**BUILT, **built})


def test_the_same_inputs_give_the_same_key() -> None:
    assert key() == key({**OPTIONS, "kind": "python", "lock": "", "build": [], "tests": None, "run": "r2", "keep": 3}, path="/backend/")
    assert len(key()) == 64


@pytest.mark.parametrize(
    "other",
    [
        key(commit="d"), key(path="worker"), key(platform={"os": "debian 13"}), key(tools={"uv": "uv 0.10"}), key(variables="abd"),
        *(key({**OPTIONS, name: value}) for name, value in [
            ("release", "v2"), ("component", "worker"), ("kind", "node"), ("lock", "l"), ("output", "next-standalone"),
            ("build", [["make"]]), ("tests", [["pytest"]]), ("environment", {"HTTPS_PROXY": "http://u:other@p"}), ("environment", {}),
            ("includes", [{"path": "web", "output": "dist", "to": "static"}]),
        ]),
    ],
)
def test_each_input_counts(other: str) -> None:
    assert other != key()


def test_a_recipe_holds_no_secret() -> None:
    assert "secret" not in str(recipe_of(OPTIONS))
    assert recipe_of({}) == dict(RECIPE)


def test_without_tools_any_version_of_them_counts() -> None:
    recipe = recipe_of(OPTIONS)
    assert base_key("c", "", recipe, BUILT) == base_key("c", "", recipe, {**BUILT, "tools": {}}) != artefact_key("c", "", recipe, BUILT)
