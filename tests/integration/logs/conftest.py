# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""VictoriaLogs and the node's own command as processes, with the files of their roles; a journal that systemd-journal-remote writes.

The machine of the tests need not run systemd: systemd-journal-remote makes the files that journald makes, out of entries as the tests give
them, and journalctl reads both alike. C(systemctl) is a stand-in that notes what it is told.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.context import Context
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.file import Journal
from ansible_collections.phasegate.aistack.plugins.module_utils.node import zipapp
from ansible_collections.phasegate.aistack.plugins.module_utils.probes import REGISTRY
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.base import Attempt
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.spec import normalise
from ansible_collections.phasegate.aistack.tests.unit.plugins.module_utils.pki import Authority

from ..monitoring.conftest import free_ports, wait
from ..role_tasks import run_tasks

ROOT = Path(__file__).resolve().parents[3]
REMOTE = "/usr/lib/systemd/systemd-journal-remote"
PASSWORD = "s3cret-of-the-reader"
TOKEN = "t0ken-of-the-application"
SETTLE = 10  # what the role has
KEEP_FREE = 8 * 2**20
DISK = 96 * 2**20
"""Bytes of the store's own file system, which a test fills."""
SYSTEMCTL = """\
#!/bin/sh
case $* in
    *--property=ActiveEnterTimestamp*) echo "@$(cat "$0.since")" ;;
    *) echo "$*" >> "$0.log" ;;
esac
"""
ENTRY = """\
__REALTIME_TIMESTAMP={micros}
__MONOTONIC_TIMESTAMP={micros}
_BOOT_ID=0123456789abcdef0123456789abcd{boot:02}
MESSAGE={text}
PRIORITY={priority}
SYSLOG_IDENTIFIER=uvicorn
_PID={pid}
_SYSTEMD_UNIT={unit}
{more}
"""


class World:
    """One node with a store, a shipper and a journal."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_ports(1)[0]
        self.url = f"http://127.0.0.1:{self.port}"
        self.context: ssl.SSLContext | None = None
        self.store: subprocess.Popen[bytes] | None = None
        self.shipper: subprocess.Popen[bytes] | None = None
        for name in ("journal", "data", "root", "state", "registry", "bin", "position", "etc"):
            (folder / name).mkdir()
        self.password = folder / "credentials/victorialogs"
        program = subprocess.run([str(ROOT / "tests/tools/logs-tools.sh")], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
        systemctl = folder / "bin/systemctl"
        systemctl.write_text(SYSTEMCTL)
        systemctl.chmod(0o755)
        self.systemctl_log, self.journald_since = folder / "bin/systemctl.log", folder / "bin/systemctl.since"
        self.journald_since.write_text("1")
        self.variables: dict[str, Any] = {
            "ansible_python_interpreter": "/usr/bin/python3", "aistack_name": "shop", "aistack_ports": {"victorialogs": self.port},
            "aistack_root": str(folder / "root"), "aistack_state": str(folder / "state"), "aistack_address": "127.0.0.1",
            "aistack_components": {
                "api": {"role": "backend", "hosts": "all", "application": "shop", "port": "api"},
                "logs": {"role": "victorialogs", "hosts": "all", "metrics": {"port": "victorialogs", "username": "reader"}},
                "sender": {"role": "log_shipper", "hosts": "all"},
                "figures": {"role": "prometheus", "hosts": "all"},
            },
            "victorialogs_password": PASSWORD, "victorialogs_user": "root", "victorialogs_data": str(folder / "data"),
            "victorialogs_credentials_dir": str(folder / "credentials"), "victorialogs_keep_free": str(KEEP_FREE),
            "__victorialogs_folder": str(folder / "etc"), "__victorialogs_program": program,
            "__victorialogs_unit_file": str(folder / "victorialogs.service"),
            "log_shipper_settle": SETTLE, "__log_shipper_folder": str(folder / "etc/shipper"),
            "__log_shipper_journald": str(folder / "etc/journald/aistack.conf"),
            "__log_shipper_unit_file": str(folder / "log-shipper.service"),
        }
        self.command = folder / "aistack"
        members = zipapp.sources(Path(zipapp.__file__).parents[1])
        (folder / "aistack.zip").write_bytes(zipapp.pack(members))
        self.command.write_bytes(zipapp.program(folder / "aistack.zip", zipapp.digest(members), "/usr/bin/python3"))
        self.command.chmod(0o755)
        (folder / "registry/shop.json").write_text(
            json.dumps({"name": "shop", "root": str(folder / "root"), "state_dir": str(folder / "state")})
        )
        config = folder / "root/api/config/1"
        config.mkdir(parents=True)
        (config / "env").write_text(f'API_TOKEN="{TOKEN}"\n')
        self.journal = Journal.of(folder / "state")
        self.remote = subprocess.Popen([REMOTE, f"--output={folder}/journal/system.journal", "-"], stdin=subprocess.PIPE,
                                       stderr=subprocess.DEVNULL, text=True)

    def configure(self, *roles: str, **more: Any) -> subprocess.CompletedProcess[str]:
        """Run what roles do between installation and start; without names store and shipper."""
        steps = [(role, "configure") for role in roles or ("victorialogs", "log_shipper")]
        return run_tasks(self.folder, steps, {**self.variables, **more}, timeout=90, environment=self.environment())

    def environment(self) -> dict[str, str]:
        """That of a play: systemctl is the stand-in."""
        return {**os.environ, "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}"}

    def line_of(self, unit: str) -> str:
        """The command line of a unit that a role has written."""
        found = re.search(r"^ExecStart=(.*)$", (self.folder / unit).read_text(encoding="utf-8"), re.MULTILINE)
        assert found
        return found[1]

    def start_store(self) -> None:
        """Start it by the line of its unit, and wait for it."""
        with (self.folder / "store.log").open("ab") as log:
            self.store = subprocess.Popen(self.line_of("victorialogs.service").split(), stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        assert wait(self.healthy), (self.folder / "store.log").read_text()

    def speak_tls(self, authority: Authority, pair: tuple[Path, Path]) -> None:
        """From its next start on the store speaks TLS, to whom trusts that CA."""
        certificate, key = pair
        self.variables.update({"aistack_ca": str(authority.ca), "victorialogs_tls": {"certificate": str(certificate), "key": str(key)}})
        self.variables["aistack_components"]["logs"]["metrics"]["tls"] = True
        self.url = f"https://127.0.0.1:{self.port}"
        self.context = ssl.create_default_context(cafile=str(authority.ca))
        shutil.copy(authority.ca, self.folder / "root/ca.pem")  # as role toolchain does

    def healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/health", timeout=1, context=self.context) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def kill_store(self) -> None:
        """As the power goes: nothing is written any more."""
        assert self.store
        self.store.kill()
        self.store.wait(10)

    def start_shipper(self) -> None:
        """Start it by the line of its unit, on the journal of the tests."""
        settings = self.folder / "etc/shipper/settings.json"
        own = {**json.loads(settings.read_text(encoding="utf-8")), "journal": str(self.folder / "journal"),
               "position": str(self.folder / "position/position.json")}
        (self.folder / "settings.json").write_text(json.dumps(own))
        words = self.line_of("log-shipper.service").replace(str(settings), str(self.folder / "settings.json")).split()
        assert words[0] == "/usr/local/bin/aistack"
        with (self.folder / "shipper.log").open("ab") as log:
            self.shipper = subprocess.Popen([str(self.command), "--registry", str(self.folder / "registry"), *words[1:]], stdout=log,
                                            stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)
        assert wait(lambda: "sends what localhost says" in self.said()), self.said()

    def stop_shipper(self, number: int = signal.SIGTERM) -> None:
        """End it, and with SIGKILL what it has started, as systemd does."""
        assert self.shipper
        if number == signal.SIGKILL:
            os.killpg(self.shipper.pid, number)
        else:
            self.shipper.send_signal(number)
        self.shipper.wait(15)

    def said(self) -> str:
        """What the shipper said."""
        return (self.folder / "shipper.log").read_text(encoding="utf-8")

    def write(self, *texts: str, unit: str = "aistack-api@blue.service", priority: int = 6, pid: int = 4711, more: str = "",
              micros: int = 0, boot: int = 1) -> None:
        """Have the journal say it."""
        assert self.remote.stdin
        for text in texts:
            self.remote.stdin.write(ENTRY.format(text=text, unit=unit, priority=priority, pid=pid, more=f"{more}\n" if more else "",
                                                 micros=micros or time.time_ns() // 1000, boot=boot))
        self.remote.stdin.flush()

    def ask(self, query: str, login: str = f"reader:{PASSWORD}") -> list[dict[str, str]]:
        """What the store answers."""
        data = urllib.parse.urlencode({"query": query}).encode()
        request = urllib.request.Request(f"{self.url}/select/logsql/query", data=data)
        if login:
            request.add_header("Authorization", "Basic " + base64.b64encode(login.encode()).decode())
        with urllib.request.urlopen(request, timeout=10, context=self.context) as answer:
            return [json.loads(line) for line in answer.read().decode().splitlines()]

    def push(self, body: dict[str, Any]) -> int:
        """Send lines past the shipper; the store's status."""
        request = urllib.request.Request(f"{self.url}/insert/loki/api/v1/push", data=json.dumps(body).encode())
        request.add_header("Content-Type", "application/json")
        request.add_header("Authorization", "Basic " + base64.b64encode(f"reader:{PASSWORD}".encode()).decode())
        with urllib.request.urlopen(request, timeout=10, context=self.context) as answer:
            return int(answer.status)

    def count(self, query: str, what: str = "count()") -> int:
        return int(self.ask(f"{query} | stats {what} n")[0]["n"])

    def settled(self) -> int:
        """The number of the entry up to which the shipper holds the store for safe."""
        cursor = json.loads((self.folder / "position/position.json").read_text(encoding="utf-8"))["cursor"]
        found = re.search(r";i=([0-9a-f]+);", cursor)
        return int(found[1], 16) if found else 0

    def probe(self, **probe: Any) -> Attempt:
        """Ask once, as a gate does."""
        spec = normalise({"name": "it", "logs": self.url, **probe}, None)
        one = REGISTRY[spec["type"]](spec)
        return one.run(Context(timeout=one.attempt_timeout, names={}))

    def end(self) -> None:
        assert self.remote.stdin
        self.remote.stdin.close()
        self.remote.wait(15)
        if self.shipper and self.shipper.poll() is None:
            self.stop_shipper()
        if self.store and self.store.poll() is None:
            self.store.terminate()
            self.store.wait(15)


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    missing = [name for name in (REMOTE, "journalctl") if not shutil.which(name)]
    assert not missing, f"{', '.join(missing)} are needed: tests/tools/host-packages.sh, see make/quality.mk"
    one = World(tmp_path_factory.mktemp("logs"))
    mounted = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "none", str(one.folder / "data")]
    done = subprocess.run(mounted, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"a file system has to be mounted for this, as root: {done.stderr}"
    done = one.configure()
    assert done.returncode == 0, done.stdout + done.stderr
    one.start_store()
    one.start_shipper()
    yield one
    one.end()
    subprocess.run(["umount", str(one.folder / "data")], check=True)
