# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The archive of a diagnosis: what every node gave, the page, and a list of it all with sizes and SHA-256, in one file for its owner."""

from __future__ import annotations

import datetime
import hashlib
import io
import re
import tarfile
from collections.abc import Mapping
from pathlib import Path

from ansible_collections.phasegate.aistack.plugins.module_utils.core import durable
from ansible_collections.phasegate.aistack.plugins.module_utils.core.masking import without_credentials

CONTENTS = "CONTENTS"
"""The list, a line each: SHA-256, bytes, name."""


def write(folder: str, stack: str, pages: Mapping[str, str], nodes: Mapping[str, Mapping[str, str]], at: datetime.datetime) -> Path:
    """Write the archive, mode 0600, and return where it is; half of one is never there under its name.

    Args:
        folder: is made where it is not there.
        pages: name to text, of the run as a whole.
        nodes: node to name to text, masked already.

    Raises:
        OSError: it cannot be written.
    """
    files = {name: text.encode("utf-8", "replace") for name, text in pages.items()}
    for node, texts in nodes.items():
        for name, text in texts.items():
            place = "/".join(_safe(part) for part in (node, *name.split("/")))
            files[place] = without_credentials(text).encode("utf-8", "replace")
    listed = "".join(f"{hashlib.sha256(content).hexdigest()}  {len(content)}  {name}\n" for name, content in sorted(files.items()))
    path = Path(folder).expanduser() / f"diagnosis-{_safe(stack)}-{at:%Y%m%dT%H%M%SZ}.tar.gz"
    path.parent.mkdir(parents=True, exist_ok=True)
    with durable.replacing(path, 0o600) as raw, tarfile.open(fileobj=raw, mode="w:gz") as archive:
        for name, content in {CONTENTS: listed.encode(), **files}.items():
            entry = tarfile.TarInfo(f"{path.name.removesuffix('.tar.gz')}/{name}")
            entry.size, entry.mode, entry.mtime = len(content), 0o600, int(at.timestamp())
            archive.addfile(entry, io.BytesIO(content))
    return path


def _safe(name: str) -> str:
    """A name that is one part of a path, whatever a node said."""
    return re.sub(r"[^A-Za-z0-9._@+-]", "_", name).lstrip(".") or "_"
