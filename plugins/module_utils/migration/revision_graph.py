# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The revision graph of an Alembic project: heads, paths, and what forbids a path. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

_STEPS = re.compile(r"-[1-9]\d*\Z")


def _number(count: int) -> str:
    return {2: "two", 3: "three"}.get(count, str(count))


@dataclass(frozen=True)
class Revision:
    """One migration script. ``needs`` are its parents and the revisions it depends on."""

    revision: str
    down_revisions: tuple[str, ...] = ()
    depends_on: tuple[str, ...] = ()
    branch_labels: tuple[str, ...] = ()
    doc: str = ""
    reversible: bool = True
    autocommit: bool = False
    path: str = ""
    sha256: str = ""

    @property
    def needs(self) -> tuple[str, ...]:
        return self.down_revisions + self.depends_on

    @staticmethod
    def of(document: Mapping[str, Any]) -> Revision:
        """From one entry of the helper's ``revisions`` list (see migration.migrate.script)."""
        return Revision(
            revision=str(document["revision"]),
            down_revisions=tuple(document.get("down_revisions") or ()),
            depends_on=tuple(document.get("depends_on") or ()),
            branch_labels=tuple(document.get("branch_labels") or ()),
            doc=str(document.get("doc") or ""),
            reversible=bool(document.get("reversible", True)),
            autocommit=bool(document.get("autocommit", False)),
            path=str(document.get("path") or ""),
            sha256=str(document.get("sha256") or ""),
        )


@dataclass(frozen=True)
class Refusal:
    """A reason not to go on: ``code`` for programs, ``reason`` and ``remedy`` for people."""

    code: str
    reason: str
    remedy: str
    revision: str = ""

    def text(self) -> str:
        return f"{self.reason} {self.remedy}".strip()

    def as_dict(self) -> dict[str, str]:
        return {"code": self.code, "revision": self.revision, "reason": self.reason, "remedy": self.remedy}


@dataclass(frozen=True)
class Path:
    """The steps from ``current`` to ``target``, in the order in which they run; refusals if there is no way."""

    direction: str
    current: tuple[str, ...]
    target: tuple[str, ...]
    steps: tuple[Revision, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    beyond: bool = False  # the database already stands at a descendant of the target
    note: str = ""


@dataclass
class RevisionGraph:
    """All revisions of a project, by identifier."""

    revisions: dict[str, Revision] = field(default_factory=dict)

    @staticmethod
    def of(documents: Iterable[Mapping[str, object]]) -> RevisionGraph:
        return RevisionGraph({entry.revision: entry for entry in map(Revision.of, documents)})

    def heads(self) -> list[str]:
        """Revisions that no other one builds on, sorted."""
        parents = {parent for entry in self.revisions.values() for parent in entry.down_revisions}
        return sorted(set(self.revisions) - parents)

    def bases(self) -> list[str]:
        return sorted(name for name, entry in self.revisions.items() if not entry.down_revisions)

    def unknown(self, names: Iterable[str]) -> list[str]:
        """Those of ``names`` that the code does not have, sorted."""
        return sorted(set(names) - set(self.revisions))

    def closure(self, names: Iterable[str]) -> set[str]:
        """``names`` and everything below them that the code has."""
        found: set[str] = set()
        todo = [name for name in names if name in self.revisions]
        while todo:
            name = todo.pop()
            if name not in found:
                found.add(name)
                todo.extend(need for need in self.revisions[name].needs if need in self.revisions)
        return found

    def ordered(self, names: Iterable[str]) -> list[Revision]:
        """``names`` with parents before children; ties by identifier, so that two runs agree."""
        wanted = set(names)
        done: list[str] = []
        placed: set[str] = set()
        while len(placed) < len(wanted):
            ready = sorted(
                name
                for name in wanted - placed
                if all(need in placed or need not in wanted for need in self.revisions[name].needs)
            )
            if not ready:
                raise ValueError(f"the revisions {', '.join(sorted(wanted - placed))} depend on each other in a circle")
            done.append(ready[0])
            placed.add(ready[0])
        return [self.revisions[name] for name in done]

    def resolve(self, target: str) -> list[str]:
        """Identifiers that ``target`` stands for: an identifier, a unique prefix of one, a branch label; several with commas between.

        Raises LookupError with a message for people.
        """
        if "," in target:
            return sorted({name for part in target.split(",") if part.strip() for name in self.resolve(part.strip())})
        if target in self.revisions:
            return [target]
        labelled = [name for name, entry in self.revisions.items() if target in entry.branch_labels]
        if labelled:
            above = [head for head in self.heads() if self.closure([head]) & set(labelled)]
            return sorted(above)
        matches = sorted(name for name in self.revisions if target and name.startswith(target))
        if len(matches) == 1:
            return matches
        if matches:
            raise LookupError(f"The revision {target!r} is ambiguous: it is the beginning of {', '.join(matches)}.")
        raise LookupError(f"The revision {target!r} does not exist in this release; its heads are {', '.join(self.heads()) or 'none'}.")

    def _known(self, current: Sequence[str]) -> Refusal | None:
        strangers = self.unknown(current)
        if not strangers:
            return None
        return Refusal(
            "database_ahead",
            f"The database is at revision {', '.join(strangers)}, which this release does not contain"
            f" (its heads: {', '.join(self.heads()) or 'none'}): the database is ahead of the code, or belongs to another application.",
            "Deploy a release that contains this revision, or, from the release that brought it, take the schema back:"
            " ansible-playbook phasegate.aistack.rollback -e level=schema.",
            strangers[0],
        )

    def upgrade(self, current: Sequence[str], target: str = "head", where: str = "policy") -> Path:
        """The way up from ``current`` (empty: a database without revision) to ``target``; ``where`` the policy stands, for messages."""
        here = tuple(sorted(current))
        refusal = self._known(here)
        if refusal:
            return Path("upgrade", here, (), refusals=(refusal,))
        heads = self.heads()
        if target == "head" and len(heads) > 1:
            names = " ".join(heads)
            return Path(
                "upgrade",
                here,
                tuple(heads),
                refusals=(
                    Refusal(
                        "several_heads",
                        f"The release has {_number(len(heads))} heads: "
                        + "; ".join(f"{name} ({self.revisions[name].doc or 'no title'})" for name in heads)
                        + ".",
                        f"Two branches were merged without their migrations. In the application's repository:"
                        f" alembic merge -m 'merge heads' {names}, commit the new file, tag a new release. If there are several on"
                        f" purpose: {where}.heads: all.",
                    ),
                ),
            )
        try:
            goal = heads if target in ("head", "heads") else self.resolve(target)
        except LookupError as problem:
            return Path("upgrade", here, (), refusals=(Refusal("unknown_target", str(problem), "Name one of the release's revisions."),))
        below = self.closure(here)
        steps = tuple(self.ordered(self.closure(goal) - below))
        return Path("upgrade", here, tuple(goal), steps, beyond=not steps and set(here) != set(goal) and set(goal) <= below)

    def downgrade(self, current: Sequence[str], target: str) -> Path:
        """The way down from ``current`` to ``target``; steps are the revisions that are undone.

        ``target`` is a revision, ``base`` (nothing) or C(-N): that many steps.
        """
        here = tuple(sorted(current))
        refusal = self._known(here)
        if refusal:
            return Path("downgrade", here, (), refusals=(refusal,))
        goal: list[str] = []
        if _STEPS.fullmatch(target):
            return self._steps_down(here, int(target[1:]))
        if target != "base":
            try:
                goal = self.resolve(target)
            except LookupError as problem:
                return Path(
                    "downgrade",
                    here,
                    (),
                    refusals=(
                        Refusal(
                            "unknown_target", str(problem), "A downgrade is run by the code of the newer release: it knows both revisions."
                        ),
                    ),
                )
        below = self.closure(here)
        if not set(goal) <= below:
            return Path(
                "downgrade",
                here,
                tuple(goal),
                refusals=(
                    Refusal(
                        "target_not_below",
                        f"The database is at {', '.join(here) or 'base'}, and {', '.join(goal)} is not below it.",
                        "Going up is a migration: migrate.yml without -e migrate_state=downgraded.",
                    ),
                ),
            )
        keep = self.closure(goal)
        steps = tuple(reversed(self.ordered(below - keep)))
        return Path("downgrade", here, tuple(goal), steps)

    def _steps_down(self, here: tuple[str, ...], count: int) -> Path:
        """``count`` steps back, where that can mean one thing alone."""
        steps: list[Revision] = []
        now = here
        while len(steps) < count and len(now) == 1:
            steps.append(self.revisions[now[0]])
            now = self.heads_after(now, steps[-1], "downgrade")
        if len(steps) == count and len(now) <= 1:
            return Path("downgrade", here, now, tuple(steps))
        if now:
            why = f"below {steps[-1].revision} there are the branches {', '.join(now)}" if steps else f"it is at {', '.join(now)}"
        else:
            why = f"there {'is' if len(steps) == 1 else 'are'} only {len(steps)}"
        return Path(
            "downgrade",
            here,
            (),
            refusals=(
                Refusal(
                    "unknown_target",
                    f"{count} step{'s' if count != 1 else ''} back from {', '.join(here) or 'base'} cannot be gone: {why}.",
                    "Name the revision to go back to.",
                ),
            ),
        )

    def heads_after(self, heads: Iterable[str], step: Revision, direction: str = "upgrade") -> tuple[str, ...]:
        """What the version table holds once ``step`` has run."""
        now = set(heads)
        if direction == "upgrade":
            now = (now - set(step.down_revisions)) | {step.revision}
        else:
            now.discard(step.revision)
            below = self.closure(now)
            now |= {down for down in step.down_revisions if down not in below}
        return tuple(sorted(now))
