# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The node itself, without any component: its disks, memory, clock, lock, certificates; who holds a port. Only looked at."""

from __future__ import annotations

import datetime
import os
import pwd
import ssl
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.context import CannotJudge, Context, NotAsExpected
from ansible_collections.phasegate.aistack.plugins.module_utils.core import proc, sockets
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.chain import Record
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.lock import Lease, Lock, describe
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.state import interrupted
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.usage import memory_percent

PROC = Path("/proc")
PLACES = ("/", "/var", "/var/log", "/var/lib", "/tmp", "/var/lib/postgresql", "/var/lib/redis", "/var/lib/docker")
SHOWN = 5
"""Of who has the most memory."""


def disks(paths: Iterable[str]) -> list[dict[str, object]]:
    """Every file system that one of *paths* lies on, once, by the first of them that does. One that is not there is left out."""
    found: dict[int, dict[str, object]] = {}
    for path in paths:
        try:
            device, size = os.stat(path).st_dev, os.statvfs(path)
        except OSError:
            continue
        usable = (size.f_blocks - size.f_bfree + size.f_bavail) * size.f_frsize
        if not usable or device in found:
            continue
        free = size.f_bavail * size.f_frsize
        found[device] = {
            "path": path,
            "percent": round(100 * (1 - free / usable), 1),
            "inodes_percent": round(100 * (1 - size.f_favail / size.f_files), 1) if size.f_files else 0.0,
            "free_mib": round(free / 2**20, 1),
            "read_only": bool(size.f_flag & os.ST_RDONLY),
        }
    return list(found.values())


def processes(units: Mapping[str, str], text: str | None = None) -> list[dict[str, object]]:
    """Who has the most memory, by unit, or by program where there is none. *units*: unit to component; *text*: of ``/proc/meminfo``."""
    text = (PROC / "meminfo").read_text(encoding="ascii") if text is None else text
    total = next((int(line.split()[1]) for line in text.splitlines() if line.startswith("MemTotal:")), 0) / 1024
    page, groups = os.sysconf("SC_PAGE_SIZE") / 2**20, dict[str, list[tuple[float, int]]]()
    for entry in os.listdir(PROC):
        if not entry.isdigit():
            continue
        try:
            mib = int((PROC / entry / "statm").read_text(encoding="ascii").split()[1]) * page
        except (OSError, ValueError, IndexError):
            continue  # it has ended
        if mib:
            groups.setdefault(sockets._unit(entry) or sockets._comm(entry), []).append((mib, int(entry)))
    ordered = sorted(groups.items(), key=lambda pair: -sum(mib for mib, _pid in pair[1]))[:SHOWN]
    return [
        {
            "rank": rank, "name": name, "component": units.get(name, "-"), "pid": max(members)[1], "count": len(members),
            "mib": round(sum(mib for mib, _pid in members), 1),
            "percent": round(100 * sum(mib for mib, _pid in members) / total, 1) if total else 0.0,
            "node_percent": round(memory_percent(text, "memory"), 1),
        }
        for rank, (name, members) in enumerate(ordered, 1)
    ]


def node(controller_time: float, records: Sequence[Record], context: Context) -> dict[str, object]:
    """Memory and clock. *controller_time*: seconds since 1970 by the controller's clock, from before the node was asked; 0 for unknown."""
    found: dict[str, object] = {}
    now = time.time()
    if controller_time:
        found.update(clock_behind=round(max(0.0, controller_time - now), 1), clock_ahead=round(max(0.0, now - controller_time), 1))
    try:
        text = (PROC / "meminfo").read_text(encoding="ascii")
        found.update({f"{kind}_percent": round(memory_percent(text, kind), 1) for kind in ("memory", "swap")})
    except (OSError, KeyError, ValueError, IndexError):
        pass  # a condition on it does not hold then
    try:
        done = context.execute(["timedatectl", "show", "-p", "NTPSynchronized", "--value"])
        if done.rc == 0 and done.stdout.strip() in ("yes", "no"):
            found["synchronised"] = done.stdout.strip() == "yes"
    except (CannotJudge, NotAsExpected):
        pass
    newest = max((_seconds(str(record.get("time"))) for record in records[-20:]), default=0.0)
    if newest:
        found["journal_ahead"] = round(max(0.0, newest - now), 1)
    return found


def _seconds(text: str) -> float:
    """A time of the journal in seconds since 1970; 0 where it is none."""
    try:
        return datetime.datetime.strptime(text[:19], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=datetime.timezone.utc).timestamp()
    except ValueError:
        return 0.0


def locks(state_dir: str) -> tuple[list[dict[str, object]], Lease | None]:
    """The lock, where somebody has it or had it, as a list of one; and the lease. Whether its process is dead the controller knows."""
    lock = Lock(state_dir)
    lease = lock.current()
    if lease is None:
        return [], None
    worker = lease.get("worker")
    working = isinstance(worker, dict) and proc.alive(int(worker.get("pid", 0)), worker.get("pid_started"))
    expired = lock.holder() is None
    return [{"holder": describe(lease), "run": lease.get("run"), "dead": False, "expired": expired, "working": working}], lease


def begun(records: Sequence[Record], lease: Lease | None) -> list[dict[str, object]]:
    """What was begun and has no end."""
    return [{"component": item.component or "-", "op": item.op, "run": item.run, "time": item.time,
             "held": bool(lease and lease.get("run") == item.run)} for item in interrupted(records)]


def holders(port: int, own: Iterable[str], state: str) -> list[dict[str, object]]:
    """Who listens on a port where the processes of the units *own* should; those that this user may not see are left out."""
    units = set(own)
    try:
        found = [holder for holder in sockets.holders(port) if holder.pid]
    except sockets.CannotSee:
        return []
    return [{"port": port, "holder": holder.describe(), "pid": holder.pid, "own": holder.unit in units if holder.unit else False,
             "state": state} for holder in found]


def certificate(path: str, context: Context) -> dict[str, object] | None:
    """The first certificate of a PEM file: until when. None where it cannot be read."""
    try:
        done = context.execute(["openssl", "x509", "-noout", "-enddate", "-in", path])
    except (CannotJudge, NotAsExpected):
        return None
    ends = done.stdout.strip().partition("notAfter=")[2]
    try:
        days = (ssl.cert_time_to_seconds(ends) - time.time()) / 86400
    except ValueError:
        return None
    return {"where": path, "days_left": round(days, 1), "ends": ends}


def this_user() -> str:
    """Who looks."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())
