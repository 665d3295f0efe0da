# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Controller side of C(phasegate.aistack.node_command): packs this collection's own code and sends it where it is missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase

from ansible_collections.phasegate.aistack.plugins.module_utils.node import zipapp


class ActionModule(ActionBase):
    """Ask the node first; a transfer only where it has another command."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Install, with the sources of the code that runs here."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        members = zipapp.sources(Path(zipapp.__file__).parents[1])
        args = {**self._task.args, "source": zipapp.digest(members)}

        def call(**more: Any) -> dict[str, object]:
            answer: dict[str, Any] = self._execute_module(
                module_name="phasegate.aistack.node_command", module_args={**args, **more}, task_vars=task_vars
            )
            return answer

        answer = call()
        if answer.get("needed") and not answer.get("failed") and not self._task.check_mode:
            answer = call(archive=self._send(members))
        result.update(answer)
        return result

    def _send(self, members: dict[str, bytes]) -> str:
        """Bring the sources to the node; returns their path there."""
        folder = self._connection._shell.tmpdir or self._make_tmp_path()
        remote: str = self._connection._shell.join_path(folder, "aistack.zip")
        self._transfer_data(remote, zipapp.pack(members))
        self._fixup_perms2((folder, remote))
        return remote
