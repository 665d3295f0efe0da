# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Controller side of C(phasegate.aistack.release): resolves the tag, makes the archive, sends it where it is missing.

A release that is staged already costs one round trip and no transfer. Where the repository is out of
reach, a release that a node holds is still usable; the node says whether it does.
"""

from __future__ import annotations

import getpass
import os
from typing import Any

from ansible.plugins.action import ActionBase

from ansible_collections.phasegate.aistack.plugins.module_utils.release.mirror import Source, SourceError, Unreachable


def actor() -> str:
    """Return who runs Ansible."""
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


class ActionModule(ActionBase):
    """Ask the node first; archive and transfer only what it has not."""

    _supports_check_mode = True

    def _call(self, args: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        answer: dict[str, Any] = self._execute_module(
            module_name="phasegate.aistack.release", module_args=args, task_vars=task_vars
        )
        return answer

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Stage from the controller; other states go to the node as they are."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        args = dict(self._task.args)
        args["actor"] = args.get("actor") or actor()
        repo = args.pop("repo", None)  # may carry a password; the node does not need it
        if args.get("state", "staged") != "staged":
            result.update(self._call(args, task_vars))
            return result
        ref = str(args.pop("ref", None) or args.get("release") or "")
        if not repo or not ref:
            result.update(failed=True, msg="state=staged needs repo and release: where the tag is, and its name.")
            return result
        path, mirror_dir = args.pop("path", None) or "", args.pop("mirror_dir", None) or "~/.cache/phasegate/mirrors"
        source = Source(str(repo), str(path), str(mirror_dir))
        away: Unreachable | None = None
        try:
            args["commit"] = source.resolve(ref)
        except Unreachable as error:
            away = error
        except SourceError as error:
            result.update(failed=True, msg=str(error))
            return result
        answer = self._call(args, task_vars)
        if answer.get("failed") or answer.get("present"):
            if away is not None and answer.get("present"):
                answer.setdefault("warnings", []).append(f"The staged release was taken as it is, its tag could not be checked: {away}")
            result.update(answer)
            return result
        try:
            if away is not None:
                raise away
            source.refuse_dirty(ref)
            if not self._task.check_mode:
                args.update(self._send(source, ref, args["commit"]))
                answer = self._call(args, task_vars)
        except SourceError as error:
            answer = {"failed": True, "changed": False, "msg": str(error)}
        result.update(answer)
        return result

    def _send(self, source: Source, ref: str, commit: str) -> dict[str, str]:
        """Bring the archive to the node; returns the arguments that name it there."""
        archive = source.archive(ref, commit)
        folder = self._connection._shell.tmpdir or self._make_tmp_path()
        remote = self._connection._shell.join_path(folder, "release.tar.gz")
        self._transfer_file(str(archive.path), remote)
        self._fixup_perms2((folder, remote))
        return {"archive": remote, "archive_sha256": archive.sha256}
