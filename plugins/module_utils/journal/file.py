# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal on a node: one append at a time, on disk before the call returns."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.core import flock
from ansible_collections.phasegate.aistack.plugins.module_utils.core.durable import fsync
from ansible_collections.phasegate.aistack.plugins.module_utils.journal import archive as journal_archive, chain as journal_chain
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.archive import Anchor
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.chain import Entry, Reading, Record

JOURNAL = "journal.jsonl"
LOCK = "lock.json"
_TAIL = 64 * 1024


def utc_now() -> str:
    """Return now as ISO 8601 in UTC with milliseconds: ``2026-01-31T12:00:00.123Z``."""
    now = datetime.datetime.now(datetime.timezone.utc)
    return now.strftime("%Y-%m-%dT%H:%M:%S.") + f"{now.microsecond // 1000:03d}Z"


def _write_all(handle: int, data: bytes) -> None:
    while data:
        data = data[os.write(handle, data) :]


class Operation:
    """An operation that is under way; what is put into ``detail`` goes into its last record."""

    def __init__(self, started: Record) -> None:
        self.started = started
        self.detail: dict[str, Any] = {}


class Journal:
    """An append-only file of hash-chained records.

    ``path`` is the file; it is created with mode 0640 by the first append, its directory with 0755.
    """

    rotates = True
    """Whether an append may archive the older part."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    @classmethod
    def of(cls, state_dir: str | os.PathLike[str]) -> Journal:
        """Return the journal of a state directory."""
        return cls(Path(state_dir) / JOURNAL)

    def scan(self) -> Reading:
        """Read everything, a torn end included. A journal that is not there reads as empty."""
        try:
            raw = self.path.read_bytes()
        except FileNotFoundError:
            return Reading()
        return journal_chain.parse(raw)

    def read(self) -> list[Record]:
        """Return the records, oldest first; a torn last line is left out."""
        return self.scan().records

    def seen(self) -> tuple[Reading, list[str]]:
        """Read everything; the other are sentences about what cannot be read, or is missing at the end."""
        problems, anchor = [], None
        try:
            anchor = journal_archive.read_anchor(self.path)  # before the records: it must not be newer than what is read
        except ValueError as error:
            problems.append(f"{error}; whether records are missing at the end is not known. The next append writes it again")
        reading = self.scan()
        return reading, problems + reading.problems + journal_archive.cut(self.path, anchor, reading.records)

    def verify(self) -> list[str]:
        """Return one sentence a problem of the file itself; an empty list means that the chain holds, up to where it ended last."""
        reading, problems = self.seen()
        problems += journal_chain.verify(reading.records)
        if reading.torn is not None:
            problems.append(
                f"the last line of {self.path} is torn (an append was cut short): {reading.torn[:60]!r}; "
                "the next append moves it aside"
            )
        return problems

    def verify_all(self) -> list[str]:
        """:meth:`verify`, with the archived parts."""
        _carried, chained = journal_chain.split(self.read())
        archived = journal_archive.verify(self.path, chained[0]) if chained and chained[0]["op"] == journal_chain.SEAL else []
        return archived + self.verify()

    def newest(self, count: int, component: str | None = None) -> list[Record]:
        """The newest *count* records, 0: all, of a component or of all, oldest first; archived parts are read as far as needed."""
        _carried, chained = journal_chain.split(self.read())
        found = [record for record in chained if component is None or record.get("component") == component]
        for _seal, part in journal_archive.parts(self.path, chained[0] if chained else None):
            if count and len(found) >= count:
                break
            with contextlib.suppress(OSError, EOFError):  # verify_all says so
                more = (record for record in journal_archive.records_of(part))
                found[:0] = [record for record in more if component is None or record.get("component") == component]
        return found[-count:] if count else found

    def append(self, record: Entry) -> Record:
        """Chain a record to the last one, write it, and return it complete.

        The keys ``op`` and ``outcome`` are needed; ``seq``, ``prev`` and ``hash`` are made here.
        A torn last line is moved to ``<journal>.torn-<n>`` first and named in the record's detail.

        Raises:
            ValueError: the record is not one.
            OSError: it could not be written; nothing of it is then in the journal.
        """
        self.path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        handle = self._locked()
        try:
            last, aside = self._settle(handle)
            anchor, sealed = self._anchor(handle, last)
            since = int(last["seq"]) - sealed if last else 0
            due = since >= journal_archive.ROTATE_AT and (anchor is None or since % journal_archive.TRY_EVERY == 0)
            if self.rotates and due:
                self._rotate(handle)
                os.close(handle)  # whatever came of it: only the file that has the name now is written to
                handle = -1
                handle = self._locked()
                last = self._settle(handle)[0]
                sealed = journal_archive.sealed(handle)
            fields: Entry = {**record, "actor": record.get("actor") or self._actor(str(record.get("run") or ""))}
            noted: dict[str, Any] = {"journal_repaired": str(aside)} if aside is not None else {}
            if anchor is not None and anchor.seq > (int(last["seq"]) if last else 0):
                noted[journal_chain.MISSING] = {"seq": anchor.seq, "hash": anchor.hash}
            if noted:
                fields["detail"] = {**(record.get("detail") or {}), **noted}
            complete = journal_chain.link(fields, last, utc_now())
            size = os.fstat(handle).st_size
            try:
                _write_all(handle, journal_chain.encode(complete).encode())
                os.fsync(handle)
            except OSError:
                os.ftruncate(handle, size)
                raise
            journal_archive.write_anchor(self.path, Anchor(int(complete["seq"]), str(complete["hash"]), sealed))
        finally:
            if handle >= 0:
                os.close(handle)
        return complete

    def _rotate(self, handle: int) -> None:
        """Archive the older part. Where that does not work the journal grows on, and it is tried again.

        Whatever went wrong, a full disk or a record that nobody foresaw: what happens on this node can be written down all the same.
        """
        with contextlib.suppress(Exception):
            journal_archive.rotate(self.path, handle, utc_now(), journal_archive.ROTATE_AT)

    def _locked(self) -> int:
        """Open the journal for appending and lock it: the file that has its name now, not one that was archived meanwhile."""
        while True:
            created = not self.path.exists()
            handle = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
            try:
                flock.take(handle, self.path)
                if created:
                    os.fchmod(handle, 0o640)
                    fsync(self.path.parent)
                if os.path.samestat(os.fstat(handle), os.stat(self.path)):
                    return handle
            except FileNotFoundError:
                pass  # it was rotated away meanwhile: opened again
            except BaseException:
                os.close(handle)
                raise
            os.close(handle)

    def _anchor(self, handle: int, last: Record | None) -> tuple[Anchor | None, int]:
        """The anchor, and the number of the file's seal; where the anchor is not of this file, the seal is looked for."""
        try:
            anchor = journal_archive.read_anchor(self.path)
        except ValueError:
            anchor = None
        if anchor is not None and last is not None and anchor.seq <= int(last["seq"]):
            return anchor, anchor.sealed
        return anchor, journal_archive.sealed(handle)

    def _actor(self, run: str) -> str:
        """Return who holds the lock for this run: a module that was not told who runs need not be."""
        try:
            lease = json.loads(self.path.with_name(LOCK).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return ""
        owner = lease.get("owner") if isinstance(lease, dict) and run and lease.get("run") == run else None
        return str(owner.get("actor") or "") if isinstance(owner, dict) else ""

    def _settle(self, handle: int) -> tuple[Record | None, Path | None]:
        """Return the last record, after moving a torn end aside; the lock is held."""
        size = os.fstat(handle).st_size
        window = _TAIL
        while True:
            start = max(0, size - window)
            raw = os.pread(handle, size - start, start)
            if start:
                cut = raw.find(b"\n") + 1
                start, raw = start + cut, raw[cut:] if cut else b""
            reading = journal_chain.parse(raw)
            if reading.records or start == 0 or window >= size:
                break
            window *= 4
        aside = None
        if reading.torn is not None:
            keep = start + reading.good_bytes
            aside = self._move_aside(os.pread(handle, size - keep, keep))
            os.ftruncate(handle, keep)
        elif reading.unterminated:
            _write_all(handle, b"\n")
        return (reading.records[-1] if reading.records else None), aside

    def _move_aside(self, torn: bytes) -> Path:
        number = 1
        while True:
            aside = self.path.with_name(f"{self.path.name}.torn-{number}")
            try:
                handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
            except FileExistsError:
                number += 1
                continue
            try:
                _write_all(handle, torn)
                os.fsync(handle)
            except BaseException:
                aside.unlink()  # the torn end is still where it was
                raise
            finally:
                os.close(handle)
            return aside

    def mark(self, component: str, release: str, state: str, reason: str, run: str, actor: str) -> Record:
        """Write down what a release of a component is from now on (C(good), C(bad)), and why."""
        whose: Entry = {"component": component, "release": release, "run": run, "actor": actor}
        return self.append({"op": "mark", **whose, "outcome": "ok", "detail": {"state": state, "reason": reason}})

    @contextmanager
    def operation(
        self,
        op: str,
        component: str | None = None,
        release: str | None = None,
        run: str = "",
        actor: str = "",
        detail: Mapping[str, object] | None = None,
    ) -> Iterator[Operation]:
        """Write ``started``, run the body, write ``ok`` or ``failed``.

        The last record's detail is the first one's, what the body put into ``operation.detail``,
        ``started`` (the first record's ``seq``) and, after a failure, ``error``. The exception goes
        on. A body that is killed leaves ``started`` alone: that is how the next run recognises it.
        """
        common: Entry = {"op": op, "component": component, "release": release, "run": run, "actor": actor}
        begun = self.append({**common, "outcome": "started", "detail": dict(detail or {})})
        operation = Operation(begun)

        def end(outcome: str, extra: Mapping[str, object]) -> None:
            full = {**(detail or {}), **operation.detail, "started": begun["seq"], **extra}
            self.append({**common, "outcome": outcome, "detail": full})

        try:
            yield operation
        except SystemExit as leaving:  # a module's exit_json and fail_json
            if leaving.code in (None, 0):
                end("ok", {})
            else:
                end("failed", {"error": f"exit {leaving.code}"})
            raise
        except BaseException as error:
            end("failed", {"error": str(error)[:2000] or type(error).__name__})
            raise
        end("ok", {})
