# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Actions that work on the controller alone: no node is connected to."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase


class ControllerAction(ActionBase):
    """Reads its arguments by the specification in ``arguments``, and answers."""

    arguments: dict[str, Any]
    _requires_connection = False
    _supports_check_mode = True
    _supports_diff = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return what :meth:`answer` says; wrong arguments fail before it is asked."""
        super().run(tmp, task_vars)
        _validated, args = self.validate_argument_spec(argument_spec=self.arguments)
        return self.answer(args, task_vars or {})

    def answer(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """The result of the task. C(args) are checked, and those left out have their defaults."""
        raise NotImplementedError
