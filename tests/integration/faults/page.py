#!/usr/bin/env python3
# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writes docs/faults.md from the figures of a run of the fault tests (build/faults.json)."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT))
sys.dont_write_bytecode = True

HEAD = """# What breaks, at which step, and what comes of it

Written by `make faults` from a run on the lab; do not edit. Each row is a test: at the named step something breaks, then the same
command is run again ("again") or the stack is taken back by `emergency_rollback.yml` ("back"). After every row the services answer
with the release that was asked for, {rows} planted rows are there unchanged (by checksum), the chain of each journal is whole and leaves
no operation open, no lock is held for longer than its lease of {lease:.0f} s, and `healthcheck.yml` passes.

*failed requests*: of two users who ask for the health page of both edges ten times a second all the while; *outage*: the longest time
in which one of them got nothing. *recovery*: seconds of the command that fixes it, from its start to its end, its gates included.
The levels schema and system stand still by design while the data goes back, so that their rows count the rollback's own standstill.

{total} rows, {passed} of them measured here. The slowest recovery took {slowest:.0f} s: {where}.
A dead controller cost {lost} failed requests in deployments and in rollbacks of the level app.

"""


def words(row: dict[str, Any], faults: dict[str, str]) -> str:
    """The fault in words, with the moment."""
    what = "the controller is killed" if row["fault"] == "controller" else faults[row["fault"]]
    return f"{what}, {row['after']:g} s into it" if row["after"] else what


def page(rows: list[dict[str, Any]], faults: dict[str, str], order: list[tuple[str, str, str, float]], lease: float) -> str:
    """The page as Markdown; rows in the order of the table of cases."""
    measured = {(row["operation"], row["step"], row["fault"], row["after"]): row for row in rows}
    found = [measured[key] for key in order if key in measured]
    slowest = max(found, key=lambda row: float(row["seconds"]))
    lost = sum(row["failed"] for row in found if row["fault"] == "controller" and row["operation"] in (
        "deployment", "staging", "migration", "rollback, level app", "emergency rollback"))
    lines = ["| operation | step | what breaks | the run | then | failed requests | outage | recovery |", "|" + " --- |" * 8]
    for row in found:
        outage = f"{row['outage_s']:.1f} s" if row["failed"] else "none"
        lines.append(f"| {row['operation']} | {row['step'] or 'all of it'} | {words(row, faults)} | {row['first']} | {row['recover']} "
                     f"| {row['failed']} of {row['asked']} | {outage} | {row['seconds']:.0f} s |")
    head = HEAD.format(rows=found[0]["rows"], lease=lease, total=len(order), passed=len(found), slowest=slowest["seconds"],
                       where=f"{slowest['operation']}, {slowest['step']}: {words(slowest, faults)}", lost=lost)
    left = [f"- {operation}, {step or 'all of it'}: {words({'fault': fault, 'after': after}, faults)}" for operation, step, fault, after
            in order if (operation, step, fault, after) not in measured]
    rest = ["", "## Not measured in this run", "", *left] if left else []
    return head + "\n".join([*lines, *rest]) + "\n"


def main() -> int:
    """Write the page; returns the exit status."""
    from tests.integration.faults.cases import CASES
    from tests.integration.faults.world import FAULTS, LEASE_S

    figures = ROOT / "build" / "faults.json"
    if not figures.exists():
        sys.stderr.write("There are no figures; make faults measures them.\n")
        return 1
    order = [(case.operation, case.step, case.fault, case.after) for case in CASES]
    text = page(json.loads(figures.read_text(encoding="utf-8")), {name: fault.words for name, fault in FAULTS.items()}, order, LEASE_S)
    (ROOT / "docs" / "faults.md").write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
