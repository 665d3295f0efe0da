# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The backup sets that a node has: what they are, whether they can still be used, which one is the newest."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.backup import plan as backup_plan
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts import objects as backup_list, registry as backup_jobs
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts.base import hash_files
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.plan import FORMAT, NAME, SetManifest
from ansible_collections.phasegate.aistack.plugins.module_utils.core import signature as backup_key
from ansible_collections.phasegate.aistack.plugins.module_utils.core.durable import write_file
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.file import utc_now
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres import dump as pg_dump
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.fingerprint import Fingerprint

BACKUPS = "backups"
MANIFEST = backup_key.MANIFEST
OWN = (MANIFEST, backup_key.SIGNATURE)
"""Files of a set that are not in its manifest."""
CHECKED = ".checked-"


class BackupSetError(Exception):
    """No set, or none that can be used; nothing on the node was moved. ``extra`` is returned beside the message."""

    def __init__(self, message: str, **extra: Any) -> None:
        super().__init__(message)
        self.extra = extra


def folder_of(state_dir: Path) -> Path:
    """Where a node's sets are."""
    return state_dir / BACKUPS


def write_json(path: Path, document: Mapping[str, object]) -> None:
    """For root alone; its content is on disk, its name with the folder."""
    write_file(path, json.dumps(document, indent=1) + "\n", 0o600, named=False)


def load(path: Path) -> SetManifest:
    """The manifest of a set. Raises BackupSetError."""
    where = path / MANIFEST
    try:
        document: SetManifest = json.loads(where.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BackupSetError(f"{path} is no backup set: it has no {MANIFEST}.") from None
    except (OSError, ValueError) as problem:
        raise BackupSetError(f"{where} cannot be read: {problem}. The set cannot be used; take another one.") from problem
    if not isinstance(document, dict) or document.get("format") not in (1, FORMAT):
        told = document.get("format") if isinstance(document, dict) else type(document).__name__
        raise BackupSetError(f"{where} has format {told}; this version reads 1 and {FORMAT}.")
    return document


def locate(state_dir: Path, name: str) -> Path:
    """The folder of a set by its name or path. Raises BackupSetError, with the names that are there."""
    path = Path(name) if name.startswith("/") else folder_of(state_dir) / name
    if not name or (not name.startswith("/") and not NAME.fullmatch(name)) or not path.is_dir():
        known = [entry["name"] for entry in listed(state_dir)]
        shown = ", ".join(known[:5]) + (f" and {len(known) - 5} more" if len(known) > 5 else "") or "none"
        raise BackupSetError(f"There is no backup set {name!r} in {folder_of(state_dir)}. There are: {shown}.")
    return path


def require_ours(state_dir: Path, path: Path, signature: str, accepted: Collection[str], nothing: str, why: str) -> None:
    """Refuse a set that may be somebody else's: its dumps are run, and its files written, as root.

    Args:
        signature: what :func:`verify` said of it.
        accepted: names of sets that are taken although the key of this node did not sign them.
        nothing: the beginning of the message: what was not done.
        why: what makes it dangerous.

    Raises:
        BackupSetError: it can be changed by others, or it was not signed here and is not accepted.
    """
    state = path.stat()
    if state.st_uid not in (0, os.geteuid()) or state.st_mode & 0o022:
        raise BackupSetError(
            f"{nothing}: {path} can be changed by others than root while it is read. Copy the set as root into"
            f" {folder_of(state_dir)}, and name it."
        )
    if signature == backup_key.GOOD or path.name in accepted:
        return
    key = state_dir / backup_key.KEY
    if signature == backup_key.NONE:
        told = "is not signed: a version before made it, or somebody else"
    elif key.exists():
        told = f"was not signed with the key of this node ({key}): another node made it, or it was changed"
    else:
        told = f"is signed, and this node has no key ({key}): put the key of the node that made it there, if you have it"
    raise BackupSetError(
        f"{nothing}: the set {path.name} {told}. {why}. If you know where it comes from, accept it"
        f" by its name: -e accept_unsigned={path.name}",
        refused=True,
    )


def verify(state_dir: Path, name: str, note: bool = True) -> dict[str, Any]:
    """Read a whole set back: every checksum, nothing missing, nothing more, every part by its own means.

    Returns C(name), C(path), C(verdict) (``verified``, or ``unusable: …``), C(problems), C(seconds), C(manifest), C(signature)
    (C(good), C(none), C(other); a set that is whole is verified whoever made it).
    With ``note`` the verdict is written beside the sets. Raises BackupSetError where there is no such set.
    """
    path = locate(state_dir, name)
    began = time.monotonic()
    manifest: SetManifest = {}
    signature = backup_key.NONE
    try:
        manifest = load(path)
        signature = backup_key.judge(state_dir, path)
        problems = _problems(path, manifest) if manifest["format"] == FORMAT else _dump_problems(path, manifest)
    except (BackupSetError, backup_key.KeyProblem, OSError) as problem:
        problems = [str(problem)]
    verdict = backup_plan.verdict(problems)
    seconds = round(time.monotonic() - began, 3)
    if note and path.parent == folder_of(state_dir):
        checked = {"verdict": verdict, "problems": problems[:20], "time": utc_now(), "seconds": seconds}
        write_json(path.parent / f"{CHECKED}{path.name}.json", checked)
    told = {"name": path.name, "path": str(path), "verdict": verdict, "problems": problems, "seconds": seconds}
    return {**told, "manifest": manifest, "signature": signature}


def _problems(path: Path, manifest: SetManifest) -> list[str]:
    problems: list[str] = []
    if manifest.get("name") != path.name:
        problems.append(f"its manifest is that of {manifest.get('name')!r}")
    expected = manifest.get("files") or {}
    apart = tuple(backup_list.folders(manifest.get("parts", []))) if manifest.get("objects") else ()
    found = {name: entry for name, entry in hash_files(path, but=apart).items() if name not in OWN}
    for name in sorted(set(expected) | set(found)):
        if name not in found:
            problems.append(f"{name} is missing")
        elif name not in expected:
            problems.append(f"{name} is there, and not in the manifest")
        elif found[name]["sha256"] != expected[name]["sha256"]:
            problems.append(f"{name} was changed: expected {_fingerprint(expected[name])}, got {_fingerprint(found[name])}")
    if backup_list.NAME in found:  # what it says of the objects is as good as it is itself
        problems += backup_list.problems(path, manifest)
    parts = list(manifest.get("parts", []))
    with ThreadPoolExecutor(max(1, len(parts))) as pool:
        for told_by_part in pool.map(lambda part: backup_jobs.verify(path, part), parts):
            problems += told_by_part
    return problems


def _fingerprint(entry: Mapping[str, Any]) -> str:
    return f"{entry['bytes']} bytes with SHA-256 {entry['sha256'][:12]}…"


def _dump_problems(path: Path, manifest: SetManifest) -> list[str]:
    """Of a dump that was made before a migration (format 1)."""
    dump = path / str(manifest.get("file", "db.dump"))
    if not dump.is_file():
        return [f"{dump.name} is missing"]
    digest = pg_dump.sha256(dump)
    if digest != manifest.get("sha256"):
        return [f"{dump.name} was changed: expected SHA-256 {str(manifest.get('sha256'))[:12]}…, got {digest[:12]}…"]
    try:
        pg_dump.check(dump, Fingerprint.load(manifest["fingerprint"]), None)
    except (pg_dump.BackupError, KeyError) as problem:
        return [str(problem)]
    return []


def listed(state_dir: Path) -> list[dict[str, Any]]:
    """Every set of the node, the newest first.

    C(name), C(path), C(format), C(stack), C(node), C(reason), C(run), C(made), C(seconds), C(bytes), C(parts) (kind:name), C(live),
    C(heads), C(verdict) (that of the last check of it, else that of its manifest) and C(checked) (time of the last look, or None).
    """
    folder = folder_of(state_dir)
    try:
        names = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and NAME.fullmatch(entry.name))
    except FileNotFoundError:
        return []
    return sorted((_described(folder / name) for name in names), key=lambda one: (one["name"].partition("-")[0], one["name"]), reverse=True)


def _described(path: Path) -> dict[str, object]:
    base: dict[str, Any] = {"name": path.name, "path": str(path), "parts": [], "checked": None}
    try:
        manifest = load(path)
    except BackupSetError as problem:
        return {**base, "format": None, "verdict": backup_plan.verdict([str(problem)])}
    seen: dict[str, Any] = {}
    # never read back since, or that note is no use: then the manifest's own verdict counts
    with contextlib.suppress(OSError, ValueError):
        seen = json.loads((path.parent / f"{CHECKED}{path.name}.json").read_text(encoding="utf-8"))
    keys = ("format", "stack", "node", "reason", "run", "made", "seconds", "live", "heads")
    described = {**base, **{key: value for key, value in manifest.items() if key in keys}}
    if manifest["format"] == FORMAT:
        described["parts"] = [f"{part['kind']}:{part['name']}" for part in manifest.get("parts", [])]
        described["bytes"] = backup_list.total(manifest)
        described["verdict"] = str(manifest.get("verdict", ""))
    else:
        described.update(parts=[f"postgres:{manifest.get('component')}"], bytes=manifest.get("bytes"), reason="migrate", verdict="verified")
    if seen.get("verdict"):
        described.update(verdict=str(seen["verdict"]), checked=seen.get("time"))
    ahead = backup_plan.ahead(path.name, time.time())
    if ahead and described["verdict"] == "verified":
        described.update(verdict=f"passed over: {ahead}", ahead=ahead)
    return described


def newest_verified(state_dir: Path, stack: str = "", prove: bool = False) -> dict[str, Any] | None:
    """The newest set that counts as verified, as :func:`listed` describes it; None where there is none.

    ``stack``: only of this one. ``prove``: read it back now, and go on to the next where that fails. Dumps that were made
    before a migration do not count: they hold one database only.
    """
    for one in listed(state_dir):
        if one["format"] != FORMAT or one["verdict"] != "verified" or (stack and one.get("stack") != stack):
            continue
        if not prove or verify(state_dir, one["name"])["verdict"] == "verified":
            return one
    return None
