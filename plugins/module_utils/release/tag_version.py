# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The version that a release's tag names, in the order of semantic versions. No I/O."""

from __future__ import annotations

import re
from typing import NamedTuple

from ansible_collections.phasegate.aistack.plugins.module_utils.core.names import tag_of

SUCH = "a tag such as v4.1.0 or backend/v4.1.0"
"""What has a version, in words."""

_VERSION = re.compile(
    r"(?:[A-Za-z][A-Za-z0-9_]*-)*"  # what it is the version of: backend-v1.2.0
    r"(?:v(?P<alone>\d+)|v?(?P<major>\d+)\.(?P<minor>\d+)(?:\.(?P<patch>\d+))?)"
    r"(?:-(?P<before>[0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?"
)


class Version(NamedTuple):
    """A version that compares as semantic versions do: v4.10.0 comes behind v4.9.0, v5.0.0-rc.1 before v5.0.0; of builds it knows nothing.

    Attributes:
        major: the first number; ``minor`` and ``patch`` are 0 where the tag leaves them out.
        final: 0 for what comes before a release, 1 for a release.
        before: what stands behind the dash, part by part: numbers by their value, before words.
    """

    major: int
    minor: int = 0
    patch: int = 0
    final: int = 1
    before: tuple[tuple[int, int, str], ...] = ()


def version_of(tag: str) -> Version | None:
    """The version of a tag, or of the name that its release has on nodes; None where it names none. A folder before it is not read."""
    found = _VERSION.fullmatch(tag_of(tag).rpartition("/")[2])
    if found is None:
        return None
    before = tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in (found["before"] or "").split(".") if part)
    final = 0 if before else 1
    return Version(int(found["alone"] or found["major"]), int(found["minor"] or 0), int(found["patch"] or 0), final, before)
