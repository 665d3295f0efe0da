# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Artefacts on a node: a staged release packed for others, one laid down instead of built, and what a build here would depend on."""

from __future__ import annotations

import gzip
import os
import platform
import stat
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ansible_collections.phasegate.aistack.plugins.module_utils.core import proc
from ansible_collections.phasegate.aistack.plugins.module_utils.release import lock_file, tree
from ansible_collections.phasegate.aistack.plugins.module_utils.release.artefact_key import digest
from ansible_collections.phasegate.aistack.plugins.module_utils.release.build import Recipe
from ansible_collections.phasegate.aistack.plugins.module_utils.release.store import (
    FILES,
    MANIFEST,
    Layout,
    Manifest,
    ReleaseError,
    read_manifest,
)

ASK_TIMEOUT = 20.0
"""Seconds that a tool may take to tell its version."""

INTERPRETER = (
    "import os, sys; print(sys.implementation.cache_tag, '%d.%d' % sys.version_info[:2], "
    "os.path.realpath(getattr(sys, '_base_executable', '') or sys.executable))"
)
LEVEL = 1
"""Of gzip: a third of the size for a second of one core per 60 MB; higher levels take several times as long for a tenth less."""


class ArtefactRefused(ReleaseError):
    """An artefact is not what it should be. The controller drops it and has the release built."""

    def __init__(self, message: str) -> None:
        super().__init__(message, artefact_refused=True)


@dataclass
class Artefact:
    """An artefact as the controller brought it; ``built_on`` is the host that packed it."""

    path: Path
    sha256: str
    key: str
    built_on: str = ""


def interpreter(recipe: Recipe) -> dict[str, str]:
    """Return C(tag), C(minor) and C(path) of the Python that environments are made with; empty where it does not run."""
    finished = proc.run([recipe.python, "-I", "-S", "-c", INTERPRETER], "/", recipe.base_env(), ASK_TIMEOUT)
    words = finished.output.split(None, 2)
    if finished.rc != 0 or finished.timed_out or len(words) != 3:
        return {}
    return dict(zip(("tag", "minor", "path"), (word.strip() for word in words)))


def built(recipe: Recipe) -> dict[str, object]:
    """Return what a build on this node depends on besides its recipe: C(platform), C(tools), and the hash of C(variables).

    Empty where there is nothing to keep (files that are taken as they are; an image, which Docker keeps) or the interpreter does not run.
    """
    if recipe.kind == "image" or (recipe.kind == "static" and not recipe.build and not recipe.lock):
        return {}
    python = interpreter(recipe) if recipe.kind == "python" else {}
    if recipe.kind == "python" and not python:
        return {}
    tools = {}
    names = ["uv"] if recipe.kind == "python" else ["node", *_other(recipe.lock)] if recipe.npm else []
    for name in dict.fromkeys([*names, *(name for one in recipe.includes for name in ["node", *_other(one.lock)])]):
        finished = proc.run([name, "--version"], "/", recipe.base_env(), ASK_TIMEOUT)
        if finished.rc == 0 and not finished.timed_out:
            tools[name] = finished.output.strip()
    system = {"os": _os(), "machine": platform.machine(), "libc": " ".join(platform.libc_ver()), "interpreter": python}
    return {"platform": system, "tools": tools, "variables": digest(dict(variables(recipe)))}


def _other(lock: str | None) -> list[str]:
    """What reads the lock file beside Node.js' own npm."""
    tool = lock_file.tool(lock or lock_file.NPM[0], "node")
    return [tool] if tool != "npm" else []


def variables(recipe: Recipe) -> Mapping[str, str]:
    """Return what of the component's environment its build sees; installing sees nothing of it."""
    return recipe.build_env if recipe.build or recipe.includes else {}


def _os() -> str:
    """Return C(ID) and C(VERSION_ID) of /etc/os-release, or what the kernel says where there is no such file."""
    try:
        lines = Path("/etc/os-release").read_text(encoding="utf-8").splitlines()
    except OSError:
        return f"{platform.system()} {platform.release()}"
    said = dict(line.partition("=")[::2] for line in lines)
    return f"{said.get('ID', '')} {said.get('VERSION_ID', said.get('VERSION_CODENAME', ''))}".replace('"', "")


def pack(layout: Layout, tag: str, target: Path) -> dict[str, object]:
    """Pack a staged release into a new file that only its folder's owner may read; the same tree gives the same bytes.

    Returns C(sha256), C(size), the C(manifest), and C(bound): whether some file names the root that it was built below, so that it
    is laid down only below the same one.

    Raises:
        ReleaseError: it is not staged, or holds what an artefact cannot.
    """
    manifest = layout.manifest(tag)
    if manifest is None:
        raise ReleaseError(f"The release {tag} of {layout.component} cannot be packed: it is not staged in {layout.releases}.")
    try:
        bound = _pack(layout.top(tag)[0], os.fsencode(f"{layout.root}{os.sep}"), target)
        return {"sha256": tree.sha256(target), "size": target.stat().st_size, "manifest": manifest, "bound": bound}
    except (OSError, ValueError) as error:
        raise ReleaseError(f"The release {tag} of {layout.component} could not be packed to {target}: {error}.") from error


def _pack(source: Path, needle: bytes, target: Path) -> bool:
    """Write the archive; tell whether ``needle`` is in some file. Raises ValueError for what is no file, folder or link."""
    bound = False
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with (
        open(handle, "wb") as raw,
        gzip.GzipFile("", "wb", LEVEL, raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as bundle,
    ):
        owner = target.parent.stat().st_uid
        if os.geteuid() == 0 and owner != 0:
            os.fchown(handle, owner, -1)  # the controller's user fetches it without becoming another
        for path in sorted(source.rglob("*")):
            status = path.lstat()
            entry = tarfile.TarInfo(path.relative_to(source).as_posix())
            entry.mtime, entry.mode = int(status.st_mtime), stat.S_IMODE(status.st_mode)
            if stat.S_ISLNK(status.st_mode):
                entry.type, entry.linkname = tarfile.SYMTYPE, os.readlink(path)
                bundle.addfile(entry)
            elif stat.S_ISDIR(status.st_mode):
                entry.type = tarfile.DIRTYPE
                bundle.addfile(entry)
            elif stat.S_ISREG(status.st_mode):
                entry.size = status.st_size
                with path.open("rb") as stream:
                    bound = _names(stream, needle) or bound
                    bundle.addfile(entry, stream)
            else:
                raise ValueError(f"{path} is no file, folder or link")
    return bound


def _names(stream: BinaryIO, needle: bytes) -> bool:
    """Tell whether a file holds some bytes; the stream is at its start afterwards."""
    before, found = b"", False
    for block in iter(lambda: stream.read(1 << 20), b""):
        found = needle in before + block
        if found:
            break
        before = block[-len(needle) :]
    stream.seek(0)
    return found


def lay_down(artefact: Artefact, recipe: Recipe, commit: str | None, work: Path) -> Manifest:
    """Unpack an artefact into an empty folder and prove that it is the release that was built; returns the manifest it had.

    Raises:
        ArtefactRefused: it is damaged, is another release, or does not run on this node.
    """

    def refused(why: str) -> ArtefactRefused:
        return ArtefactRefused(f"The artefact of {recipe.component} {recipe.tag} that {artefact.built_on} built is refused: {why}.")

    got = tree.sha256(artefact.path)
    if got != artefact.sha256:
        raise refused(f"it arrived damaged, expected SHA-256 {artefact.sha256}, got {got}")
    os.chmod(work, 0o700)  # a build may have put secrets into it
    goals = [found["path"]] if recipe.kind == "python" and (found := interpreter(recipe)) else []
    try:
        tree.unpack(artefact.path, work, goals)
    except ValueError as error:
        raise refused(str(error)) from error
    own = work / recipe.kept
    try:
        manifest = read_manifest(own)
    except (OSError, ValueError) as error:
        raise refused(f"its {MANIFEST} cannot be read ({error})") from error
    expected = {"tag": recipe.tag, "commit": commit, "component": recipe.component, "kind": recipe.kind}
    named = {name: manifest.get(name) for name in expected}
    if named != expected:
        raise refused(f"it should be {expected}, its {MANIFEST} says {named}")
    hashes = tree.tree_hash(tree.file_hashes(work, recipe.kept))
    if hashes != manifest.get("tree_hash"):
        raise refused(f"its files are not those of its {MANIFEST}: expected the tree hash {manifest.get('tree_hash')}, got {hashes}")
    if recipe.kind == "python" and not os.access(own / ".venv" / "bin" / "python", os.X_OK):
        raise refused("the interpreter of its environment is not on this node")
    for name in (MANIFEST, FILES):  # this node writes its own
        (own / name).unlink(missing_ok=True)
    return manifest
