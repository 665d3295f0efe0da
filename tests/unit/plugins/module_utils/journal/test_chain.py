# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.journal import chain


def records(count: int) -> list[chain.Record]:
    made: list[chain.Record] = []
    for number in range(count):
        fields = {"op": "stage", "component": "backend", "release": f"v{number}", "outcome": "ok"}
        made.append(chain.link(fields, made[-1] if made else None, f"2026-01-01T00:00:{number:02d}.000Z"))
    return made


def text(made: list[chain.Record]) -> bytes:
    return "".join(chain.encode(record) for record in made).encode()


def test_a_chain_that_holds() -> None:
    made = records(3)
    assert [record["seq"] for record in made] == [1, 2, 3]
    assert made[0]["prev"] == chain.GENESIS
    assert made[2]["prev"] == made[1]["hash"]
    reading = chain.parse(text(made))
    assert reading.records == made
    assert reading.torn is None
    assert chain.verify(reading.records) == []


def test_a_changed_record_is_named() -> None:
    made = records(3)
    made[1]["release"] = "v9"
    problems = chain.verify(made)
    assert len(problems) == 1
    assert "record 2" in problems[0]
    assert "changed after it was written" in problems[0]


def test_a_record_that_was_rehashed_breaks_the_next() -> None:
    made = records(3)
    made[1]["release"] = "v9"
    made[1]["hash"] = chain.digest(made[1])
    assert any("record 3" in problem and "expected prev" in problem for problem in chain.verify(made))


def test_a_removed_record_is_noticed() -> None:
    made = records(4)
    del made[1]
    problems = chain.verify(made)
    assert any("expected seq 2, got 3" in problem for problem in problems)


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_torn_end_loses_nothing_before_it(cut: int) -> None:
    made = records(3)
    whole = text(made)
    reading = chain.parse(whole[:-cut] if cut > 1 else whole[:-1])
    if cut == 1:  # only the newline is missing: the record is complete
        assert reading.records == made
        assert reading.unterminated
    else:
        assert reading.records == made[:2]
        assert reading.torn
        assert whole[: reading.good_bytes] == text(made[:2])


def test_a_bad_line_in_the_middle_is_a_problem_not_a_tear() -> None:
    made = records(2)
    raw = chain.encode(made[0]).encode() + b"garbage\n" + chain.encode(made[1]).encode()
    reading = chain.parse(raw)
    assert reading.records == made
    assert reading.torn is None
    assert "line 2" in reading.problems[0]


def test_bytes_that_are_no_text() -> None:
    made = records(1)
    reading = chain.parse(text(made) + b"\xff\xfe\x00{")
    assert reading.records == made
    assert reading.torn


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"op": "stage", "outcome": "ok", "compnent": "x"}, "unknown keys: compnent"),
        ({"op": "stgae", "outcome": "ok"}, "stgae"),
        ({"op": "stage", "outcome": "fine"}, "fine"),
        ({"op": "stage", "outcome": "ok", "detail": "text"}, "must be an object"),
    ],
)
def test_no_record(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        chain.link(fields, None, "now")


def test_unicode_survives() -> None:
    record = chain.link({"op": "mark", "detail": {"reason": "größer – ☂"}}, None, "t")
    assert chain.parse(chain.encode(record).encode()).records[0]["detail"]["reason"] == "größer – ☂"
    assert chain.verify([record]) == []
