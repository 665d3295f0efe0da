# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What differs between two builds of the same: lists of files with their hashes, beside each other. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

OURS = frozenset({"release.json", "release.files.json"})
"""What staging itself writes: it has the time of the build."""
SHOWN = 10


def differences(first: Mapping[str, str], second: Mapping[str, str]) -> list[str]:
    """One line for each file that is not the same in both, sorted by name; empty where two builds gave the same.

    Args:
        first: path to what is there: a hash with the file's mode, or where a link leads.
        second: the same of the other build.
    """
    lines = []
    for name in sorted(({*first} | {*second}) - OURS):
        if name not in second:
            lines.append(f"only in the first: {name}")
        elif name not in first:
            lines.append(f"only in the second: {name}")
        elif first[name] != second[name]:
            lines.append(f"differs: {name}")
    return lines


def told(component: str, tag: str, before: str, lines: Sequence[str]) -> str:
    """For people: that two builds of the same gave something else."""
    shown = "; ".join(lines[:SHOWN]) + (f"; and {len(lines) - SHOWN} more" if len(lines) > SHOWN else "")
    return f"{component} {tag} was built again from the same as on {before}, and {len(lines)} files are not the same: {shown}"
