# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether the steps of a migration may run: expand and contract, reversible or not, lint. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.migration import data_loss, sql_statements
from ansible_collections.phasegate.aistack.plugins.module_utils.migration.data_loss import Down
from ansible_collections.phasegate.aistack.plugins.module_utils.migration.revision_graph import Refusal, Revision
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.version_table import DEFAULT

DECISIONS = ("allow", "refuse")
HEADS = ("one", "all")
LINT_ERRORS = ("adding-required-field", "ban-drop-database", "ban-truncate-cascade", "syntax-error")


@dataclass(frozen=True)
class Policy:
    """What a stack allows. ``accept`` names revisions that someone has looked at and takes as they are."""

    contract: str = "refuse"
    irreversible: str = "refuse"
    autocommit: str = "allow"
    unknown_sql: str = "refuse"
    lint: tuple[str, ...] = LINT_ERRORS
    lint_missing: str = "allow"
    max_steps: int = 0
    heads: str = "one"
    accept: tuple[str, ...] = ()

    @staticmethod
    def of(values: Mapping[str, Any] | None) -> Policy:
        """From the inventory. Raises ValueError that names the key and what is allowed."""
        given = dict(values or {})
        known = set(Policy.__dataclass_fields__)
        for key in given:
            if key not in known:
                raise ValueError(f"policy: unknown key {key!r}; allowed are {', '.join(sorted(known))}")
        for key in ("contract", "irreversible", "autocommit", "unknown_sql", "lint_missing"):
            if given.get(key, "allow") not in DECISIONS:
                raise ValueError(f"policy.{key}: {given[key]!r} is not one of {', '.join(DECISIONS)}")
        if given.get("heads", "one") not in HEADS:
            raise ValueError(f"policy.heads: {given['heads']!r} is not one of {', '.join(HEADS)}")
        for key in ("lint", "accept"):
            if key in given:
                if isinstance(given[key], str) or not isinstance(given[key], Sequence):
                    raise ValueError(f"policy.{key}: a list is expected, got {given[key]!r}")
                given[key] = tuple(str(item) for item in given[key])
        if "max_steps" in given:
            try:
                given["max_steps"] = int(given["max_steps"])
            except (TypeError, ValueError):
                raise ValueError(f"policy.max_steps: a number is expected, got {given['max_steps']!r}") from None
        return Policy(**given)


@dataclass
class Step:
    """A pending revision with what is known about it. ``unsure`` says why its SQL is not known here, where the node may well know it."""

    revision: Revision
    sql: str | None = None
    sql_error: str = ""
    unsure: str = ""
    statements: list[sql_statements.Statement] = field(default_factory=list)
    findings: list[dict[str, Any]] = field(default_factory=list)
    lint_run: bool = False
    phase: str = "expand"
    risk: str = "none"
    autocommit: bool = False

    def as_dict(self) -> dict[str, object]:
        return {
            "revision": self.revision.revision,
            "down_revisions": list(self.revision.down_revisions),
            "doc": self.revision.doc,
            "path": self.revision.path,
            "sha256": self.revision.sha256,
            "reversible": self.revision.reversible,
            "autocommit": self.autocommit,
            "phase": self.phase,
            "risk": self.risk,
            "sql": self.sql,
            "sql_error": self.sql_error,
            "statements": [entry.as_dict() for entry in self.statements],
            "findings": self.findings,
            "lint_run": self.lint_run,
        }


@dataclass(frozen=True)
class Verdict:
    """``allowed`` is false where one refusal stands; warnings never refuse. What is ``undecided`` may be refused by the node."""

    refusals: tuple[Refusal, ...] = ()
    warnings: tuple[str, ...] = ()
    undecided: tuple[str, ...] = ()

    @property
    def allowed(self) -> bool:
        return not self.refusals

    def as_dict(self) -> dict[str, object]:
        return {
            "allowed": self.allowed,
            "refusals": [entry.as_dict() for entry in self.refusals],
            "warnings": list(self.warnings),
            "undecided": list(self.undecided),
        }


def analyse(steps: Iterable[Step], version_table: str = DEFAULT) -> list[Step]:
    """Fills statements, phase and risk. A table made by an earlier pending step is nobody's yet: nothing on it breaks or locks."""
    result = []
    new: set[str] = set()
    for step in steps:
        texts = sql_statements.split(step.sql or "")
        step.statements = []
        for statement in (sql_statements.describe(text, version_table) for text in texts):
            if statement.action in sql_statements.QUIET:
                continue
            new |= sql_statements.created([statement])
            step.statements.append(sql_statements.without(statement, new))
        step.autocommit = step.revision.autocommit or sql_statements.commits_inside(step.sql or "")
        step.phase = "contract" if any(entry.phase == "contract" for entry in step.statements) else "expand"
        risks = [entry.risk for entry in step.statements]
        if step.sql is None:
            risks.append("medium")
        step.risk = max(risks, key=sql_statements.RISKS.index, default="none")
        result.append(step)
    return result


def judge(
    steps: Sequence[Step], policy: Policy, direction: str = "upgrade", fresh: bool = False, down: Down | None = None,
    where: str = "policy",
) -> Verdict:
    """The verdict over all steps.

    ``fresh``: the database holds nothing and nothing runs on it; then only the number of steps can refuse.
    A downgrade takes away by its nature, so that contracting is no reason there: an empty ``downgrade``, unknown SQL, data that
    goes and ``base`` are. Only what ``down`` accepts for this run counts against these. ``where`` is what the policy is called where it
    is written, for those who want to change it.
    """
    refusals: list[Refusal] = []
    warnings: list[str] = []
    if policy.max_steps and len(steps) > policy.max_steps:
        refusals.append(
            Refusal(
                "too_many_steps",
                f"{len(steps)} steps are pending and policy.max_steps is {policy.max_steps}.",
                f"Deploy the releases in between first, or raise {where}.max_steps.",
            )
        )
    for step in steps:
        for refusal in () if fresh else _step_refusals(step, policy, direction, where):
            if step.revision.revision in policy.accept:
                warnings.append(f"{refusal.reason} Accepted by policy.accept.")
            else:
                refusals.append(refusal)
        warnings.extend(_step_warnings(step, direction))
    if direction == "downgrade":
        refused, known = data_loss.judge(steps, down or Down())
        refusals += refused
        warnings += known
    undecided = dict.fromkeys(step.unsure for step in steps if step.unsure and not fresh)
    return Verdict(tuple(refusals), tuple(warnings), tuple(undecided))


def _name(step: Step) -> str:
    title = f" ({step.revision.doc})" if step.revision.doc else ""
    return f"Revision {step.revision.revision}{title}"


def _step_refusals(step: Step, policy: Policy, direction: str, where: str) -> Iterable[Refusal]:
    name, revision = _name(step), step.revision.revision
    accept = f"or, if nothing that runs needs it any more, accept it by name: {where}.accept: [{revision}]"
    if direction == "upgrade" and policy.contract == "refuse":
        for entry in step.statements:
            if entry.phase == "contract":
                on = f" on {entry.table}" if entry.table else ""
                yield Refusal(
                    "contract",
                    f"{name} contracts the schema: it {entry.action}{on}: {shorten(entry.text)}",
                    f"Ship the code that no longer needs it first and the contraction one release later; {accept}",
                    revision,
                )
    if direction == "upgrade" and policy.irreversible == "refuse" and not step.revision.reversible:
        yield Refusal(
            "irreversible",
            f"{name} cannot be reversed: its downgrade() does nothing.",
            f"Write a downgrade(), or accept that going back means a restore from the backup: {where}.accept: [{revision}], or for all"
            f" {where}.irreversible: allow",
            revision,
        )
    if direction == "upgrade" and policy.unknown_sql == "refuse" and step.sql is None and not step.unsure:
        yield Refusal(
            "unknown_sql",
            f"{name}: its SQL cannot be shown before it runs: {step.sql_error or 'no reason given'}",
            f"Let env.py support offline mode and the script not read the database; {accept}",
            revision,
        )
    if policy.autocommit == "refuse" and step.autocommit:
        yield Refusal(
            "autocommit",
            f"{name} commits part of its work before its end (autocommit_block): a failure leaves it half done.",
            f"Give the part that needs autocommit a revision of its own; {accept}",
            revision,
        )
    if direction == "upgrade":
        for finding in step.findings:
            if finding.get("rule") in policy.lint:
                found = f"{finding['rule']}: {finding.get('message', '')}"
                yield Refusal("lint", f"{name}: lint {found}", f"Correct the script; {accept}", revision)
    if not step.lint_run and policy.lint_missing == "refuse" and step.sql is not None:
        remedy = f"Run the role toolchain, or allow it: {where}.lint_missing: allow"
        yield Refusal("lint_missing", f"{name} was not linted: squawk did not run.", remedy, revision)


def _step_warnings(step: Step, direction: str) -> Iterable[str]:
    name = _name(step)
    if step.autocommit:
        yield f"{name} commits part of its work before its end: if it fails there, only the backup leads back."
    if not step.revision.reversible and direction == "upgrade":
        yield f"{name} has no way back but a restore from the backup."
    for entry in step.statements:
        if entry.loses_data and direction == "upgrade":
            yield f"{name} {entry.action}{' of ' + entry.table if entry.table else ''}."
        elif entry.risk in ("medium", "high") and entry.lock and not entry.loses_data:
            yield f"{name} {entry.action} on {entry.table or '?'}: {entry.lock} lock, blocks {entry.blocks}."


def shorten(text: str, limit: int = 160) -> str:
    """One line of at most ``limit`` characters."""
    flat = " ".join(text.split())
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"
