# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The older parts of a journal, and the anchor that tells where it ends.

``journal.jsonl.<n>.gz`` holds records as they were written, without a gap. The file that follows begins with copies of those that
planning can still need, then a C(seal): the record that goes on with the chain and names the part and its SHA-256. A part is whole
before the file that names it takes the journal's place by one rename, so that a process that is killed loses nothing.

``journal.jsonl.last`` has number and hash of the last record. It is written after the record is on disk: after a crash it may name an
older one, never one that was not there.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ansible_collections.phasegate.aistack.plugins.module_utils.core.durable import replacing
from ansible_collections.phasegate.aistack.plugins.module_utils.journal import chain as journal_chain
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.chain import SEAL, Record

ROTATE_AT = 5000
"""Records in the journal, copies of older ones not counted, from which on its older part is archived."""

TRY_EVERY = 20
"""After how many more records it is tried again where that failed."""

_CHUNK = 1 << 20


@dataclass(frozen=True)
class Anchor:
    """The last record that was written; ``sealed`` is the number of the file's seal, 0 without one."""

    seq: int
    hash: str
    sealed: int = 0


def anchor_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.last")


def read_anchor(path: Path) -> Anchor | None:
    """The anchor of the journal *path*; None where there is none, as of journals of older versions.

    Raises:
        ValueError: it cannot be read.
    """
    try:
        found = json.loads(anchor_path(path).read_text(encoding="utf-8"))
        return Anchor(int(found["seq"]), str(found["hash"]), int(found.get("sealed") or 0))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{anchor_path(path)} cannot be read ({error or type(error).__name__})") from error


def write_anchor(path: Path, anchor: Anchor) -> None:
    """Replace the anchor, the journal being locked. One that cannot be written stays behind, which is no harm.

    Nor is one whose new name a crash takes away again: that it reaches the disk is not waited for, at each record.
    """
    with contextlib.suppress(OSError):
        _replace(anchor_path(path), [json.dumps(asdict(anchor)).encode() + b"\n"], folder=False)


def cut(path: Path, anchor: Anchor | None, records: list[Record]) -> list[str]:
    """What is missing at the end of *records*, which were read after the anchor."""
    last = int(records[-1]["seq"]) if records else 0
    if anchor is None:
        return []
    if last < anchor.seq:
        many = anchor.seq - last
        told = f"{many} records are" if many > 1 else "1 record is"
        end = f"the last one here is {last}" if last else "there is none"
        return [
            (
                f"{told} missing at the end of {path}: {anchor_path(path).name} names record {anchor.seq} as the last, {end}. The file"
                " was truncated or an older one put in its place: compare it with the copy in the newest backup set (files:state). If they"
                f" cannot be brought back, go on: the next append continues after record {last} and notes what was missing"
            )
        ]
    if not any(record["seq"] == anchor.seq and record["hash"] == anchor.hash for record in reversed(records)):
        return [
            (
                f"record {anchor.seq} of {path} is not the one that was written: {anchor_path(path).name} has another hash for it"
                f" ({anchor.hash[:12]}…). Its end was replaced: compare it with the copy in the newest backup set (part files:state)"
            )
        ]
    return []


def sealed(handle: int) -> int:
    """The number of the seal of a journal that is open; 0 without one."""
    return _sealed(journal_chain.parse(_all(handle)).records)


def _sealed(records: Sequence[Record]) -> int:
    _carried, chained = journal_chain.split(records)
    return int(chained[0]["seq"]) if chained and chained[0]["op"] == SEAL else 0


def rotate(path: Path, handle: int, time: str, at_least: int) -> int:
    """Archive the older part of the journal, which is open and locked as *handle* and ends with a whole line.

    Returns:
        The number of the seal that the journal has now; it is the one that it had where there are less than *at_least* records since.

    Raises:
        OSError: it could not be written; the journal is as it was.
    """
    # every process that knows a journal would load it, and hardly any needs it
    from ansible_collections.phasegate.aistack.plugins.module_utils.journal import keep as journal_keep

    raw = _all(handle)
    reading = journal_chain.parse(raw)
    _carried, chained = journal_chain.split(reading.records)
    before = _sealed(reading.records)
    if len(chained) < at_least:
        return before
    text = raw[_offset(raw) :] if before else raw
    part, number = _free(path, text, int((chained[0]["detail"]).get("part") or 0) if before else 0)
    _replace(part, _packed(text))
    stay = journal_keep.kept(reading.records)
    detail = {
        "part": number,
        "file": part.name,
        "sha256": _sha256(part),
        "first": int(chained[0]["seq"]),
        "last": int(chained[-1]["seq"]),
        "carried": len(stay),
        "carried_sha256": journal_chain.lines_digest(stay),
    }
    seal = journal_chain.link({"op": SEAL, "outcome": "ok", "detail": detail}, chained[-1], time)
    _replace(path, (journal_chain.encode(record).encode() for record in [*stay, seal]))
    return int(seal["seq"])


def parts(path: Path, seal: Record | None) -> Iterator[tuple[Record, Path]]:
    """The archived parts, newest first, each with the seal that names it, as far back as they are there and can be read."""
    seen: set[Path] = set()
    while seal is not None and seal.get("op") == SEAL:
        part = path.with_name(os.path.basename(str((seal.get("detail") or {}).get("file"))))
        if part in seen:
            return
        seen.add(part)
        yield seal, part
        try:
            seal = next(records_of(part), None)
        except (OSError, EOFError):
            return


def records_of(part: Path) -> Iterator[Record]:
    """The records of an archived part, one at a time; lines that are none are left out.

    Raises:
        OSError, EOFError: it cannot be read to its end.
    """
    with gzip.open(part, "rb") as lines:
        for line in lines:
            yield from journal_chain.parse(line).records


def verify(path: Path, seal: Record) -> list[str]:
    """What is wrong with the archived parts and their chain up to *seal*, one sentence each; no more than a record is held at a time."""
    problems: list[str] = []
    last: Record | None = None
    for named, part in reversed(list(parts(path, seal))):
        detail = named["detail"]
        told = f"records {detail.get('first')} to {detail.get('last')} are in {part}, which"
        try:
            if _sha256(part) != detail.get("sha256"):
                problems.append(f"{told} was changed since it was written: its SHA-256 is not the one in record {named['seq']}")
            for record in records_of(part):
                problems += journal_chain.check([record], last)
                last = record
        except (OSError, EOFError) as error:
            problems.append(
                f"{told} cannot be read ({getattr(error, 'strerror', None) or error}). Only this check and reading far back need it; put"
                " it back from a backup set (part files:state)"
            )
            last = None
    if last is not None and (seal["prev"], seal["seq"]) != (last["hash"], int(last["seq"]) + 1):
        problems.append(f"record {seal['seq']} (seal) does not go on where the archived part before it ends: one of them was replaced")
    return problems


def _offset(raw: bytes) -> int:
    """Where the seal's line begins: the first line that is one."""
    position = 0
    for line in raw.splitlines(keepends=True):
        found = journal_chain.parse(line).records if b'"op":"seal"' in line else []
        if found and found[0]["op"] == SEAL:
            return position
        position += len(line)
    return position


def _free(path: Path, text: bytes, before: int) -> tuple[Path, int]:
    """Where the next part goes. What a killed rotation left is overwritten; a part of another journal is left alone."""
    number = before
    while True:
        number += 1
        part = path.with_name(f"{path.name}.{number}.gz")
        try:
            with gzip.open(part, "rb") as there:
                if text.startswith(there.read()):
                    return part, number
        except FileNotFoundError:
            return part, number
        except (OSError, EOFError):  # not ours to judge
            continue


def _packed(text: bytes) -> Iterator[bytes]:
    yield gzip.compress(text, 6, mtime=0)


def _all(handle: int) -> bytes:
    size = os.fstat(handle).st_size
    found = bytearray()
    while len(found) < size:
        more = os.pread(handle, min(_CHUNK, size - len(found)), len(found))
        if not more:
            break
        found += more
    return bytes(found)


def _sha256(path: Path) -> str:
    told = hashlib.sha256()
    with path.open("rb") as lines:
        while chunk := lines.read(_CHUNK):
            told.update(chunk)
    return told.hexdigest()


def _replace(path: Path, chunks: Iterable[bytes], folder: bool = True) -> None:
    """Replace a file beside the journal, whole or not at all, 0640. One process at a time does so: it has the journal's lock."""
    with replacing(path, 0o640, named=folder) as out:
        for chunk in chunks:
            out.write(chunk)
