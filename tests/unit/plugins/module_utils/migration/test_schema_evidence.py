# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.journal.file import Journal
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.state import derive
from ansible_collections.phasegate.aistack.plugins.module_utils.migration import schema_evidence


def test_a_proof_is_one_record_and_marks_nothing_good_or_bad(tmp_path: Path) -> None:
    made = schema_evidence.record(tmp_path, "backend", "v1", ["b2", "a1"], "gate passed", run="r1", actor="ann")
    assert made is not None
    assert (made["op"], made["release"], made["run"], made["actor"], made["outcome"]) == ("mark", "v1", "r1", "ann", "ok")
    assert made["detail"] == {"state": "runs_on", "heads": ["a1", "b2"], "reason": "gate passed"}
    assert derive(Journal.of(tmp_path).read(), "backend").marks == {}


def test_the_same_proof_is_not_written_twice_and_another_one_is(tmp_path: Path) -> None:
    schema_evidence.record(tmp_path, "backend", "v1", ["b2", "a1"], "gate passed")
    assert schema_evidence.record(tmp_path, "backend", "v1", ["a1", "b2"], "gate passed again") is None
    for other in (("backend", "v2", ["a1", "b2"]), ("backend", "v1", ["b2"]), ("worker", "v1", ["a1", "b2"])):
        assert schema_evidence.record(tmp_path, *other, "gate passed") is not None
    assert len(Journal.of(tmp_path).read()) == 4


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({"heads": []}, "heads"),
        ({"heads": "a1"}, "heads"),
        ({"heads": [""]}, "heads"),
        ({"release": "", "reason": ""}, "release, reason"),
    ],
)
def test_what_proves_nothing_is_not_written(tmp_path: Path, changes: dict[str, Any], missing: str) -> None:
    given = {"component": "backend", "release": "v1", "heads": ["a1"], "reason": "gate passed", **changes}
    with pytest.raises(ValueError, match=f"missing or empty: {missing}$"):
        schema_evidence.record(tmp_path, **given)
    assert Journal.of(tmp_path).read() == []
