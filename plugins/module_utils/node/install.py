# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Installing the command C(aistack) on a node, and registering a stack for it."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.phasegate.aistack.plugins.module_utils.core.durable import replace_link, replacing, write_file
from ansible_collections.phasegate.aistack.plugins.module_utils.core.places import REGISTRY
from ansible_collections.phasegate.aistack.plugins.module_utils.core.proc import PIPE, Stream, finish
from ansible_collections.phasegate.aistack.plugins.module_utils.node import zipapp
from ansible_collections.phasegate.aistack.plugins.module_utils.node.registry import Refused, entry_of, register

_COMPILE = (
    "import sys; sys.path.insert(0, sys.argv[1]);"
    "from ansible_collections.phasegate.aistack.plugins.module_utils.node import zipapp;"
    "sys.stdout.buffer.write(zipapp.program(sys.argv[1], sys.argv[2], sys.argv[3]))"
)
_MAGIC = "import importlib.util; print(importlib.util.MAGIC_NUMBER.hex())"
_PATIENCE_S = 120.0
UNIT = "aistack-reconcile@.service"
"""At each boot, an instance for each stack: where the power was lost in a switch, links, units and edge agree again."""
_UNIT = """\
# Written by phasegate.aistack.node_command. At each boot, for the stack %i: what starts by itself, what the edge sends to and what is
# live are one slot again, where the power was lost in the middle of a switch.
[Unit]
Description=Agreement of slots, edge and links of the stack %i
After=haproxy.service
# what it needs may only be booting: tried again for a quarter of an hour
StartLimitIntervalSec=1h
StartLimitBurst=60

[Service]
Type=oneshot
ExecStart={command}
Restart=on-failure
RestartSec=15
TimeoutStartSec=10min

[Install]
WantedBy=multi-user.target
"""


class InstallError(Exception):
    """Nothing was installed; the message says why and what to do."""


@dataclass(frozen=True)
class Wanted:
    """What is to be on the node.

    Attributes:
        name, root, state_dir: the stack.
        command, registry, python: where it is installed and registered, and what runs it.
        source: SHA-256 of the sources.
        archive: the packed sources; empty where they were not brought.
        units: where systemd reads units; None, or not there: this node has none that start at boot.
    """

    name: str
    root: str
    state_dir: str
    command: Path
    registry: Path
    python: str
    source: str
    archive: str = ""
    units: Path | None = None


def ensure(wanted: Wanted, check: bool = False) -> dict[str, object]:
    """Install and register what is missing.

    Returns:
        ``changed``; ``needed``: the sources have to be brought; ``command``, ``registered``, ``source``, ``diff``. Nothing is written
        where the sources are needed and were not brought, and with *check*.

    Raises:
        InstallError, OSError: see there.
    """
    place = wanted.registry / f"{wanted.name}.json"
    entry = entry_of(wanted.name, wanted.root, wanted.state_dir)
    try:
        unregistered, before, after = register(wanted.registry, entry, check=True)
    except Refused as refused:
        raise InstallError(str(refused)) from refused
    stamp = {"source": wanted.source, "magic": _magic(wanted.python), "python": wanted.python}
    boot = _at_boot(wanted)
    needed = zipapp.stamp_of(wanted.command) != stamp or wanted.command.stat().st_mode & 0o777 != 0o755
    if not check and (wanted.archive or not needed):
        if needed:
            _install(wanted)
        register(wanted.registry, entry)
        for path, content in boot.items():
            if isinstance(content, str):
                write_file(path, content, 0o644)
            else:
                path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
                replace_link(path, content)
    return {
        "changed": needed or unregistered or bool(boot),
        "needed": needed,
        "command": str(wanted.command),
        "registered": str(place),
        "source": wanted.source,
        "diff": {"before": before, "after": after, "before_header": str(place), "after_header": str(place)},
    }


def _at_boot(wanted: Wanted) -> dict[Path, str | Path]:
    """What is missing of the unit that this stack runs at boot: a file's text, or where a link leads, by its path.

    The link is what ``systemctl enable`` makes; systemd reads both at the boot that they are for, and needs not be told now.
    """
    if wanted.units is None or not wanted.units.is_dir():
        return {}
    unit = wanted.units / UNIT
    words = [str(wanted.command), *(["--registry", str(wanted.registry)] if wanted.registry != Path(REGISTRY) else [])]
    text = _UNIT.replace("{command}", f"{shlex.join(words)} --stack %i reconcile")
    link = wanted.units / "multi-user.target.wants" / UNIT.replace("@", f"@{wanted.name}")
    missing: dict[Path, str | Path] = {}
    if not unit.is_file() or unit.read_text(encoding="utf-8") != text:
        missing[unit] = text
    if not link.is_symlink() or os.readlink(link) != str(unit):
        missing[link] = unit
    return missing


def _ask(python: str, *arguments: str, stdout: Stream = PIPE) -> str:
    """What the node's Python writes; empty where that goes to a file."""
    try:
        done = finish([python, "-I", "-c", *arguments], _PATIENCE_S, stdout=stdout)
    except OSError as error:
        raise InstallError(f"{python} could not be run: {error}. Name the system's Python, 3.9 or newer (python)") from error
    if done.timed_out:
        raise InstallError(f"{python} did not end within {_PATIENCE_S:g} s. Name the system's Python, 3.9 or newer (python)")
    if done.rc:
        said = done.stderr.strip().splitlines()
        raise InstallError(f"{python} ended with exit status {done.rc}: {said[-1] if said else 'no message'}. Nothing was installed")
    return done.stdout


def _magic(python: str) -> str:
    """Which compiled code the node's Python reads."""
    if os.path.realpath(python) == os.path.realpath(sys.executable):
        return zipapp.magic()
    return _ask(python, _MAGIC).strip()


def _install(wanted: Wanted) -> None:
    """Write the command, whole or not at all."""
    with tempfile.TemporaryFile() as made:
        _ask(wanted.python, _COMPILE, wanted.archive, wanted.source, wanted.python, stdout=made)
        wanted.command.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        made.seek(0)
        with replacing(wanted.command, 0o755) as out:
            shutil.copyfileobj(made, out)
