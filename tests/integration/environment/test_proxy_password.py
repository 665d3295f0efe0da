# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A proxy that wants a password: whatever fetches gets it, and no command line and no log ever shows it."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
PASSWORD = "Pr0xyS3cret"
TOKEN = "glpat-Ind3xT0ken"
WANTED = "Basic " + base64.b64encode(f"deploy:{PASSWORD}".encode()).decode()
DATA = b"what was published\n"
ADDRESS = "http://origin.invalid/data"
FETCH = f"import os, urllib.request; print(os.environ['PIP_INDEX_URL']); print(urllib.request.urlopen('{ADDRESS}').read().decode())"


class Proxy(ThreadingHTTPServer):
    """Stands for a proxy that wants a password; ``asked`` is who asked it, and with what."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        super().__init__(("127.0.0.1", 0), Handler)


class Handler(BaseHTTPRequestHandler):
    server: Proxy

    def do_GET(self) -> None:
        given = self.headers.get("Proxy-Authorization", "")
        self.server.asked.append((self.path + " " + self.headers.get("User-Agent", ""), given))
        if given != WANTED:
            self.send_error(407)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(DATA)))
        self.end_headers()
        self.wfile.write(DATA)

    def log_message(self, *_arguments: Any) -> None:
        """Say nothing."""


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with Proxy() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


class Watcher(threading.Thread):
    """Looks at every command line of this machine, again and again; ``seen`` are those that show a secret."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.over = threading.Event()
        self.seen: set[str] = set()
        self.looked = 0

    def run(self) -> None:
        while not self.over.wait(0.02):
            self.looked += 1
            for place in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    line = place.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
                except OSError:
                    continue
                if any(secret in line for secret in (PASSWORD, TOKEN)):
                    self.seen.add(line[:300])


def run(folder: Path, proxy: Proxy, tasks: list[dict[str, Any]]) -> tuple[subprocess.CompletedProcess[str], Watcher, str]:
    """Run tasks under the keyword ``environment`` of deploy.yml; returns what came of it, who looked on, and the log."""
    deploy = yaml.safe_load((ROOT / "playbooks" / "deploy.yml").read_text(encoding="utf-8"))[0]
    environment = {
        "http_proxy": f"http://deploy:{PASSWORD}@127.0.0.1:{proxy.server_port}",
        "no_proxy": "localhost",
        "PIP_INDEX_URL": f"https://{TOKEN}@index.invalid/simple",
    }
    variables = {
        "ansible_connection": "local", "ansible_python_interpreter": sys.executable, "aistack_environment": environment,
        "toolchain_caller": "test", "toolchain_apt": {}, "there": str(folder),
    }
    (folder / "hosts.json").write_text(json.dumps({"all": {"hosts": {"node": variables}}}), encoding="utf-8")
    play = {"hosts": "node", "gather_facts": False, "environment": deploy["environment"], "tasks": tasks}
    (folder / "play.json").write_text(json.dumps([play]), encoding="utf-8")
    clean = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    clean.update(ANSIBLE_CONFIG=str(ROOT / "ansible.cfg"), ANSIBLE_LOG_PATH=str(folder / "log"), ANSIBLE_NOCOLOR="1")
    clean["ANSIBLE_STDOUT_CALLBACK"] = "default"
    command = [str(Path(sys.executable).parent / "ansible-playbook"), "-vvvv", "--diff", "-i", str(folder / "hosts.json")]
    watcher = Watcher()
    watcher.start()
    try:
        done = subprocess.run(
            [*command, str(folder / "play.json")],
            cwd=ROOT, env=clean, capture_output=True, text=True, timeout=120, check=False, stdin=subprocess.DEVNULL,
        )
    finally:
        watcher.over.set()
        watcher.join()
    return done, watcher, (folder / "log").read_text(encoding="utf-8")


def apt_tasks() -> list[dict[str, Any]]:
    """The role's tasks, as they are, but that apt itself fetches a file instead of changing this machine."""
    tasks = yaml.safe_load((ROOT / "roles" / "toolchain" / "tasks" / "apt.yml").read_text(encoding="utf-8"))
    changed = 0
    for task in tasks[1]["block"]:
        if task.pop("ansible.builtin.apt", None):
            argv = ["/usr/lib/apt/apt-helper", "-o", "APT::Sandbox::User=root", "download-file", ADDRESS, "{{ there }}/apt"]
            task["ansible.builtin.command"] = {"argv": argv}
            changed += 1
    assert changed == 1
    proxies = yaml.safe_load((ROOT / "roles" / "toolchain" / "vars" / "main.yml").read_text(encoding="utf-8"))["__toolchain_apt_proxy"]
    return [{"block": tasks, "vars": {"__toolchain_apt_proxy": proxies}}]


def test_everything_that_fetches_gets_it_and_nobody_else(tmp_path: Path, proxy: Proxy) -> None:
    secret = "{{ aistack_environment | phasegate.aistack.secret_environment }}"
    done, watcher, log = run(
        tmp_path,
        proxy,
        [
            {
                "name": "a module",
                "phasegate.aistack.download": {
                    "url": ADDRESS, "sha256": hashlib.sha256(DATA).hexdigest(), "dest": "{{ there }}/module", "secret_environment": secret,
                },
            },
            {
                "name": "a command",
                "phasegate.aistack.fetching_command": {"argv": [sys.executable, "-c", FETCH], "secret_environment": secret},
                "register": "said",
            },
            {"name": "what it said", "ansible.builtin.debug": {"var": "said.stdout_lines"}},
            *apt_tasks(),
        ],
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "module").read_bytes() == (tmp_path / "apt").read_bytes() == DATA
    assert DATA.decode().strip() in done.stdout, "what the command fetched"
    assert "https://****@index.invalid/simple" in done.stdout
    assert {given for _what, given in proxy.asked} == {WANTED}
    assert len({what for what, _given in proxy.asked}) == 2, "Python's and apt's"
    assert watcher.looked > 10
    assert watcher.seen == set()
    for text in (done.stdout, done.stderr, log):
        assert [line for line in text.splitlines() if PASSWORD in line or TOKEN in line] == []
    assert f"http_proxy=http://127.0.0.1:{proxy.server_port} " in done.stdout, "modules of others have the address"
    left = [path for path in Path("/tmp").glob("aistack-apt-*") if PASSWORD in path.read_text(encoding="utf-8")]
    assert left == [], "apt's file goes"


def test_a_module_without_the_password_is_refused_by_the_proxy(tmp_path: Path, proxy: Proxy) -> None:
    download = {"url": ADDRESS, "sha256": "0" * 64, "dest": "{{ there }}/module"}
    done, watcher, _log = run(tmp_path, proxy, [{"name": "a module", "phasegate.aistack.download": download}])
    assert done.returncode != 0
    assert "The proxy wants other credentials" in done.stdout
    assert [given for _what, given in proxy.asked] == [""]
    assert watcher.seen == set()
    assert not (tmp_path / "module").exists()
