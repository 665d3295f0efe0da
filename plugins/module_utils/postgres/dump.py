# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A verified dump of one database with a manifest, before anything touches it."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import re
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.core import progress, signature as backup_key
from ansible_collections.phasegate.aistack.plugins.module_utils.core.durable import fsync, move, write_file
from ansible_collections.phasegate.aistack.plugins.module_utils.core.proc import Ended
from ansible_collections.phasegate.aistack.plugins.module_utils.environment.database_url import DatabaseAddress
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres import tools as pg_tool
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.fingerprint import Fingerprint
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.psql import DatabaseError, explain
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.tools import Tool, ToolError, free_bytes, sha256

PARTIAL = ".partial-"
APPLICATION = "aistack-backup"
UNTOUCHED = "Nothing was migrated."
ARGUMENTS = ("--no-password", "--lock-wait-timeout=10s")
"""What every dump is made with: no question, and no endless wait for a lock."""


SEARCH_PATH = "SELECT to_json(array_to_string(ARRAY(SELECT quote_ident(s) FROM unnest(current_schemas(false)) s), ', '))"
"""Question for the schemas whose names a session leaves out where it writes definitions."""


class BackupError(Exception):
    """The dump could not be made or does not hold what it should. Nothing was migrated."""


@dataclass(frozen=True)
class Backup:
    """A finished set: its folder, and what its manifest says."""

    path: Path
    manifest: dict[str, Any]

    def as_dict(self) -> dict[str, object]:
        keys = ("sha256", "bytes", "seconds", "entries", "tables", "made")
        return {"path": str(self.path), "dump": str(self.path / "db.dump"), **{key: self.manifest[key] for key in keys}}


def _name(component: str, before: str, after: str) -> str:
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    return "-".join((stamp, component, before or "base", after or "base"))


def make(
    folder: Path,
    address: DatabaseAddress,
    variables: Mapping[str, str],
    user: str | None,
    component: str,
    release: str,
    heads: tuple[str, str],
    fingerprint: Fingerprint,
    size: int,
    min_free: int,
    timeout: float,
    run: str = "",
    url_variable: str = "",
    search_path: str = "",
) -> Backup:
    """Dumps, checks, signs and names the set ``<utc>-<component>-<from>-<to>`` under ``folder`` (C(<state>/backups)).

    ``search_path`` is that of the session that took the fingerprint. ``size`` is the database's size in bytes, ``min_free`` what has
    to stay free besides; ``timeout`` in seconds.
    Raises BackupError; a set that did not come to its end leaves nothing behind.
    """
    free = free_bytes(folder)
    if free < size + min_free:
        raise BackupError(
            f"No backup: {folder} has {free} bytes free; the database has {size} and {min_free} are to stay free (migrate_min_free_bytes)."
            " Nothing was migrated. Free some space there, or move aistack_state to a larger disk."
        )
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    own = re.compile(rf"{re.escape(PARTIAL)}\d{{8}}T\d{{6}}Z-{re.escape(component)}-")
    for stale in folder.glob(f"{PARTIAL}*"):
        if own.match(stale.name):  # not of a component whose name only ends alike
            shutil.rmtree(stale)  # of a run that was killed; the advisory lock is held by this one
    name = _name(component, *heads)
    partial = folder / (PARTIAL + name)
    partial.mkdir(mode=0o700)
    try:
        began = time.monotonic()
        dump = partial / "db.dump"
        version = _dump(dump, address, variables, user, timeout)
        seconds = time.monotonic() - began
        entries, tables = check(dump, fingerprint, user)
        manifest = {
            "format": 1,
            "made": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "component": component,
            "release": release,
            "run": run,
            "database": address.as_dict(),
            "from": heads[0],
            "to": heads[1],
            "file": "db.dump",
            "sha256": sha256(dump),
            "bytes": dump.stat().st_size,
            "size": size,
            "url_variable": url_variable,
            "search_path": search_path,
            "node": platform.node(),
            "seconds": round(seconds, 3),
            "entries": entries,
            "tables": tables,
            "tool": version,
            "fingerprint": fingerprint.as_dict(),
        }
        text = json.dumps(manifest, indent=2, sort_keys=True) + "\n"
        write_file(partial / "manifest.json", text, 0o600, named=False)
        backup_key.sign(folder.parent, partial, name)
        fsync(partial)
        final = folder / name
        move(partial, final)
    except backup_key.KeyProblem as problem:
        raise BackupError(f"No backup: it cannot be signed, {problem}. Nothing was migrated.") from problem
    except OSError as problem:
        raise BackupError(f"No backup: {partial}: {problem.strerror}. Nothing was migrated.") from problem
    finally:
        if partial.exists():
            shutil.rmtree(partial)
    return Backup(final, manifest)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _dump(dump: Path, address: DatabaseAddress, variables: Mapping[str, str], user: str | None, timeout: float) -> str:
    argv = ["pg_dump", "--format=custom", *ARGUMENTS]
    try:
        version = pg_tool.version("pg_dump")
        with open(dump, "xb", opener=_private) as handle:
            with (
                Tool(argv, address, variables, user, APPLICATION, stdout=handle.fileno()) as tool,
                progress.watched(lambda: f"dump of {address.database}, {dump.stat().st_size / 1e6:.1f} MB so far"),
            ):
                judge(tool.wait(timeout), address, timeout, UNTOUCHED)
            os.fsync(handle.fileno())
    except ToolError as problem:
        raise BackupError(f"No backup: {problem}") from None
    return version


def judge(ended: Ended, address: DatabaseAddress, timeout: float, after: str) -> None:
    """Raises BackupError where pg_dump did not come to its end; ``after`` says what that means for what was to follow."""
    if ended.timed_out:
        raise BackupError(f"No backup: pg_dump of {address.describe()} took longer than {timeout:g} s. {after}")
    if ended.rc:
        if "connection to server" in ended.stderr:
            raise BackupError(f"No backup. {explain(address, ended.stderr)}")
        raise BackupError(f"No backup: pg_dump of {address.describe()} ended with {ended.rc}: {ended.stderr[-800:]}. {after}")


def check(dump: Path, fingerprint: Fingerprint, user: str | None, after: str = UNTOUCHED) -> tuple[int, int]:
    """Reads the archive's list; returns the number of its entries and of tables with data.

    Raises BackupError where the archive cannot be read or a table of the fingerprint is not in it.
    """
    try:
        held = pg_tool.archive(dump, user)
    except ToolError as problem:
        raise BackupError(f"No backup: {problem} {after}") from None
    missing = held.lacks(fingerprint.rows)
    if missing:
        raise BackupError(f"The backup {dump} lacks the rows of {', '.join(missing)}. {after}")
    return len(held.entries), held.tables


def load(path: str) -> dict[str, Any] | None:
    """The manifest of a set, None where it is not there or cannot be read."""
    with contextlib.suppress(OSError, ValueError):  # who asks refuses either way, and only says less without it
        document = json.loads((Path(path) / "manifest.json").read_text(encoding="utf-8"))
        if isinstance(document, dict):
            return document
    return None


def restore_command(folder: str) -> str:
    """The command that puts a dump back: it shows what that takes away and asks for consent; who works on the database is sent away."""
    return f"ansible-playbook phasegate.aistack.restore -e set={Path(folder).name} -e terminate=true"


__all__ = ["Backup", "BackupError", "DatabaseError", "check", "free_bytes", "judge", "load", "make", "restore_command", "sha256"]
