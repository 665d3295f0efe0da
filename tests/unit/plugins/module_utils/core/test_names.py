# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.core import names


def test_nearest_ignores_case_and_keeps_the_known_spelling() -> None:
    assert names.nearest("OLAMA_model", ["OLLAMA_MODEL", "REDIS_URL"])[0] == "OLLAMA_MODEL"


def test_nothing_alike_is_nothing() -> None:
    assert names.nearest("zzzz", ["alpha", "beta"]) == []
    assert names.did_you_mean("zzzz", ["alpha"]) == ""


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("v4.9.0", "v4.10.0"),
        ("v4.0.0-rc1", "v4.0.0"),
        ("v4.0.0-rc1", "v4.0.0-rc2"),
        ("v4.0.0", "v4.0.1"),
        ("4.0.9", "v4.1.0"),
        ("v4.0", "v4.0.1"),
    ],
)
def test_versions_order(older: str, newer: str) -> None:
    assert names.newest([newer, older]) == newer
    assert names.version_key(older) < names.version_key(newer)


def test_newest_of_none() -> None:
    assert names.newest([]) is None


@pytest.mark.parametrize("bad", ["", ".hidden", "a/b", "-x", "a b", "x" * 101])
def test_no_release_name(bad: str) -> None:
    assert not names.RELEASE_NAME.match(bad)


@pytest.mark.parametrize("pattern", [names.RELEASE_NAME, names.COMPONENT_NAME])
def test_a_name_ends_where_its_line_does(pattern: re.Pattern[str]) -> None:
    assert pattern.match("v1")
    assert not pattern.match("v1\n")


def test_no_pattern_lets_a_newline_through() -> None:
    """``$`` also fits before a newline at the end; a pattern of a whole name ends with a backslash and a Z."""
    root = Path(names.__file__).parents[2]
    loose = []
    for path in root.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            if node.func.attr not in ("compile", "match") or not node.args or not isinstance(node.args[0], ast.Constant):
                continue
            by_line = any("re.M" in ast.unparse(word) for word in [*node.args[1:], *(key.value for key in node.keywords)])
            text = node.args[0].value
            if isinstance(text, str) and text.endswith("$") and not text.endswith(r"\$") and not by_line:
                loose.append(f"{path.relative_to(root)}:{node.lineno} {text}")
    assert loose == []


def test_what_a_terminal_would_obey_is_not_printed() -> None:
    assert names.printable("a\x1b]0;owned\x07b\x1b[2Jc\rd\u202ee") == "a�]0;owned�b�[2Jc�d�e"
    assert names.printable("\x1b[0;31mred\x1b[0m\tand\nplain é") == "\x1b[0;31mred\x1b[0m\tand\nplain é"
