# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What makes two builds of a component the same: the key that an artefact is kept under."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

FORMAT = 1
"""Counts up when the same inputs no longer give the same tree."""

RECIPE: Mapping[str, Any] = {
    "release": "",
    "component": "",
    "kind": "python",
    "lock": None,
    "output": "none",
    "build": [],
    "build_env": [],
    "sdists": False,
    "install_scripts": False,
    "tests": [],
    "test_env": {},
    "test_env_from": [],
    "test_network": False,
    "environment": {},
}
"""Options of C(release) that a built tree depends on, and what stands for one that is left out.

The tag and the component's name are in the environment of every build. Tests are here because a tree that passed others has proven
nothing. The content of the lock file is fixed by the commit.
"""


def digest(value: Any) -> str:
    """Return the SHA-256 of a value's canonical JSON, in hex."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()).hexdigest()


def recipe_of(options: Mapping[str, Any]) -> dict[str, object]:
    """Return what of a module's options a build depends on; of variables, the values' hashes instead of the values."""
    recipe = {name: options.get(name) or without for name, without in RECIPE.items()}
    if options.get("context"):  # left out where there is none, so that keys of before stay
        recipe["context"] = sorted(str(folder) for folder in options["context"])
    if options.get("includes"):  # likewise
        recipe["includes"] = [dict(one) for one in options["includes"]]
    for name in ("environment", "test_env"):
        recipe[name] = {str(variable): digest(str(value)) for variable, value in recipe[name].items()}
    return recipe


def artefact_key(commit: str, path: str, recipe: Mapping[str, object], built: Mapping[str, object]) -> str:
    """Return the key of what a build gives.

    Args:
        commit: commit of the tag.
        path: the component's folder in the repository.
        recipe: see :func:`recipe_of`; anything that JSON can hold.
        built: what the node said of itself: C(platform), C(variables) that the build sees (their hash), C(tools) with their versions.
    """
    return digest([FORMAT, commit, path.strip("/"), dict(recipe), dict(built)])


def base_key(commit: str, path: str, recipe: Mapping[str, object], built: Mapping[str, object]) -> str:
    """Return the key without the tools: a node that has none to build with takes what any version of them has built."""
    return artefact_key(commit, path, recipe, {**built, "tools": None})
