# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filters of images: one makes a name, one says what is wrong with one."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.phasegate.aistack.plugins.filter.image import FilterModule

FILTERS = FilterModule().filters()


def test_a_name_is_made_and_nothing_is_wrong_with_it() -> None:
    made = FILTERS["image_reference"]("api", "v1.2.3", "0a1b2c3d4e5f60718293a4b5c6d7e8f901234567")
    assert made == "api:1.2.3-0a1b2c3"
    assert FILTERS["image_problem"](made, "api") == ""


def test_latest_is_refused_whichever_way() -> None:
    with pytest.raises(AnsibleFilterError, match="image_reference: the tag 'latest' gives no version of an image"):
        FILTERS["image_reference"]("api", "latest", "0a1b2c3")
    assert "names latest" in FILTERS["image_problem"]("api:latest")
    assert "a tag without a digest" in FILTERS["image_problem"]("api:1.2.3")
