# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a pyproject.toml says that decides whether a release can be built and run, read by lines. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterator

NODES = {"Debian 12": (3, 11), "Debian 13": (3, 13)}
"""The systems that nodes have, and their own Python."""

_SECTION = re.compile(r"^\[+([^\]\n]+)\]+[ \t]*(?:#.*)?$", re.MULTILINE)
_DEVELOPMENT = re.compile(r"dependency-groups\Z|tool\.poetry\.group\.\w+\.dependencies\Z|tool\.(?:poetry|pdm)\.dev-dependencies\Z")
_CLAUSE = re.compile(r"(\^|~=|~|>=|<=|==|!=|>|<)?\s*v?(\d+)(?:\.(\d+))?(?:\.(?:\d+|\*))?\s*\Z")


def _sections(text: str) -> Iterator[tuple[str, str]]:
    """Names of tables and what is written in them."""
    marks = list(_SECTION.finditer(text))
    for mark, after in zip(marks, [*marks[1:], None]):
        yield mark[1].replace(" ", "").replace('"', ""), text[mark.end() : after.start() if after else len(text)]


def only_for_development(text: str, package: str) -> bool:
    """Whether a pyproject.toml names *package* in a group for development, and nowhere else."""
    named = re.compile(rf"""(?:^\s*|["']){re.escape(package)}(?=\s*=|[\s\["'<>=~!;])""", re.MULTILINE | re.IGNORECASE)
    groups: set[bool] = set()
    for name, body in _sections(text):
        if name == "tool.uv":  # its older list of what development needs stands among settings
            body = (re.search(r"^dev-dependencies\s*=\s*\[(?:[^\[\]]|\[[^\]]*\])*\]", body, re.MULTILINE) or [""])[0]
        elif name != "project" and not name.endswith("dependencies") and name != "dependency-groups":
            continue
        if named.search(body):
            groups.add(bool(_DEVELOPMENT.match(name)) or name == "tool.uv")
    return groups == {True}


def requires_python(text: str) -> str:
    """The Pythons that a pyproject.toml allows, as it says so; empty where it does not."""
    for name, body in _sections(text):
        key = {"project": "requires-python", "tool.poetry.dependencies": "python"}.get(name)
        said = re.search(rf"""^{key}\s*=\s*["']([^"'\n]+)["']""", body, re.MULTILINE) if key else None
        if said:
            return said[1].strip()
    return ""


def unfit(spec: str) -> list[str]:
    """Which systems' own Python a specification leaves out, such as C(Debian 12 (3.11)); what cannot be read leaves out none."""
    clauses = [_CLAUSE.match(part.strip()) for part in re.split(r",", spec)]
    if not all(clauses):
        return []
    return [f"{name} ({major}.{minor})" for name, (major, minor) in NODES.items()
            if not all(_allows(clause[1] or "==", (int(clause[2]), int(clause[3] or 0)), clause[3] is None, (major, minor))
                       for clause in clauses if clause)]


def _allows(operator: str, wanted: tuple[int, int], major_alone: bool, there: tuple[int, int]) -> bool:
    if major_alone and operator in ("==", "~=", "^", "~"):
        return there[0] == wanted[0]
    return {
        "^": there >= wanted and there[0] == wanted[0], "~=": there >= wanted and there[0] == wanted[0], "~": there == wanted,
        ">=": there >= wanted, ">": there >= wanted, "<=": there <= wanted, "<": there < wanted, "==": there == wanted, "!=": True,
    }[operator]
