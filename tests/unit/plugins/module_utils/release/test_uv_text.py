# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What uv 0.13 writes and says, as it was captured."""

from __future__ import annotations

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.release import uv_text

LISTED = """./libs/other ; python_full_version >= '3.10'
-e ./libs/shared
.
./wheels/own-1.0-py3-none-any.whl \\
    --hash=sha256:aa
six==1.17.0 ; sys_platform == 'linux' \\
    --hash=sha256:bb \\
    --hash=sha256:cc
"""
LOCK = 'source = { registry = "https://a/simple" }\nsource = { registry = "https://b/whl/" }\nsource = { registry = "https://a/simple" }\n'
OFFLINE = (
    "error: No solution found when resolving dependencies\n  cause: Because requests was not found in the cache and backend depends on "
    "requests, we can conclude that backend's requirements are unsatisfiable.\n\nhint: Packages were unavailable because the network was "
    "disabled."
)
DYNAMIC = (
    "error: Failed to build `lib @ file:///x/lib`\n  cause: Failed to resolve requirements from `setup.py` build\n"
    "  cause: network was disabled"
)
UPDATED = "error: The lockfile at `uv.lock` needs to be updated, but `--check` was provided."
UNPROVEN = """error: Failed to build `other @ file:///tmp/ws/libs/other`
  cause: Failed to resolve requirements from `build-system.requires`
  cause: No solution found when resolving: `hatchling`
  cause: Hash-checking is required, but no trusted hash was provided for: `hatchling`
"""


def test_folders_are_parted_from_what_is_fetched() -> None:
    listed = uv_text.split(LISTED)
    assert listed.folders == ("./libs/other", "./libs/shared", ".")
    assert listed.packages == (
        "./wheels/own-1.0-py3-none-any.whl --hash=sha256:aa\n"
        "six==1.17.0 ; sys_platform == 'linux' --hash=sha256:bb --hash=sha256:cc\n"
    )
    assert not listed.empty
    assert uv_text.split("./x\n").empty


def test_where_packages_come_from() -> None:
    assert uv_text.registries(LOCK) == ["https://a/simple", "https://b/whl/"]
    assert uv_text.named_in('[[tool.uv.index]]\nurl = "https://b/whl"\n', uv_text.registries(LOCK)) == ["https://b/whl/"]


@pytest.mark.parametrize(("said", "unfit", "not_judged"), [(OFFLINE, True, False), (UPDATED, True, False), (DYNAMIC, True, True)])
def test_what_a_check_says(said: str, unfit: bool, not_judged: bool) -> None:
    assert (uv_text.unfit(said), uv_text.not_judged(said)) == (unfit, not_judged)


def test_a_backend_without_a_hash() -> None:
    assert uv_text.unproven_backend(UNPROVEN) == ("other", "hatchling")
    assert uv_text.unproven_backend(DYNAMIC) == ("", "")


@pytest.mark.parametrize(
    ("project", "name"),
    [
        ('[project]\nname = "My.Api_x"\n', "my-api-x"), ("[build-system]\nrequires = []\n[project]\nversion = '1'\nname = 'a'\n", "a"),
        ("[tool.x]\nname = 'no'\n", ""), ("[project]\nversion = '1'\n[tool.x]\nname = 'no'\n", ""),
    ],
)
def test_the_name_of_a_project(project: str, name: str) -> None:
    assert uv_text.project_name(project) == name


@pytest.mark.parametrize(
    ("dependencies", "missing"),
    [
        ('dependencies = ["six>=1", "idna[all]; python_version<\'4\'"]', ["idna"]),
        ("dependencies = []", []),
        ('dependencies = [\n  # "requests",\n  "six",\n]', []),
        ('dynamic = ["dependencies"]', []),
        ('optional = 1\n[tool.x]\ndependencies = ["flask"]', []),
    ],
)
def test_what_a_lock_does_not_know_of(dependencies: str, missing: list[str]) -> None:
    lock = (
        '[[package]]\nname = "api"\nsource = { virtual = "api" }\ndependencies = [\n    { name = "six" },\n]\n\n'
        '[[package]]\nname = "idna"\nsource = { registry = "https://a/simple" }\n'
    )
    assert uv_text.unlocked(f'[project]\nname = "api"\n{dependencies}\n', lock) == missing
    assert uv_text.unlocked(f'[project]\nname = "other"\n{dependencies}\n', lock) == []
