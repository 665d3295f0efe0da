# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Controller side of C(phasegate.aistack.superset_assets): reads the files, refuses what does not fit together, and sends the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from ansible.plugins.action import ActionBase

from ansible_collections.phasegate.aistack.plugins.module_utils.monitoring.superset_assets import AssetError, assets_of


def read(folder: Path) -> dict[str, Any]:
    """Every YAML file below a folder: path to content.

    Raises:
        AssetError: there is no such folder, nothing in it, or a file is no YAML.
    """
    files = sorted(path for path in folder.rglob("*") if path.suffix in (".yaml", ".yml") and path.is_file()) if folder.is_dir() else []
    if not files:
        raise AssetError([f"{folder}: expected a folder with YAML files below datasets, charts and dashboards, as Superset exports them"])
    found, wrong = {}, []
    for path in files:
        try:
            found[str(path.relative_to(folder.parent))] = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            wrong.append(f"{path}: no YAML: {' '.join(str(error).split())}")
    if wrong:
        raise AssetError(wrong)
    return found


class ActionModule(ActionBase):
    """What is wrong with the files is said before a node is asked; the node needs no reader of YAML."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Read, look, and have the module go on."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        args = dict(self._task.args)
        given = args.get("src") or []
        folders = [given] if isinstance(given, str) else list(given)
        files: dict[str, Any] = {}
        try:
            for number, folder in enumerate(folders):
                files.update({f"{number}/{path}": content for path, content in read(Path(str(folder)).expanduser()).items()})
            assets_of(files)
        except AssetError as error:
            said = f"On the controller: {error}. Nothing was sent to a node. Correct the files, or export them again."
            result.update(failed=True, msg=said)
            return result
        args.update(src=folders, files=files)
        result.update(self._execute_module(module_name="phasegate.aistack.superset_assets", module_args=args, task_vars=task_vars))
        return result
