# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Controller side of C(phasegate.aistack.source_tree): resolves the tag, makes the archive and sends it."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase

from ansible_collections.phasegate.aistack.plugins.module_utils.release.mirror import Source, SourceError


class ActionModule(ActionBase):
    """The node gets an archive, and neither the repository's address nor its credentials."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Resolve; where a folder is wanted, bring it."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        args = dict(self._task.args)
        repo, tag, expected = (str(args.pop(name, None) or "") for name in ("repo", "tag", "commit"))
        mirror_dir = str(args.pop("mirror_dir", None) or "")
        if not repo or not tag:
            result.update(failed=True, msg="source_tree needs repo and tag: where the tag is, and its name.")
            return result
        try:
            source = Source(repo, "", mirror_dir)
            commit = source.resolve(tag)
            if expected and expected != commit:
                raise SourceError(
                    f"Tag {tag} in {source.shown}: expected commit {expected}, got {commit}. Was the tag moved? Compare, then correct the "
                    "commit that is expected."
                )
            if not args.get("dest") or self._task.check_mode:
                result.update(changed=bool(args.get("dest")), commit=commit)
                return result
            archive = source.archive(tag, commit)
        except SourceError as error:
            result.update(failed=True, msg=str(error))
            return result
        folder = str(self._connection._shell.tmpdir or self._make_tmp_path())
        remote = self._connection._shell.join_path(folder, "tree.tar.gz")
        self._transfer_file(str(archive.path), remote)
        self._fixup_perms2((folder, remote))
        args.update(tag=tag, commit=commit, archive=remote, archive_sha256=archive.sha256)
        result.update(self._execute_module(module_name="phasegate.aistack.source_tree", module_args=args, task_vars=task_vars))
        return result
