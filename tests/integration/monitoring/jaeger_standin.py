# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in of Jaeger: it reads the configuration that the real one reads, takes spans by OTLP in JSON, and answers some of its API.

Of its own it knows nothing: listeners and who may ask are what the file says. It keeps what it took until it ends.
"""

from __future__ import annotations

import base64
import http.server
import json
import sys
import threading
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

TAKEN: dict[str, list[dict[str, Any]]] = {}
"""Trace to its spans, each with its service."""


def plain(attributes: Any) -> dict[str, str]:
    """Attributes as texts."""
    return {one["key"]: str(next(iter(one["value"].values()))).replace("True", "true") for one in attributes or []}


class Receiver(http.server.BaseHTTPRequestHandler):
    """OTLP over HTTP."""

    def do_POST(self) -> None:
        given = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        for resource in given["resourceSpans"] if self.path == "/v1/traces" else []:
            service = plain(resource["resource"]["attributes"])["service.name"]
            for span in (span for scope in resource["scopeSpans"] for span in scope["spans"]):
                TAKEN.setdefault(span["traceId"], []).append({**span, "service": service})
        self.answer(200 if self.path == "/v1/traces" else 404, {"partialSuccess": {}})

    def answer(self, status: int, body: Any) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_arguments: Any) -> None:
        pass


class Api(Receiver):
    """What is asked."""

    login = ""

    def do_GET(self) -> None:
        path, query = urlsplit(self.path).path, {key: values[0] for key, values in parse_qs(urlsplit(self.path).query).items()}
        if self.login and self.headers.get("Authorization") != f"Basic {self.login}":
            self.answer(401, {})
        elif path == "/api/services":
            self.answer(200, {"data": sorted({span["service"] for spans in TAKEN.values() for span in spans}), "errors": None})
        elif path == "/api/traces":
            found = [one for one in TAKEN.items() if any(self.fits(span, query) for span in one[1])]
            self.answer(200, {"data": [self.shown(*one) for one in found[-int(query["limit"]):]], "errors": None})
        else:
            self.answer(404, {})

    @staticmethod
    def fits(span: dict[str, Any], query: dict[str, str]) -> bool:
        """Whether one span is what is looked for."""
        known = {**plain(span["attributes"]), **({"error": "true"} if span.get("status", {}).get("code") == 2 else {})}
        tags = json.loads(query.get("tags", "{}"))
        return (
            span["service"] == query["service"] and query.get("operation") in (None, span["name"])
            and int(query["start"]) <= int(span["startTimeUnixNano"]) // 1000 <= int(query["end"])
            and all(known.get(key) == value for key, value in tags.items())
        )

    @staticmethod
    def shown(trace: str, spans: list[dict[str, Any]]) -> dict[str, Any]:
        """A trace as the API has it."""
        rows = [{"traceID": trace, "spanID": span["spanId"], "operationName": span["name"], "processID": f"p{number}"}
                for number, span in enumerate(spans)]
        return {"traceID": trace, "spans": rows, "processes": {f"p{number}": {"serviceName": span["service"]}
                                                               for number, span in enumerate(spans)}}


def main() -> None:
    """`jaeger validate --config FILE`, or without the word."""
    given = yaml.safe_load(Path(sys.argv[sys.argv.index("--config") + 1]).read_text(encoding="utf-8"))
    query, extensions = given["extensions"]["jaeger_query"], given["extensions"]
    assert set(extensions["jaeger_storage"]["backends"]["store"]) <= {"badger", "memory"}
    if sys.argv[1] == "validate":
        return
    if "auth" in query["http"]:
        login = Path(extensions[query["http"]["auth"]["authenticator"]]["htpasswd"]["file"]).read_text(encoding="utf-8")
        Api.login = base64.b64encode(login.strip().encode()).decode()
    receiver = given["receivers"]["otlp"]["protocols"]["http"]["endpoint"]
    for endpoint, handler in ((receiver, Receiver), (query["http"]["endpoint"], Api)):
        host, _colon, port = endpoint.rpartition(":")
        server = http.server.ThreadingHTTPServer((host, int(port)), handler)
        threading.Thread(target=server.serve_forever, daemon=handler is Receiver).start()


if __name__ == "__main__":
    main()
