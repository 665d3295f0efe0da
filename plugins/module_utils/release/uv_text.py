# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What uv.lock, and the list that uv makes of it, say. Both are written by uv, so that they are read by lines. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_REGISTRY = re.compile(r'^source = \{ registry = "([^"]+)" \}$', re.MULTILINE)
_ARCHIVE = re.compile(r"\.(?:whl|zip|tar\.\w+|tgz)\Z")
_REQUIRES = re.compile(r"""^requires-python\s*=\s*["']([^"'\n]+)["']""", re.MULTILINE)
_NAME = re.compile(r"""^\[project\][^\[]*?^name\s*=\s*["']([^"'\n]+)["']""", re.MULTILINE)
_DEPENDENCIES = re.compile(r"""^\[project\](?:(?!^\[)[\s\S])*?^dependencies\s*=\s*\[((?:[^\]"']|"[^"]*"|'[^']*')*)\]""", re.MULTILINE)
_UNFIT = re.compile(r"needs to be updated|No solution found|not found in the cache|network was disabled|Network connectivity is disabled")
_NOT_BUILT = re.compile(r"Failed to build|build-system\.requires|Call to `|build backend")
_NO_BACKEND = re.compile(r"no trusted hash was provided for: `(?P<name>[^`]+)`")
_BUILT = re.compile(r"Failed to build `(?P<name>[A-Za-z0-9._-]+)")


@dataclass(frozen=True)
class Listed:
    """A list that was made of a lock file: the text of what is fetched, and the folders of the repository that are packages."""

    packages: str
    folders: tuple[str, ...]

    @property
    def empty(self) -> bool:
        """Whether nothing is fetched."""
        return not any(line and not line.startswith("#") for line in self.packages.splitlines())


def split(text: str) -> Listed:
    """Part a list into what is fetched, with its hashes, and the folders in it. A folder's marker is dropped: uv knows what it is for."""
    kept, folders = [], []
    for line in re.sub(r"[ \t]*\\\r?\n\s*", " ", text).splitlines():
        place = re.sub(r"^-e\s+", "", line.split(" ; ")[0].strip())
        if re.match(r"\.{1,2}(?:/|\Z)", place) and not _ARCHIVE.search(place.split(" ")[0]):
            folders.append(place)
        elif line.strip():
            kept.append(line)
    return Listed("".join(f"{line}\n" for line in kept), tuple(folders))


def registries(text: str) -> list[str]:
    """Where the packages of a uv.lock come from, most of them first."""
    found = _REGISTRY.findall(text)
    return sorted(set(found), key=lambda one: (-found.count(one), one))


def named_in(text: str, addresses: Iterable[str]) -> list[str]:
    """Those of *addresses* that a pyproject.toml names as an index of its own."""
    return [address for address in addresses if address.rstrip("/") in text]


def has(text: str, package: str) -> bool:
    """Whether a uv.lock or pylock.toml has a package of that name, which is written in its canonical form there."""
    return bool(re.search(rf'^name = "{re.escape(package)}"$', text, re.MULTILINE))


def requires_python(text: str) -> str:
    """The Pythons that a uv.lock, pylock.toml or pyproject.toml is for, as it says so; empty where it does not."""
    found = _REQUIRES.search(text)
    return found[1].strip() if found else ""


def project_name(text: str) -> str:
    """The name that a pyproject.toml gives its project; empty where it is none."""
    found = _NAME.search(text)
    return re.sub(r"[-_.]+", "-", found[1]).lower() if found else ""


def unlocked(project: str, lock: str) -> list[str]:
    """The packages that a pyproject.toml asks for and that its uv.lock does not know of; uv itself sees more, on the node.

    Empty as well where the project is none of that lock.
    """
    name = project_name(project)
    blocks = [block for block in lock.split("[[package]]") if re.search(rf'^name = "{re.escape(name)}"$', block, re.MULTILINE)]
    own = [block for block in blocks if re.search(r"^source = \{ (?:virtual|editable|directory) = ", block, re.MULTILINE)]
    asked = _DEPENDENCIES.search(project)
    if not name or not own or not asked:
        return []
    known = set(re.findall(r'\{ name = "([^"]+)"', own[0]))
    texts = [double or single for double, single in re.findall(r"""#[^\n]*|"([^"]*)"|'([^']*)'""", asked[1])]
    words = [found[0] for found in (re.match(r"\s*[A-Za-z0-9][A-Za-z0-9._-]*", text) for text in texts) if found]
    return sorted({re.sub(r"[-_.]+", "-", word.strip()).lower() for word in words} - known)


def not_judged(output: str) -> bool:
    """Whether uv could not tell if a lock file fits, because some project says what it needs only when it is built."""
    return bool(_NOT_BUILT.search(output)) and not _UNFIT.search(re.sub(r"(?s)Failed to build.*", "", output))


def unfit(output: str) -> bool:
    """Whether uv said that a lock file would be another one if it were made now."""
    return bool(_UNFIT.search(output))


def unproven_backend(output: str) -> tuple[str, str]:
    """The package of the repository, and what its build needs without a hash; empty where uv said something else."""
    needs = _NO_BACKEND.search(output)
    what = _BUILT.search(output)
    return (what["name"] if what else "", needs["name"]) if needs else ("", "")
