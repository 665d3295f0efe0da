# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is in a staged tree, written down by a program of the operator's (CycloneDX for Python or Node.js)."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.core import proc
from ansible_collections.phasegate.aistack.plugins.module_utils.release import sandbox

LIMIT = 32 * 1024 * 1024
"""Characters of an SBOM; more than that is none."""


def written(tree: Path, params: Mapping[str, Any]) -> dict[str, Any]:
    """Run the command in a tree as the user that builds; returns C(sbom), a file beside the artefact, or C(no_sbom), why there is none."""
    command, beside, timeout = params["sbom"], params["artefact"], float(params["build_timeout"])
    python = str(tree / ".venv" / "bin" / "python")
    argv = [word.replace("{python}", python) for word in command]
    env = {"PATH": sandbox.PATH, "LANG": "C.UTF-8", "HOME": "/nonexistent"}
    try:
        done = proc.finish(argv, timeout, env=env, cwd=tree, user=params["build_user"])
    except (OSError, LookupError) as error:
        return {"no_sbom": f"{argv[0]} cannot be run: {getattr(error, 'strerror', None) or error}"}
    if done.rc != 0 or done.timed_out:
        return {"no_sbom": f"{argv[0]} ended with {done.rc}: {proc.tail(done.stderr, 3)}"}
    try:
        if len(done.stdout) > LIMIT or json.loads(done.stdout).get("bomFormat") != "CycloneDX":
            return {"no_sbom": f"{argv[0]} wrote no SBOM of CycloneDX"}
    except (ValueError, AttributeError):
        return {"no_sbom": f"{argv[0]} wrote no JSON: {done.stdout[:100]!r}"}
    path = Path(f"{beside}.sbom")
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with open(handle, "w", encoding="utf-8") as out:
        owner = path.parent.stat().st_uid
        if os.geteuid() == 0 and owner != 0:
            os.fchown(handle, owner, -1)  # the controller's user fetches it
        out.write(done.stdout)
    return {"sbom": str(path)}
