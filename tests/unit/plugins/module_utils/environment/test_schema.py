# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import datetime
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.environment import schema as env_schema

GOOD: list[tuple[dict[str, Any], Any, str]] = [
    ({"type": "str"}, "x y", "x y"),
    ({"type": "int"}, -3, "-3"),
    ({"type": "int"}, "12", "12"),
    ({"type": "bool"}, True, "true"),
    ({"type": "bool"}, "No", "false"),
    ({"type": "port"}, 8000, "8000"),
    ({"type": "url"}, "http://h:1/p", "http://h:1/p"),
    ({"type": "dsn"}, "postgresql://u:p@h:5432/db", "postgresql://u:p@h:5432/db"),
    ({"type": "dsn"}, "sqlite:///var/x.db", "sqlite:///var/x.db"),
    ({"type": "path"}, "/var/x", "/var/x"),
    ({"type": "email"}, "First.Last+tag@mail.example.com", "First.Last+tag@mail.example.com"),
    ({"type": "number"}, 0.5, "0.5"),
    ({"type": "number"}, "-1e3", "-1e3"),
    ({"type": "json"}, {"a": [1]}, '{"a":[1]}'),
    ({"type": "enum", "choices": ["a", "b"]}, "b", "b"),
    ({"pattern": "^a+$"}, "aaa", "aaa"),
    ({"secret": True, "min_length": 4}, "abcdefgh", "abcdefgh"),
]
BAD: list[tuple[dict[str, Any], Any, str]] = [
    ({"type": "int"}, "1.5", "a whole number"),
    ({"type": "bool"}, "maybe", "true or false"),
    ({"type": "port"}, 70000, "from 1 to 65535"),
    ({"type": "port"}, "0", "from 1 to 65535"),
    ({"type": "url"}, "not a url", "type url"),
    ({"type": "url"}, "/relative", "type url"),
    ({"type": "url"}, "http://h:port/", "type url"),
    ({"type": "dsn"}, "localhost:5432", "type dsn"),
    ({"type": "path"}, "relative/x", "an absolute path"),
    ({"type": "email"}, "xxxxxxxx", "an e-mail address"),
    ({"type": "email"}, "Ops <ops@example.com>", "an e-mail address"),
    ({"type": "number"}, "1,5", "a number"),
    ({"type": "json"}, "{a: 1}", "JSON"),
    ({"type": "enum", "choices": ["a", "b"]}, "c", "one of a, b"),
    ({"pattern": "^a+$"}, "b", "matches"),
    ({"min_length": 8}, "short", "at least 8 characters, got 5"),
    ({"forbidden": ["lab"]}, "LAB", "forbidden default"),
    ({"secret": True}, "changeme", "forbidden default"),
    ({"secret": True}, "MinioAdmin", "forbidden default"),
    ({"type": "dsn"}, "postgresql://u:password@h/db", "forbidden default"),
    ({"required": True}, None, "is missing and required"),
    ({"required": True}, "", "is empty and required"),
    ({"required": True}, "  ", "is empty and required"),
    ({"type": "dsn", "required": True, "secret": True}, "postgresql://u:@h/db", "carries an empty password"),
    ({"type": "url", "secret": True}, "redis://:@h:6379/0", "carries an empty password"),
    ({}, "redis://:@h:6379/0", "carries an empty password"),
    ({}, False, "is false to YAML, which is perhaps not what was written; quote it"),
    ({"type": "str"}, 1.1, "is 1.1 to YAML"),
    ({}, 45000, "is 45000 to YAML, which is perhaps not what was written; quote it, or say type: int"),
    ({"secret": True}, 42798, "is a number to YAML"),
    ({"type": "enum", "choices": ["on", "off"]}, True, "one of on, off"),
    ({"type": "path"}, 7, "an absolute path"),
    ({}, datetime.date(2026, 1, 1), "is a date to YAML"),
    ({}, type("_AnsibleTaggedDate", (datetime.date,), {})(2026, 1, 1), "is a date to YAML"),
    ({}, type("_AnsibleTaggedDateTime", (datetime.datetime,), {})(2026, 1, 1), "is a date to YAML"),
    ({"default": 1.1}, None, "is 1.1 to YAML"),
    ({}, "a\x00b", "control character"),
    ({}, "a\rb", "control character"),
]


@pytest.mark.parametrize(("entry", "given", "text"), GOOD)
def test_good(entry: dict[str, Any], given: Any, text: str) -> None:
    resolved = env_schema.resolve([{"name": "X", **entry}], {"X": given})
    assert resolved.problems == []
    assert resolved.values == {"X": text}


@pytest.mark.parametrize(("entry", "given", "said"), BAD)
def test_bad(entry: dict[str, Any], given: Any, said: str) -> None:
    resolved = env_schema.resolve([{"name": "X", **entry}], {"X": given})
    assert [problem.name for problem in resolved.problems] == ["X"]
    assert said in resolved.problems[0].message


def test_all_problems_at_once_in_the_order_of_the_schema() -> None:
    schema = [{"name": "A", "required": True}, {"name": "B", "type": "int"}, {"name": "C", "type": "port"}]
    resolved = env_schema.resolve(schema, {"B": "x", "C": 99999, "BB": 1})
    assert [problem.name for problem in resolved.problems] == ["BB", "A", "B", "C"]
    assert "did you mean B?" in str(resolved.problems[0])


def test_a_secret_never_stands_in_a_problem() -> None:
    schema = [
        {"name": "KEY", "secret": True, "pattern": "^[0-9]+$", "min_length": 3},
        {"name": "PORT", "secret": True, "type": "port"},
        {"name": "DSN", "type": "dsn"},
        {"name": "URL", "type": "int"},
    ]
    values = {"KEY": "hunter2-hunter2", "PORT": "s3cr3tport", "DSN": "u:s3cr3tdsn", "URL": "http://u:s3cr3turl@h/"}
    text = "\n".join(str(problem) for problem in env_schema.resolve(schema, values).problems)
    for secret in ("hunter2", "s3cr3t"):
        assert secret not in text
    assert len(text.splitlines()) == 4


def test_defaults_are_filled_in_and_checked() -> None:
    resolved = env_schema.resolve([{"name": "A", "default": 5, "type": "int"}, {"name": "B", "default": "x", "type": "int"}], {})
    assert resolved.values["A"] == "5"
    assert [problem.name for problem in resolved.problems] == ["B"]


def test_optional_and_unset_is_absent() -> None:
    assert env_schema.resolve([{"name": "A"}], {}).values == {}


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ([{"name": "1A"}], "not a name"),
        ([{"name": "A"}, {"name": "A"}], "twice"),
        ([{"name": "A", "type": "intt"}], "did you mean int?"),
        ([{"name": "A", "requird": True}], "did you mean required?"),
        ([{"name": "A", "type": "enum"}], "needs choices"),
        ([{"name": "A", "pattern": "("}], "not a regular expression"),
    ],
)
def test_a_schema_that_is_wrong_itself(schema: list[dict[str, Any]], said: str) -> None:
    problems = env_schema.resolve(schema, {"A": "1"}).problems
    assert any(said in str(problem) for problem in problems)


def test_masked_lines() -> None:
    values = {"KEY": "new", "URL": "http://u:pw2@h/", "PORT": "80"}
    before = {"KEY": "old", "URL": "http://u:pw1@h/", "PORT": "81"}
    shown = env_schema.masked_lines(values, {"KEY"}, before)
    assert shown == "KEY=**** (changed)\nPORT=80\nURL=http://u:****@h/ (changed)\n"
    assert env_schema.masked_lines(before, {"KEY"}) == "KEY=****\nPORT=81\nURL=http://u:****@h/\n"


def test_secret_texts_hide_secrets_and_nothing_plain() -> None:
    values = {"KEY": "hunter2hunter2", "PORT": 8000, "URL": "http://u:pa%40ss@h/", "BAD": "changeme"}
    assert env_schema.secret_texts(values, {"KEY", "BAD"}) == {"hunter2hunter2", "pa%40ss", "pa@ss"}


def test_version_depends_on_the_schema_alone() -> None:
    one = env_schema.version_of([{"name": "A", "type": "int"}])
    assert one == env_schema.version_of([{"type": "int", "name": "A"}])
    assert one != env_schema.version_of([{"name": "A", "type": "str"}])


def test_an_environment_without_a_schema_is_taken_as_it_is() -> None:
    schema, values = env_schema.described({"values": {"MODE": "quick", "API_TOKEN": "abcdef"}})
    assert schema == [{"name": "MODE", "secret": False}, {"name": "API_TOKEN", "secret": True}]
    assert env_schema.resolve(schema, values).values == {"MODE": "quick", "API_TOKEN": "abcdef"}
    assert env_schema.described({"schema": [], "values": {"MODE": "quick"}}) == ([], {"MODE": "quick"})
    assert env_schema.described({}) == ([], {})
    assert env_schema.described(None) == ([], {})
