# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where the tasks of a run, each in a process of its own, leave what they are at, for the process that shows it: a file for each host."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from pathlib import Path
from urllib.parse import quote

from ansible import constants as C

from ansible_collections.phasegate.aistack.plugins.module_utils.core.durable import replacing

VARIABLE = "AISTACK_PROGRESS_BOARD"
"""Environment variable with the folder; set by the callback that shows it, for the processes of its run."""


def open_for_run() -> Path:
    """Make the folder, in the run's own temporary one, which Ansible removes. Raises OSError."""
    folder = tempfile.mkdtemp(prefix="board-", dir=C.DEFAULT_LOCAL_TMP)
    os.environ[VARIABLE] = folder
    return Path(folder)


def shown() -> bool:
    """Whether somebody shows what is put here."""
    return bool(os.environ.get(VARIABLE))


def put(host: str, text: str) -> None:
    """Leave one line for a host. Without a folder nothing is done, nor where there is no room: nothing depends on it."""
    if not shown():
        return
    path = Path(os.environ[VARIABLE], quote(host, safe=""))
    with contextlib.suppress(OSError), replacing(path, 0o600, lasting=False) as out:  # no folder any more, or no room
        out.write(json.dumps({"host": host, "text": text}).encode())


def take(host: str) -> None:
    """Remove a host's line."""
    if shown():
        with contextlib.suppress(OSError):  # there is none
            Path(os.environ[VARIABLE], quote(host, safe="")).unlink()


def read(folder: Path) -> dict[str, str]:
    """Return host to line, of all that is there now."""
    found: dict[str, str] = {}
    with contextlib.suppress(OSError):  # the run ends, and the folder with it
        for path in sorted(folder.iterdir()):
            if not path.name.startswith("."):
                with contextlib.suppress(OSError, ValueError, KeyError):  # taken away meanwhile
                    line = json.loads(path.read_text(encoding="utf-8"))
                    found[str(line["host"])] = str(line["text"])
    return found
