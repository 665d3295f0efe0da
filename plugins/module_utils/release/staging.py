# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Staging a release: all of it happens in a folder of its own, the last step is a rename.

That folder is ``<root>/<component>/staging/<tag>-<pid>-<token>``: beside the releases, so that a
half-staged one is never seen there, and without a leading dot, which build tools tend to skip.
"""

from __future__ import annotations

import errno
import grp
import hashlib
import json
import os
import platform
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional

from ansible_collections.phasegate.aistack.plugins.module_utils.core import proc, progress
from ansible_collections.phasegate.aistack.plugins.module_utils.core.durable import move, replace_link, write_file
from ansible_collections.phasegate.aistack.plugins.module_utils.core.names import tag_of
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.file import Journal, utc_now
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.lock import keep_lease
from ansible_collections.phasegate.aistack.plugins.module_utils.release import (
    artefact,
    build,
    heads as alembic_heads,
    image,
    image_store,
    includes,
    sandbox,
    tree,
)
from ansible_collections.phasegate.aistack.plugins.module_utils.release.build import Recipe, TestsFailed
from ansible_collections.phasegate.aistack.plugins.module_utils.release.image import ImageEntry
from ansible_collections.phasegate.aistack.plugins.module_utils.release.store import (
    FILES,
    MANIFEST,
    TREES,
    Layout,
    Manifest,
    Origin,
    ReleaseError,
    refuse_dirty,
    state_of,
)

STEPS = ("unpack", "dependencies", "build", "tests", "compile", "heads", "seal", "sync")
"""What staging a release from its source consists of."""

Heads = tuple[Optional[list[str]], str]
"""Heads of the migrations (None: not known) and why they are not known."""


@dataclass
class Request:
    """What is to be staged: an archive that is built here, or an artefact that is laid down.

    ``min_free_bytes`` has to stay free on top of what that takes.
    """

    layout: Layout
    state_dir: Path
    recipe: Recipe
    commit: str | None = None
    archive: Path | None = None
    archive_sha256: str | None = None
    artefact: artefact.Artefact | None = None
    min_free_bytes: int = 0
    previous: str | None = None
    allow_bad: bool = False
    env_schema_version: str | None = None
    group: str | None = None
    run: str = ""
    actor: str = ""
    timings: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        """Note the wall time of a step, in seconds."""
        began = time.monotonic()
        place = f"step {STEPS.index(step) + 1} of {len(STEPS)}, " if step in STEPS else ""
        try:
            with progress.step(f"{place}{step}"):
                yield
        finally:
            self.timings[step] = round(time.monotonic() - began, 2)


def present(request: Request) -> Manifest | None:
    """Return the manifest when the release is staged and as it was staged, None when it has to be staged.

    Raises:
        ReleaseError: marked bad; its tag was moved; it was changed on the node; it was built with other values than there are now.
    """
    layout, tag = request.layout, request.recipe.tag
    state = state_of(layout, Journal.of(request.state_dir), request.run)
    is_live = state.live is not None and state.live.release == tag
    if state.marks.get(tag) == "bad" and not request.allow_bad and not is_live:
        raise ReleaseError(
            f"The release {tag} of {layout.component} is marked bad on this node: {state.reasons.get(tag) or 'no reason given'}.\n"
            "  It is not chosen again. Correct it and give it a new tag, or ask for it by name with -e allow_bad=true."
        )
    manifest = layout.manifest(tag)
    if manifest is None:
        return None
    if request.commit and manifest.get("commit") != request.commit:
        raise ReleaseError(
            f"The tag {tag} was moved: {layout.component} was staged from commit {str(manifest.get('commit'))[:12]} "
            f"({manifest.get('built_at')}), the repository now has {request.commit[:12]} under it. Tags are immutable. "
            "Put the tag back where it was, and release the new commit under a new tag."
        )
    refuse_dirty(layout, tag)
    if image.images_of(manifest):
        image_store.refuse_changed(manifest)
    _refuse_built_in(request, manifest)
    return manifest


def _refuse_built_in(request: Request, manifest: Manifest) -> None:
    """Raise ReleaseError where the build used other values than there are now: a staged release never changes, so they would do nothing."""
    then, now = manifest.get("build_env"), request.recipe.built_in
    if then is None or now is None:  # staged by a version that did not note them, or not known in check mode: see not_compared
        return
    differ = [name for name, value in now.items() if then.get(name) != value]
    # one that became a secret, or an address with a password, is still given
    gone = [name for name, value in then.items() if value is not None and name not in now and name not in request.recipe.build_env]
    if not differ and not gone:
        return
    component, tag = request.layout.component, request.recipe.tag
    named = tag_of(tag)
    what = [
        *([f"with another value of {', '.join(differ)} (build_env) than its environment has now"] if differ else []),
        *([f"with {', '.join(gone)}, which its build_env does not name any more or has no value for"] if gone else []),
    ]
    back = [
        *(["put the value back in aistack_env"] if differ else []),
        *([f"name {', '.join(gone)} in aistack_components.{component}.build_env again"] if gone else []),
    ]
    raise ReleaseError(
        f"The release {tag} of {component} was built ({manifest.get('built_at')}) {' and '.join(what)}. What a build used is part of the "
        "release, and a staged release never changes: that would do nothing. What is live is untouched. Give the commit another tag in "
        f"the repository (git tag {named}-2 {named}^{{}}, then git push origin {named}-2 where the inventory names one on another machine) "
        f"and deploy it: ansible-playbook phasegate.aistack.deploy -e release={tag}-2. Or {' and '.join(back)}. "
        f"To go back to {tag} as it was built: ansible-playbook phasegate.aistack.rollback -e to={tag}.",
        built_in=sorted({*differ, *gone}),
    )


def not_compared(request: Request, manifest: Manifest) -> dict[str, list[str]]:
    """A warning, as a module returns it, where check mode could not tell whether a staged release was built with the values of today."""
    then = manifest.get("build_env")
    if then is None or request.recipe.built_in is not None:
        return {}
    component, tag = request.layout.component, request.recipe.tag
    names = f" ({', '.join(sorted(then))})" if then else ""
    told = (
        f"{component}: not known in check mode whether {tag} was built with the values that its build_env{names} has in the environment, "
        "which differs from the one on this node or is its first. Where a value differs, the run itself refuses before anything changes "
        f"there; the commit then wants another tag than {tag}."
    )
    return {"warnings": [told]}


def preflight(request: Request) -> None:
    """Refuse when the interpreter or Docker is not there, or the disk too full, with the figures."""
    build.refuse_interpreter(request.recipe)
    if request.recipe.kind == "image":
        image_store.preflight(request.recipe, request.commit)
    where = request.layout.releases
    while not where.exists():
        where = where.parent
    free = shutil.disk_usage(where).free
    packed = request.artefact.path if request.artefact else request.archive
    needed = request.min_free_bytes + 4 * (packed.stat().st_size if packed and packed.exists() else 0)
    if free >= needed:
        return
    staged = request.layout.staged()
    hint = f" Staged here: {', '.join(staged)}; a deployment that succeeds removes those that release_keep does not keep." if staged else ""
    raise ReleaseError(
        f"The release {request.recipe.tag} of {request.layout.component} was not staged: the disk of {where} is too full, "
        f"needed {needed} bytes ({needed / 2**20:.0f} MiB), free {free} bytes ({free / 2**20:.0f} MiB). "
        f"Nothing was touched. Free space, or lower release_min_free_bytes.{hint}",
        needed=needed,
        free=free,
    )


def _token(pid: int) -> str:
    return hashlib.sha256((proc.start_time(pid) or "").encode()).hexdigest()[:8]


def sweep(layout: Layout) -> list[str]:
    """Remove what dead processes left half staged or half removed; returns the names."""
    removed = []
    for folder in (layout.staging, layout.releases):
        try:
            names = sorted(entry.name for entry in os.scandir(folder))
        except OSError:  # nothing was staged here before
            continue
        for name in names:
            if folder == layout.releases and not name.startswith(".removing-"):
                continue
            if folder == layout.staging and _in_use(name):
                continue
            tree.remove(folder / name)
            removed.append(name)
    for stray in layout.strays():
        tree.remove(stray)
        removed.append(stray.name)
    return removed


def _in_use(name: str) -> bool:
    """Tell whether the process that made a staging folder still lives."""
    stem, _dot, kind = name.rpartition(".")
    front, _dash, token = (stem if kind in sandbox.BESIDE else name).rpartition("-")
    pid = front.rpartition("-")[2]
    return pid.isdigit() and proc.alive(int(pid), None) and _token(int(pid)) == token


def stage(request: Request) -> Manifest:
    """Stage a release from its archive or artefact; returns the manifest.

    The journal says C(stage) started and how it ended. Where the release's tests failed, it is
    marked bad as well.

    Raises:
        ReleaseError: with what to do; nothing is visible then.
    """
    layout, tag = request.layout, request.recipe.tag
    journal = Journal.of(request.state_dir)
    preflight(request)
    layout.releases.mkdir(mode=0o755, parents=True, exist_ok=True)
    layout.staging.mkdir(mode=0o755, exist_ok=True)
    swept = sweep(layout)
    origin = _origin(request)
    laid: dict[str, object] = {"how": "laid down from artefact", "artefact": origin} if origin is not None else {}
    detail = {"commit": request.commit, **({"swept": swept} if swept else {}), **laid}
    pid = os.getpid()
    work = layout.staging / f"{tag}-{pid}-{_token(pid)}"
    try:
        with (
            keep_lease(request.state_dir, request.run, f"stage {layout.component} {tag}"),
            journal.operation("stage", layout.component, tag, request.run, request.actor, detail) as operation,
        ):
            manifest = _make(request, work)
            operation.detail.update(tree_hash=manifest["tree_hash"], disk=manifest["disk"], timings=request.timings)
    except TestsFailed as failed:
        reason = "tests failed: " + "; ".join(failed.extra.get("failing") or [])[:500]
        journal.mark(layout.component, tag, "bad", reason, request.run, request.actor)
        raise
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        free = shutil.disk_usage(layout.releases).free
        raise ReleaseError(
            f"The disk became full while staging {layout.component} {tag} ({error.filename or layout.releases}): {free} bytes are free "
            "after cleaning up. Nothing of it was kept. Free space, for example with backup.yml, which removes old sets, and run it again."
        ) from error
    finally:
        tree.remove(work)
        tree.remove(work.with_name(f"{work.name}.output"))
    return manifest


def _make(request: Request, work: Path) -> Manifest:
    recipe = request.recipe
    tree.remove(work)
    work.mkdir(mode=0o700)  # who builds is not in it while root writes to it
    if request.artefact is not None:
        with request.timed("lay down"):
            had = artefact.lay_down(request.artefact, recipe, request.commit, work)
        tests = [{**test, "from": "artefact"} for test in had.get("tests") or []]
        heads = (had.get("alembic_heads") if had.get("alembic_asked") else None, str(had.get("alembic_why") or ""))
        recipe.built_in = recipe.built_in or dict(had.get("build_env") or {})  # the same, but on a way back, which asks for none
        request.env_schema_version = request.env_schema_version or had.get("env_schema_version")
        return _finish(request, work, had.get("lock_hash"), heads, tests)
    if recipe.kind == "image":
        return _make_image(request, work)
    with request.timed("unpack"):
        _unpack(request, work)
    named = recipe.lock or ("package-lock.json" if recipe.kind == "node" else "")
    lock = recipe.code(work) / named
    lock_hash = tree.sha256(lock) if named and lock.is_file() else None
    builder = recipe.builder()
    sandbox.lend(work, builder)
    with request.timed("dependencies"):
        if recipe.kind == "python":
            build.install_python(recipe, work)
        elif recipe.npm:
            build.install_node(recipe, work)
    with request.timed("build"):
        includes.make(recipe, work)
        build.run_build(recipe, work)
    with request.timed("tests"):
        tests = build.run_tests(recipe, work)
    with request.timed("compile"):
        if recipe.kind == "python":
            build.compile_python(recipe, work)
    with request.timed("heads"):
        heads = alembic_heads.of_tree(recipe, work)
    sandbox.take_back(work, builder)
    build.keep_output(recipe, work)
    return _finish(request, work, lock_hash, heads, tests)


def _make_image(request: Request, work: Path) -> Manifest:
    """The release is its image: the folder that it was built from goes, what stays says which one it is."""
    recipe, commit = request.recipe, request.commit
    source = image.source_of(recipe.image)
    if source.load:
        with request.timed("load"):
            images = image_store.load(recipe, commit, _brought(request))
    elif source.pull:
        with request.timed("pull"):
            images = image_store.pull(recipe, commit)
    else:
        with request.timed("unpack"):
            _unpack(request, work)
        with request.timed("build"):
            images = image_store.build(recipe, work, commit)
    tree.remove(work)
    work.mkdir(mode=0o700)
    with request.timed("heads"):
        heads = alembic_heads.of_image(recipe, images[recipe.component]["digest"])
    return _finish(request, work, None, heads, [], images)


def _finish(
    request: Request,
    work: Path,
    lock_hash: str | None,
    asked: Heads,
    tests: list[dict[str, object]],
    images: dict[str, ImageEntry] | None = None,
) -> Manifest:
    """Seal a tree that runs, write its manifest and give it its name; returns the manifest."""
    heads, why = asked
    recipe, layout = request.recipe, request.layout
    with request.timed("seal"):
        tree.seal(work, _gid(request))
        previous = _previous(request)
        if previous is not None:
            tree.link_identical(work, previous)
        hashes = tree.file_hashes(work, recipe.kept)
        total, new = tree.usage(work, previous)
    manifest: Manifest = {
        "tag": recipe.tag,
        "commit": request.commit,
        "component": layout.component,
        "kind": recipe.kind,
        "tree_hash": tree.tree_hash(hashes),
        "lock_hash": lock_hash,
        "alembic_head": heads[0] if heads and len(heads) == 1 else None,
        "alembic_heads": heads,
        "alembic_asked": heads is not None,
        "env_schema_version": request.env_schema_version,
        "build_env": dict(recipe.built_in or {}),
        "builder": {"host": platform.node(), "actor": request.actor, "run": request.run, "platform": platform.platform()},
        "built_at": utc_now(),
        "tests": tests,
        "disk": {"bytes": total, "new_bytes": new},
    }
    if why:
        manifest["alembic_why"] = why
    origin = _origin(request)
    if origin is not None:
        manifest["artefact"] = origin
    if images:
        manifest["images"] = images
    _write(work / recipe.kept / FILES, hashes)
    _write(work / recipe.kept / MANIFEST, manifest)
    with request.timed("sync"):
        tree.sync(work)
    target = layout.release(recipe.tag)
    if os.path.lexists(target):  # a folder without a manifest: nothing that this collection staged
        raise ReleaseError(
            f"{target} is in the way: it is no staged release ({MANIFEST} is missing or unreadable). Move it away and stage again."
        )
    if not recipe.kept:
        move(work, target)
        return manifest
    top = layout.releases / TREES / recipe.tag
    top.parent.mkdir(mode=0o755, exist_ok=True)
    move(work, top)
    replace_link(target, f"{TREES}/{recipe.tag}/{recipe.kept}")
    return manifest


def _origin(request: Request) -> Origin | None:
    """Say what a release was laid down from; None where it is built here."""
    if request.artefact is None:
        return None
    return {"key": request.artefact.key, "sha256": request.artefact.sha256, "built_on": request.artefact.built_on}


def _brought(request: Request) -> Path:
    """The archive that the controller brought, whole. Raises ReleaseError."""
    if request.archive is None:
        raise ReleaseError(
            f"No archive of {request.layout.component} {request.recipe.tag} was brought to this node: expected the path of one, "
            "got none. Run again with the repository in reach."
        )
    got = tree.sha256(request.archive)
    if got != request.archive_sha256:
        raise ReleaseError(
            f"The archive of {request.layout.component} {request.recipe.tag} arrived damaged on this node: "
            f"expected SHA-256 {request.archive_sha256}, got {got}. Run again."
        )
    return request.archive


def _unpack(request: Request, work: Path) -> None:
    try:
        tree.unpack(_brought(request), work)
    except ValueError as error:
        raise ReleaseError(
            f"The archive of {request.layout.component} {request.recipe.tag} is refused: {error}. "
            "Correct the repository and give the release a new tag."
        ) from error


def _gid(request: Request) -> int | None:
    if not request.group:
        return None
    try:
        return grp.getgrnam(request.group).gr_gid
    except KeyError:  # in check mode the group is not made yet
        return None


def _previous(request: Request) -> Path | None:
    """Return the release to share files with: the one named, the live one, or the newest."""
    layout = request.layout
    live = layout.live()
    for tag in (request.previous, live["release"] if live else None, *layout.staged()):
        if tag and tag != request.recipe.tag and layout.manifest(tag) is not None:
            return layout.top(tag)[0]
    return None


def _write(path: Path, value: Mapping[str, object]) -> None:
    """What the build itself has under this name, a link to anywhere, is replaced."""
    write_file(path, json.dumps(value, sort_keys=True, indent=1) + "\n", 0o444, named=False)
