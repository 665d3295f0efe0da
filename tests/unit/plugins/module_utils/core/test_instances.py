# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of the processes of a slot, and which number of them counts."""

from __future__ import annotations

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.core.instances import (
    chosen,
    for_each,
    instance_names,
    number_of,
    place_of,
    refusal,
)


def test_the_first_has_the_name_of_the_slot() -> None:
    assert instance_names("blue", 1) == ["blue"]
    assert instance_names("green", 3) == ["green", "green-2", "green-3"]
    assert [place_of(name) for name in instance_names("blue", 64)] == [("blue", place) for place in range(1, 65)]


@pytest.mark.parametrize("name", ["red", "", "blue-1", "blue-0", "blue-02", "blue-65", "blue-100", "blue-", "blue-x", "blue/2", "blue-2 "])
def test_what_is_no_instance_is_said(name: str) -> None:
    with pytest.raises(ValueError, match="is no slot of a component; expected blue, green, or an instance of one, such as blue-2"):
        place_of(name)


def test_links_say_how_many_there_are() -> None:
    assert number_of(["blue", "green", "live", "green-2", "blue-3", "blue-x", "blue-2"], "blue") == 3
    assert number_of(["blue", "green", "live"], "blue") == 1
    assert number_of([], "green") == 1


def test_a_text_that_names_the_slot_stands_for_all_of_them() -> None:
    texts = ["worker-${slot}@a", "other@a", 7, "kept-$${slot}@a"]
    assert for_each(texts, ["blue", "blue-2"]) == ["worker-blue@a", "worker-blue-2@a", "other@a", 7, "kept-$${slot}@a"]
    assert for_each(texts, ["blue"]) == texts
    assert for_each(texts, []) == texts


@pytest.mark.parametrize(
    ("said", "kept", "kept_said", "number"),
    [
        (2, None, None, 2),  # nothing was ever here
        (2, 4, 2, 4),  # scale.yml set it, and the inventory says the same since
        (3, 4, 2, 3),  # the inventory says another number
        (3, 1, None, 3),  # kept by a version that knew of one alone
        (4, 4, 2, 4),
    ],
)
def test_which_number_counts(said: int, kept: int | None, kept_said: int | None, number: int) -> None:
    assert chosen(said, kept, kept_said) == number


def test_numbers_that_cannot_be_had() -> None:
    assert refusal("worker", 1, False) == refusal("worker", 64, False) == refusal("api", 1, True) == ""
    assert "one process per slot" in refusal("api", 2, True)
    # "disable" takes no globs, and the template stands for all of its instances
    assert "systemctl stop 'aistack-worker@*'; systemctl disable aistack-worker@.service; to take it away: remove.yml" in (
        refusal("worker", 0, False))
    assert refusal("worker", 65, False) == "worker: 65 instances; expected 1 to 64"
