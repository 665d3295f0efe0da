# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where the controller runs code of a release that it only looks at: no network, an empty home, nothing of the operator's.

Reading a release's migrations means to run its ``env.py`` and every script of it. On a node that is done by an unprivileged user
who may read that release anyway. On the controller it would be the operator, with keys and tokens; so there it is done by
bubblewrap: the code sees the system's programs, its own tree and its virtual environment, all read-only, and nobody else.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

from ansible_collections.phasegate.aistack.plugins.module_utils.core.proc import finish

SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
"""Programs and libraries, bound read-only where they are."""
SYSTEM_FILES = ("/etc/ld.so.cache", "/etc/alternatives", "/etc/localtime")
NOBODY = "65534"
TRIAL_S = 20.0


class NoSandbox(Exception):
    """This controller has none; the text says why and what would help."""


def command(readable: Iterable[Path], home: str = "/tmp") -> list[str]:
    """What has to stand in front of a command line, so that it sees *readable* and the system, and no more.

    Open file descriptors go through. The command ends with whoever started it.

    Raises:
        NoSandbox: bubblewrap is missing, or may not make namespaces here.
    """
    bwrap = shutil.which("bwrap")
    if not bwrap:
        raise NoSandbox(
            "bubblewrap (bwrap) is not on the controller: a release's own code is looked at in its sandbox only. Install the package"
            " bubblewrap, stage the release first so that its node plans, or accept it to run as you with migrate_plan_unsandboxed=true"
        )
    words = [bwrap, "--unshare-all", "--die-with-parent", "--new-session", "--uid", NOBODY, "--gid", NOBODY, "--hostname", "plan"]
    for path in SYSTEM:
        if os.path.islink(path):
            words += ["--symlink", os.readlink(path), path]
        elif os.path.isdir(path):
            words += ["--ro-bind", path, path]
    for path in SYSTEM_FILES:
        words += ["--ro-bind-try", path, path]
    words += ["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]
    for folder in sorted({str(Path(sys.base_prefix)), *(str(path) for path in readable)}):
        if not folder.startswith("/usr/") and folder != "/usr":
            words += ["--ro-bind", folder, folder]
    words += ["--setenv", "HOME", home, "--setenv", "TMPDIR", "/tmp"]
    _try(words)
    return words


def _try(words: list[str]) -> None:
    try:
        tried = finish([*words, "/usr/bin/env", "true"], TRIAL_S)
    except OSError as problem:
        raise NoSandbox(f"bubblewrap does not work on this controller: {problem}") from problem
    if tried.rc != 0:
        said = f"it did not end within {TRIAL_S:g} s" if tried.timed_out else " ".join(tried.stderr.split()) or f"exit status {tried.rc}"
        raise NoSandbox(
            f"bubblewrap does not work on this controller: {said}. Allow unprivileged user namespaces, stage the release first so that its"
            " node plans, or accept its code to run as you with migrate_plan_unsandboxed=true"
        )
