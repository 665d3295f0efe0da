# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Backup, restore with proof, and swap of a database of 1 GB, beside PostgreSQL's bare tools; no lab is needed.

The bare tool and ours take turns on the same data, on a server of its own with the settings that a fresh one has. A figure is the
median of the ratios of neighbours, so that whatever else this machine does weighs on both. Ours is the whole of what an operator
waits for: a backup with its counts, fingerprint, checksums and manifest; a restore with the check of the set, the copy that the
server's user can read, the comparison of every object and row count, and the planner's statistics.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import secrets
import shutil
import socket
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2
from figures import Figures, PartError

from ansible_collections.phasegate.aistack.plugins.module_utils.environment.database_url import DatabaseAddress
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres import (
    restore as pg_restore,
    snapshot as pg_snapshot,
    swap as pg_swap,
)
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.admin import Server

SCALE = 68
"""Of pgbench: with it the database has 1 GB."""
BACKUPS, RESTORES = 9, 3
"""Pairs of each; a backup is short, so that one pair says little on a machine that has other things to do."""
WRITERS = 8
DATABASE = "bench"
BARE = "bench_bare"
NEEDED = 6 * 2**30
"""Bytes: the database twice, what is restored once more, dumps, write-ahead log."""
SYSTEM_USER = "postgres" if os.geteuid() == 0 else None
"""PostgreSQL refuses to run as root."""


def _as_postgres() -> dict[str, Any]:
    if SYSTEM_USER is None:
        return {}
    try:
        entry = pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        raise PartError("there is no user postgres: apt-get install postgresql") from None
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


@dataclass
class Cluster:
    """A server on loopback and on a socket in its folder."""

    folder: Path
    bin: Path
    port: int
    password: str

    @property
    def app(self) -> DatabaseAddress:
        """The database as its owner reaches it."""
        return DatabaseAddress("127.0.0.1", self.port, "app", DATABASE, self.password)

    @property
    def server(self) -> Server:
        """The server as its administrator reaches it."""
        return Server(DatabaseAddress(str(self.folder), self.port, "postgres", "postgres"), {}, SYSTEM_USER)

    def run(self, *argv: str | Path, stdin: str = "", owner: bool = False) -> str:
        """Run one of PostgreSQL's programs as the administrator, or as the owner of the database; returns what it prints."""
        where = {"PGHOST": str(self.folder), "PGPORT": str(self.port), "PGUSER": "postgres", "PGDATABASE": "postgres"}
        if owner:
            where.update(PGHOST="127.0.0.1", PGUSER="app", PGDATABASE=DATABASE, PGPASSWORD=self.password)
        done = subprocess.run(
            [str(word) for word in argv], input=stdin, capture_output=True, text=True, check=False, cwd="/",
            env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", **where}, **_as_postgres(),
        )
        if done.returncode:
            raise PartError(f"{Path(argv[0]).name} ended with {done.returncode}: {done.stderr[-1000:]}")
        return done.stdout.strip()

    def sql(self, text: str) -> str:
        """SQL as the administrator."""
        return self.run("psql", "-XqAt", "-v", "ON_ERROR_STOP=1", stdin=text)

    def ctl(self, *words: str) -> None:
        """Start or stop it."""
        done = subprocess.run(
            [self.bin / "pg_ctl", "-D", self.folder / "data", "-w", "-l", self.folder / "log", *words],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False, cwd="/", **_as_postgres(),
        )
        if done.returncode:
            log = self.folder / "log"
            raise PartError(f"pg_ctl {words[0]} ended with {done.returncode}: {log.read_text()[-1000:] if log.exists() else 'no log'}")

    def start(self, *settings: str) -> None:
        """Start it with the defaults of a fresh installation, but for *settings*."""
        words = [f"-p {self.port}", "-c listen_addresses=127.0.0.1", f"-c unix_socket_directories={self.folder}", *settings]
        self.ctl("start", "-o", " ".join(words))


@contextlib.contextmanager
def cluster() -> Iterator[Cluster]:
    """A server in a folder of its own, with the database loaded; both are gone afterwards."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/pgbench"), key=lambda path: int(path.parts[-3]))
    if not found:
        raise PartError("no PostgreSQL server with pgbench on this machine: apt-get install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="aistack-bench-"))
    try:
        free = shutil.disk_usage(folder).free
        if free < NEEDED:
            raise PartError(f"{folder} has {free / 2**30:.1f} GiB free, {NEEDED / 2**30:g} are needed: free some, or set TMPDIR")
        folder.chmod(0o755)
        (folder / "data").mkdir(mode=0o700)
        (folder / "sets").mkdir(mode=0o700)
        owner = _as_postgres()
        for path in (folder, folder / "data") if owner else ():
            os.chown(path, owner["user"], owner["group"])
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        here = Cluster(folder, found[-1].parent, port, secrets.token_urlsafe(24))
        here.run(here.bin / "initdb", "-D", folder / "data", "-U", "postgres", "-A", "trust", "--auth-host=scram-sha-256", "-E", "UTF8",
                 "--locale=C")
        try:
            here.start("-c fsync=off")  # for the loading only
            here.sql(f"CREATE ROLE app LOGIN PASSWORD '{here.password}'; CREATE DATABASE {DATABASE} OWNER app")
            here.run(here.bin / "pgbench", "-i", "-q", "-s", str(SCALE), owner=True)
            here.sql("CHECKPOINT")
            here.ctl("stop", "-m", "fast")
            here.start()
            yield here
        finally:
            if (folder / "data" / "postmaster.pid").exists():
                here.ctl("stop", "-m", "immediate")
    finally:
        shutil.rmtree(folder)


def alternate(here: Cluster, times: int, bare: Callable[[int], float], ours: Callable[[int], float]) -> list[tuple[float, float]]:
    """Seconds of both, pair by pair; which comes first changes. Each begins with nothing of the other left to be written."""
    found = []
    for turn in range(times):
        pair = {}
        for name, call in (("bare", bare), ("ours", ours)) if turn % 2 == 0 else (("ours", ours), ("bare", bare)):
            here.sql("CHECKPOINT")
            os.sync()
            pair[name] = call(turn)
        found.append((pair["bare"], pair["ours"]))
    return found


def report(figures: Figures, name: str, tool: str, limit: float, pairs: list[tuple[float, float]]) -> None:
    """The rows of one comparison."""
    ratios = [ours / bare for bare, ours in pairs]
    figures.add(name, statistics.median(ratios), "times", limit, ratios)
    figures.add("  … worst pair", max(ratios), "times", None)
    figures.add(f"  … bare {tool}", statistics.median(bare for bare, _ours in pairs), "s", None, [bare for bare, _ours in pairs])
    figures.add("  … ours", statistics.median(ours for _bare, ours in pairs), "s", None, [ours for _bare, ours in pairs])


def backups(figures: Figures, here: Cluster) -> Path:
    """Sets of the database beside bare dumps; returns the newest set."""
    sets = [here.folder / "sets" / f"set{turn}" for turn in range(BACKUPS)]

    def bare(turn: int) -> float:
        target = here.folder / f"bare{turn}"
        began = time.monotonic()
        here.run("pg_dump", "-Fd", "-j2", "-f", target, owner=True)
        seconds = time.monotonic() - began
        shutil.rmtree(target)
        return seconds

    def ours(turn: int) -> float:
        began = time.monotonic()
        pg_snapshot.alone(sets[turn], DATABASE, here.app, {}, SYSTEM_USER, jobs=2)
        return time.monotonic() - began

    bare(BACKUPS)  # the first reader of all pays for the cache
    report(figures, f"backup of {_gigabytes(here)} of pgbench data", "pg_dump -Fd -j2", 1.15, alternate(here, BACKUPS, bare, ours))
    for path in sets[:-1]:
        shutil.rmtree(path)
    return sets[-1]


def restores(figures: Figures, here: Cluster, folder: Path) -> None:
    """The set restored and proven beside bare restores of the same dump; each of ours is then swapped in while others write."""
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    part = manifest["parts"][0]
    dump = here.folder / "dump"  # the same, where the bare tool's user can read it
    shutil.copytree(folder / part["path"] / pg_snapshot.DUMP, dump)
    for path in (dump, *dump.iterdir()):
        shutil.chown(path, SYSTEM_USER or os.geteuid())
    proofs, gaps, told = [], [], []

    def bare(_turn: int) -> float:
        here.sql(f"CREATE DATABASE {BARE} OWNER app")
        began = time.monotonic()
        here.run("pg_restore", "-j2", "--exit-on-error", "-d", BARE, dump)
        seconds = time.monotonic() - began
        here.sql(f"DROP DATABASE {BARE}")
        return seconds

    def ours(_turn: int) -> float:
        began = time.monotonic()
        made = pg_restore.restore_beside(here.server, DATABASE, folder, part, manifest["files"], jobs=2)
        seconds = time.monotonic() - began
        proofs.append(made["seconds"]["proof"])
        with Crowd(here) as crowd:
            swapped = pg_swap.swap(here.server, DATABASE, made["beside"], wait=1.0, terminate=True)
        gaps.append(crowd.longest)
        told.append(swapped["refused_seconds"])
        pg_swap.drop_beside(here.server, DATABASE, names=[swapped["replaced"]])
        return seconds

    pairs = alternate(here, RESTORES, bare, ours)
    report(figures, f"restore and proof of {_gigabytes(here)} of pgbench data", "pg_restore -j2", 1.5, pairs)
    figures.add("  … of which the proof", statistics.median(proofs), "s", None, proofs)
    figures.add(f"swap: longest time without a write of any of {WRITERS} writers", max(gaps), "s", 1, gaps)
    figures.add("  … as the swap itself tells", max(told), "s", None, told)


def _gigabytes(here: Cluster) -> str:
    return f"{int(here.sql(f'''SELECT pg_database_size('{DATABASE}')''')) / 1e9:.2f} GB"


class Crowd:
    """Clients that write all the time, and come back at once when they are thrown out, each on a connection of its own.

    ``longest`` is the longest time in seconds that one of them was without a write that was committed: from the end of one to the
    end of the next, connecting again included.
    """

    def __init__(self, here: Cluster) -> None:
        self.here = here
        self.longest = 0.0
        self.thrown_out = 0
        self._ending = threading.Event()
        self._written = [0] * WRITERS
        self._gaps = [0.0] * WRITERS
        self._threads = [threading.Thread(target=self._write, args=(number,), name=f"writer {number}") for number in range(WRITERS)]

    def __enter__(self) -> Crowd:
        for thread in self._threads:
            thread.start()
        self._until_all_wrote()
        time.sleep(0.5)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_unused: object) -> None:
        try:
            if kind is None:
                self._until_all_wrote()
        finally:
            self._ending.set()
            for thread in self._threads:
                thread.join()
        if kind is None and not self.thrown_out:
            raise PartError("no writer was thrown out by the swap: this measured nothing")
        self.longest = max(self._gaps)

    def _until_all_wrote(self) -> None:
        """Wait until each has written some more. Raises PartError."""
        before, end = list(self._written), time.monotonic() + 30
        while any(now < was + 5 for was, now in zip(before, self._written)):
            if time.monotonic() > end:
                raise PartError(f"writers cannot write any more: {before} writes before, {self._written} after 30 s")
            time.sleep(0.01)

    def _write(self, number: int) -> None:
        address = self.here.app
        last, connection = None, None
        while not self._ending.is_set():
            try:
                if connection is None:
                    connection = psycopg2.connect(
                        host=address.host, port=address.port, user=address.user, dbname=address.database, password=address.password
                    )
                    connection.autocommit = True
                with connection.cursor() as cursor:
                    cursor.execute("UPDATE pgbench_tellers SET tbalance = tbalance + 1 WHERE tid = %s", (number + 1,))
            except psycopg2.Error:  # thrown out, or not let in: that is what is measured
                self.thrown_out += 1
                if connection is not None:
                    connection.close()
                connection = None
                time.sleep(0.005)
                continue
            now = time.monotonic()
            self._gaps[number] = max(self._gaps[number], now - (now if last is None else last))
            self._written[number] += 1
            last = now
        if connection is not None:
            connection.close()


def measure(figures: Figures) -> None:
    """All rows."""
    with cluster() as here:
        restores(figures, here, backups(figures, here))
