# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Controller side of C(phasegate.aistack.certificate): would clients take the operator's certificate?"""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleError
from ansible.utils.display import Display

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.certificate import CertificateProblem, days_left
from ansible_collections.phasegate.aistack.plugins.plugin_utils.controller_action import ControllerAction

display = Display()


ARGUMENTS: dict[str, Any] = {
    "certificate": {"type": "path", "required": True},
    "key": {"type": "path", "required": True, "no_log": False},
    "ca": {"type": "list", "elements": "path", "default": []},
    "system": {"type": "bool", "default": True},
    "names": {"type": "list", "elements": "str", "required": True},
    "warn_days": {"type": "float", "default": 14},
}


class ActionModule(ControllerAction):
    """Find the files as M(ansible.builtin.copy) does, out of a vault where they are in one, and show them to a client."""

    arguments = ARGUMENTS

    def answer(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Fail where a client would not take it, warn where it ends soon."""
        given = {path: self._readable(path) for path in [args["certificate"], args["key"], *args["ca"]] if path}
        certificate, key = given[args["certificate"]], given[args["key"]]
        try:
            left = days_left(certificate, key, args["names"], [given[path] for path in args["ca"] if path], args["system"])
        except CertificateProblem as problem:
            said = str(problem)
            for path, real in given.items():
                said = said.replace(real, path)
            return {"failed": True, "changed": False, "msg": f"On the controller: {said}. Nothing of it was sent to a node."}
        finally:
            for real in given.values():
                self._loader.cleanup_tmp_file(real)
        if left < args["warn_days"]:
            display.warning(f"{args['certificate']} ends in {left:g} days: renew it")
        return {"changed": False, "days_left": left, "msg": f"{args['certificate']}: {left:g} days left"}

    def _readable(self, path: str) -> str:
        """A file that OpenSSL can read: the one given, or a copy out of its vault."""
        try:
            real: str = self._loader.get_real_file(self._find_needle("files", path))
        except AnsibleError as problem:
            raise AnsibleError(
                f"{path} cannot be read on the controller: {problem}. Correct the path in the inventory, or put the file there."
            ) from problem
        return real
