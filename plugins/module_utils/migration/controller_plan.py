# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The plan of a migration made on the controller, for a release that is not on the node yet.

The release's tree comes from the repository's mirror, an environment for it from its hash-locked requirements; both are kept in a
cache folder, so that the next plan takes a second. The graph and the SQL are the release's own, rendered offline; where the database
stands is what the node said. The release's code runs in a sandbox (see controller_sandbox): it sees made-up variables, its own
tree and environment, no network and nothing of the operator's.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.core import flock, proc
from ansible_collections.phasegate.aistack.plugins.module_utils.core.masking import Masker
from ansible_collections.phasegate.aistack.plugins.module_utils.migration import (
    controller_sandbox,
    offline_plan,
    plan as alembic_plan,
    text as migration_text,
)
from ansible_collections.phasegate.aistack.plugins.module_utils.migration.offline_plan import NoEnvironment, Unavailable
from ansible_collections.phasegate.aistack.plugins.module_utils.migration.plan import MigrationError, Plan, Request
from ansible_collections.phasegate.aistack.plugins.module_utils.release import lock_file, mirror, sandbox, tree
from ansible_collections.phasegate.aistack.plugins.module_utils.release.place import place_of

INSTALL_TIMEOUT = 900.0
"""Seconds that installing a lock file may take, the first time."""

KEPT = 8
"""Environments, and trees, that stay in the cache; the least recently used ones go."""


@dataclass
class Origin:
    """Where the release comes from, and where this controller keeps what it made of it."""

    repo: str
    path: str = ""
    lock: str = ""
    context: Sequence[str] = ()
    schema: Sequence[Mapping[str, Any]] = ()
    mirror_dir: str = ""
    plan_dir: str = "~/.cache/phasegate/plan"
    squawk_lock: str = ""
    plan_unsandboxed: bool = False
    scratch: Mapping[str, Any] = field(default_factory=dict)
    """How a node installs the release's packages, where it is to plan; empty where it is not."""

    @property
    def cache(self) -> Path:
        return Path(self.plan_dir).expanduser()


def tool(name: str) -> str | None:
    """A program that lies beside this Python, or on the path."""
    beside = Path(sys.executable).parent / name
    return str(beside) if os.access(beside, os.X_OK) else shutil.which(name)


@contextmanager
def _made_once(folder: Path) -> Iterator[bool]:
    """Hold ``folder`` alone; true where it has to be made. It counts as made when the block ends well."""
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    done = Path(f"{folder}.done")
    with flock.held(f"{folder}.lock", 2 * INSTALL_TIMEOUT):
        if done.exists() and folder.is_dir():
            os.utime(done)
            yield False
            return
        if folder.exists():
            shutil.rmtree(folder)
        try:
            yield True
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)  # half of it helps nobody
            raise
        done.touch(mode=0o600)
        _forget(folder.parent)


def _forget(folder: Path) -> None:
    """Remove what was not used for longest."""
    marks = sorted(folder.glob("*.done"), key=lambda path: path.stat().st_mtime, reverse=True)
    for mark in marks[KEPT:]:
        mark.unlink(missing_ok=True)
        # without its mark nobody takes it for complete; what is left of it is disk space in a cache
        shutil.rmtree(mark.with_suffix(""), ignore_errors=True)


def _install(folder: Path, lock: Path) -> None:
    """A virtual environment with exactly what ``lock`` names, proven by its hashes. Raises NoEnvironment."""
    uv = tool("uv")
    if not uv:
        raise NoEnvironment("uv is not on the controller, neither beside its Python nor on the path: install it (pip install uv)")
    env = {**os.environ, "UV_PYTHON_DOWNLOADS": "never", "UV_NO_PROGRESS": "1", "NO_COLOR": "1"}
    for name in ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "UV_PYTHON"):
        env.pop(name, None)
    python = str(folder / "bin" / "python")
    for argv in (
        [uv, "venv", "--quiet", "--no-project", "--python", sys.executable, str(folder)],
        [uv, "pip", "sync", "--quiet", "--require-hashes", "--only-binary", ":all:", "--python", python, str(lock)],
    ):
        finished = proc.run(argv, folder.parent, env, INSTALL_TIMEOUT)
        if finished.rc != 0:
            what = "was not finished in time" if finished.timed_out else f"ended with {finished.rc}"
            said = " ".join(proc.tail(finished.output, 6).split())
            said = Masker.of(sandbox.fetching(os.environ)).mask(said)
            raise NoEnvironment(f"the requirements in {lock.name} could not be installed on the controller: uv {what}: {said}")


def environment(origin: Origin, lock: Path) -> Path:
    """The folder of the virtual environment for a lock file, made if it is not there. Raises Unavailable."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    key = hashlib.sha256(f"1\n{version}\n".encode() + lock.read_bytes()).hexdigest()[:20]
    folder = origin.cache / "environments" / key
    with _made_once(folder) as missing:
        if missing:
            _install(folder, lock)
    return folder


def checkout(origin: Origin, tag: str) -> tuple[Path, str]:
    """The tree of a tag, and its commit. Raises Unavailable."""
    try:
        source = mirror.Source(origin.repo, origin.path, origin.mirror_dir, origin.lock, origin.context)
        commit = source.resolve(tag)
        archive = source.archive(tag, commit)
    except (mirror.SourceError, OSError) as problem:
        raise Unavailable(str(problem)) from problem
    folder = origin.cache / "trees" / archive.sha256[:20]
    with _made_once(folder) as missing:
        if missing:
            folder.mkdir(mode=0o700)
            try:
                tree.unpack(archive.path, folder)
            except (OSError, ValueError) as problem:
                raise Unavailable(f"the archive of {tag} cannot be unpacked: {problem}") from problem
    return folder, commit


def linter(origin: Origin) -> tuple[str, str]:
    """The path of squawk, and why there is none (one of both is empty)."""
    found = tool("squawk")
    if found or not origin.squawk_lock:
        return found or "", "" if found else "squawk is not on the controller"
    try:
        return str(environment(origin, Path(origin.squawk_lock)) / "bin" / "squawk"), ""
    except (Unavailable, OSError) as problem:
        return "", str(problem)


def _plan(request: Request, seen: Mapping[str, object], origin: Origin) -> tuple[Plan, str]:
    if origin.scratch.get("kind") == "image":
        raise NoEnvironment("migrations of a release that is an image are read in the image, on nodes alone")
    folder, commit = checkout(origin, request.release)
    code = folder / place_of(origin.path, origin.lock, origin.context).inner
    if origin.lock and lock_file.tool(origin.lock, "python") == "uv":
        raise NoEnvironment(f"an environment from {origin.lock} is made on nodes alone, where what the repository builds itself is built")
    lock = code / origin.lock
    if not origin.lock or not lock.is_file():
        raise Unavailable(f"the tag {request.release} has no lock file {origin.lock or '(lock, in aistack_components)'} to make an "
                          "environment from")
    python = environment(origin, lock) / "bin" / "python"
    squawk, _why = linter(origin)
    policy = dict(request.policy)
    if not squawk:
        policy["lint_missing"] = "allow"  # the node may well have it; here its absence tells nothing
    local = replace(request, release_path=str(code), python=str(python), user=None, squawk=squawk or "squawk", policy=policy)
    if not origin.plan_unsandboxed:
        try:
            local = replace(local, wrapper=tuple(controller_sandbox.command((folder, python.parent.parent))))
        except controller_sandbox.NoSandbox as problem:
            raise NoEnvironment(str(problem)) from problem
    alembic_plan.require_configuration(local)
    return offline_plan.make(local, seen, origin.schema), commit


def document(request: Request, seen: Mapping[str, object], origin: Origin, why: str) -> dict[str, object]:
    """The plan in the shape of alembic_info, with ``basis``: how it was made. ``why`` is why the node could not make it.

    Raises:
        Unavailable: it cannot be made here.
        MigrationError: the release's migrations are wrong.
    """
    offline_plan.known(seen)
    plan, commit = _plan(request, seen, origin)
    basis = f"on the controller, from tag {request.release} ({commit[:10]}): {why}.{offline_plan.empty_words(request, seen)}"
    return offline_plan.describe(request, plan, seen, basis)


def outcome(request: Request, plan: Mapping[str, Any]) -> dict[str, object]:
    """What alembic answers in check mode to a plan's document. Raises MigrationError where the policy refuses."""
    facts = {"plan": dict(plan), "from": plan["current"], "to": plan["target"]}
    refusals = plan["verdict"]["refusals"]
    if refusals:
        reasons = "\n".join(f"  - {entry['reason']}\n    Fix: {entry['remedy']}" for entry in refusals)
        raise MigrationError(
            refusals[0]["code"],
            f"The migration of {request.component} to release {request.release} is refused; nothing was changed.\n{reasons}",
            **facts,
        )
    steps = plan["pending"]
    if not steps:
        where = (", ".join(plan["current"]) or "no revision") + (f", {plan['note']}" if plan["note"] else "")
        return {**facts, "changed": False, "msg": f"{request.component}: the database is at {where}; nothing to do."}
    sql = "\n".join(step["sql"] or f"-- {step['revision']}: {step['sql_error']}" for step in steps)
    diff = {
        "before_header": "database",
        "after_header": "database and the SQL that leads there",
        "before": f"revision: {', '.join(plan['current']) or 'none'}\n",
        "after": f"revision: {', '.join(plan['target']) or 'none'}\n" + sql,
    }
    count = f"{len(steps)} step{'s' if len(steps) != 1 else ''}"
    undecided = "".join(f" NOT known: {text}" for text in plan["verdict"].get("undecided") or [])
    return {**facts, "changed": True, "msg": f"{request.component}: {count} would run.{undecided}", "diff": diff}


def text(plan: Mapping[str, object]) -> str:
    """The page of a plan's document."""
    return migration_text.plan_text(plan)
