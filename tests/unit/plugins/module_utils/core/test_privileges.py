# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A node that is managed without becoming root is told from one that is broken."""

from __future__ import annotations

import ast
import errno
import json
import os
from pathlib import Path

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.core import privileges

MODULES = sorted((Path(__file__).resolve().parents[5] / "plugins" / "modules").glob("*.py"))
DENIED = PermissionError(errno.EACCES, "Permission denied", "/var/lib/shop/.lock.guard")


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 65534)


@pytest.mark.usefixtures("nobody")
def test_the_remedy_is_named() -> None:
    said = privileges.in_words(DENIED)
    assert said.startswith("/var/lib/shop/.lock.guard: Permission denied. This ran as the user nobody;")
    assert "ansible_become: true" in said
    assert "ansible_become" not in privileges.in_words(FileNotFoundError(errno.ENOENT, "No such file", "/x"))
    assert privileges.in_words(ValueError("torn")) == "torn"


def test_root_is_told_what_happened_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert "ansible_become" not in privileges.in_words(DENIED)


@pytest.mark.usefixtures("nobody")
def test_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    @privileges.explained
    def main() -> None:
        raise DENIED

    with pytest.raises(SystemExit):
        main()
    answer = json.loads(capsys.readouterr().out)
    assert answer["failed"] is True
    assert "ansible_become: true" in answer["msg"]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_every_module_that_works_on_a_stack_says_so(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    if '"state_dir"' not in text:
        return
    main = next(node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef) and node.name == "main")
    assert [ast.unparse(mark) for mark in main.decorator_list] == ["privileges.explained"]
