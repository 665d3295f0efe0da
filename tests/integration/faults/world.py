# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab that faults befall: users who keep asking, rows that must survive, faults and how each is healed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..refusals.conftest import BACKEND, BIN, ROOT, WEB, Outcome
from ..rollback.conftest import OperatorLab

HERE = Path(__file__).resolve().parent
DATABASE = "sparklio"
ROWS = 25
"""Rows that every case finds and has to leave as they are."""
LEASE_S = 900.0
"""Seconds after which the lock of a dead run is free; a lock may be left for that long and no longer."""
KILLED = -signal.SIGKILL
CONTROLLER = "10.89.77.1"
"""The controller's address as the nodes see it."""


@dataclass(frozen=True)
class Fault:
    """What happens to the world, and how it is healed: scripts for a node (as root), or commands on this machine."""

    words: str
    node: str = "backend-1"
    script: str = ""
    command: tuple[str, ...] = ()
    heal: str = ""
    heal_command: tuple[str, ...] = ()

    def run(self) -> list[str]:
        """The command that brings the fault about."""
        return list(self.command) or [str(ROOT / "lab" / "bin" / "lab"), "ssh", self.node, f"sudo sh -c {quoted(self.script)}"]


def quoted(text: str) -> str:
    """A text as one word for the shell at the other end."""
    return "'" + text.replace("'", "'\\''") + "'"


def _cut(match: str) -> tuple[str, str]:
    """Scripts that drop packets, and that let them pass again."""
    chain = "add chain inet fault cut { type filter hook input priority -10 ; }"
    rules = ("add table inet fault", chain, f"add rule inet fault cut {match} drop")
    return f"printf '%s\\n' {' '.join(quoted(rule) for rule in rules)} | nft -f -", "nft delete table inet fault"


_DB_CUT, _DB_JOIN = _cut("tcp dport 5432")
_SSH_CUT, _SSH_JOIN = _cut(f"ip saddr {CONTROLLER} tcp dport 22")

# waits until the edge sends to the new slot of the backend and no longer to the old one, and stops the process that switches there:
# what is on disk then is what a power cut would leave, however fast the machine is
_IN_THE_SHIFT = """
import os, signal, time
end = time.monotonic() + 90
while time.monotonic() < end:
    rows = [line.split() for line in open("/var/lib/haproxy/server-state") if " backend " in line]
    states = {row[3]: int(row[6]) for row in rows}
    if sorted(bool(state & 0x18) for state in states.values()) == [False, True] and not any(state & 0x63 for state in states.values()):
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                line = open(f"/proc/{pid}/cmdline").read()
            except OSError:
                continue
            if "AnsiballZ_slot" in line:
                os.kill(int(pid), signal.SIGSTOP)
        os.sync()
        raise SystemExit(0)
    time.sleep(0.001)
raise SystemExit("the edge was never between two slots")
"""

_SLOW = (
    "printf '[Service]\\nExecStartPre=+/bin/sleep 30\\n' | sudo tee /etc/systemd/system/postgresql@.service.d/slow.conf && sync"
)

FAULTS = {
    "node in the shift": Fault(
        "the node is killed between the edge's switch and the end of the activation",
        command=("sh", "-c", (f"printf %s {quoted(_IN_THE_SHIFT)} | lab/bin/lab ssh backend-1 'sudo python3 -'"
                              " && podman kill phasegate-backend-1")),
        heal_command=("lab/bin/lab", "up"),
    ),
    "node": Fault("the node is killed", command=("podman", "kill", "phasegate-backend-1"), heal_command=("lab/bin/lab", "up")),
    "node with a slow database": Fault(
        "the node is killed, and when it boots its database takes 30 s longer",
        command=("sh", "-c", (f"lab/bin/lab ssh backend-1 {quoted(_SLOW)} && podman kill phasegate-backend-1")),
        heal_command=("lab/bin/lab", "up"),
        heal="rm /etc/systemd/system/postgresql@.service.d/slow.conf; systemctl daemon-reload",
    ),
    "database": Fault(
        "the database is killed",
        script="systemctl kill --signal=SIGKILL 'postgresql@*'; sleep 0.2; systemctl stop 'postgresql@*'",
        heal="systemctl reset-failed 'postgresql@*'; systemctl start postgresql; systemctl restart postgresql",
    ),
    "broker": Fault(
        "the broker is killed",
        script="systemctl kill --signal=SIGKILL redis-server; sleep 0.2; systemctl stop redis-server",
        heal="systemctl reset-failed redis-server; systemctl start redis-server",
    ),
    "network to the database": Fault("the network between application and database is cut", script=_DB_CUT, heal=_DB_JOIN),
    # the command comes over the connection that it cuts, so it is carried out a moment later
    "network to the node": Fault(
        "the network between controller and node is cut for 60 s",
        script=f"{_SSH_CUT} && {_SSH_JOIN} && "  # so that one that cannot be made is seen
               f"systemd-run --quiet --unit=fault-cut sh -c {quoted(f'sleep 0.3; {_SSH_CUT}; sleep 60; {_SSH_JOIN}')}",
        heal_command=("sleep", "1"),
    ),
    "disk for releases": Fault(
        "the disk is full where releases are staged (a file system of 4 MiB stands in)",
        script="mkdir -p /opt/aistack/backend/staging && mount -t tmpfs -o size=4m tmpfs /opt/aistack/backend/staging",
        heal="umount -l /opt/aistack/backend/staging",
    ),
    "disk for sets": Fault(
        "the disk is full where backup sets are made (a file system of 64 KiB stands in)",
        script="mount -t tmpfs -o size=64k tmpfs /var/lib/aistack/backups",
        heal="umount -l /var/lib/aistack/backups",
    ),
    "corrupt set": Fault(
        "the newest backup set is damaged",
        script="f=$(ls -d /var/lib/aistack/backups/*-manual | tail -n 1)/postgres; f=$(find $f -type f -size +0 | head -n 1); "
               "cp -p $f /root/kept-part; echo $f > /root/kept-name; printf x >> $f",
        heal="cp -p /root/kept-part $(cat /root/kept-name); rm -f /root/kept-part /root/kept-name",
    ),
    "clock": Fault(
        "the node's clock is a day ahead (the time that its modules are told stands in)",
        script="true",
        heal="true",
    ),
}


@dataclass
class Visitors:
    """Users who ask both edges ten times a second, each time with a connection of their own."""

    failed: int = 0
    asked: int = 0
    longest_s: float = 0.0
    _ill: dict[str, float] = field(default_factory=dict)
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Visitors:
        for url in (f"http://{BACKEND}:8000/health", f"http://{WEB}:3000/api/health"):
            thread = threading.Thread(target=self._ask, args=(url,), daemon=True)
            thread.start()
            self._threads.append(thread)
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(10)
        for began in self._ill.values():
            self.longest_s = max(self.longest_s, time.monotonic() - began)

    def _ask(self, url: str) -> None:
        while not self._stop.wait(0.1):
            self.asked += 1
            began = time.monotonic()
            try:
                with urllib.request.urlopen(url, timeout=5) as answer:
                    answer.read()
            except (OSError, urllib.error.URLError):
                self.failed += 1
                self._ill.setdefault(url, began)
                continue
            if url in self._ill:
                self.longest_s = max(self.longest_s, time.monotonic() - self._ill.pop(url))


class World(OperatorLab):
    """The lab, with faults."""

    def faulty(self, playbook: str, arguments: list[str], at: dict[str, Any], timeout: float = 400) -> Outcome:
        """Run a playbook in which something happens at a step."""
        environment = self.environment | {
            "ANSIBLE_CALLBACK_PLUGINS": str(HERE / "plugins"), "ANSIBLE_CALLBACKS_ENABLED": "at_step", "AT_STEP": json.dumps(at)
        }
        process = subprocess.Popen(
            [str(BIN / "ansible-playbook"), f"phasegate.aistack.{playbook}", *arguments], cwd=ROOT, env=environment, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )
        try:
            text, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            text, _ = process.communicate()
            raise AssertionError(f"{playbook} did not end within {timeout} s of a fault\n{text[-4000:]}") from None
        return Outcome(process.returncode, text)

    def sql(self, query: str) -> str:
        """What the database answers, as its superuser."""
        return self.on("backend-1", f"cd /; runuser -u postgres -- psql -XAtq -v ON_ERROR_STOP=1 {DATABASE} <<'E'\n{query}\nE").strip()

    def plant(self) -> str:
        """Have the rows that must survive; returns their fingerprint."""
        self.sql(
            "insert into workflows (id, kind, user_request, risk_level, status, spec, created_at) select 'survivor-' || n, 'test', "
            f"'stays', 'low', 'completed', '{{}}', now() from generate_series(1, {ROWS}) n on conflict (id) do nothing"
        )
        return self.rows()

    def rows(self) -> str:
        """Fingerprint of the rows that must survive: their number and a checksum."""
        return self.sql("select count(*) || ' ' || md5(string_agg(w::text, ',' order by id)) from workflows w where id like 'survivor-%'")

    def heal(self, fault: Fault) -> None:
        """Undo a fault, and wait until the nodes and both edges answer again."""
        if fault.heal_command:
            subprocess.run(fault.heal_command, cwd=ROOT, check=True, stdin=subprocess.DEVNULL, capture_output=True, timeout=180)
        end = time.monotonic() + 150
        while True:
            try:
                if fault.heal:
                    self.on(fault.node, fault.heal)
                break
            except (AssertionError, subprocess.TimeoutExpired):
                assert time.monotonic() < end, f"{fault.words}: could not be healed"
                time.sleep(2)

    def answering(self, timeout: float = 120) -> dict[str, str]:
        """The releases that users reach, as soon as both edges answer."""
        end = time.monotonic() + timeout
        while True:
            try:
                return self.serving()
            except (OSError, KeyError, ValueError):
                assert time.monotonic() < end, "the services did not come back by themselves"
                time.sleep(0.5)

    def locks(self) -> dict[str, float]:
        """Node to the seconds for which a lock is held there yet."""
        left = {}
        for node in ("backend-1", "gpu-1", "web-1"):
            text = self.on(node, "cat /var/lib/aistack/lock.json 2>/dev/null; true").strip()  # none is the answer that is hoped for
            if text:
                clock = float(self.on(node, "cut -d' ' -f1 /proc/uptime"))
                left[node] = round(float(json.loads(text)["clock_expires"]) - clock, 1)
        return left

    def unfinished(self, after: int) -> list[str]:
        """Operations of backend-1's journal behind a sequence number that began and of which nothing says how they went on."""
        open_: dict[tuple[str, str], str] = {}
        for record in self.journal():
            if record["seq"] <= after or record["op"] in ("lock", "phase"):
                continue
            key = (record["op"], record["component"])
            if record["outcome"] == "started":
                open_[key] = f"{record['op']} {record['component']} {record['release']} of {record['run']}"
            else:
                open_.pop(key, None)
                if record["op"] in ("activate", "revert"):
                    open_.pop(("activate", record["component"]), None)
                    open_.pop(("revert", record["component"]), None)
        return sorted(open_.values())
