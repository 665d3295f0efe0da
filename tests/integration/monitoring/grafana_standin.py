# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in of Grafana's server: it reads the files that the real one reads, and answers some of its API.

Of its own it knows nothing: listener, login, data source and dashboards are what grafana.ini and the files of provisioning say, with
$__file{…} and $VARIABLE filled in as the real one documents it. It is a file of a program, since it is packed as an archive.
"""

from __future__ import annotations

import base64
import configparser
import http.server
import json
import os
import re
import sys
import urllib.request
from pathlib import Path
from typing import Any

import yaml


def settings_of(path: str) -> configparser.ConfigParser:
    """grafana.ini, with the content of files that it names."""
    found = configparser.ConfigParser(interpolation=None)
    text = Path(path).read_text(encoding="utf-8")
    found.read_string(re.sub(r"\$__file\{([^}]+)\}", lambda name: Path(name[1]).read_text(encoding="utf-8").strip(), text))
    return found


def provisioned(folder: str, kind: str) -> Any:
    """A file of provisioning, with what variables of the environment hold."""
    text = (Path(folder) / kind / "aistack.yml").read_text(encoding="utf-8")
    return yaml.safe_load(re.sub(r"(?<!\$)\$(\w+)", lambda name: os.environ[name[1]], text))


class Handler(http.server.BaseHTTPRequestHandler):
    """The API."""

    login = ""
    source: dict[str, Any] = {}
    boards = ""

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        if path == "/api/health":
            self.answer(200, {"database": "ok", "version": "0.0.0-stand-in"})
        elif self.headers.get("Authorization") != f"Basic {self.login}":
            self.answer(401, {"message": "Invalid username or password"})
        elif path == "/api/search":
            read = [json.loads(one.read_text(encoding="utf-8")) for one in sorted(Path(self.boards).glob("*.json"))]
            self.answer(200, [{"uid": one["uid"], "title": one["title"], "type": "dash-db"} for one in read])
        elif path == f"/api/datasources/uid/{self.source['uid']}/health":
            self.answer(*self.asked())
        else:
            self.answer(404, {"message": "not found"})

    def asked(self) -> tuple[int, dict[str, str]]:
        """What comes of a question to the data source."""
        request = urllib.request.Request(f"{self.source['url']}/api/v1/query?query=1%2B1")
        if self.source.get("basicAuth"):
            words = f"{self.source['basicAuthUser']}:{self.source['secureJsonData']['basicAuthPassword']}"
            request.add_header("Authorization", "Basic " + base64.b64encode(words.encode()).decode())
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                return 200, {"status": "OK", "message": str(json.load(answer)["status"])}
        except OSError as error:
            return 400, {"status": "ERROR", "message": str(error)}

    def answer(self, status: int, body: Any) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_arguments: Any) -> None:
        pass


def main() -> None:
    """`grafana server --homepath=… --config=…`."""
    given = dict(word.removeprefix("--").split("=", 1) for word in sys.argv[2:])
    assert sys.argv[1] == "server"
    assert (Path(given["homepath"]) / "conf/defaults.ini").is_file()
    found = settings_of(given["config"])
    security, folder = found["security"], found["paths"]["provisioning"]
    assert len(security["secret_key"]) == 64
    Handler.login = base64.b64encode(f"{security['admin_user']}:{security['admin_password']}".encode()).decode()
    (Handler.source,) = provisioned(folder, "datasources")["datasources"]
    (provider,) = provisioned(folder, "dashboards")["providers"]
    Handler.boards = provider["options"]["path"]
    http.server.ThreadingHTTPServer((found["server"]["http_addr"], int(found["server"]["http_port"])), Handler).serve_forever()


if __name__ == "__main__":
    main()
