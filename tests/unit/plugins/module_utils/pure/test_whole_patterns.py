# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A pattern that means a whole value is asked with fullmatch: with match, ``$`` lets a newline through."""

from __future__ import annotations

import ast
from pathlib import Path

PLUGINS = Path(__file__).resolve().parents[5] / "plugins"


def _ends(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.endswith("$") and not node.value.endswith(r"\$")


def test_no_match_with_a_pattern_that_ends_in_a_dollar() -> None:
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in PLUGINS.rglob("*.py")}
    whole: set[str] = set()
    for tree in trees.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and node.value.args and _ends(node.value.args[0]):
                whole |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    assert "RELEASE_NAME" in whole
    found = [
        f"{path.relative_to(PLUGINS)}:{node.lineno}"
        for path, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "match"
        and isinstance(node.func.value, ast.Name)
        and (node.func.value.id in whole or (node.func.value.id == "re" and node.args and _ends(node.args[0])))
    ]
    assert found == []
