# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A release from a uv.lock, its own or that of its workspace.

uv makes a list with hashes of it, for the component's project alone, and the list is installed as any other is. C(uv sync) is not
used: it fetches from the addresses in the lock, where a node may have a package source of its own; it has no way to build what the
release itself consists of and nothing else; and it owns the environment, which has to be one that can be moved. Folders of the
repository that are packages are built as the build user; what builds them is proven by a hash of the lock as well.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ansible_collections.phasegate.aistack.plugins.module_utils.core import proc
from ansible_collections.phasegate.aistack.plugins.module_utils.core.durable import write_file
from ansible_collections.phasegate.aistack.plugins.module_utils.release import node_python, uv_text
from ansible_collections.phasegate.aistack.plugins.module_utils.release.store import ReleaseError

if TYPE_CHECKING:
    from ansible_collections.phasegate.aistack.plugins.module_utils.release.build import Recipe

PROVEN_BUILDS = ("--require-build-hashes", "--preview-features", "build-dependency-hashes")
"""uv 0.13 calls it experimental; the version is pinned by the role toolchain."""

_ANYWHERE = """
import json, pathlib, sysconfig
for found in pathlib.Path(sysconfig.get_paths()["purelib"]).glob("*.dist-info/direct_url.json"):
    if "dir_info" in json.loads(found.read_text()):
        gone = ("direct_url.json", "uv_cache.json")
        lines = found.with_name("RECORD").read_text().splitlines(keepends=True)
        found.with_name("RECORD").write_text("".join(line for line in lines if line.split(",")[0].rpartition("/")[2] not in gone))
        for name in gone:
            if found.with_name(name).exists():
                found.with_name(name).unlink()
"""
"""For an environment's Python: what was installed from a folder forgets where that was, so that the release is the same on every node."""

_OURS = ("UV_CACHE_DIR", "UV_PYTHON_DOWNLOADS", "UV_NO_PROGRESS", "UV_LINK_MODE")


@dataclass
class Plan:
    """What is to be installed: the file with the list, options of where it is from, the repository's own packages, what may build them.

    ``folders`` are relative to ``root``, the folder of the lock file.
    """

    root: Path
    packages: Path
    empty: bool
    indexes: Sequence[str]
    folders: Sequence[str]
    constraints: Path


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:  # what is not there says nothing; uv itself says what it misses
        return ""


def plan(recipe: Recipe, code: Path, env: Mapping[str, str], beside: Path) -> Plan:
    """See that the lock file fits its project, and make the list of what is installed. Nothing is installed, nothing is fetched.

    The lists lie in ``beside``, a folder that the build user may read and not write.

    Raises:
        ReleaseError: it does not fit, or uv cannot read it.
    """
    lock = Path(os.path.normpath(code / str(recipe.lock)))
    root, text = lock.parent, _text(lock)
    sources = uv_text.registries(text)
    _check(recipe, root, env, sources)
    listed = uv_text.split(_export(recipe, code, env, ["--no-dev", "--no-editable"]))
    own = uv_text.named_in(_text(root / "pyproject.toml") + _text(code / "pyproject.toml"), sources)
    indexes = [word for address in own for word in ("--index", address)]
    if indexes:  # each file is proven by its hash, so that it is no matter which of them it comes from
        indexes += ["--index-strategy", "unsafe-best-match"]
    proven = listed.packages
    if listed.folders:
        everything = ["--all-packages", "--all-groups", "--all-extras", "--no-emit-local"]
        with contextlib.suppress(ReleaseError):  # groups or extras that exclude each other: then what is installed has to have it
            proven = uv_text.split(_export(recipe, code, env, everything)).packages
    packages, constraints = beside / "packages.txt", beside / "constraints.txt"
    for path, lines in ((packages, listed.packages), (constraints, proven)):
        write_file(path, lines, 0o644, lasting=False)
    return Plan(root, packages, listed.empty, indexes, listed.folders, constraints)


def _check(recipe: Recipe, root: Path, env: Mapping[str, str], sources: Sequence[str]) -> None:
    """Raise ReleaseError where the lock file is not what uv would make of the projects that are there.

    Only what is in the tree is compared. The package sources of the node are no part of it: uv takes a lock from elsewhere for an old one.
    """
    bare = {name: value for name, value in env.items() if name in _OURS or not re.match(r"(?i)(uv|pip)_", name)}
    remote = [address for address in sources if "://" in address]
    argv = ["uv", "lock", "--check", "--offline", "--python", recipe.python]
    argv += ["--default-index", remote[0]] if remote else []
    argv += [word for address in remote[1:] for word in ("--index", address)]
    argv += [word for address in sources if "://" not in address for word in ("--find-links", address)]
    finished = recipe.run(argv, root, bare)
    said = finished.output
    if finished.rc in (0, 126, 127) or finished.timed_out or node_python.NO_INTERPRETER.search(said) or uv_text.not_judged(said):
        return  # what uv cannot tell without building a project, or cannot do at all, shows in the next steps
    said = proc.tail(recipe.hide(finished.output), 12)
    shown = f"The lock file {recipe.lock} of {recipe.component} {recipe.tag}"
    if uv_text.unfit(finished.output):
        raise ReleaseError(
            f"{shown} does not fit the pyproject.toml of its project or of a member of its workspace: uv would lock something else. "
            "Nothing was installed, and nothing is marked. Lock it (uv lock), commit uv.lock, and give the release a new tag. uv said:"
            f"\n{said}",
            rc=finished.rc, cmd=" ".join(argv), step="dependencies",
        )
    raise ReleaseError(
        f"{shown} cannot be used by the uv of this node. Nothing was installed, and nothing is marked. uv said:\n{said}",
        rc=finished.rc, cmd=" ".join(argv), step="dependencies",
    )


def _export(recipe: Recipe, code: Path, env: Mapping[str, str], options: Sequence[str]) -> str:
    argv = ["uv", "export", "--quiet", "--frozen", "--offline", "--format", "requirements.txt", "--no-header", "--no-annotate"]
    argv += ["--python", recipe.python, *options]
    finished = recipe.run(argv, code, env)
    if finished.rc in (126, 127):
        return ""  # there is no uv, which making the environment says best
    if finished.rc != 0 or finished.timed_out:
        raise ReleaseError(
            f"uv made no list of packages of the lock file {recipe.lock} of {recipe.component} {recipe.tag}. Nothing was installed. "
            f"Expected the component's folder to be a project of it, with a pyproject.toml. uv said:\n"
            f"{proc.tail(recipe.hide(finished.output), 12)}",
            rc=finished.rc, cmd=" ".join(argv), step="dependencies",
        )
    return finished.output


def install_folders(recipe: Recipe, made: Plan, python: Path, env: Mapping[str, str]) -> None:
    """Build and install the packages that the repository itself holds, without what they depend on, which is there already.

    Raises:
        ReleaseError: what builds one of them is proven by no hash, and nobody allowed that; or it does not build.
    """
    if not made.folders:
        return
    names = {folder: uv_text.project_name(_text(made.root / folder / "pyproject.toml")) or folder for folder in made.folders}
    allowed = [folder for folder in made.folders if recipe.sdists is True or (recipe.sdists and names[folder] in recipe.sdists)]
    proven = [folder for folder in made.folders if folder not in allowed]
    for folders, options in ((proven, PROVEN_BUILDS), (allowed, ())):
        if not folders:
            continue
        argv = ["uv", "pip", "install", "--no-deps", "--python", str(python), "--build-constraints", str(made.constraints)]
        argv += [*made.indexes, *options, *folders]
        finished = recipe.run(argv, made.root, env)
        if finished.rc == 0 and not finished.timed_out:
            continue
        said = proc.tail(recipe.hide(finished.output), 15)
        package, needs = uv_text.unproven_backend(finished.output)
        if needs:
            raise ReleaseError(
                f"{package} of the repository, which {recipe.component} {recipe.tag} is made of, is built by {needs}, and {recipe.lock} "
                f"has no hash of that: it would run as it is served today. Nothing was staged. Have {needs} in the lock (in a dependency "
                "group), or build with uv_build, or leave it unbuilt (tool.uv.package = false), and release a new tag; or allow it: "
                f"aistack_components.{recipe.component}.sdists: [{package}].",
                rc=finished.rc, cmd=" ".join(argv), step="dependencies",
            )
        raise ReleaseError(
            f"{', '.join(names[folder] for folder in folders)}, which {recipe.component} {recipe.tag} is made of, could not be built from "
            f"the repository. Nothing was staged. Correct it and give the release a new tag. uv said:\n{said}",
            rc=finished.rc, cmd=" ".join(argv), step="dependencies",
        )
    finished = recipe.run([str(python), "-I", "-B", "-c", _ANYWHERE], made.root, env)
    if finished.rc != 0 or finished.timed_out:
        raise ReleaseError(
            f"What {recipe.component} {recipe.tag} installed from the repository could not be made to fit another place. Nothing was "
            f"staged. Python said:\n{proc.tail(recipe.hide(finished.output), 8)}",
            rc=finished.rc, step="dependencies",
        )
