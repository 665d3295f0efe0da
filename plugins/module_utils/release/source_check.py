# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the controller can know of a release before any node is touched: its tag, its folder, its lock file. Runs on the controller."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.release import image, lock_file, uv_text
from ansible_collections.phasegate.aistack.plugins.module_utils.release.mirror import File, Source, SourceError, Unreachable


def refuse(
    source: Source, component: str, ref: str, commit: str, lock: str, kind: str, migrates: bool = False,
    made: image.Source | None = None,
) -> list[str]:
    """Look into the tag's tree; returns warnings. *lock* is empty where the component names none; *migrates*: it needs Alembic.
    *made*: how its image is.

    Raises:
        SourceError: the release cannot be built from what is there.
    """
    wrong = lock_file.problem(lock, kind, source.path) if lock else ""
    if wrong:
        raise SourceError(f"{component}: lock: {wrong}.")
    files = source.files(ref, commit)
    if kind == "image":
        _refuse_image(source, component, ref, commit, made or image.Source(), files)
        return []
    named = posixpath.normpath(lock or lock_file.NPM[0]) if lock or kind == "node" else ""
    if named and kind != "static" and named not in files:
        folder = posixpath.dirname(named)
        beside = {posixpath.basename(name) for name in files if posixpath.dirname(name) == folder}
        where = f" in {source.path}" if source.path else ""
        raise SourceError(
            f"The release {ref} of {component} has no lock file {named}{where} ({source.shown}). {lock_file.missing(named, kind, beside)}."
        )
    if kind == "python" and lock:
        if lock_file.tool(lock, kind) == "uv":
            _refuse_unfit(source, component, ref, posixpath.normpath(lock), files)
        _refuse_unproven(source, component, ref, posixpath.normpath(lock), files, migrates)
    if kind != "python" and named in files and lock_file.tool(named, kind) == "yarn":
        wrong = lock_file.yarn_problem(source.text(files[named].blob))
        if wrong:
            raise SourceError(f"The lock file {named} of {component} {ref} ({source.shown}) {wrong}, and make a new tag.")
    if kind == "python" and not lock:
        return _unlocked(source, component, ref, files)
    return []


def _refuse_unproven(source: Source, component: str, ref: str, lock: str, files: Mapping[str, File], migrates: bool) -> None:
    """Raise SourceError for a list that would fail late: packages without hashes when it is installed, no Alembic at the migration."""
    text = source.text(files[lock].blob)
    tool = lock_file.tool(lock, "python")
    bare = lock_file.without_hashes(text) if tool == "list" else []
    beside = {posixpath.basename(name) for name in files if posixpath.dirname(name) == posixpath.dirname(lock)}
    shown = f"The lock file {lock}{f' in {source.path}' if source.path else ''} of {component} {ref} ({source.shown})"
    if bare:
        raise SourceError(f"{shown} {lock_file.unproven(lock, bare, beside)}.")
    if migrates and (lock_file.lacks(text, "alembic") if tool == "list" else not uv_text.has(text, "alembic")):
        made = {"uv": "uv add alembic", "pylock": f"uv lock && uv export --frozen --no-dev --format pylock.toml -o {lock}"}
        raise SourceError(
            f"{shown} does not name alembic, which runs the migrations of {component} and is taken from its release. Add alembic to what"
            f" the application needs, and lock it again under a new tag ({made.get(tool) or lock_file.way(lock, beside)}); or, if it has no"
            f" migrations, take aistack_components.{component}.migrations out."
        )


def _refuse_unfit(source: Source, component: str, ref: str, lock: str, files: Mapping[str, File]) -> None:
    """Raise SourceError where the project asks for packages that its uv.lock has not heard of: uv would refuse it on every node."""
    if "pyproject.toml" not in files:
        return
    wanted = uv_text.unlocked(source.text(files["pyproject.toml"].blob), source.text(files[lock].blob))
    if wanted:
        raise SourceError(
            f"The lock file {lock} of {component} {ref} ({source.shown}) does not fit its pyproject.toml, which asks for "
            f"{', '.join(wanted)}: the lock was made before. Lock it (uv lock), commit uv.lock, and make a new tag."
        )


def requires_python(source: Source, ref: str, commit: str, lock: str) -> str:
    """The Pythons that a release says it runs on: its project's word, else its lock's; empty where neither says it.

    Raises:
        SourceError: the tree cannot be had.
    """
    files = source.files(ref, commit)
    named = posixpath.normpath(lock) if lock else ""
    asked = [name for name in ("pyproject.toml", named) if name in files and name.endswith((".toml", lock_file.UV))]
    return next((said for said in (uv_text.requires_python(source.text(files[name].blob)) for name in asked) if said), "")


def _refuse_image(source: Source, component: str, ref: str, commit: str, made: image.Source, files: Iterable[str]) -> None:
    """Raise SourceError where no image can be made, or none that can be told from others."""
    try:
        image.reference(component, ref, commit)
        made.pinned(ref)
    except image.ImageNameError as error:
        raise SourceError(f"The tag {ref} of {component} ({source.shown}) is no release of an image: {error}.") from error
    if made.builds and posixpath.normpath(made.dockerfile) not in files:
        where = f" in {source.path}" if source.path else ""
        raise SourceError(
            f"The release {ref} of {component} has no {made.dockerfile}{where} ({source.shown}), which its image is built by. Commit one "
            f"under a new tag, or correct aistack_components.{component}.image.build."
        )


def _unlocked(source: Source, component: str, ref: str, files: Mapping[str, File]) -> list[str]:
    """Warn where packages are wanted and nothing would be installed."""
    for name, file in sorted(files.items()):
        if "/" not in name and lock_file.wanted_by(name, source.text(file.blob) if lock_file.may_list(name) else ""):
            way = lock_file.EXPORTS[name] if name in lock_file.EXPORTS else lock_file.COMPILE.format(source=name)
            told = f"{component} names no lock, so that {ref} gets no packages, although its {name} lists some"
            return [f"{told}. If it needs them, commit a list with hashes ({way}) and name it: lock: {lock_file.MADE}"]
    return []


@dataclass
class Survey:
    """What is known of the sources of several components.

    Attributes:
        refused: why a tag cannot be a release, whatever is on the nodes.
        doubts: by component, why it could not be staged now; that is no matter where it is staged already.
        warnings: what is to be said in any case.
    """

    refused: list[str] = field(default_factory=list)
    doubts: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def survey(components: Mapping[str, Mapping[str, Any]], releases: Mapping[str, tuple[str, str]], cached: bool) -> Survey:
    """Look at the sources of *components* (as in ``aistack_components``), all of which have an application.

    Args:
        components: the description of each.
        releases: for each application its repository, and the tag that is asked for.
        cached: take a tag that was fetched once as it was then, and ask the repository for others only.
    """
    found = Survey()
    commits: dict[tuple[str, str], str] = {}
    remembered: set[tuple[str, str]] = set()  # tags that were taken as they were fetched once
    for name, described in components.items():
        repo, ref = releases[described["application"]]
        try:
            source = Source(
                repo, str(described.get("path") or ""), lock=str(described.get("lock") or ""), context=described.get("context") or (),
                beside=[str(one["path"]) for one in described.get("includes") or ()],
            )
            if cached and (repo, ref) not in commits and source.known(ref):
                remembered.add((repo, ref))
                commits[repo, ref] = source.known(ref)
            commit = commits.get((repo, ref)) or source.resolve(ref)
        except (Unreachable, OSError) as away:  # OSError: the folder of the mirrors, which nobody needs where all is staged
            found.doubts[name] = str(away)
            continue
        except SourceError as error:
            found.refused += [str(error)] if str(error) not in found.refused else []
            found.doubts[name] = str(error)
            continue
        doubt, warnings = _seen(source, name, described, ref, commit)
        if doubt and (repo, ref) in remembered:  # the tag may be another one by now: nothing is refused for what is no more
            try:
                commit = source.resolve(ref)
                remembered.discard((repo, ref))
                doubt, warnings = _seen(source, name, described, ref, commit)
            except SourceError as error:
                doubt = str(error)
        commits[repo, ref] = commit
        found.warnings += warnings
        if doubt:
            found.doubts[name] = doubt
    return found


def _seen(source: Source, name: str, described: Mapping[str, object], ref: str, commit: str) -> tuple[str, list[str]]:
    """What stands against a component's tree at a commit, empty where nothing does; and warnings."""
    warnings: list[str] = []
    try:
        lock, kind = str(described.get("lock") or ""), str(described.get("kind") or "python")
        made = image.source_of(described.get("image"))
        warnings += refuse(source, name, ref, commit, lock, kind, described.get("migrations") is not None, made)
        includes: Any = described.get("includes") or ()
        for one in includes:
            part = source.part(str(one["path"]))
            warnings += refuse(part, f"{name} (includes)", ref, commit, str(one.get("lock") or lock_file.NPM[0]), "node")
        changed = source.uncommitted()
        if changed:
            warnings.append(f"{source.shown} has changes that are not committed, and that {ref} therefore lacks: {changed}")
        source.refuse_dirty(ref)
    except (SourceError, OSError) as error:
        return str(error), warnings
    return "", warnings


def open_doubts(
    doubts: Mapping[str, str], hosts: Mapping[str, Iterable[str]], there: Mapping[str, Mapping[str, Any]], release: str = ""
) -> list[str]:
    """The doubts that the nodes do not settle, each once.

    Args:
        doubts: by component, as in :class:`Survey`.
        hosts: by component, the hosts that run it.
        there: by host, what the module release_info said of these components.
        release: the tag that is asked for; empty: any that is live will do.
    """
    def has(host: str, name: str) -> bool:
        said = (there[host].get("components") or {}).get(name) or {}
        return release in (said.get("releases") or {}) if release else bool(said.get("live"))

    left = [text for name, text in doubts.items() if not all(has(host, name) for host in hosts[name] if host in there)]
    return list(dict.fromkeys(left))
