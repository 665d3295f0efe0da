# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Running a module's main() in this process, as Ansible would: arguments in, one JSON object out."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.testing import patch_module_args

Answer = dict[str, Any]
Call = Callable[..., Answer]


@pytest.fixture
def warned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What modules warn of; whether Ansible puts it into the answer depends on what else this process has imported."""
    said: list[str] = []
    monkeypatch.setattr(AnsibleModule, "warn", lambda _module, warning, **_more: said.append(str(warning)))
    return said


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """Return ``call(name, check=False, diff=False, **arguments)``; ``text`` of the answer is all that was printed."""

    def run(name: str, /, check: bool = False, diff: bool = False, **arguments: Any) -> Answer:
        module = import_module(f"ansible_collections.phasegate.aistack.plugins.modules.{name}")
        given = {**arguments, "_ansible_check_mode": check, "_ansible_diff": diff}
        capsys.readouterr()
        with patch_module_args(given), pytest.raises(SystemExit) as left:
            module.main()
        text = capsys.readouterr().out
        answer: Answer = json.loads(text)
        assert bool(left.value.code) == bool(answer.get("failed"))
        return {**answer, "text": text}

    return run
