# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The dump that was made before a migration (format 1), seen as a set with one database, so that it is restored as any other.

Its numbers of rows are those of a moment before the dump, while the application wrote: they are told, and prove nothing.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.backup.catalog import write_json
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts.base import PartError
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts.files import Component
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.parts.registry import database
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.plan import SetManifest
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.fingerprint import Fingerprint
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.snapshot import ABOUT, DUMP, FILE

KIND = "postgres"
PATH = "public"
"""The search path of the session that looked at the database, where the manifest does not say it."""

GROWS = 10
"""How many times larger than its dump a database is taken to be, where the manifest does not say its size."""


def entry_of(manifest: SetManifest, described: Mapping[str, Any], of: list[Component]) -> dict[str, Any]:
    """What the description says of the dump's database; what the manifest says of it where there is no such entry. Raises PartError."""
    component = str(manifest["component"])
    known = [entry for entry in described.get(KIND) or [] if entry.get("component") == component]
    variable = {"url_variable": manifest["url_variable"]} if manifest.get("url_variable") else {}
    then: Mapping[str, Any] = manifest["database"]
    seen = []
    for entry in [*known, {"name": component, "component": component, **variable}]:
        found = database(entry, of)
        if found is None:
            raise PartError(
                f"component {component} has no environment on this node, so nobody says where its database is. Restore on the node that"
                " migrates (the first host of the component), or run site.yml once."
            )
        now = found[0].as_dict()
        if all(now[key] == then.get(key) for key in ("host", "port", "name")):
            return dict(entry)
        seen.append(f"{now['host']}:{now['port']}/{now['name']}")
    raise PartError(
        f"the dump is of {then.get('host')}:{then.get('port')}/{then.get('name')}, component {component} works on {seen[0]} today. Take a"
        " set that has that database."
    )


def part_of(path: Path, manifest: SetManifest, entry: Mapping[str, Any], into: Path) -> dict[str, Any]:
    """Lay the dump out below ``into`` as a set does; returns the part. Raises PartError, OSError."""
    source = path / str(manifest.get("file") or FILE)
    if source.parent != path:
        raise PartError(f"its manifest names the file {manifest['file']!r}, which is outside of the set.")
    relative = f"{KIND}/{entry['name']}"
    (into / relative / DUMP).mkdir(mode=0o700, parents=True)
    target = into / relative / DUMP / FILE
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copyfile(source, target, follow_symlinks=False)
    saved = Fingerprint.load(manifest["fingerprint"])
    uncounted: dict[str, int | None] = dict.fromkeys(saved.rows)
    path_then = str(manifest.get("search_path") or PATH)
    write_json(into / relative / ABOUT, {**Fingerprint(saved.objects, uncounted).as_dict(), "search_path": path_then})
    facts = {
        "component": manifest["component"],
        "database": manifest["database"],
        "hash": saved.hash,
        "entries": manifest["entries"],
        "rows": uncounted,
        "approximate": {table: rows or 0 for table, rows in saved.rows.items()},
        "size": int(manifest.get("size") or GROWS * int(manifest["bytes"])),
    }
    return {"kind": KIND, "name": entry["name"], "path": relative, "bytes": int(manifest["bytes"]), "facts": facts}
