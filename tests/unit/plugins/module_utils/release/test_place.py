# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What of a repository a component is built from."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.release.place import (
    Include,
    Place,
    include_problem,
    includes_of,
    place_of,
    problem,
)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (("backend",), Place("backend")),
        (("",), Place()),
        (("/backend/", "requirements.lock"), Place("backend")),
        (("backend", "../uv.lock"), Place("", "backend")),
        (("apps/web", "../../pnpm-lock.yaml"), Place("", "apps/web")),
        (("mono/apps/web", "../../pnpm-lock.yaml"), Place("mono", "apps/web")),
        (("backend", "requirements.lock", ["libs/shared"]), Place("", "backend", ("backend", "libs/shared"), True)),
        (("srv/backend", None, ["srv/shared"]), Place("srv", "backend", ("srv/backend", "srv/shared"), True)),
        (("srv/backend", "../uv.lock", ["proto"]), Place("", "srv/backend", ("proto", "srv"), True)),
        (("srv/backend", "../uv.lock", ["srv/shared"]), Place("srv", "backend", (), True)),
        (("backend", None, ["libs", "libs/shared"]), Place("", "backend", ("backend", "libs"), True)),
        (("back", None, ["backend"]), Place("", "back", ("back", "backend"), True)),
        (("back", None, (), ["front"]), Place("", "back", ("back", "front"))),
        (("srv/back", None, ["srv/lib"], ["srv/front"]), Place("srv", "back", ("srv/back", "srv/front", "srv/lib"), True)),
        (("", None, (), ["front"]), Place()),
    ],
)
def test_what_is_laid_down(given: tuple[Any, ...], expected: Place) -> None:
    assert place_of(*given) == expected


@pytest.mark.parametrize(
    ("path", "context", "said"),
    [
        ("backend", ["../other"], "leads out of the repository"),
        ("backend", ["/srv"], "leads out of the repository"),
        ("backend", ["backend/libs"], "is a part of the component's folder backend already"),
        ("", ["libs"], "(the whole repository) already"),
        ("backend", ["libs", "proto/v1"], ""),
    ],
)
def test_what_context_can_name(path: str, context: list[str], said: str) -> None:
    assert said in problem(path, context)
    assert bool(said) is bool(problem(path, context))


def test_parts_lie_below_the_top_of_the_tree() -> None:
    given = {"path": "srv/front/", "output": "dist", "to": "static"}
    assert includes_of([given], "srv") == (Include("front", "dist", "static", "package-lock.json", (("npm", "run", "build"),)),)
    assert includes_of([{**given, "lock": "yarn.lock", "build": [["make", 1]]}], "") == (
        Include("srv/front", "dist", "static", "yarn.lock", (("make", "1"),)),
    )


@pytest.mark.parametrize(
    ("change", "kind", "said"),
    [
        ({}, "python", ""),
        ({}, "node", ""),
        ({}, "static", "nothing reads it of a component of kind static"),
        ({"path": "../front"}, "python", "path '../front' is no folder in the repository"),
        ({"to": "."}, "python", "to '.' is no folder in the component's folder"),
        ({"output": "/dist"}, "python", "output '/dist' is no folder in its path"),
        ({"lock": "../package-lock.json"}, "python", "lock '../package-lock.json' does not lie in its path"),
    ],
)
def test_what_a_part_can_be(change: dict[str, str], kind: str, said: str) -> None:
    told = include_problem({"path": "front", "output": "dist", "to": "static", **change}, kind)
    assert told.startswith(said)
    assert bool(told) is bool(said)
