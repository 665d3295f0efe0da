# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Datasets, charts and dashboards as Superset exports them: what is wrong with them, what has to come along, and what differs.

Superset answers 200 to an archive whose names do not fit together, and leaves out what it cannot place. So files are looked at first.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.core.schema import nearest

KINDS = ("dataset", "chart", "dashboard")
"""What there is, in the order in which one needs the other."""
NAMES = {"dataset": "table_name", "chart": "slice_name", "dashboard": "dashboard_title"}
"""By what people know a thing of a kind."""
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
SLUG = re.compile(r"[A-Za-z0-9_-]{1,255}")
_DERIVED = ("chart_configuration", "global_chart_configuration", "default_filters", "filter_scopes", "map_label_colors", "positions",
            "shared_label_colors", "color_scheme_domain", "show_native_filters", "timed_refresh_immune_slices",
            "expanded_slices")
"""Of a dashboard's metadata: what Superset works out itself whenever it saves one, or says by numbers that each server has its own of."""
_PLACED = ("datasource", "slice_id", "dashboards", "viz_type", "url_params", "extra_form_data")
"""Of a chart's settings: where it is, and what stands beside them as well."""


class AssetError(ValueError):
    """Files cannot be imported. C(problems): what is wrong, one line each."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = list(problems)
        super().__init__("; ".join(self.problems))


@dataclass(frozen=True)
class Assets:
    """Everything of a folder, each kind by uuid."""

    dataset: dict[str, dict[str, Any]] = field(default_factory=dict)
    chart: dict[str, dict[str, Any]] = field(default_factory=dict)
    dashboard: dict[str, dict[str, Any]] = field(default_factory=dict)

    def of(self, kind: str) -> dict[str, dict[str, Any]]:
        """What there is of a kind, by uuid."""
        found: dict[str, dict[str, Any]] = getattr(self, kind)
        return found

    def name(self, uuid: str) -> str:
        """A thing for people: C(chart 'Agents')."""
        return next(f"{kind} '{self.of(kind)[uuid][NAMES[kind]]}'" for kind in KINDS if uuid in self.of(kind))


def assets_of(files: Mapping[str, Any]) -> Assets:
    """What files hold.

    Args:
        files: path to content. The folder C(datasets), C(charts) or C(dashboards) in the path says what it is; others, such as
            C(databases), are left out.

    Raises:
        AssetError: something is wrong with them, all of it at once.
    """
    found = Assets()
    wrong: list[str] = []
    for path, content in sorted(files.items()):
        kind = next((part[:-1] for part in path.split("/")[:-1] if part[:-1] in KINDS), "")
        if not kind:
            continue
        if not isinstance(content, dict):
            wrong.append(f"{path}: expected a mapping, got {type(content).__name__}")
            continue
        uuid = content.get("uuid")
        if not isinstance(uuid, str) or not UUID.fullmatch(uuid):
            wrong.append(f"{path}: uuid: expected one, such as 8a0dc8b2-f1a3-564d-81b3-06fddb0949b9, got {uuid!r}")
        elif any(uuid in found.of(other) for other in KINDS):
            wrong.append(f"{path}: uuid {uuid} is that of {found.name(uuid)} as well")
        elif not isinstance(content.get(NAMES[kind]), str) or not content[NAMES[kind]]:
            wrong.append(f"{path}: {NAMES[kind]}: is missing")
        else:
            found.of(kind)[uuid] = content
    if not wrong:
        wrong = list(_problems(found))
    if not wrong and not found.dashboard:
        wrong = ["there is no dashboard among them: expected files below dashboards/, as Superset exports them"]
    if wrong:
        raise AssetError(wrong)
    return found


def _problems(assets: Assets) -> Iterator[str]:
    """What does not fit together."""
    for dataset in assets.dataset.values():
        where = f"dataset '{dataset['table_name']}'"
        if not _named(dataset, "columns", "column_name"):
            yield f"{where}: columns: expected a list of mappings with column_name, and there is none"
        for key, name in (("columns", "column_name"), ("metrics", "metric_name")):
            if len(_named(dataset, key, name)) != len(dataset.get(key) or []):
                yield f"{where}: {key}: one has no {name}, or two have the same"
    for chart in assets.chart.values():
        yield from _chart_problems(chart, assets)
    slugs: set[str] = set()
    for dashboard in assets.dashboard.values():
        slug = dashboard.get("slug")
        if not isinstance(slug, str) or not SLUG.fullmatch(slug):
            yield f"dashboard '{dashboard['dashboard_title']}': slug: expected letters, digits, - and _, by which it is found; got {slug!r}"
        elif slug in slugs:
            yield f"dashboard '{dashboard['dashboard_title']}': slug: another one has {slug} as well"
        slugs.add(str(slug))
        yield from _dashboard_problems(dashboard, assets)


def _chart_problems(chart: Mapping[str, Any], assets: Assets) -> Iterator[str]:
    where = f"chart '{chart['slice_name']}'"
    dataset = assets.dataset.get(str(chart.get("dataset_uuid")))
    if not isinstance(chart.get("params"), dict) or not chart.get("viz_type"):
        yield f"{where}: expected viz_type, and params as a mapping"
    if dataset is None:
        yield f"{where}: dataset_uuid {chart.get('dataset_uuid')} is that of no dataset among the files"
        return
    queries = queries_of(chart.get("query_context"))
    if not queries:
        yield f"{where}: it has no query_context, so that nobody can ask what it shows: open it in Superset, save it, and export it again"
    columns, metrics = _named(dataset, "columns", "column_name"), _named(dataset, "metrics", "metric_name")
    for query in queries:
        for name in _texts(query.get("columns")):
            if name not in columns:
                yield f"{where}: {name} is no column of dataset '{dataset['table_name']}'{nearest(name, columns)}"
        for name in _texts(query.get("metrics")):
            if name not in metrics:
                yield f"{where}: {name} is no metric of dataset '{dataset['table_name']}'{nearest(name, metrics)}"


def _dashboard_problems(dashboard: Mapping[str, Any], assets: Assets) -> Iterator[str]:
    where = f"dashboard '{dashboard['dashboard_title']}'"
    position = dashboard.get("position")
    if not isinstance(position, dict) or not {"ROOT_ID", "GRID_ID"} <= set(position):
        yield f"{where}: position: expected a mapping with ROOT_ID and GRID_ID"
        return
    nodes = {key: node for key, node in position.items() if isinstance(node, dict)}
    reached = set(_below("ROOT_ID", nodes))
    for key, node in nodes.items():
        yield from (f"{where}: position: {key} has a child {child}, which is not there" for child in node.get("children") or []
                    if child not in nodes)
        if node.get("type") != "CHART":
            continue
        meta: dict[str, Any] = node["meta"] if isinstance(node.get("meta"), dict) else {}
        if meta.get("uuid") not in assets.chart:
            yield f"{where}: position: {key}: meta.uuid {meta.get('uuid')} is that of no chart among the files"
        if not isinstance(meta.get("chartId"), int):
            yield f"{where}: position: {key}: meta.chartId: expected a number, which the import replaces; got {meta.get('chartId')!r}"
        if key not in reached:
            yield f"{where}: position: {key} is below no row: nobody would see it"
    if not chart_uuids(dashboard):
        yield f"{where}: position: there is no chart"


def _below(key: str, nodes: Mapping[str, Mapping[str, Any]], seen: frozenset[str] = frozenset()) -> Iterator[str]:
    """A node of a position and all that hangs on it."""
    yield key
    for child in nodes.get(key, {}).get("children") or []:
        if child not in seen:
            yield from _below(str(child), nodes, seen | {key})


def chart_uuids(dashboard: Mapping[str, Any]) -> set[str]:
    """The charts that a dashboard shows."""
    return {str(node["meta"].get("uuid")) for node in (dashboard.get("position") or {}).values()
            if isinstance(node, dict) and node.get("type") == "CHART" and isinstance(node.get("meta"), dict)}


def queries_of(context: Any) -> list[dict[str, Any]]:
    """What a chart asks, out of its query_context, which is a text with JSON, or a mapping."""
    if isinstance(context, str):
        try:
            context = json.loads(context)
        except ValueError:
            return []  # a chart without a query, which the caller refuses by its name
    queries = context.get("queries") if isinstance(context, Mapping) else None
    return [one for one in queries or [] if isinstance(one, dict)]


def bundle(kind: str, uuids: Iterable[str], assets: Assets, database: Mapping[str, Any]) -> dict[str, Any]:
    """The files of an import: what is meant, and all that it needs.

    Superset leaves what merely comes along as it is where it has it.

    Args:
        kind: one of :data:`KINDS`.
        database: the connection as an export has it; every dataset gets it.
    """
    wanted: dict[str, set[str]] = {name: set() for name in KINDS}
    wanted[kind] = set(uuids)
    for uuid in wanted["dashboard"]:
        wanted["chart"] |= chart_uuids(assets.dashboard[uuid])
    for uuid in wanted["chart"]:
        wanted["dataset"].add(str(assets.chart[uuid]["dataset_uuid"]))
    found: dict[str, Any] = {"databases/database.yaml": database}
    for name in KINDS:
        found.update({f"{name}s/{uuid}.yaml": _sent(name, assets.of(name)[uuid], database) for uuid in sorted(wanted[name])})
    return found


def _sent(kind: str, content: Mapping[str, Any], database: Mapping[str, Any]) -> dict[str, Any]:
    made = {**content, "version": "1.0.0"}
    if kind == "dataset":
        made["database_uuid"] = database["uuid"]
    return made


def asked(kind: str, content: Mapping[str, Any]) -> str:
    """What tells a file from another one: all that counts of it, and what a chart asks, which follows from its settings in Superset."""
    return fingerprint([canonical(kind, content), queries_of(content.get("query_context"))])


def canonical(kind: str, content: Mapping[str, Any], datasets: Mapping[int, str] | None = None) -> dict[str, Any]:
    """What counts of a thing, the same for a file and for what Superset's API shows of it. What is empty does not count.

    Args:
        kind: one of :data:`KINDS`.
        datasets: of what the API shows: number of a dataset to its uuid.
    """
    made = {"dataset": _dataset, "chart": _chart, "dashboard": _dashboard}[kind](content, datasets or {})
    kept: dict[str, Any] = _bare(made)
    return kept


def _dataset(content: Mapping[str, Any], _datasets: Mapping[int, str]) -> dict[str, Any]:
    made = {key: content.get(key) for key in ("table_name", "schema", "sql", "main_dttm_col", "description")}
    of_column = ("type", "expression", "is_dttm", "verbose_name", "description")
    made["columns"] = {one["column_name"]: {key: one.get(key) for key in of_column} for one in content.get("columns") or []}
    of_metric = ("expression", "verbose_name", "d3format", "description")
    made["metrics"] = {one["metric_name"]: {key: one.get(key) for key in of_metric} for one in content.get("metrics") or []}
    return made


def _chart(content: Mapping[str, Any], datasets: Mapping[int, str]) -> dict[str, Any]:
    made = {key: content.get(key) for key in ("slice_name", "viz_type", "description", "cache_timeout")}
    params = _read(content.get("params"))
    made["params"] = {key: value for key, value in params.items() if key not in _PLACED}
    number = str(params.get("datasource") or "").partition("__")[0]
    made["dataset"] = content.get("dataset_uuid") or datasets.get(int(number) if number.isdigit() else 0, "unknown")
    return made


def _dashboard(content: Mapping[str, Any], _datasets: Mapping[int, str]) -> dict[str, Any]:
    made = {key: content.get(key) for key in ("dashboard_title", "slug", "description", "css", "published")}
    metadata = _read(content["metadata"] if "metadata" in content else content.get("json_metadata"))
    made["metadata"] = {key: value for key, value in metadata.items() if key not in _DERIVED}
    position = _read(content["position"] if "position" in content else content.get("position_json"))
    made["position"] = {key: _node(node) for key, node in position.items() if isinstance(node, dict)}
    return made


def _node(node: Mapping[str, Any]) -> dict[str, Any]:
    meta = {key: value for key, value in (node.get("meta") or {}).items() if key != "chartId"}
    return {"type": node.get("type"), "children": node.get("children"), "meta": meta}


def _read(value: Any) -> dict[str, Any]:
    """A mapping, which the API shows as a text with JSON."""
    if isinstance(value, str):
        try:
            value = json.loads(value or "{}")
        except ValueError:
            return {"unreadable": value}
    return dict(value) if isinstance(value, Mapping) else {}


def _bare(value: Any) -> Any:
    """Without what is empty, however it is written."""
    if isinstance(value, Mapping):
        kept = {str(key): _bare(one) for key, one in value.items()}
        return {key: one for key, one in kept.items() if one is not None and one not in ("", [], {})}
    if isinstance(value, (list, tuple)):
        return [_bare(one) for one in value]
    return value


def fingerprint(content: Any) -> str:
    """What tells two things apart."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def differences(wanted: Any, there: Any, at: str = "") -> list[str]:
    """What is otherwise in Superset than in the files, a line each: where, what the file has, what Superset has."""
    if isinstance(wanted, Mapping) and isinstance(there, Mapping):
        found: list[str] = []
        for key in [*wanted, *(key for key in there if key not in wanted)]:
            found += differences(wanted.get(key), there.get(key), f"{at}.{key}" if at else str(key))
        return found
    return [] if wanted == there else [f"{at}: {_shown(wanted)} in the file, {_shown(there)} in Superset"]


def _shown(value: Any) -> str:
    text = "nothing" if value is None else json.dumps(value, ensure_ascii=False, sort_keys=True)
    return text if len(text) <= 100 else f"{text[:97]}..."


def verdict(wanted: Mapping[str, Any], there: Mapping[str, Any] | None, before: Mapping[str, str] | None, file: str) -> str:
    """What has to be done about one thing.

    Args:
        wanted: the file's :func:`canonical` form.
        there: that of what Superset has, or None.
        file: its fingerprint, :func:`asked`.
        before: C(file) and C(there), the fingerprints of both after the last import; None where nobody knows.

    Returns:
        C(missing), C(same), C(old) (as it was imported, and the file is another one), C(changed) (by somebody in Superset).
    """
    if there is None:
        return "missing"
    if before and before.get("there") == fingerprint(there):
        return "same" if before.get("file") == file else "old"
    return "same" if wanted == there else "changed"


def _named(content: Mapping[str, Any], key: str, name: str) -> set[str]:
    return {str(one[name]) for one in content.get(key) or [] if isinstance(one, Mapping) and one.get(name)}


def _texts(value: Any) -> list[str]:
    """Names in a list that may hold descriptions as well."""
    return [one for one in value or [] if isinstance(one, str)]
