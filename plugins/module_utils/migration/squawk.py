# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lint of a step's SQL with squawk."""

from __future__ import annotations

import json
import os
import tempfile

from ansible_collections.phasegate.aistack.plugins.module_utils.core.proc import finish
from ansible_collections.phasegate.aistack.plugins.module_utils.migration.policy import Step

TIMEOUT = 30.0
"""Seconds for one step; a run takes some 14 ms."""

# Noise for single steps of Alembic: the collection sets both timeouts on the connection, and lint of the version table is no use.
EXCLUDED = ("require-timeout-settings", "prefer-robust-stmts", "prefer-text-field", "prefer-bigint-over-int", "prefer-identity")


class LintError(Exception):
    """squawk could not be run, or said something that is not its JSON."""


def available(path: str) -> bool:
    return os.access(path, os.X_OK)


def parse(output: str) -> list[dict[str, object]]:
    """squawk's JSON to findings with ``rule``, ``message``, ``help``, ``level`` and ``line`` (from 1).

    Its exit status tells nothing: 1 stands for a finding, a syntax error and a missing file alike. Raises LintError.
    """
    try:
        document = json.loads(output or "[]")
    except ValueError:
        raise LintError(f"squawk did not answer with JSON: {output[:200]!r}") from None
    findings = []
    for entry in document:
        findings.append(
            {
                "rule": str(entry.get("rule_name") or entry.get("rule") or ""),
                "message": str(entry.get("message") or ""),
                "help": str(entry.get("help") or ""),
                "level": str(entry.get("level") or "").lower(),
                "line": int(entry.get("line") or 0) + 1,
            }
        )
    return findings


def lint(path: str, sql: str) -> list[dict[str, object]]:
    """Findings for the SQL of one step, its BEGIN and COMMIT included. Raises LintError."""
    with tempfile.NamedTemporaryFile("w", suffix=".sql", encoding="utf-8") as handle:
        handle.write(sql)
        handle.flush()
        try:
            env = {"PATH": os.environ.get("PATH", ""), "LANG": "C.UTF-8", "HOME": "/"}
            child = finish([path, "--reporter", "json", "--exclude", ",".join(EXCLUDED), handle.name], TIMEOUT, cwd="/", env=env)
        except OSError as problem:
            raise LintError(f"{path} could not be run: {problem}") from problem
    if child.timed_out:
        raise LintError(f"{path} did not end within {TIMEOUT:g} s")
    if child.rc not in (0, 1):
        raise LintError(f"{path} ended with {child.rc}: {child.stderr.strip()[:300]}")
    if child.rc == 1 and not child.stdout.strip():
        raise LintError(f"{path} failed: {child.stderr.strip()[:300]}")
    return parse(child.stdout)


def _not_run(why: str) -> dict[str, object]:
    return {"rule": "lint-not-run", "level": "notice", "message": why, "help": "", "line": 0}


def judge(tool: str, step: Step) -> None:
    """Adds what the linter finds in a step's SQL; where it does not run, a finding says so."""
    if step.sql is None:
        return
    if not available(tool):
        step.findings.append(_not_run(f"{tool} is not there"))
        return
    try:
        step.findings.extend(lint(tool, step.sql))
        step.lint_run = True
    except LintError as problem:
        step.findings.append(_not_run(str(problem)))
