# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filling in names."""

from __future__ import annotations

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.core.substitute import MissingName, fill, names_in

NAMES = {"port": 18000, "release": "v4.1.0", "slot": None}


@pytest.mark.parametrize(
    ("value", "filled"),
    [
        ("http://h:${port}/${release}", "http://h:18000/v4.1.0"),
        ("${port}", 18000),
        ("$${port}", "${port}"),
        ("^a$", "^a$"),
        ({"${release}": ["${port}", 1]}, {"v4.1.0": [18000, 1]}),
        (None, None),
    ],
)
def test_fill(value, filled):
    assert fill(value, NAMES) == filled


@pytest.mark.parametrize("value", ["${relase}", "x ${slot}"])
def test_a_name_without_value(value):
    with pytest.raises(MissingName):
        fill(value, NAMES)


def test_nearest_name_is_told():
    with pytest.raises(MissingName, match=r"\$\{relase\} cannot be filled in \(did you mean release\?\)"):
        fill("${relase}", NAMES)


def test_names():
    assert names_in({"a": ["${x} ${y}", "$${z}"], "${k}": 1}) == {"x", "y", "k"}
