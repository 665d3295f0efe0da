# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A port is free, or held by whom it should be; names the process that holds it."""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from socket import inet_ntop

from ansible_collections.phasegate.aistack.plugins.module_utils.probes.base import Attempt, CannotJudge, Context, Probe
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.process import command_line
from ansible_collections.phasegate.aistack.plugins.module_utils.pure.probe_spec import Option

PROC = Path("/proc")
_LISTEN = "0A"


@dataclass(frozen=True)
class Holder:
    """A process that listens. ``pid`` is 0 where this user may not see it."""

    address: str
    pid: int = 0
    name: str = ""
    unit: str = ""
    command: str = ""

    def describe(self) -> str:
        """For people."""
        if not self.pid:
            return f"a process that this user may not see, on {self.address}"
        unit = f", unit {self.unit}" if self.unit else ""
        return f"{self.name} (pid {self.pid}{unit}) on {self.address}"


def listeners(text: str, family: int) -> Iterator[tuple[str, int, str]]:
    """Read ``/proc/net/tcp`` or ``tcp6``: address, port and inode of each socket that listens. ``family`` is 4 or 6."""
    for line in text.splitlines()[1:]:
        fields = line.split()
        if len(fields) < 10 or fields[3] != _LISTEN:
            continue
        raw, _colon, port = fields[1].rpartition(":")
        yield _address(raw, family), int(port, 16), fields[9]


def _address(raw: str, family: int) -> str:
    """An address as the kernel prints it: words of 32 bits in the machine's own order."""
    words = [int(raw[start : start + 8], 16) for start in range(0, len(raw), 8)]
    packed = b"".join(struct.pack("=I", word) for word in words)
    return inet_ntop(2 if family == 4 else 10, packed)


def holders(port: int) -> list[Holder]:
    """Who listens on a TCP port of this node.

    Raises:
        CannotJudge: there is no /proc/net/tcp.
    """
    inodes: dict[str, str] = {}
    for name, family in (("tcp", 4), ("tcp6", 6)):
        try:
            text = (PROC / "net" / name).read_text(encoding="ascii", errors="replace")
        except FileNotFoundError as error:
            if family == 6:
                continue  # a kernel without IPv6
            raise CannotJudge(f"{PROC / 'net' / name} is not there") from error
        inodes.update({inode: address for address, number, inode in listeners(text, family) if number == port})
    if not inodes:
        return []
    wanted = {f"socket:[{inode}]": address for inode, address in inodes.items()}
    found: dict[tuple[str, int], Holder] = {}
    for entry in os.listdir(PROC):
        if entry.isdigit():
            for address in {wanted[link] for link in _links(entry) if link in wanted}:
                found[(address, int(entry))] = Holder(address, int(entry), _comm(entry), _unit(entry), command_line(entry))
    seen = {holder.address for holder in found.values()}
    hidden = [Holder(address) for address in sorted(set(inodes.values()) - seen)]
    return [*(found[key] for key in sorted(found)), *hidden]


def _links(pid: str) -> list[str]:
    links: list[str] = []
    try:
        entries = os.listdir(PROC / pid / "fd")
    except OSError:
        return links  # gone, or another user's
    for entry in entries:
        try:
            links.append(os.readlink(PROC / pid / "fd" / entry))
        except OSError:
            continue  # closed in between
    return links


def _comm(pid: str) -> str:
    try:
        return (PROC / pid / "comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return "?"


def _unit(pid: str) -> str:
    """The service of systemd that a process belongs to, out of its control group."""
    try:
        text = (PROC / pid / "cgroup").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    names = re.findall(r"/([^/\n]+\.service)", text)
    return names[-1].replace("\\x2d", "-") if names else ""


class Port(Probe):
    """Look up who listens, without connecting."""

    type = "port"
    target = Option("int", "number of the TCP port", required=True)
    options = {
        "unit": Option("str", "service that has to hold it; without unit and process it has to be free"),
        "process": Option("regex", "pattern in the name or command line of the process that has to hold it"),
        "address": Option("str", "it has to be held on this address only, or be free there"),
        "or_free": Option("bool", "free is as good as held by the right one"),
    }
    hint = "stop what holds the port, or give the component another one in aistack_ports; see: ss -ltnp 'sport = :{target}'"

    def expectation(self) -> str:
        number = self.spec["target"]
        held = [f"unit {self.spec['unit']}"] if self.spec.get("unit") else []
        held += [f"a process matching {self.spec['process']}"] if self.spec.get("process") else []
        if not held:
            return f"port {number} is free"
        on = f" on {self.spec['address']}" if self.spec.get("address") else ""
        return f"port {number} is held by {' and '.join(held)}{on}" + (", or free" if self.spec.get("or_free") else "")

    def look(self, context: Context) -> Attempt:
        number = int(self.spec["target"])
        found = holders(number)
        asked = bool(self.spec.get("unit") or self.spec.get("process"))
        if self.spec.get("address") and not asked:
            found = [holder for holder in found if _overlaps(holder.address, str(self.spec["address"]))]
        if not found:
            return Attempt(not asked or bool(self.spec.get("or_free")), f"port {number} is free", self.expectation())
        shown = f"port {number} is held by {'; '.join(holder.describe() for holder in found)}"
        detail = "\n".join(f"{holder.pid}: {holder.command[:200]}" for holder in found if holder.pid)
        return Attempt(asked and all(self._right(holder) for holder in found), shown, self.expectation(), detail)

    def _right(self, holder: Holder) -> bool:
        unit = self.spec.get("unit")
        if unit and holder.unit not in (unit, f"{unit}.service"):
            return False
        if self.spec.get("address") and holder.address != self.spec["address"]:
            return False
        pattern = self.spec.get("process")
        return not pattern or bool(re.search(pattern, holder.name) or re.search(pattern, holder.command))


def _overlaps(held: str, wanted: str) -> bool:
    """Whether a socket on ``held`` is in the way of one on ``wanted``."""
    return held == wanted or ip_address(held).is_unspecified or ip_address(wanted).is_unspecified
