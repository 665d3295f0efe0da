# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An option whose name sounds of a password says whether it is one; else Ansible warns in every run."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from ansible.module_utils.basic import PASSWORD_MATCH

PLUGINS = Path(__file__).resolve().parents[4] / "plugins"


def options(tree: ast.AST) -> Iterator[tuple[str, dict[str, ast.expr]]]:
    for node in ast.walk(tree):
        for key, value in zip(node.keys, node.values) if isinstance(node, ast.Dict) else ():
            if isinstance(key, ast.Constant) and isinstance(key.value, str) and isinstance(value, ast.Dict):
                yield key.value, {name.value: said for name, said in zip(value.keys, value.values) if isinstance(name, ast.Constant)}


def test_ansible_does_not_ask_whether_an_option_is_secret() -> None:
    silent = [
        f"{path.relative_to(PLUGINS)}: {name}"
        for folder in ("modules", "module_utils")
        for path in sorted((PLUGINS / folder).rglob("*.py"))
        for name, spec in options(ast.parse(path.read_text(encoding="utf-8")))
        if "type" in spec and "no_log" not in spec and PASSWORD_MATCH.search(name) and ast.unparse(spec["type"]) != "'bool'"
    ]
    assert silent == []
