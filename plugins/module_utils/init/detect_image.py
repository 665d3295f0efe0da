# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Dockerfile that an application is built by, as far as it tells: no I/O, nothing is built."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from posixpath import basename, dirname

_FILE = re.compile(r"Dockerfile(?:\.[\w-]+)?\Z|[\w-]+\.Dockerfile\Z")
_EXPOSED = re.compile(r"(?mi)^[ \t]*EXPOSE[ \t]+(\d+)(?:/tcp)?\b")
_OTHER_USE = re.compile(r"dev|test|ci\b|base|build")
"""What a Dockerfile's name has that is not what production runs."""


@dataclass(frozen=True)
class Image:
    """A Dockerfile.

    Attributes:
        path: its folder in the repository, which is the context of the build.
        dockerfile: its name in there.
        port: the port that it says its process listens on; 0 where it says none.
    """

    path: str
    dockerfile: str
    port: int = 0


def image_of(files: Mapping[str, str], folder: str) -> Image | None:
    """The Dockerfile of the application whose project is in *folder*: beside it, else the uppermost; None where there is none."""
    found = [path for path in files if _FILE.fullmatch(basename(path))]

    def rank(path: str) -> tuple[bool, bool, bool, int, str]:
        name = basename(path)
        return dirname(path) != folder, bool(_OTHER_USE.search(name.lower())), name != "Dockerfile", path.count("/"), path

    if not found:
        return None
    best = min(found, key=rank)
    exposed = _EXPOSED.findall(files[best])
    return Image(dirname(best), basename(best), int(exposed[-1]) if exposed else 0)
