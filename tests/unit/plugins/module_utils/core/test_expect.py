# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Expected values: comparison, paths, words."""

from __future__ import annotations

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.core.expect import (
    MISSING,
    check,
    check_all,
    check_version,
    describe,
    get_path,
    problems,
)


@pytest.mark.parametrize(
    ("expected", "actual", "good"),
    [
        ("ok", "ok", True),
        ("ok", "OK", False),
        (1, 1, True),
        (1, 1.0, True),
        (1, True, False),
        (True, 1, False),
        (None, None, True),
        (None, MISSING, False),
        (1, "1", False),
        ([1, 2], [1, 2], True),
        ([1, 2], [2, 1], False),
        ([1], [1, 2], False),
        ([{"ge": 1}, "b"], [5, "b"], True),
        ({"ge": 1}, 1, True),
        ({"gt": 1}, 1, False),
        ({"le": 1.5}, 1, True),
        ({"lt": 2, "gt": 0}, 1, True),
        ({"lt": 2, "gt": 1}, 1, False),
        ({"ge": 1}, "2", False),
        ({"ge": 1}, True, False),
        ({"ge": 1}, None, False),
        ({"ge": "b"}, "c", True),
        ({"ne": "a"}, "b", True),
        ({"ne": "a"}, "a", False),
        ({"ne": "a"}, MISSING, False),
        ({"matches": "^v4[.]"}, "v4.1.0", True),
        ({"matches": "^v4[.]"}, "v5", False),
        ({"matches": "^2"}, 200, True),
        ({"contains": "b"}, "abc", True),
        ({"contains": "b"}, ["a", "b"], True),
        ({"contains": {"matches": "^b"}}, ["a", "bc"], True),
        ({"contains": "x"}, {"x": 1}, True),
        ({"contains": "x"}, 5, False),
        ({"in": ["a", "b"]}, "b", True),
        ({"in": ["a", "b"]}, "c", False),
        ({"exists": True}, None, True),
        ({"exists": True}, MISSING, False),
        ({"exists": False}, MISSING, True),
        ({"length": {"ge": 2}}, [1, 2], True),
        ({"length": 3}, "ab", False),
        ({"length": 1}, 1, False),
    ],
)
def test_check(expected, actual, good):
    assert (check(expected, actual) == []) is good


@pytest.mark.parametrize(
    ("expected", "actual", "good"),
    [
        (1, "1", True),
        (1, "1.0", True),
        (1.5, "1.5", True),
        (True, "t", True),
        (False, "off", True),
        (True, "1", False),
        ({"ge": 10}, "9", False),
        ({"ge": 9}, "10", True),
        ("10", "10", True),
        ({"in": [1, 2]}, "2", True),
        ({"ne": 1}, "1", False),
    ],
)
def test_what_came_as_text(expected, actual, good):
    assert (check(expected, actual, text=True) == []) is good


DATA = {"status": "ok", "nodes": [{"name": "a", "took": 1.5}, {"name": "b"}], "a.b": {"c.d": 7}, "none": None}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("status", "ok"),
        ("nodes.1.name", "b"),
        ("nodes.-1.name", "b"),
        ("a.b.c.d", 7),
        ("none", None),
        ("none.x", MISSING),
        ("nodes.2.name", MISSING),
        ("nodes.x", MISSING),
        ("status.x", MISSING),
        ("", DATA),
    ],
)
def test_paths(path, value):
    assert get_path(DATA, path) == value


def test_mismatch_says_where():
    (one,) = check_all({"nodes.0.took": {"lt": 1}, "status": "ok"}, DATA)
    assert (one.path, one.expected_text, one.got_text) == ("nodes.0.took", "nodes.0.took < 1", "nodes.0.took = 1.5")


def test_a_field_may_be_called_like_an_operator():
    assert check_all({"in": 3, "length": {"ge": 2}}, {"in": 3, "length": 2}) == []
    assert check_all({"in": 3}, {"in": 4})[0].path == "in"


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        ("ok", "ok"),
        ("", "''"),
        (True, "true"),
        ({"ge": 1}, ">= 1"),
        ({"ge": 1, "lt": 5}, ">= 1 and < 5"),
        ({"matches": "^a"}, "matching ^a"),
        ({"length": {"ge": 1}}, "length >= 1"),
        ({"exists": False}, "nothing"),
        ({"in": [1, 2]}, "one of [1, 2]"),
        ("x" * 300, "x" * 199 + "…"),
    ],
)
def test_words(expected, text):
    assert describe(expected) == text


@pytest.mark.parametrize(
    ("expected", "said"),
    [
        ({"gte": 1}, "unknown operator 'gte' (did you mean ge?)"),
        ({"ge": 1, "foo": 2}, "unknown operator 'foo'"),
        ({}, "an empty mapping"),
        ({"matches": "("}, "is no regular expression"),
        ({"in": "abc"}, "must be a list"),
        ({"exists": "yes"}, "must be true or false"),
        ({"ge": [1]}, "must be a number"),
        ({"length": {"gr": 1}}, "unknown operator 'gr'"),
    ],
)
def test_problems(expected, said):
    assert any(said in line for line in problems(expected)), problems(expected)


@pytest.mark.parametrize(
    ("expected", "version", "good"), [({"ge": "3.9"}, "3.11", True), ("3", "3.0.0", True), ({"ne": "3.1"}, "3.1", False)]
)
def test_versions(expected, version, good):
    assert (check_version(expected, version) == []) is good
