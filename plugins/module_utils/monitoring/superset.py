# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Dashboards are brought into Superset, read back, and every chart of theirs is asked; what somebody changed there stays.

What an import left behind is remembered in a file: a thing that is no longer as it was then was changed by somebody,
one that still is may be replaced by a newer file. Without that file whatever differs counts as changed by somebody.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.context import NotAsExpected
from ansible_collections.phasegate.aistack.plugins.module_utils.clients.superset import Superset, packed
from ansible_collections.phasegate.aistack.plugins.module_utils.core.durable import write_file
from ansible_collections.phasegate.aistack.plugins.module_utils.monitoring.superset_assets import (
    KINDS,
    Assets,
    asked,
    bundle,
    canonical,
    chart_uuids,
    differences,
    fingerprint,
    verdict,
)

MODELS = {"dataset": "SqlaTable", "chart": "Slice", "dashboard": "Dashboard"}
"""What Superset calls a kind in an archive."""
LISTED = {
    "dataset": ("id", "uuid", "schema", "table_name"),
    "chart": ("id", "uuid", "slice_name", "viz_type", "description", "cache_timeout", "params"),
    "dashboard": ("id", "uuid", "slug", "dashboard_title"),
}
"""What a list has to say of a kind. Of a chart that is all that counts, so that none is asked for by itself."""
_PASSWORD = re.compile(r"(?<=:)[^:@/]+(?=@)")
DATABASE = "database"
"""Under which name the connection is remembered."""

Memory = dict[str, dict[str, str]]


class SupersetError(Exception):
    """It is not as it has to be; the text says what, where, and what to do."""


@dataclass
class Brought:
    """What was done, and what was found.

    Attributes:
        imported: what was imported, or in check mode would be, by name.
        changed: what somebody changed in Superset: name to the differences from the files.
        connection: C(made), C(changed) or empty.
        charts: slug of a dashboard to how many charts it has in Superset.
        without_rows: charts whose query answers, with no row.
    """

    imported: list[str] = field(default_factory=list)
    changed: dict[str, list[str]] = field(default_factory=dict)
    connection: str = ""
    charts: dict[str, int] = field(default_factory=dict)
    without_rows: list[str] = field(default_factory=list)


@dataclass
class _There:
    """What Superset has: number and canonical form of our things by uuid; of each kind its list."""

    rows: dict[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)
    forms: dict[str, dict[str, Any]] = field(default_factory=dict)


def bring(api: Superset, assets: Assets, name: str, uri: str, memory: Path, overwrite: bool = False, check: bool = False) -> Brought:
    """Have Superset show these dashboards over that connection.

    Args:
        api: logged in.
        name, uri: the connection, as SQLAlchemy writes it.
        memory: file that remembers what an import left behind.
        overwrite: whether what somebody changed in Superset is replaced as well.
        check: whether it is only looked at.

    Raises:
        SupersetError: Superset refuses something, or does not show what was imported.
        NotAsExpected: it does not answer.
    """
    found = Brought()
    known = _recalled(memory)
    there = _observe(api, assets)
    _no_strangers(there, assets)
    verdicts = {uuid: verdict(canonical(kind, one), there.forms.get(uuid), known.get(uuid), asked(kind, one))
                for kind in KINDS for uuid, one in assets.of(kind).items()}
    wanted = {uuid for uuid, said in verdicts.items() if said in ("missing", "old") or (said == "changed" and overwrite)}
    found.imported = [assets.name(uuid) for uuid in wanted_order(assets, wanted)]
    found.changed = {
        assets.name(uuid): differences(canonical(kind, assets.of(kind)[uuid]), there.forms[uuid])
        for kind in KINDS for uuid in assets.of(kind) if verdicts[uuid] == "changed"
    }
    if not check:
        api.writes()
    connection = _connect(api, found, name, uri, known, check)
    if check:
        return found
    for kind in KINDS:
        uuids = [uuid for uuid in assets.of(kind) if uuid in wanted]
        if uuids:
            _import(api, kind, bundle(kind, uuids, assets, connection), [assets.name(uuid) for uuid in uuids])
    if wanted:
        there = _observe(api, assets)
    _shown(api, assets, there, found, ask=bool(wanted or found.connection))
    for kind in KINDS:
        for uuid, one in assets.of(kind).items():
            if uuid in wanted or verdicts[uuid] == "same":
                known[uuid] = {"file": asked(kind, one), "there": fingerprint(there.forms[uuid])}
    _remember(memory, known)
    return found


def wanted_order(assets: Assets, uuids: Iterable[str]) -> list[str]:
    """In the order in which one needs the other."""
    chosen = set(uuids)
    return [uuid for kind in KINDS for uuid in assets.of(kind) if uuid in chosen]


def _observe(api: Superset, assets: Assets) -> _There:
    """What Superset has of our things now."""
    found = _There()
    datasets: dict[int, str] = {}
    for kind in KINDS:
        found.rows[kind] = api.listed(kind, LISTED[kind])
        for row in found.rows[kind]:
            uuid, number = str(row.get("uuid")), int(row["id"])
            if kind == "dataset":
                datasets[number] = uuid
            if uuid in assets.of(kind):
                found.numbers[uuid] = number
                content = row if kind == "chart" else api.get(f"/{kind}/{number}").get("result") or {}
                found.forms[uuid] = canonical(kind, content, datasets)
    return found


def _no_strangers(there: _There, assets: Assets) -> None:
    """Refuse where what is ours in name is another thing in Superset: an import would leave charts out without a word."""
    wrong = []
    slugs = {str(one["slug"]): uuid for uuid, one in assets.dashboard.items()}
    for row in there.rows["dashboard"]:
        if slugs.get(str(row.get("slug")), row.get("uuid")) != row.get("uuid"):
            wrong.append(f"dashboard '{row.get('dashboard_title')}' has the address {row.get('slug')} already, and is another one")
    tables = {(one.get("schema"), str(one["table_name"])): uuid for uuid, one in assets.dataset.items()}
    for row in there.rows["dataset"]:
        key = (row.get("schema"), str(row.get("table_name")))
        if tables.get(key, row.get("uuid")) != row.get("uuid"):
            wrong.append(f"dataset '{row.get('table_name')}' is there already, made by hand; charts would not find that of the files")
    if wrong:
        raise SupersetError(f"{'; '.join(wrong)}. Nothing was imported. Rename or delete that in Superset, then run again.")


def _connect(api: Superset, found: Brought, name: str, uri: str, known: Memory, check: bool) -> dict[str, Any]:
    """Make the connection, or make it what it has to be; returns it as an archive has it."""
    listed = [row for row in api.listed("database", ("id", "uuid", "database_name")) if row.get("database_name") == name]
    settings = {"sqlalchemy_uri": uri, "expose_in_sqllab": True, "allow_dml": False, "allow_ctas": False, "allow_cvas": False}
    number = int(listed[0]["id"]) if listed else 0
    shown = {"uri": api.get(f"/database/{number}/connection").get("result", {}).get("sqlalchemy_uri")} if number else None
    wanted = {"uri": _masked(uri)}
    said = verdict(wanted, shown, known.get(DATABASE), fingerprint(wanted))
    if said != "same":
        found.connection = "made" if said == "missing" else "changed"
        if check:
            return {}
        try:
            if number:
                api.send("PUT", f"/database/{number}", settings)
            else:
                number = int(api.send("POST", "/database/", {"database_name": name, **settings})["id"])
        except NotAsExpected as no:
            raise SupersetError(
                f"Superset does not take the connection '{name}' ({_masked(uri)}): {no.got}. Expected a database that answers it. Is its "
                "user there, with this password, and let in from this host (postgres_users, postgres_clients)? Nothing was imported."
            ) from no
        shown = {"uri": api.get(f"/database/{number}/connection").get("result", {}).get("sqlalchemy_uri")}
    known[DATABASE] = {"file": fingerprint(wanted), "there": fingerprint(shown)}
    uuid = listed[0]["uuid"] if listed else api.get(f"/database/{number}/connection")["result"].get("uuid")
    return {"database_name": name, "sqlalchemy_uri": _masked(uri), "uuid": str(uuid), "extra": {}, "version": "1.0.0",
            "allow_csv_upload": False, "expose_in_sqllab": True}


def _masked(uri: str) -> str:
    """As Superset shows it."""
    return _PASSWORD.sub("XXXXXXXXXX", uri, count=1) if "@" in uri else uri


def _import(api: Superset, kind: str, files: Mapping[str, Any], names: list[str]) -> None:
    try:
        api.upload(kind, packed(MODELS[kind], files))
    except NotAsExpected as no:
        raise SupersetError(
            f"Superset refused {_few(names)}: {no.got}. What it had stays as it was. Correct the files that it names, then run again."
        ) from no


def _shown(api: Superset, assets: Assets, there: _There, found: Brought, ask: bool) -> None:
    """Does Superset show every chart, and does its query answer?"""
    wrong: list[str] = []
    charts: dict[str, int] = {}
    for uuid, dashboard in assets.dashboard.items():
        slug, touched = str(dashboard["slug"]), assets.name(uuid) in found.changed and assets.name(uuid) not in found.imported
        try:
            shown = {int(row["id"]) for row in api.charts_of(str(there.numbers.get(uuid, slug)))}
        except NotAsExpected as no:
            wrong.append(f"{assets.name(uuid)}: {no.got}")
            continue
        found.charts[slug] = len(shown)
        lost = [one for one in sorted(chart_uuids(dashboard)) if there.numbers.get(one) not in shown]
        if lost and not touched:
            count = "no chart" if not shown else f"{len(shown)} of {len(chart_uuids(dashboard))} charts"
            wrong.append(f"{assets.name(uuid)} was taken and shows {count}; missing: {_few([assets.name(one) for one in lost])}")
        charts.update({one: there.numbers[one] for one in sorted(chart_uuids(dashboard)) if one in there.numbers and one not in lost})
    for uuid, number in charts.items() if ask else ():
        try:
            if not api.rows_of(number):
                found.without_rows.append(assets.name(uuid))
        except NotAsExpected as no:
            wrong.append(f"{assets.name(uuid)}: its query fails: {no.got}")
    if wrong:
        raise SupersetError(
            f"Superset answered that all was imported, but: {'; '.join(wrong)}. Expected every chart of the files, each with a query that "
            "answers. Compare identifiers in position, columns and metrics with the tables that the connection reaches, then run again."
        )


def _few(names: list[str], most: int = 3) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _recalled(memory: Path) -> Memory:
    try:
        found: Memory = json.loads(memory.read_text(encoding="utf-8"))["things"]
        return dict(found)
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return {}  # nothing is known to be as it was imported: what differs from its file is shown, and stays


def _remember(memory: Path, known: Memory) -> None:
    if _recalled(memory) != known:
        write_file(memory, json.dumps({"format": 1, "things": known}, sort_keys=True) + "\n", 0o600)
