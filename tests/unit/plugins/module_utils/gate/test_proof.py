# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""By what a gate tells which release runs."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.gate.proof import ANSWER, NOTHING, PROCESS, proof

UNIT = {"unit": "${unit}", "release": "${release}"}
URL = "http://127.0.0.1:${port}/health"


@pytest.mark.parametrize(
    ("gate", "by"),
    [
        ([], NOTHING),
        ([{"http": URL}], NOTHING),
        ([{"http": f"{URL}?of=${{release}}"}], NOTHING),
        ([{"http": URL, "json": {"version": "${release}"}}], ANSWER),
        ([{"http": URL, "body": "v ${release}"}], ANSWER),
        ([{"http": URL, "body": "${release}", "severity": "warning"}], NOTHING),
        ([{"http": URL, "body": "${release}", "from": "web"}], NOTHING),
        ([{"unit": "${unit}", "restarts": 0}], NOTHING),
        ([UNIT, {"http": URL}], PROCESS),
        ([UNIT, {"http": URL, "response_headers": {"x-release": "${release}"}}], ANSWER),
        ([{"http": URL, "headers": {"X-Release": "${release}"}, "data": "${release}"}], NOTHING),
        ([{"command": ["check-release", "${release}"]}], ANSWER),
        ([{"no": "probe"}], NOTHING),
    ],
)
def test_by_an_answer_by_the_process_or_not_at_all(gate: list[dict[str, Any]], by: str) -> None:
    assert proof([{"name": "it", **probe} for probe in gate], "api") == by
