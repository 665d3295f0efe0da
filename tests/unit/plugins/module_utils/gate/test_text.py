# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a gate says of a probe that is well and has to be so for longer."""

from __future__ import annotations

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.gate.text import still_lacks


@pytest.mark.parametrize(
    ("passes", "held", "said"),
    [
        (1, 0.0, " (1 of 2 passes in a row, healthy for 0.0 of 2 s)"),
        (3, 1.0, " (healthy for 1.0 of 2 s)"),
        (3, 1.98, " (healthy for 1.9 of 2 s)"),
        (1, 2.5, " (1 of 2 passes in a row)"),
        (2, 2.0, ""),
    ],
    ids=["both", "it passed often enough", "what lacks is not rounded away", "it stood long enough", "neither"],
)
def test_only_what_lacks_is_said(passes: int, held: float, said: str) -> None:
    assert still_lacks(passes, 2, held, 2.0) == said
