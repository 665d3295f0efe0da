# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who listens on the TCP ports of this node, and what is in the way of somebody who wants to."""

from __future__ import annotations

import errno
import os
import re
import socket
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

PROC = Path("/proc")
_ESTABLISHED, _LISTEN = "01", "0A"
Place = tuple[str, int]
"""An address of this node as a configuration names it (``*`` for all), and a port."""


class CannotSee(Exception):
    """There is no /proc/net/tcp; the message says so."""


@dataclass(frozen=True)
class Holder:
    """A process that listens. ``pid`` is 0 where this user may not see it; then ``uid`` is who made the socket."""

    address: str
    pid: int = 0
    name: str = ""
    unit: str = ""
    uid: int = 0

    def belongs_to(self, unit: str, pid: int = 0) -> bool:
        """Whether it is a process of *unit*; with *pid*, that one.

        In a container root may not see what the processes of others have open. There a socket counts as the unit's where such a
        process of it runs as who made the socket; root may have made it for a process that gave up its rights since.
        """
        if self.pid:
            return self.unit == unit and pid in (0, self.pid)
        return any(
            _unit(entry) == unit and pid in (0, int(entry)) and self.uid in (0, owner)
            for entry, owner in _closed_processes()
        )

    def describe(self) -> str:
        """For people."""
        if not self.pid:
            return f"a process that this user may not see, on {self.address}"
        unit = f", unit {self.unit}" if self.unit else ""
        return f"{self.name} (pid {self.pid}{unit}) on {self.address}"


def listeners(text: str, family: int) -> Iterator[tuple[str, int, str, int]]:
    """Read ``/proc/net/tcp`` or ``tcp6``: address, port, inode and user of each socket that listens. ``family`` is 4 or 6."""
    for line in text.splitlines()[1:]:
        fields = line.split()
        if len(fields) < 10 or fields[3] != _LISTEN:
            continue
        raw, _colon, port = fields[1].rpartition(":")
        yield _address(raw, family), int(port, 16), fields[9], int(fields[7])


def _address(raw: str, family: int) -> str:
    """An address as the kernel prints it: words of 32 bits in the machine's own order."""
    words = [int(raw[start : start + 8], 16) for start in range(0, len(raw), 8)]
    packed = b"".join(struct.pack("=I", word) for word in words)
    return socket.inet_ntop(socket.AF_INET if family == 4 else socket.AF_INET6, packed)


def holders(port: int) -> list[Holder]:
    """Who listens on a TCP port of this node.

    Raises:
        CannotSee: there is no /proc/net/tcp.
    """
    inodes: dict[str, str] = {}
    users: dict[str, int] = {}
    for name, family in (("tcp", 4), ("tcp6", 6)):
        try:
            text = (PROC / "net" / name).read_text(encoding="ascii", errors="replace")
        except FileNotFoundError as error:
            if family == 6:
                continue  # a kernel without IPv6
            raise CannotSee(f"{PROC / 'net' / name} is not there") from error
        for address, number, inode, uid in listeners(text, family):
            if number == port:
                inodes[inode], users[address] = address, uid
    if not inodes:
        return []
    wanted = {f"socket:[{inode}]": address for inode, address in inodes.items()}
    found: dict[tuple[str, int], Holder] = {}
    for entry in os.listdir(PROC):
        if entry.isdigit():
            for address in {wanted[link] for link in _links(entry) if link in wanted}:
                found[(address, int(entry))] = Holder(address, int(entry), _comm(entry), _unit(entry))
    seen = {holder.address for holder in found.values()}
    hidden = [Holder(address, uid=users[address]) for address in sorted(set(inodes.values()) - seen)]
    return [*(found[key] for key in sorted(found)), *hidden]


def outsiders(place: Place, program: str) -> list[Holder]:
    """Who listens on *place*, where *program* is to; empty where that does, or nobody, or somebody whom this user may not see.

    Raises:
        CannotSee: see there.
    """
    numbers = addresses(place[0])
    found = [holder for holder in holders(place[1]) if any(overlaps(holder.address, numeric) for numeric in numbers)]
    return [] if any(not holder.pid or holder.name == program for holder in found) else found


def connections(text: str, port: int) -> Iterator[tuple[str, int]]:
    """Read ``/proc/net/tcp`` or ``tcp6``: inode and user of each connection to a port elsewhere."""
    for line in text.splitlines()[1:]:
        fields = line.split()
        if len(fields) >= 10 and fields[3] == _ESTABLISHED and int(fields[2].rpartition(":")[2], 16) == port:
            yield fields[9], int(fields[7])


def connected(unit: str, port: int) -> int:
    """How many connections to a port the processes of a service hold. In a container root may not see what the processes of others
    have open; there those of the users that such processes run as are counted.
    """
    found: dict[str, int] = {}
    for name in ("tcp", "tcp6"):
        try:
            found.update(connections((PROC / "net" / name).read_text(encoding="ascii", errors="replace"), port))
        except OSError:
            continue
    mine = [entry for entry in os.listdir(PROC) if entry.isdigit() and _unit(entry) == unit]
    closed = {owner for entry, owner in _closed_processes() if entry in mine}
    open_ones = {link for entry in mine for link in _links(entry)}
    return sum(f"socket:[{inode}]" in open_ones or owner in closed for inode, owner in found.items())


def _closed_processes() -> Iterator[tuple[str, int]]:
    """Number and user of each process whose open files this user may not see."""
    for entry in os.listdir(PROC):
        if not entry.isdigit():
            continue
        try:
            owner = (PROC / entry).stat().st_uid
        except OSError:
            continue  # it has ended
        try:
            os.readlink(PROC / entry / "cwd")
        except PermissionError:
            yield entry, owner
        except OSError:
            continue  # it ended in between


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


def overlaps(held: str, wanted: str) -> bool:
    """Whether a socket on ``held`` is in the way of one on ``wanted``."""
    return held == wanted or ip_address(held).is_unspecified or ip_address(wanted).is_unspecified


def shown(holders_: Iterable[Holder]) -> str:
    """Several of them for people."""
    return "; ".join(holder.describe() for holder in holders_)


def in_the_way(places: Iterable[Place], unit: str = "") -> list[str]:
    """Why a service could not listen on *places*, a sentence each; empty where it could, or its own *unit* does already.

    Raises:
        CannotSee: see there.
    """
    problems = []
    for address, port in places:
        for numeric in addresses(address):
            refused = _refused(numeric, port)
            if refused == errno.EADDRNOTAVAIL:
                problems.append(f"{address} is no address of this node, so that nothing can listen on {at(address, port)}")
            elif refused == errno.EADDRINUSE:
                found = [holder for holder in holders(port) if overlaps(holder.address, numeric)]
                others = [holder for holder in found if not unit or not holder.belongs_to(unit)]
                if others or not found:
                    problems.append(f"{at(address, port)} is held by {shown(others) or 'a socket that does not listen'}")
            elif refused:
                problems.append(f"nothing can listen on {at(address, port)}: {os.strerror(refused)}")
    return list(dict.fromkeys(problems))


def not_held(places: Iterable[Place], unit: str, pid: int = 0) -> list[str]:
    """Which of *places* a *unit* does not listen on, a sentence each; with *pid*, that process of it.

    Raises:
        CannotSee: see there.
    """
    problems = []
    for address, port in places:
        found = holders(port)
        for numeric in addresses(address):
            held = [holder for holder in found if holder.address == numeric or ip_address(holder.address).is_unspecified]
            if not any(holder.belongs_to(unit, pid) for holder in held):
                who = f"{unit}{f' (pid {pid})' if pid else ''}"
                problems.append(f"{at(address, port)} is not held by {who}, but by {shown(held) or 'nobody'}")
    return list(dict.fromkeys(problems))


def at(address: str, port: int) -> str:
    """An address and a port for people."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def addresses(address: str) -> list[str]:
    """The numbers of an address, which may be a name, C(*), or have Redis' C(-) in front; itself where nobody knows it."""
    bare = address.strip().lstrip("-").strip("[]")
    if bare in ("*", ""):
        return ["0.0.0.0"]
    try:
        found = socket.getaddrinfo(bare, None, type=socket.SOCK_STREAM)
    except OSError:
        return []
    return list(dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found))


def _refused(address: str, port: int) -> int:
    """Why the kernel lets nobody have a place (an errno); 0 where it would."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                trial.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            trial.bind((address, port))
    except OSError as error:
        return error.errno or errno.EINVAL
    return 0
