# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Backup sets as data: what a node has to save, how sets are named, whether one fits, which may go. No I/O."""

from __future__ import annotations

import calendar
import re
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypedDict, TypeVar

from ansible_collections.phasegate.aistack.plugins.module_utils.backup.options import BACKUP, ENTRIES
from ansible_collections.phasegate.aistack.plugins.module_utils.core import schema
from ansible_collections.phasegate.aistack.plugins.module_utils.core.names import PART_NAME, PART_WORDS
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.chain import Entry, Record
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.state import derive
from ansible_collections.phasegate.aistack.plugins.module_utils.release.unit_access import saved

AnyPart = TypeVar("AnyPart", bound=Mapping[str, object])

FORMAT = 2
KINDS = ("postgres", "redis", "bucket", "sqlite", "files", "releases")
"""Kinds of parts, in the order in which people read them."""

RESTORED_BY_DEFAULT = ("postgres", "redis", "bucket", "sqlite", "files:config", "files:writable")
"""What a restore puts back where nothing is named; the set's other parts only by their name."""

KEEP = {"last": 7, "days": 30}
NAME = re.compile(r"^(\d{8}T\d{6}Z)-([A-Za-z0-9][A-Za-z0-9._-]{0,199})\Z")
"""Folder of a set, of the dumps that were made before a migration (format 1) as well."""

AHEAD = 300.0
"""Seconds that a set may be younger than now: clocks are set right by small steps."""

COUNT_BELOW = 20_000_000
"""Tables with more rows by the database's statistics are not counted for a set: that would take longer than the dump."""

_STAMP = "%Y%m%dT%H%M%SZ"
_REMOTE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+@ -]*")
_RECIPIENT = re.compile(r"^age1[02-9ac-hj-np-z]{58}\Z")

NUMBERS = ("min_free_bytes", "timeout", "count_below")
WRITABLE = "writable"
"""What a node's description has besides: the folders that its components write, from their own descriptions."""


def set_name(stamp: str, reason: str) -> str:
    """Name of a set that begins at ``stamp`` (``yyyymmddThhmmssZ``), for what is written in ``reason``.

    A hyphen parts the stamp from the reason and nothing else, so that no name looks like that of a migration's dump.

    Raises:
        ValueError: the stamp is no time, or nothing of the reason can be part of a name.
    """
    moment(stamp)
    words = re.sub(r"[^A-Za-z0-9.]+", "_", reason).strip("._")[:60]
    if not words:
        raise ValueError(f"a set needs a reason of letters and digits, got {reason!r}")
    return f"{stamp}-{words}"


def stamp_of(seconds: float) -> str:
    """A time in seconds since 1970 as it stands in a name."""
    return time.strftime(_STAMP, time.gmtime(seconds))


def moment(text: str) -> float:
    """The time of a stamp, or of a set's name, in seconds since 1970.

    Raises:
        ValueError: there is none in it.
    """
    stamp = text.partition("-")[0]
    try:
        return float(calendar.timegm(time.strptime(stamp, _STAMP)))
    except ValueError:
        raise ValueError(f"{text!r} does not begin with a time like 20260131T120000Z") from None


def ahead(name: str, now: float) -> str:
    """That a set's name is a time to come, so that it would count as the newest for long; empty where it is not."""
    try:
        seconds = moment(name) - now
    except ValueError:
        return ""
    if seconds <= AHEAD:
        return ""
    return f"its name is {seconds / 3600:.1f} h ahead of this node's clock, which was ahead then or is behind now"


def description_problems(description: Any) -> list[str]:
    """What is wrong with ``aistack_backup`` or a node's ``backup.json``, one line each; an empty list means nothing."""
    if not isinstance(description, Mapping):
        return [f"must be a mapping, is {schema.what(description)}"]
    given = {key: value for key, value in description.items() if value is not None and key not in ("stack", WRITABLE)}
    examined, found = schema.examine("", given, BACKUP)
    left = examined or {}
    problems = [line.removeprefix(": ").removeprefix(".") for line in found]
    encrypt, copy = left.get("encrypt", {}), left.get("copy", {})
    if encrypt.get("recipient") and not _RECIPIENT.fullmatch(encrypt["recipient"]):
        problems.append("encrypt.recipient: must be age1…, the public key that age-keygen prints")
    if copy.get("remote") and not _REMOTE.fullmatch(copy["remote"]):
        problems.append(f"copy.remote: {copy['remote']!r} is no name of a remote in rclone's configuration")
    for kind in ENTRIES:
        seen: set[str] = set()
        for number, entry in enumerate(left.get(kind, [])):
            where, name = f"{kind}[{number}].name", entry.get("name", "")
            if name and not PART_NAME.match(name):
                problems.append(f"{where}: {name!r} becomes a folder; expected {PART_WORDS}")
            if name in seen:
                problems.append(f"{where}: '{name}' is there twice")
            seen.add(name)
    return problems + [f"files: {path!r} is no absolute path" for path in left.get("files", []) if not path.startswith("/")]


def exposed(backup: Mapping[str, object]) -> str:
    """What has to be said of a description whose sets lie plain, on the disk that they are to survive; empty where all is well."""
    if not backup or backup.get("copy") or backup.get("encrypt"):
        return ""
    return (
        "aistack_backup: sets stay on the node whose disk they are to survive, and hold its credentials in plain. Declare 'copy', best"
        " with 'encrypt' (see role backup)."
    )


def for_host(
    backup: Mapping[str, Any],
    stack: str,
    host: str,
    components: Mapping[str, Mapping[str, Any]],
    groups: Mapping[str, Sequence[str]],
    state: str,
) -> dict[str, object]:
    """What one node has to save, from ``aistack_backup`` of the inventory: the content of its ``backup.json``.

    The folders that its components write (``writable``) are part of it without being named there. ``state`` is ``aistack_state``.

    An entry belongs to the first host of its ``hosts`` (a group or a host), else of its component's group; one without
    either, and every path of ``files``, belongs to each host.

    Raises:
        ValueError: something is wrong with it; one line each.
    """
    problems = [f"aistack_backup: {problem}" for problem in description_problems(backup)]
    if WRITABLE in backup:
        problems.append("aistack_backup: 'writable' is said in the description of a component, and saved without being named here")
    here = {name: one for name, one in components.items() if host in groups.get(str(one.get("hosts")), ())}
    written = sorted({path for name, one in here.items() for path in saved(name, one, state)})
    described: dict[str, Any] = {
        "stack": stack,
        "keep": {**KEEP, **(backup.get("keep") or {})},
        "encrypt": backup.get("encrypt"),
        "copy": backup.get("copy"),
        "files": list(backup.get("files") or []),
        **({WRITABLE: written} if written else {}),
        **{key: backup[key] for key in NUMBERS if backup.get(key) is not None},
    }
    for kind in ENTRIES:
        described[kind] = []
        for number, entry in enumerate(backup.get(kind) or []):
            place = entry.get("hosts") or components.get(str(entry.get("component")), {}).get("hosts")
            if entry.get("component") and str(entry["component"]) not in components:
                known = ", ".join(sorted(components))
                problems.append(f"aistack_backup: {kind}[{number}].component: no component '{entry['component']}'; known: {known}")
            members = list(groups.get(str(place), [str(place)] if place else []))
            if not members or members[0] == host:
                described[kind].append({key: value for key, value in entry.items() if key != "hosts"})
    if problems:
        raise ValueError("\n".join(problems))
    return described


@dataclass(frozen=True)
class Room:
    """Whether a set fits: ``needed`` and ``free`` in bytes, ``sizes`` by part; ``problem`` is empty where it does."""

    needed: int
    free: int
    sizes: Mapping[str, int] = field(default_factory=dict)
    problem: str = ""


def room(sizes: Mapping[str, int], free: int, min_free: int, encrypted: bool, folder: str) -> Room:
    """Judge the disk before anything is written.

    Args:
        sizes: bytes that each part may take at most.
        free: bytes that are free.
        min_free: bytes that have to stay free.
        encrypted: each part is there twice for a moment.
        folder: where, for the message.
    """
    data = sum(sizes.values()) + (max(sizes.values(), default=0) if encrypted else 0)
    needed = data + min_free
    if free >= needed:
        return Room(needed, free, dict(sizes))
    largest = sorted(sizes, key=lambda name: sizes[name], reverse=True)[:3]
    named = ", ".join(f"{name} {size_text(sizes[name])}" for name in largest)
    return Room(
        needed,
        free,
        dict(sizes),
        f"{folder} has {free} bytes free ({size_text(free)}); the set may take {data} ({size_text(data)}: {named}) and {min_free} are to"
        " stay free. Free some space there, keep fewer sets (keep, in aistack_backup), or move aistack_state to a larger disk",
    )


def size_text(count: float) -> str:
    """Bytes for people."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(count) < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


@dataclass(frozen=True)
class Seen:
    """A set that is there: its name, its verdict (``verified`` or anything else), and whether it is whole.

    A dump that was made before a migration is not: it holds one database.
    """

    name: str
    verdict: str
    whole: bool = True

    @property
    def good(self) -> bool:
        """Whether it counts."""
        return self.whole and self.verdict == "verified"


_Moved = TypedDict("_Moved", {"from": str, "to": str}, total=False)


class SetManifest(_Moved, total=False):
    """What a backup set says of itself, C(manifest.json) in it. :mod:`backup.sets` writes it last, :func:`backup.catalog.load` reads it; it
    takes :data:`FORMAT` and the format before, which is a dump from before a migration (:mod:`postgres.dump` writes that).

    Attributes:
        format, name, stack, node, reason, run: of both; ``made``: UTC, ISO 8601; ``seconds``: that it took; ``verdict``: when it was made.
        tools: program to version; ``parts``: in order, as each kind has them; ``files``: path to bytes and SHA-256; ``objects``: buckets'.
        live: component to what was live; ``heads``: component to the heads of its database; ``left_out``: why something is not in it.
        component, release, database, url_variable, search_path, file, sha256, bytes, size, entries, tables, tool, fingerprint, from, to:
            of a dump alone.
    """

    format: int
    name: str
    stack: str
    node: str
    reason: str
    run: str
    made: str
    seconds: float
    verdict: str
    tools: dict[str, str]
    parts: list[dict[str, Any]]
    files: dict[str, dict[str, Any]] | None
    objects: dict[str, Any]
    live: Mapping[str, Any]
    heads: dict[str, list[str]]
    left_out: list[str]
    component: str
    release: str | None
    database: dict[str, Any]
    url_variable: str
    search_path: str
    file: str
    sha256: str
    bytes: int
    size: int | None
    entries: int
    tables: int
    tool: str
    fingerprint: dict[str, Any]


class SetPart(TypedDict, total=False):
    """A part of a set: ``kind`` and ``name``; of a database, the ``component`` whose it is where the set says so."""

    kind: str
    name: str
    component: str


class SetLive(TypedDict, total=False):
    """What of a component was live when a set was made."""

    release: str | None
    config: str | None
    slot: str


class BackupSet(TypedDict, total=False):
    """A backup set for those who choose one, of whichever format; :func:`rollback.view.backup_sets` makes it out of the manifest.

    Attributes:
        name: of its folder, which is ``path``; ``made``: UTC, ISO 8601; ``seconds``: that it took.
        format: of its manifest; 1 is a dump from before a migration.
        stack: whose it is, empty where it does not say.
        verdict: begins with C(verified) where it can be relied on.
        heads: component to the heads of its database; ``live``: what was live then; ``parts``; ``left_out``: why something is not in it.
        problem: why it is not what its manifest says; ``ahead``: it is of a time to come.
    """

    name: str
    path: str
    made: str
    seconds: float | None
    format: int | None
    stack: str
    verdict: str
    heads: dict[str, list[str]]
    live: dict[str, SetLive]
    parts: list[SetPart]
    left_out: list[str]
    problem: str
    ahead: bool


def named_sets(records: Sequence[Record], staged: Mapping[str, Collection[str]]) -> dict[str, str]:
    """Sets that a rollback can need, and why: those that the journal names with a migration or an activation.

    ``staged`` has the releases that are really there by component. Releases that count are live, previous good or staged.
    A set that an operation names which was begun and never ended counts as well.
    """
    states = {
        component: derive(records, component, staged=staged.get(component, ()))
        for component in {str(record["component"]) for record in records if record.get("component")} | set(staged)
    }
    why: dict[str, str] = {}
    for record in records:
        component, release = str(record.get("component") or ""), record.get("release")
        if record.get("op") not in ("migrate", "activate") or component not in states or not release:
            continue
        state = states[component]
        told = ""
        if state.live and state.live.release == release:
            told = "live"
        elif state.previous_good == release:
            told = "previous good"
        elif release in staged.get(component, ()):
            told = "staged"
        if told:
            for name in _names(record):
                why[name] = f"made before {component} {release} was {_DONE[str(record['op'])]}, which is {told}"
    for state in states.values():
        for item in state.interrupted:
            for name in _names({"detail": item.detail}):
                why[name] = f"an interrupted {item.op} of {item.component} names it"
    return why


_DONE = {"migrate": "migrated to", "activate": "activated"}


def _names(record: Entry) -> list[str]:
    detail = record.get("detail") or {}
    found = [detail.get("backup"), detail.get("set")]
    paths = [value.get("path") if isinstance(value, Mapping) else value for value in found]
    return [str(path).rstrip("/").rpartition("/")[2] for path in paths if path]


def retention(
    sets: Iterable[Seen], keep: Mapping[str, int], needed: Mapping[str, str], now: float
) -> tuple[list[str], dict[str, str]]:
    """Which sets may go, oldest first, and why each of the others stays.

    Args:
        sets: what is there.
        keep: ``last``: so many of the newest good ones stay, dumps from before a migration not counted; ``days``: so do all that are
            younger.
        needed: sets that stay in any case, and why.
        now: seconds since 1970.
    """
    newest_first = sorted(sets, key=lambda one: (_when(one.name), one.name), reverse=True)
    good = [one.name for one in newest_first if one.good]
    last, days = int(keep.get("last", KEEP["last"])), int(keep.get("days", KEEP["days"]))
    why: dict[str, str] = {}
    for one in newest_first:
        age = (now - _when(one.name)) / 86400
        if one.name in needed:
            why[one.name] = needed[one.name]
        elif good and one.name == good[0]:
            why[one.name] = "the newest verified one"
        elif one.name in good[:last]:
            why[one.name] = f"one of the newest {last}"
        elif age < days:
            why[one.name] = f"younger than {days} days"
    return [one.name for one in reversed(newest_first) if one.name not in why], why


def _when(name: str) -> float:
    """Time of a set; a name without one counts as new, so that nothing is removed that is not understood."""
    try:
        return moment(name)
    except ValueError:
        return float("inf")


def chosen(parts: Iterable[AnyPart], wanted: Sequence[str]) -> tuple[list[AnyPart], list[str]]:
    """The parts of a set that are meant by ``kind`` or ``kind:name``, and the words that mean none of them.

    ``env`` stands for ``files:config``. Without words, the parts that hold data, and the environment.
    """
    known = list(parts)
    words = [{"env": "files:config", "buckets": "bucket"}.get(word, word) for word in (wanted or RESTORED_BY_DEFAULT)]
    found = [part for part in known if {str(part["kind"]), f"{part['kind']}:{part['name']}"} & set(words)]
    there = {str(part["kind"]) for part in known} | {f"{part['kind']}:{part['name']}" for part in known}
    return found, [word for word in words if word not in there] if wanted else []


def verdict(problems: Sequence[str]) -> str:
    """One word, or the first of the problems."""
    if not problems:
        return "verified"
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return f"unusable: {problems[0]}{more}"


def restore_page(plans: Mapping[str, Mapping[str, Any]]) -> str:
    """What putting a set back takes away, for the one who has to consent. ``plans`` maps a node to its plan."""
    lines: list[str] = []
    for node, planned in plans.items():
        if "set" not in planned:
            continue
        age = int(planned.get("age", 0))
        days, hours, minutes = age // 86400, age // 3600 % 24, age // 60 % 60
        ago = f"{days} d {hours} h" if days else f"{hours} h {minutes} min"
        lines += ["", f"{node}: set {planned['set']}, made {planned.get('made')} ({ago} ago)"]
        for part in planned.get("parts", []):
            lines.append(f"  {part['part']}")
            lines += [f"    {line}" for line in part["lines"]]
        lines += [f"  mind: {line}" for line in planned.get("warnings_about_set", [])]
    if not lines:
        return "No node has this set."
    names = sorted({str(planned["set"]) for planned in plans.values() if "set" in planned})
    return "\n".join([*lines[1:], "", *(f"To put it back: -e confirm={name}" for name in names)])
