# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A web application under a name, as docs/guide-web.md describes it: a site of files and a service behind one edge that speaks TLS."""

from __future__ import annotations

import http.client
import re
import socket
import ssl
import threading
from pathlib import Path
from typing import Any

import pytest

NAME, PORT = "shop.example.com", 8443


class Visitor:
    """Asks for the site by its name, wherever that leads in the world outside of the lab."""

    def __init__(self, address: str, ca: Path) -> None:
        self.address = address
        self.context = ssl.create_default_context(cafile=str(ca))

    def ask(self, path: str, body: bytes | None = None, host: str = f"{NAME}:{PORT}") -> tuple[int, Any, str]:
        """Status, headers and body."""
        client = http.client.HTTPConnection(self.address, PORT, timeout=30)
        client.sock = self.context.wrap_socket(socket.create_connection((self.address, PORT), 30), server_hostname=NAME)
        try:
            client.request("POST" if body else "GET", path, body=body, headers={"Host": host})
            answer = client.getresponse()
            return answer.status, answer.headers, answer.read().decode()
        finally:
            client.close()


@pytest.fixture(scope="module")
def visitor(lab: Any, root: Path) -> Visitor:
    """Somebody elsewhere who trusts the operator's CA."""
    return Visitor(lab.addresses["gpu-1"], root / ".lab/tls/ca.pem")


def test_it_is_served_by_its_name(visitor: Visitor) -> None:
    """Page, files that browsers keep, a path of the service behind it, its limit; another name is sent to this one."""
    status, headers, page = visitor.ask("/")
    assert (status, headers["Cache-Control"]) == (200, "no-cache")
    script = re.findall('src="([^"]+)"', page)[0]
    assert visitor.ask(script)[1]["Cache-Control"] == "public, max-age=31536000, immutable"
    assert visitor.ask("/health")[2].startswith('{"status":"ok"')
    assert visitor.ask("/health", body=b"x" * (1024 * 1024 + 1))[0] == 413
    assert visitor.ask("/release.json")[0] == 404
    status, headers, _page = visitor.ask("/cart?a=b", host="www.shop.example.com")
    assert (status, headers["Location"]) == (308, f"https://{NAME}:{PORT}/cart?a=b")


def test_the_distributions_own_server_is_not_there(lab: Any) -> None:
    """It would take port 80 at the next boot, before the edge does."""
    node = lab.node("gpu-1")
    assert node.run("systemctl is-enabled nginx.service").stdout.strip() == "masked"
    assert node.run("systemctl is-active nginx.service").stdout.strip() == "inactive"


def test_pages_find_their_files_after_a_switch_and_after_the_way_back(lab: Any, visitor: Visitor) -> None:
    """Whoever has a page of a release open gets its files from the slot that served before, at every moment of a switch."""
    pages: set[str] = set()
    wrong: list[Any] = []
    over = threading.Event()

    def visit() -> None:
        while not over.is_set():
            try:
                status, _headers, page = visitor.ask("/")
                pages.update(re.findall('src="([^"]+)"', page))
                wrong.extend([(status, page)] if status != 200 else [])
                wrong.extend((script, found) for script in sorted(pages) if (found := visitor.ask(script)[0]) != 200)
            except (OSError, http.client.HTTPException) as problem:
                wrong.append(repr(problem))
            over.wait(0.2)

    user = threading.Thread(target=visit, daemon=True)
    user.start()
    try:
        lab.play("playbooks/deploy.yml", "-e", "release=v1.1.0", "-e", "backup=false", "-e", "allow_bad=true").ended_well()
        assert "v1.1.0" in visitor.ask("/")[2]
        assert visitor.ask("/assets/app.v1.0.0.js")[0] == 200
        lab.node("gpu-1").check_output("aistack --stack tiny rollback --reason 'the lab looks at the way back'")
        assert "v1.0.0" in visitor.ask("/")[2]
        assert visitor.ask("/assets/app.v1.1.0.js")[0] == 200
        assert visitor.ask("/assets/app.v0.9.0.js")[0] == 404
    finally:
        over.set()
        user.join(60)
    assert wrong == []
    assert pages == {"/assets/app.v1.0.0.js", "/assets/app.v1.1.0.js"}
