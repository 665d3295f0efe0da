# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What of a node goes into the archive of a diagnosis: texts by name, masked, and within a number of bytes."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.context import CannotJudge, Context, NotAsExpected
from ansible_collections.phasegate.aistack.plugins.module_utils.clients.systemd import Systemd
from ansible_collections.phasegate.aistack.plugins.module_utils.core.masking import MASK, is_secret
from ansible_collections.phasegate.aistack.plugins.module_utils.core.places import description_file
from ansible_collections.phasegate.aistack.plugins.module_utils.diagnosis.components import SINCE_S, Part
from ansible_collections.phasegate.aistack.plugins.module_utils.diagnosis.evidence import Asked, Gathered
from ansible_collections.phasegate.aistack.plugins.module_utils.environment.file import secrets_beside

LOG_LINES = 5000
"""Of each part."""
RECORDS = 500
"""Of the journal, the newest."""
_ASSIGNED = re.compile(r"""\b(?!Environment=)([A-Za-z_]\w*)=("[^"\n]*"|'[^'\n]*'|[^\s"']+)""")
_WORDED = re.compile(r"(\b(?:insecure-password|password|stats\s+auth)\s+)\S+")
_CUT = "[the beginning is left out: it would be more than the bytes that were asked for]\n"
_SAID = (
    ("versions.txt", ("uname", "-a")),
    ("versions.txt", ("cat", "/etc/os-release")),
    ("versions.txt", ("systemctl", "--version")),
    ("versions.txt", ("psql", "--version")),
    ("versions.txt", ("redis-server", "--version")),
    ("versions.txt", ("haproxy", "-v")),
    ("versions.txt", ("docker", "--version")),
    ("sockets.txt", ("ss", "-tlnp")),
    ("sockets.txt", ("ss", "-s")),
    ("disks.txt", ("df", "-h")),
    ("disks.txt", ("df", "-i")),
    ("memory.txt", ("free", "-m")),
    ("clock.txt", ("timedatectl",)),
    ("units.txt", ("systemctl", "--no-pager", "--all", "--state=failed,activating,auto-restart", "list-units")),
    ("kernel.log", ("journalctl", "-q", "--no-pager", "-k", "-p", "warning", "-n200")),
)
"""File to a program whose output is put into it. One that is not there is left out."""


def texts(asked: Asked, found: Gathered, limit: int, systemd: Systemd | None = None) -> dict[str, str]:
    """Name to text; all of them together are at most *limit* bytes in UTF-8. Of what is too long the end stays."""
    mask = found.secrets.mask
    files: dict[str, str] = {"evidence.json": json.dumps({"problems": found.problems, **found.evidence}, indent=1, default=str)}
    files["journal.jsonl"] = "".join(f"{json.dumps(record, sort_keys=True)}\n" for record in found.records[-RECORDS:])
    for name, argv in _SAID:
        said = _said(argv)
        if said:
            files[name] = f"{files.get(name, '')}$ {' '.join(argv)}\n{said.rstrip()}\n\n"
    for part in found.parts:
        files.update(_configuration(asked, part))
    for part in found.parts:
        lines = part.said(systemd or Systemd(), 24 * SINCE_S, LOG_LINES)
        if lines:
            files[f"{part.component}/{part.slot if part.slot != '-' else part.component}.log"] = "\n".join(lines) + "\n"
    return bounded({name: mask(text) for name, text in files.items()}, limit)


def _said(argv: Sequence[str]) -> str:
    try:
        done = Context(timeout=5.0).execute(argv)
    except (CannotJudge, NotAsExpected):
        return ""
    return done.stdout or done.stderr


def _configuration(asked: Asked, part: Part) -> dict[str, str]:
    """How a component is driven, its unit, and its environment: of what is secret the name alone."""
    found: dict[str, str] = {}
    declared = secrets_beside(part.env_file) if part.env_file else frozenset()
    if part.environment:
        found[f"{part.component}/{part.slot}.env"] = "".join(
            f"{name}={MASK if is_secret(name, declared) else value}\n" for name, value in sorted(part.environment.items())
        )
    with contextlib.suppress(OSError):  # it has no slots
        found[f"{part.component}/component.json"] = description_file(asked.state_dir, part.component).read_text(encoding="utf-8")
    for unit in part.units[:1]:
        found[f"{part.component}/{Path(unit).name}"] = without_settings(_said(("systemctl", "cat", "--", unit)))
    if part.role == "edge":
        found[f"{part.component}/haproxy.cfg"] = without_settings(_said(("cat", "/etc/haproxy/haproxy.cfg")))
    return {name: text for name, text in found.items() if text}


def without_settings(text: str) -> str:
    """The text of a configuration without the values that its own words call secret, which no environment may know."""
    text = _ASSIGNED.sub(lambda found: f"{found[1]}={MASK}" if is_secret(found[1]) else found[0], text)
    return _WORDED.sub(rf"\g<1>{MASK}", text)


def bounded(files: dict[str, str], limit: int) -> dict[str, str]:
    """The same within *limit* bytes: what is small stays whole, the rest is cut to the same size."""
    sizes = {name: len(text.encode("utf-8", "replace")) for name, text in files.items()}
    if sum(sizes.values()) <= limit:
        return files
    share = _share(sizes.values(), limit)
    return {name: text if sizes[name] <= share else _end(text, share) for name, text in files.items()}


def _share(sizes: Iterable[int], limit: int) -> int:
    """The largest size to which files may be cut so that all of them together are within *limit* bytes."""
    left, ordered = limit, sorted(sizes)
    for index, size in enumerate(ordered):
        share = left // (len(ordered) - index)
        if size > share:
            return share
        left -= size
    return left


def _end(text: str, size: int) -> str:
    room = size - len(_CUT)
    if room <= 0:
        return ""
    kept = text.encode("utf-8", "replace")[-room:].decode("utf-8", "ignore")
    return _CUT + kept
