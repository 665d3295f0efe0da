# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in of Loki's server: it reads the configuration that the real one reads, takes what is pushed, and answers counts.

Of its own it knows nothing: listener, bounds and folders are what the configuration says. It refuses what it does not know there, as the
real one does. It is a file of a program, since it is packed as an archive.
"""

from __future__ import annotations

import http.server
import json
import re
import sys
import threading
import time
import urllib.parse
from pathlib import Path
from typing import Any

import yaml

KNOWN = {"auth_enabled", "server", "analytics", "common", "schema_config", "ingester", "compactor", "limits_config"}
LIMITS = {"retention_period", "ingestion_rate_strategy", "ingestion_rate_mb", "ingestion_burst_size_mb", "per_stream_rate_limit",
          "per_stream_rate_limit_burst", "reject_old_samples", "allow_structured_metadata", "max_query_series"}
SELECTOR = re.compile(r'sum by \((\w+)\) \(count_over_time\(\{([^}]*)\}(?: \| (\w+)=~("[^"]*"))? \[(\d+)s\]\)\)')


class Bucket:
    """As many bytes as the limits let through: a burst at once, and what has been filled in since."""

    def __init__(self, limits: dict[str, Any]) -> None:
        self.rate, self.size = limits["ingestion_rate_mb"] * 2**20, limits["ingestion_burst_size_mb"] * 2**20
        self.left, self.at = self.size, time.monotonic()

    def take(self, wanted: int) -> bool:
        now = time.monotonic()
        self.left, self.at = min(self.size, self.left + (now - self.at) * self.rate), now
        if wanted > self.left:
            return False
        self.left -= wanted
        return True


class Handler(http.server.BaseHTTPRequestHandler):
    """The API."""

    protocol_version = "HTTP/1.1"
    bucket: Bucket
    lines: list[dict[str, Any]] = []
    guard = threading.Lock()

    def do_POST(self) -> None:
        sent = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path != "/loki/api/v1/push" or self.headers["Content-Type"] != "application/json":
            return self.answer(404, "")
        found = []
        for stream in json.loads(sent)["streams"]:
            for at, text, more in stream["values"]:
                if not isinstance(at, str) or not all(isinstance(value, str) for value in more.values()):
                    return self.answer(400, "error at least one entry is malformed")
                found.append({"labels": stream["stream"], "at": int(at), "text": text, "more": more})
        if not self.bucket.take(sum(len(one["text"]) for one in found)):
            return self.answer(429, "Ingestion rate limit exceeded")
        with self.guard:
            self.lines.extend(found)
        return self.answer(204, "")

    def do_GET(self) -> None:
        path, _mark, query = self.path.partition("?")
        asked = dict(urllib.parse.parse_qsl(query))
        if path == "/ready":
            return self.answer(200, "ready\n")
        if path == "/standin/lines":
            return self.answer(200, json.dumps(self.lines))
        match = SELECTOR.fullmatch(asked.get("query", ""))
        if path != "/loki/api/v1/query" or not match:
            return self.answer(400, f"parse error: {asked.get('query')}")
        label, chosen, field, value, seconds = match.groups()
        counted: dict[str, int] = {}
        for line in self.lines:
            known = {**line["more"], **line["labels"]}
            late = line["at"] / 1e9 < time.time() - int(seconds)
            if late or not fits(chosen, line["labels"]) or (field and not re.fullmatch(json.loads(value), known.get(field, ""))):
                continue
            counted[known.get(label, "")] = counted.get(known.get(label, ""), 0) + 1
        result = [{"metric": {label: name} if name else {}, "value": [time.time(), str(number)]} for name, number in counted.items()]
        return self.answer(200, json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}}))

    def answer(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_arguments: Any) -> None:
        pass


def fits(chosen: str, labels: dict[str, str]) -> bool:
    """Whether a stream is chosen: each label is equal to, or matches as a whole, what is asked for; one that is not there is empty."""
    for name, how, value in re.findall(r'(\w+)(=~|=)("(?:[^"\\]|\\.)*")', chosen):
        wanted, got = json.loads(value), labels.get(name, "")
        if not (re.fullmatch(wanted, got) if how == "=~" else wanted == got):
            return False
    return True


def main() -> None:
    words = dict(word.lstrip("-").partition("=")[::2] for word in sys.argv[1:])
    found = yaml.safe_load(Path(words["config.file"]).read_text(encoding="utf-8"))
    unknown = sorted((set(found) - KNOWN) | (set(found["limits_config"]) - LIMITS))
    if unknown:
        sys.exit(f"failed parsing config: field {unknown[0]} not found")
    if "verify-config" in words:
        print("config is valid")
        return
    Handler.bucket = Bucket(found["limits_config"])
    place = (found["server"]["http_listen_address"], found["server"]["http_listen_port"])
    http.server.ThreadingHTTPServer(place, Handler).serve_forever(poll_interval=0.05)


if __name__ == "__main__":
    main()
