# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a release's code runs on the schema that is there, and how the schema gets back to what the code wants. No I/O.

A migration is told as the journal has it: C(release), C(from), C(to), C(steps), C(phase), C(state), C(reversible), C(outcome),
C(backup), C(time), C(seconds). Heads are lists of Alembic revisions; their order does not count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from ansible_collections.phasegate.aistack.plugins.module_utils.backup.plan import BackupSet
    from ansible_collections.phasegate.aistack.plugins.module_utils.release.store import Manifest

DUMP = 1
"""Format of a dump that was made before a migration; a rollback never chooses it."""


_Heads = TypedDict("_Heads", {"from": "list[str]", "to": "list[str]"}, total=False)


class Migration(_Heads, total=False):
    """A migration as the journal has it, out of :func:`rollback.facts.migrations`.

    Attributes:
        release: whose code it was; ``outcome``: C(started), C(ok) or C(failed); ``state``: C(upgraded), C(downgraded), C(stamped).
        from, to: heads; ``steps``: the revisions in between, in the order in which they were applied.
        phase: C(expand) where all of them only add; ``reversible``: whether each can be undone.
        backup: the dump that was taken before; ``seconds``: it took.
        time, seq: of the record.
        undo: in a :class:`Way`, those of the steps that are undone.
    """

    release: str | None
    outcome: str | None
    state: str
    steps: list[str]
    phase: str
    reversible: bool
    backup: object
    seconds: float
    time: str | None
    seq: int | None
    undo: list[str]


class RunsOn(TypedDict):
    """A proof of the journal: a gate held with this ``release`` on a schema at these ``heads``."""

    release: str | None
    heads: list[str]


@dataclass(frozen=True)
class Proof:
    """Whether and how it is known that code runs on a schema.

    Attributes:
        how: ``same`` heads, ``gate`` (a gate held on it), ``additive`` (the steps in between only add), or empty: not proven.
        steps: revisions that the schema is ahead of the code.
    """

    how: str
    steps: tuple[str, ...] = ()


@dataclass(frozen=True)
class Way:
    """How the schema gets back.

    Attributes:
        downgrades: migrations to undo, the newest first.
        restore: the backup set to restore before them, None where every step can be undone.
        problem: why there is no way, empty where there is one; ``code`` of the refusal beside it.
        lost: revisions whose tables and columns go.
    """

    downgrades: tuple[Migration, ...] = ()
    restore: BackupSet | None = None
    problem: str = ""
    code: str = ""
    lost: tuple[str, ...] = field(default=())


def words(heads: Sequence[str] | None) -> str:
    """Heads for people."""
    return ", ".join(sorted(heads)) if heads else "no revision"


def same(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether two lists name the same heads."""
    return sorted(one) == sorted(other)


def _finished(migrations: Sequence[Migration]) -> list[Migration]:
    return [entry for entry in migrations if entry.get("outcome") == "ok"]


def known_heads(migrations: Sequence[Migration]) -> list[str] | None:
    """Where the last migration left the database; None where there was none."""
    done = _finished(migrations)
    return sorted(done[-1].get("to") or []) if done else None


def heads_of_release(release: str, manifest: Manifest | None, migrations: Sequence[Migration]) -> list[str] | None:
    """Heads of a release's own scripts: from its manifest, else where its last migration led; None where nobody knows."""
    own = (manifest or {}).get("alembic_heads")
    if own:
        return sorted(own)
    for entry in reversed(_finished(migrations)):
        if entry.get("release") == release and entry.get("state") == "upgraded":
            return sorted(entry.get("to") or [])
    # an empty list counts where Alembic itself was asked: an older release looked for files, and found none where others lay
    return [] if own is not None and (manifest or {}).get("alembic_asked") else None


def _applied(migrations: Sequence[Migration]) -> list[tuple[Migration, list[str], list[str]]]:
    """The upgrades that are in effect by the journal, the oldest first: each with those of its steps that are, and where they lead.

    What was downgraded is taken off again, so that going forth and back leaves the way further back as it was. Where a migration does
    not begin where the one before it ended (a set was restored in between), what does not lie below it is left out.
    """
    stack: list[tuple[Migration, list[str], list[str]]] = []
    for entry in _finished(migrations):
        begins, ends, steps = sorted(entry.get("from") or []), sorted(entry.get("to") or []), list(entry.get("steps") or [])
        if begins == ends:
            continue
        upgraded = entry.get("state") == "upgraded"
        meets = begins if upgraded else ends
        while stack and stack[-1][2] != meets:
            top, done, _leads = stack.pop()
            if not upgraded and len(ends) == 1 and ends[0] in done[:-1]:
                stack.append((top, done[: done.index(ends[0]) + 1], ends))
        if upgraded:
            stack.append((entry, steps, ends))
    return stack


def _back(present: Sequence[str], target: Sequence[str], migrations: Sequence[Migration]) -> list[tuple[Migration, list[str]]] | None:
    """The upgrades that led from *target* to *present*, the newest first, each with its steps that lie above *target*.

    None where the journal does not tell one unbroken way.
    """
    applied = _applied(migrations)
    while applied and not same(applied[-1][2], present):
        applied.pop()
    here, path = sorted(present), []
    for entry, steps, _leads in reversed(applied):
        if same(here, target):
            break
        if len(target) == 1 and target[0] in steps[:-1]:  # the target lies between two steps of one migration
            path.append((entry, steps[steps.index(target[0]) + 1 :]))
            return path
        path.append((entry, steps))
        here = sorted(entry.get("from") or [])
    return path if same(here, target) else None


def prove(
    target: Sequence[str], present: Sequence[str], migrations: Sequence[Migration], proofs: Sequence[RunsOn], release: str
) -> Proof:
    """Whether the code of *release*, whose own heads are *target*, is known to run on a schema at *present*.

    *proofs* are the journal's marks of the kind ``runs_on``: ``release`` and ``heads``.
    """
    if same(target, present):
        return Proof("same")
    path = _back(present, target, migrations)
    steps = tuple(step for _entry, part in reversed(path or []) for step in part)
    if present and any(proof.get("release") == release and set(present) <= set(proof.get("heads") or []) for proof in proofs):
        return Proof("gate", steps)
    if path and all(entry.get("phase") == "expand" for entry, _part in path):
        return Proof("additive", steps)
    return Proof("", steps)


def usable_set(backup: BackupSet) -> bool:
    """Whether a set was verified when it was made, and all of it is still there."""
    return str(backup.get("verdict") or "").startswith("verified") and not backup.get("problem")


def foreign(backup: BackupSet, stack: str | None) -> bool:
    """Whether a set says that it is of another stack."""
    return bool(stack and backup.get("stack") and backup["stack"] != stack)


def _set_with(heads: Sequence[str], component: str, backups: Sequence[BackupSet]) -> tuple[BackupSet | None, str]:
    """The newest usable set that holds the database of *component* at *heads*; else why there is none."""
    holding = [
        entry for entry in backups if component in (entry.get("heads") or {}) and same(entry["heads"][component] or [], heads)
    ]
    fitting = [entry for entry in holding if entry.get("format") != DUMP]
    usable = [entry for entry in fitting if usable_set(entry)]
    if usable:
        return max(usable, key=lambda entry: str(entry.get("made") or "")), ""
    if fitting:
        newest = max(fitting, key=lambda entry: str(entry.get("made") or ""))
        return (
            None,
            f"the backup set {newest.get('name')} cannot be relied on: {newest.get('problem') or newest.get('verdict') or 'no verdict'}",
        )
    told = "a dump from before a migration, which is put back by its name alone (restore.yml)"
    dump = f", only {holding[-1].get('name')}, {told}" if holding else ""
    return None, f"no backup set holds the database of {component} at {words(heads)}{dump}"


def way_back(
    component: str, target: Sequence[str], present: Sequence[str], migrations: Sequence[Migration], backups: Sequence[BackupSet]
) -> Way:
    """How the database of *component* gets from *present* to *target*.

    Downgrades where every step can be undone; else the set from before the oldest step that cannot, and the downgrades below it.
    """
    if same(target, present):
        return Way()
    path = _back(present, target, migrations)
    if not path:
        found, why = _set_with(target, component, backups)
        if found is not None:
            return Way(restore=found)
        return Way(
            problem=f"the journal does not tell how the schema came from {words(target)} to {words(present)}, and {why}",
            code="no_way_back",
        )
    lost = tuple(step for _entry, part in path for step in reversed(part))
    stuck = [index for index, (entry, _part) in enumerate(path) if not entry.get("reversible")]
    if not stuck:
        return Way(tuple({**entry, "undo": part} for entry, part in path), lost=lost)
    last = stuck[-1]
    entry, part = path[last]
    wanted = (entry.get("from") or []) if len(part) == len(entry.get("steps") or []) else target
    found, why = _set_with(wanted, component, backups)
    if found is None:
        revisions = ", ".join(part)
        code = "backup_unverified" if why.startswith("the backup set") else "backup_missing"
        return Way(problem=f"{revisions} cannot be undone by its downgrade, and {why}", code=code, lost=lost)
    return Way(tuple({**entry, "undo": part} for entry, part in path[last + 1 :]), found, lost=lost)
