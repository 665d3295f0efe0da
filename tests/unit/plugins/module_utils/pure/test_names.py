# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.pure import names


def test_nearest_ignores_case_and_keeps_the_known_spelling() -> None:
    assert names.nearest("OLAMA_model", ["OLLAMA_MODEL", "REDIS_URL"])[0] == "OLLAMA_MODEL"


def test_nothing_alike_is_nothing() -> None:
    assert names.nearest("zzzz", ["alpha", "beta"]) == []
    assert names.did_you_mean("zzzz", ["alpha"]) == ""


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("v4.9.0", "v4.10.0"),
        ("v4.0.0-rc1", "v4.0.0"),
        ("v4.0.0-rc1", "v4.0.0-rc2"),
        ("v4.0.0", "v4.0.1"),
        ("4.0.9", "v4.1.0"),
        ("v4.0", "v4.0.1"),
    ],
)
def test_versions_order(older: str, newer: str) -> None:
    assert names.newest([newer, older]) == newer
    assert names.version_key(older) < names.version_key(newer)


def test_newest_of_none() -> None:
    assert names.newest([]) is None


@pytest.mark.parametrize("bad", ["", ".hidden", "a/b", "-x", "a b", "x" * 101])
def test_no_release_name(bad: str) -> None:
    assert not names.RELEASE_NAME.match(bad)
