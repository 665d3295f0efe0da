# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Extra variables as they were typed."""

from __future__ import annotations

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.pure.said import whole


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        (["command=python -m app.seed"], "python -m app.seed"),
        (["component=api", b"command=python -m x --y=1 a=b"], "python -m x --y=1 a=b"),
        (["command='python -m app.seed'"], "python -m app.seed"),
        (["command=sh -c 'a; b' 'c'"], "sh -c 'a; b' 'c'"),
        (["command=a", "command=b c"], "b c"),
        (['{"command": "ls -l"}', "@file.yml", "other=command=x"], None),
    ],
)
def test_all_that_stands_behind_the_name(entries: list[str], said: str | None) -> None:
    assert whole(entries, "command") == said
