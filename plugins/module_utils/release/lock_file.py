# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which files can be the lock file of a component, what reads each, and how one is made of those that nothing here reads."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection

from ansible_collections.phasegate.aistack.plugins.module_utils.release import yarn_text
from ansible_collections.phasegate.aistack.plugins.module_utils.release.tree_names import leads_out

MADE = "requirements.lock"
"""How a lock file with hashes is called where nothing else is said."""

COMPILE = f"uv pip compile --universal --generate-hashes --no-header {{source}} -o {MADE}"
UV = "uv.lock"
UV_EXPORT = f"uv export --frozen --no-dev --no-emit-workspace --format requirements.txt -o {MADE}"
PYLOCK = re.compile(r"pylock(\.[^.]+)?\.toml")
EXPORTS = {
    "poetry.lock": f"poetry export --only main --format requirements.txt -o {MADE}",
    "pdm.lock": f"pdm export --prod --format requirements -o {MADE}",
    "Pipfile.lock": f"pipenv requirements --hash > {MADE}",
    "Pipfile": f"pipenv lock && pipenv requirements --hash > {MADE}",
    "pyproject.toml": COMPILE.format(source="pyproject.toml"),
    "setup.py": COMPILE.format(source="setup.py"),
    "setup.cfg": COMPILE.format(source="setup.cfg"),
}
"""What names dependencies, or locks them for one tool, and how that tool says it with hashes for all others, in the component's folder.
Messages, what init writes and the documentation have these same commands."""

NPM = ("package-lock.json", "npm-shrinkwrap.json")
PNPM = "pnpm-lock.yaml"
YARN = "yarn.lock"
NPM_MAKE = "npm install --package-lock-only"
NPM_WAY = f"make it with {NPM_MAKE}, beside package.json and without a node_modules of another tool there, and commit it"
_NAMED = ("pyproject.toml", "setup.py", "setup.cfg")
_LISTS = ("requirements.in", "requirements.txt")
_PINNED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\s*(\[[^\]]*\])?\s*==")
_WANTS = re.compile(r"^dependencies\s*=\s*\[\s*['\"]|^\[(tool\.poetry\.dependencies|packages)\]", re.MULTILINE)


def tool(lock: str, kind: str) -> str:
    """What reads a lock file of that name: uv, pylock, list (all three for Python), npm, pnpm or yarn."""
    name = posixpath.basename(lock)
    if kind == "python":
        return "uv" if name == UV else "pylock" if PYLOCK.fullmatch(name) else "list"
    return {PNPM: "pnpm", YARN: "yarn"}.get(name, "npm")


def of_workspace(lock: str) -> bool:
    """Whether a lock file of that name may lie above the component's folder, where it locks a whole workspace."""
    return posixpath.basename(lock) in (UV, *NPM, PNPM, YARN)


def problem(lock: str, kind: str, path: str = "") -> str:
    """Why *lock*, as the inventory names it, cannot be the lock file of a component of that kind and folder; empty where it can."""
    above = re.fullmatch(r"((?:\.\./)+)[^/]+", lock)
    if above and of_workspace(lock):
        deep = len([name for name in path.split("/") if name not in ("", ".")])
        if above[1].count("../") > deep:
            return (
                f"'{lock}' leads out of the repository: the component's path is {path or 'all of it'}. Expected the lock file of the "
                f"workspace, relative to that folder, such as {'../' * max(deep, 0)}{posixpath.basename(lock)}"
            )
    elif leads_out(lock):
        return (
            f"'{lock}' leads out of the component's folder, and only that folder becomes a part of a release: expected a file inside it, "
            "relative to the component's path. Put the lock file there, or set path to a folder that holds both"
        )
    name = posixpath.basename(lock)
    if kind == "python" and name in EXPORTS:
        told = f"'{lock}' is no list of packages with hashes; make one in the component's folder, commit it there, and name it as lock"
        return f"{told}: {EXPORTS[name]}"
    if kind == "python" and (name == YARN or name.endswith((".json", ".yaml", ".yml", ".lockb"))):
        return f"'{lock}' is no list of Python packages with hashes; expected one, such as {MADE}, or another kind: this one is python"
    if kind != "python" and name not in (*NPM, PNPM, YARN):
        return f"'{lock}' is none that npm, pnpm or Yarn reads; expected {NPM[0]}, {PNPM} or {YARN}. {NPM_WAY[0].upper()}{NPM_WAY[1:]}"
    return ""


def yarn_problem(text: str) -> str:
    """Why nothing can be proven by the text of a yarn.lock, up to the new tag that follows; empty where it can."""
    if yarn_text.of_berry(text):
        return (
            "is one of Yarn 2 or newer, which keeps a lock only of exactly its own version. Make one that is read here: "
            f"pnpm import ({PNPM}, from yarn.lock) or {NPM_MAKE} ({NPM[0]}); commit it, name it as lock"
        )
    bare = yarn_text.without_integrity(text)
    if bare:
        more = f" and {len(bare) - 1} more" if len(bare) > 1 else ""
        return f"has no integrity of {bare[0]}{more}, and only what a hash proves is installed. Make it again with Yarn 1.22, commit it"
    return ""


def without_hashes(text: str) -> list[str]:
    """The packages of a list that it has no hash of, as they stand there. What is no C(name==version), uv judges by itself."""
    lines = re.sub(r"\\\r?\n", " ", text).splitlines()
    return [line.split(";")[0].split(" #")[0].strip() for line in lines if _PINNED.match(line) and "--hash" not in line]


def lacks(text: str, package: str) -> bool:
    """Whether a list is without *package* for certain; one that reads other lists, or names files and addresses, may have it there."""
    lines = [line.strip() for line in re.sub(r"\\\r?\n", " ", text).splitlines()]
    wanted = [line for line in lines if line and not line.startswith(("#", "--hash", "--index-url", "--extra-index-url"))]
    if not all(_PINNED.match(line) for line in wanted):
        return False
    return package not in {re.sub(r"[-_.]+", "-", re.split(r"[\s\[=]", line, maxsplit=1)[0]).lower() for line in wanted}


def unproven(lock: str, packages: Collection[str], beside: Collection[str] = ()) -> str:
    """What is wrong with a list without hashes, and the command that makes one. *beside* are the names of the files in its folder."""
    first, more = next(iter(packages)), len(packages) - 1
    made = way(MADE, beside if lock.endswith(MADE) else [posixpath.basename(lock)])
    named = "" if lock.endswith(MADE) else f", and name it: lock: {posixpath.join(posixpath.dirname(lock), MADE)}"
    return (
        f"has no hash of {first}{f' and {more} more' if more else ''}, and only what a hash proves is installed: make the list with hashes"
        f" in its folder, and add it under a new tag ({made}){named}"
    )


def missing(lock: str, kind: str, beside: Collection[str] = ()) -> str:
    """What to do where the file *lock* is not there. *beside* are the names of the files in its folder."""
    if kind != "python":
        there = next((name for name in (*NPM, PNPM, YARN) if name in beside), "")
        if there:
            return f"Its folder has {there}: name it as lock in aistack_components"
        return NPM_WAY[0].upper() + NPM_WAY[1:]
    if tool(lock, kind) == "uv":
        return f"Expected the {UV} of the project or its workspace; correct lock in aistack_components, or make it (uv lock) and commit it"
    there = next((name for name in sorted(beside) if tool(name, kind) != "list"), "")
    return (
        f"Expected a list of packages with hashes, {lock} in the component's path; correct lock in aistack_components"
        f"{f' (lock: {there} is there)' if there else ''}, or make the file and add it under a new tag: {way(lock, beside)}"
    )


def way(lock: str, beside: Collection[str]) -> str:
    """The command that makes the list *lock* from what is *beside* it."""
    locks = [name for name in (UV, *EXPORTS) if name in beside and name not in _NAMED]
    listed = [name for name in (*_LISTS, *_NAMED, *sorted(beside, reverse=True)) if name in beside and (name in _NAMED or _listed(name))]
    sources = [*locks, *(name for name in listed if name != posixpath.basename(lock)), _LISTS[0]]
    ways = {UV: UV_EXPORT, **EXPORTS}
    return (ways.get(sources[0]) or COMPILE.format(source=sources[0])).replace(MADE, lock)


def may_list(name: str) -> bool:
    """Whether a file of that name may say which packages an application needs."""
    return name in ("pyproject.toml", "Pipfile") or _listed(name)


def _listed(name: str) -> bool:
    return name.startswith("requirements") and name.endswith((".txt", ".in"))


def wanted_by(name: str, text: str) -> bool:
    """Whether a file of that name with that text says that the application needs packages."""
    if name in ("pyproject.toml", "Pipfile"):
        return bool(_WANTS.search(text))
    return _listed(name) and any(line.strip() and not line.lstrip().startswith(("#", "-")) for line in text.splitlines())
