# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A release from a lock file of Node.js: npm, pnpm and Yarn 1, each as frozen as it goes, for the component or its whole workspace."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible_collections.phasegate.aistack.plugins.module_utils.core import proc
from ansible_collections.phasegate.aistack.plugins.module_utils.release import lock_file, yarn_text
from ansible_collections.phasegate.aistack.plugins.module_utils.release.store import ReleaseError

if TYPE_CHECKING:
    from ansible_collections.phasegate.aistack.plugins.module_utils.release.build import Recipe

COMMANDS = {
    "npm": ("npm", "ci", "--no-audit", "--no-fund"),
    "pnpm": ("pnpm", "install", "--frozen-lockfile"),
    "yarn": ("yarn", "install", "--frozen-lockfile", "--non-interactive", "--no-progress", "--prefer-offline"),
}
AGAIN = {"npm": lock_file.NPM_MAKE, "pnpm": "pnpm install --lockfile-only", "yarn": "yarn install"}
"""How the lock file is made, for people."""

_INTEGRITY = re.compile(
    r"wanted (?P<npm>\S+) but got (?P<npm_got>\S+?)\.?(?:\s|$)|Wanted \"(?P<pnpm>[^\"]+)\"\. Got \"(?P<pnpm_got>[^\"]+)\""
    r"|Integrity check failed for \"(?P<yarn>[^\"]+)\" \(.*?got \"(?P<yarn_got>[^\"]+)\""
)
_TAMPERED = re.compile(r"EINTEGRITY|ERR_PNPM_TARBALL_INTEGRITY|Integrity check failed for")
_UNFIT = re.compile(r"in sync\. Please update your lock file|ERR_PNPM_OUTDATED_LOCKFILE|lockfile needs to be updated")
_UNREAD = re.compile(r"ERR_PNPM_(?:LOCKFILE_BREAKING_CHANGE|NO_LOCKFILE|BROKEN_LOCKFILE)|Invalid value type|Unknown token")


def variables(tool: str, cache: Path) -> dict[str, str]:
    """What one of them is told by its environment: caches of the component's own, nothing linked into the tree, no other version of it."""
    found = {"npm_config_cache": str(cache / "npm"), "npm_config_update_notifier": "false", "npm_config_prefer_offline": "true"}
    if tool == "pnpm":
        found.update(npm_config_store_dir=str(cache / "pnpm"), npm_config_package_import_method="copy")
        found.update(npm_config_manage_package_manager_versions="false", npm_config_package_manager_strict="false")
        found.update(npm_config_fetch_retry_mintimeout="1000", npm_config_fetch_retry_maxtimeout="5000")
    elif tool == "yarn":
        found.update(YARN_CACHE_FOLDER=str(cache / "yarn"), YARN_IGNORE_PATH="1", SKIP_YARN_COREPACK_CHECK="1")
    return found


def install(recipe: Recipe, code: Path, lock: str, env: Mapping[str, str]) -> proc.Finished:
    """Install what the lock file names. The caller judges what is not said about lock files.

    Raises:
        ReleaseError: the lock file does not fit, cannot be read or proves nothing, or something else was downloaded.
    """
    tool, root = lock_file.tool(lock, recipe.kind), Path(os.path.normpath(code / lock)).parent
    argv = [*COMMANDS[tool], *([] if recipe.install_scripts else ["--ignore-scripts"])]
    if tool == "yarn":
        _refuse_yarn(recipe, lock, root)
    if tool == "pnpm" and code != root:
        argv += ["--filter", "{.}..."]  # the component's own package, and those of the workspace that it needs
    finished = recipe.run(argv, code if tool == "pnpm" else root, env)
    if finished.rc == 0 or finished.timed_out:
        return finished
    shown, output = f"The lock file {lock} of {recipe.component} {recipe.tag}", finished.output
    said = f"{tool} said:\n{proc.tail(recipe.hide(output), 15)}"
    if _TAMPERED.search(output):
        found = _INTEGRITY.search(output)
        named = [value for value in found.groups() if value] if found else ["what the lock file says", "something else"]
        wanted, got = (f"what the lock file says of {named[0]}", named[1]) if found and found["yarn"] else (named[0], named[1])
        raise ReleaseError(
            f"{shown} does not fit what was downloaded. Expected {wanted}, got {got}. Either the lock file was edited (make it again with "
            f"{AGAIN[tool]} and give the release a new tag), or the package source serves something else than what was locked. {said}",
            expected=wanted, got=got, rc=finished.rc, step="dependencies",
        )
    if _UNFIT.search(output):
        raise ReleaseError(
            f"{shown} does not fit package.json. Nothing was installed, and nothing is marked. Make it again ({AGAIN[tool]}), commit it, "
            f"and give the release a new tag. {said}",
            rc=finished.rc, step="dependencies",
        )
    if _UNREAD.search(output):
        raise ReleaseError(
            f"{shown} cannot be read by the {tool} of this node. Nothing was installed, and nothing is marked. Make it again with a "
            f"version of {tool} that writes what this one reads (pnpm 9 or newer, Yarn 1), commit it, and give the release a new "
            f"tag. {said}",
            rc=finished.rc, step="dependencies",
        )
    return finished


def _project(path: Path) -> dict[str, Any]:
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # Yarn itself says what is wrong with it
        return {}
    return said if isinstance(said, dict) else {}


def _refuse_yarn(recipe: Recipe, lock: str, root: Path) -> None:
    """Raise ReleaseError where a yarn.lock is one that Yarn 1 does not read, proves nothing, or does not fit."""
    text = (root / lock_file.YARN).read_text(encoding="utf-8", errors="replace")
    wrong = lock_file.yarn_problem(text)
    if not wrong:
        top = _project(root / "package.json")
        members = {path for pattern in yarn_text.globs(top) for path in root.glob(f"{pattern.strip('/')}/package.json")}
        asked = yarn_text.unlocked(text, [top, *(_project(path) for path in sorted(members) if "node_modules" not in path.parts)])
        if asked:
            wrong = f"does not fit package.json, which asks for {', '.join(asked[:5])}. Make it again ({AGAIN['yarn']}), commit it"
    if wrong:
        raise ReleaseError(
            f"The lock file {lock} of {recipe.component} {recipe.tag} {wrong}, and give the release a new tag. Nothing was installed, and "
            "nothing is marked.",
            step="dependencies",
        )
