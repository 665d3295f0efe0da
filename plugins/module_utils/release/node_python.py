# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The interpreter that a release gets on this node, the one that it was locked for, and what to say where these do not go together."""

from __future__ import annotations

import os
import posixpath
import re
from pathlib import Path

from ansible_collections.phasegate.aistack.plugins.module_utils.release.lock_file import COMPILE, MADE, tool

_HEADER = re.compile(r"^#.*\buv .*(?:--python-version|--python|-p)[ =](?P<spec>\d+\.\d+)", re.MULTILINE)
_REQUIRES = re.compile(r"^requires-python\s*=\s*['\"](?P<spec>[^'\"]+)['\"]", re.MULTILINE)
_CLAUSE = re.compile(r"^\s*(?P<how>[<>=!~]=?=?)\s*(?P<major>\d+)(?:\.(?P<minor>\d+))?")
NO_INTERPRETER = re.compile(r"No interpreter found|Failed to (inspect|query) Python interpreter|interpreter not found|Querying Python at")
_WHEELS = re.compile(r"with the following Python (?:ABI|implementation) tags?: (?P<tags>`?\w+`?(?:, `?\w+`?)*)")
PLACES = ("/usr/bin", "/usr/local/bin", "/opt/python")


def version(tree: Path) -> str:
    """Major and minor version of the tree's virtual environment, as C(3.13); empty where it has none."""
    try:
        text = (tree / ".venv" / "pyvenv.cfg").read_text(encoding="utf-8", errors="replace")
    except OSError:  # no environment was made: nothing says which Python it has
        return ""
    found = re.search(r"^version(?:_info)?\s*=\s*(\d+\.\d+)", text, re.MULTILINE)
    return found[1] if found else ""


def fits(spec: str, there: str) -> bool:
    """Whether a version such as C(3.13) is one of *spec*, such as C(>=3.12,<3.14); what is not understood fits."""
    if re.fullmatch(r"\d+\.\d+", spec):
        spec = f"=={spec}"
    try:
        major, minor = (int(part) for part in there.split("."))
    except ValueError:  # no version that could deny it
        return True
    for clause in spec.split(","):
        found = _CLAUSE.match(clause)
        if not found:
            continue
        wanted = (int(found["major"]), int(found["minor"] or 0))
        here = (major, minor)
        how = found["how"]
        exact = here == wanted if found["minor"] else major == wanted[0]
        # of a version with a third part only the first two are looked at, so that == there is what begins alike
        holds = {
            ">=": here >= wanted, ">": here >= wanted, "<=": here <= wanted,
            "<": here < wanted or (clause.count(".") > 1 and here == wanted),
            "==": exact, "===": exact, "~=": here >= wanted and major == wanted[0], "!=": not (exact and clause.strip().endswith(".*")),
        }.get(how, True)
        if not holds:
            return False
    return True


def locked_for(tree: Path, lock: str) -> tuple[str, str]:
    """What says for which Python a lock file was made, and which that is; both empty where nothing does."""
    folder = posixpath.dirname(lock)
    beside = [posixpath.join(folder, name) for name in ("uv.lock", "pyproject.toml")]
    for name, pattern in ((lock, _HEADER), *((name, _REQUIRES) for name in beside)):
        try:
            with (tree / name).open(encoding="utf-8", errors="replace") as stream:
                text = stream.read(20_000)
        except OSError:  # the project has none of these
            continue
        found = pattern.search(text)
        if found:
            return name, found["spec"]
    return "", ""


def wheels_for(output: str) -> str:
    """The interpreters that the wheels are for, as C(cp313, cp314), where uv says that none is for this one; empty where it does not."""
    found = _WHEELS.search(output)
    return found["tags"].replace("`", "") if found else ""


def cause(tree: Path, lock: str, asked: str, wheels: str = "") -> tuple[str, str]:
    """Whether a lock file was made for another Python than the node's, in a sentence, and what to do then.

    The sentence is empty where something says that it was made for this one, and *wheels*, which says what they are for, do not deny it.
    *asked* is the interpreter by its name in the inventory.
    """
    there = version(tree)
    who, spec = locked_for(tree, lock)
    here = f"this node's {asked} is Python {there}" if there else f"this node has {asked}"
    sources = [name for name in ("pyproject.toml", "requirements.in") if (tree / posixpath.dirname(lock) / name).is_file()]
    source = posixpath.join(posixpath.dirname(lock), sources[0] if sources else "requirements.in")
    made = COMPILE.format(source=source).replace(MADE, lock)
    made = made.replace("--universal", f"--universal --python-version {there}") if there else made
    again = (
        f", and delete the old lock first, because uv pip compile keeps the hashes of a file that is there (rm {lock} && {made})"
        if tool(lock, "python") == "list" else " (have requires-python allow it, and lock the project again with its own tool: uv lock)"
    )
    way = (
        f"lock it for {there or 'that one'}{again}; "
        "or have the node use the interpreter that it was locked for (release_python)"
    )
    alone = f"the wheels that it names are for {wheels} alone" if wheels else ""
    if not spec:
        return f"it was locked for another Python: {here}, and {alone or 'nothing says what it was made for'}", way
    if there and fits(spec, there):
        denied = f"{who} says {spec}, which this node's {asked}, Python {there}, fits, but {alone.replace(' it ', ' the lock file ')}"
        return denied if wheels else "", f"lock a version of the package that has a wheel for this one, or {way}" if wheels else way
    return f"it was locked for another Python: {who} says {spec}, and {here}{f'; {alone}' if wheels else ''}", way


def installed() -> list[str]:
    """The interpreters that are found on this node, by their paths."""
    found: list[str] = []
    for place in PLACES:
        for folder in (place, *(str(path / "bin") for path in sorted(Path(place).glob("*")) if place == "/opt/python")):
            try:
                names = sorted(os.listdir(folder))
            except OSError:  # a node need not have that folder
                continue
            found += [f"{folder}/{name}" for name in names if re.fullmatch(r"python3\.\d+", name)]
    return found


def none_such(asked: str, said: str) -> str:
    """What to say where the interpreter that the inventory asks for is not on the node; *said* is what uv said of it."""
    there = ", ".join(installed()) or "none"
    return (
        f"release_python asks for the interpreter {asked}, which is not on this node (uv said: {' '.join(said.split())[:300]}). "
        f"Found: {there}. The release is not to blame: nothing was built, nothing is marked. Nothing is downloaded for it either. Bring "
        "one to the node: a package of its distribution, or an archive of it whose checksum you know, below /opt/python, owned by root and "
        "readable by all, because builds, tests and the service run it as users of their own; then name it by its path, such as "
        f"release_python: /opt/python/3.14/bin/python3.14. Or lock the release for one that is there ({MADE})."
    )
