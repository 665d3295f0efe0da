# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a tag says of its version."""

from __future__ import annotations

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.release.tag_version import version_of


@pytest.mark.parametrize(("tag", "numbers"), [
    ("v4.1.0", (4, 1, 0)), ("4.1.0", (4, 1, 0)), ("v4.1", (4, 1, 0)), ("v4", (4, 0, 0)), ("backend/v1.2.3", (1, 2, 3)),
    ("backend..v1.2.3", (1, 2, 3)), ("backend-v1.2.3", (1, 2, 3)), ("my-own-api-1.2.3", (1, 2, 3)), ("v5.0.0-rc.1", (5, 0, 0)),
    ("v5.0.0+build.7", (5, 0, 0)), ("v3-4/v1.2.3", (1, 2, 3)),
])
def test_tags_that_name_one(tag: str, numbers: tuple[int, int, int]) -> None:
    found = version_of(tag)
    assert found is not None
    assert found[:3] == numbers


@pytest.mark.parametrize("tag", ["nightly", "20260101", "2026-01-01", "v", "", "1.2.3.4", "v1.2.3 ", "vx.1", "deadbeef"])
def test_tags_that_name_none(tag: str) -> None:
    assert version_of(tag) is None


def test_they_come_in_the_order_of_semantic_versions() -> None:
    order = ["v1.0.0-alpha", "v1.0.0-alpha.1", "v1.0.0-alpha.beta", "v1.0.0-beta", "v1.0.0-beta.2", "v1.0.0-beta.11", "v1.0.0-rc.1",
             "v1.0.0", "v1.0.1", "v1.9.0", "v1.10.0", "v2.0.0"]
    assert sorted(set(order), key=lambda tag: version_of(tag) or (0,)) == order
    assert version_of("v1.0.0+a") == version_of("1.0.0+b") == version_of("api/v1.0")
