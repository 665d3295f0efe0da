# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in for Superset's server, which answers in its shapes and keeps what is imported. The real one: `make superset`."""

from __future__ import annotations

import http.server
import io
import json
import re
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

KINDS = ("database", "dataset", "chart", "dashboard")
PASSWORD = "s3cret-of-the-boss"
TOKEN = "t0ken-of-a-login"


class Standin:
    """What it has, and how it misbehaves.

    Attributes:
        things: by kind and number; C(uuid) and what the API shows.
        rows: what the query of a chart answers, by name: a number of rows, or the text of an error; else 3.
        drops: charts are left out of imports, which answer 200 all the same.
        health: what C(/health) answers.
        seen: method and path of each request.
    """

    def __init__(self) -> None:
        self.things: dict[str, dict[int, dict[str, Any]]] = {kind: {} for kind in KINDS}
        self.rows: dict[str, Any] = {}
        self.drops = False
        self.page = ""
        self.health: tuple[int, str] = (200, "OK")
        self.seen: list[tuple[str, str]] = []
        self.refuses = ""

    def numbers(self, kind: str) -> dict[str, int]:
        return {thing["uuid"]: number for number, thing in self.things[kind].items()}

    def add(self, kind: str, thing: dict[str, Any]) -> int:
        number = self.numbers(kind).get(thing["uuid"], 10 + sum(map(len, self.things.values())))
        self.things[kind][number] = {**thing, "id": number}
        return number

    def take(self, kind: str, archive: bytes) -> None:
        """An import: what is meant is replaced, what comes along is made where it is missing, what cannot be placed is left out."""
        with zipfile.ZipFile(io.BytesIO(archive)) as found:
            files = {name.partition("/")[2]: json.loads(found.read(name)) for name in found.namelist()}
        for place in ("dataset", "chart", "dashboard"):
            for path, content in files.items():
                if path.startswith(f"{place}s/") and (place == kind or content["uuid"] not in self.numbers(place)):
                    getattr(self, f"_{place}")(content)

    def _dataset(self, content: dict[str, Any]) -> None:
        self.add("dataset", content)

    def _chart(self, content: dict[str, Any]) -> None:
        source = self.numbers("dataset").get(content["dataset_uuid"])
        if source is None or self.drops:
            return
        params = {**content["params"], "datasource": f"{source}__table", "annotation_layers": []}
        kept = {key: value for key, value in content.items() if key != "dataset_uuid"}
        self.add("chart", {**kept, "params": json.dumps(params)})

    def _dashboard(self, content: dict[str, Any]) -> None:
        charts = self.numbers("chart")
        position = json.loads(json.dumps(content["position"]))
        for node in position.values():
            if isinstance(node, dict) and node["type"] == "CHART":
                node["meta"]["chartId"] = charts.get(node["meta"]["uuid"], node["meta"]["chartId"])
        kept = {key: value for key, value in content.items() if key not in ("position", "metadata")}
        self.add("dashboard", {**kept, "position_json": json.dumps(position), "json_metadata": json.dumps(content["metadata"])})

    def charts_of(self, dashboard: dict[str, Any]) -> list[dict[str, Any]]:
        nodes = [node for node in json.loads(dashboard["position_json"]).values() if isinstance(node, dict) and node["type"] == "CHART"]
        found = [self.things["chart"].get(self.numbers("chart").get(node["meta"]["uuid"], 0)) for node in nodes]
        return [{"id": one["id"], "slice_name": one["slice_name"]} for one in found if one]

    def answer(self, method: str, path: str, headers: Any, body: bytes) -> tuple[int, Any]:
        """Status and content."""
        if path == "/health":
            return self.health
        if self.page:
            return 200, self.page
        if path == "/api/v1/security/login":
            right = json.loads(body).get("password") == PASSWORD
            return (200, {"access_token": TOKEN}) if right else (401, {"message": "Not authorized"})
        if headers.get("Authorization") != f"Bearer {TOKEN}":
            return 401, {"msg": "Missing Authorization Header"}
        if path == "/api/v1/security/csrf_token/":
            return 200, {"result": "a-csrf-token"}
        if method != "GET" and (headers.get("X-CSRFToken"), headers.get("Cookie")) != ("a-csrf-token", "session=its-own"):
            return 400, {"errors": [{"message": "400 Bad Request: The CSRF session token is missing."}]}
        if method != "GET" and self.refuses:
            if headers.get("Accept") != "application/json":
                return 500, "<!doctype html><title>Error</title>"
            return 422, {"errors": [{"message": self.refuses, "extra": {"charts/x.yaml": {"extra": ["Missing data"]}, "issue_codes": []}}]}
        return self._of_api(method, path, body)

    def _of_api(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        asked = re.fullmatch(r"/api/v1/(database|dataset|chart|dashboard)/(?:([^/?]+)/?(\w+)?/?)?(?:\?(.*))?", path)
        if not asked:
            return 404, {"message": "Not found"}
        kind, which, what, query = asked.groups()
        if which == "import":
            start = body.index(b"PK\x03\x04")
            self.take(kind, body[start:])
            return 200, {"message": "OK"}
        if which is None and method == "POST":
            data = json.loads(body)
            return 201, {"id": self.add(kind, {"uuid": "11111111-1111-4111-8111-111111111111", **data}), "result": data}
        if which is None:
            (page,) = map(int, re.findall(r"page%3A(\d+)", query or "page%3A0"))
            return 200, {"result": list(self.things[kind].values())[page * 100 : page * 100 + 100]}
        found = [one for number, one in self.things[kind].items() if which in (str(number), one.get("slug"))]
        if not found:
            return 404, {"message": "Not found"}
        if method == "PUT":
            found[0].update(json.loads(body))
        if what == "charts":
            return 200, {"result": self.charts_of(found[0])}
        if what == "data":
            rows = self.rows.get(found[0]["slice_name"], 3)
            told = {"error": rows, "rowcount": None} if isinstance(rows, str) else {"error": None, "rowcount": rows}
            return 200, {"result": [told]}
        return 200, {"result": found[0]}


@contextmanager
def serving() -> Iterator[tuple[Standin, str]]:
    """A stand-in that serves, and its address."""
    outer = Standin()

    class Handler(http.server.BaseHTTPRequestHandler):
        def go(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            outer.seen.append((self.command, self.path))
            status, content = outer.answer(self.command, self.path, self.headers, body)
            raw = (content if isinstance(content, str) else json.dumps(content)).encode()
            self.send_response(status)
            if self.path.endswith("csrf_token/"):
                self.send_header("Set-Cookie", "session=its-own; HttpOnly; Path=/; SameSite=Lax")
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        do_GET = do_POST = do_PUT = go

        def log_message(self, *_arguments: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield outer, f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join(5)


def files() -> dict[str, Any]:
    """A small folder of assets, path to content."""
    dataset, first, second, board = (f"{digit * 8}-0000-4000-8000-000000000000" for digit in "abcd")
    position = {
        "ROOT_ID": {"id": "ROOT_ID", "type": "ROOT", "children": ["GRID_ID"]},
        "GRID_ID": {"id": "GRID_ID", "type": "GRID", "children": ["ROW-1"]},
        "ROW-1": {"id": "ROW-1", "type": "ROW", "children": ["CHART-1", "CHART-2"]},
        **{f"CHART-{number}": {"id": f"CHART-{number}", "type": "CHART", "children": [], "meta": {"chartId": number, "uuid": uuid}}
           for number, uuid in ((1, first), (2, second))},
    }
    query = json.dumps({"datasource": {"id": 0, "type": "table"}, "queries": [{"columns": ["kind"], "metrics": ["count"]}]})
    charts = {
        f"charts/{name}.yaml": {"slice_name": name, "viz_type": "pie", "uuid": uuid, "dataset_uuid": dataset, "query_context": query,
                                "params": {"viz_type": "pie", "groupby": ["kind"], "metric": "count"}}
        for name, uuid in (("Orders", first), ("Kinds", second))
    }
    return {
        "databases/shop.yaml": {"uuid": "of somewhere else"},
        "datasets/shop/orders.yaml": {"table_name": "orders", "schema": "public", "uuid": dataset,
                                      "columns": [{"column_name": "kind", "type": "TEXT"}],
                                      "metrics": [{"metric_name": "count", "expression": "COUNT(*)"}]},
        **charts,
        "dashboards/sales.yaml": {"dashboard_title": "Sales", "slug": "sales", "published": True, "uuid": board, "position": position,
                                  "metadata": {"color_scheme": "supersetColors"}},
    }
