# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Evidence that the code of a release runs on a schema, in the journal: what the planner of rollbacks goes by."""

from __future__ import annotations

import os
from collections.abc import Sequence

from ansible_collections.phasegate.aistack.plugins.module_utils.journal.chain import Entry, Record
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.file import Journal

RUNS_ON = "runs_on"


def evidence(component: str, release: str, heads: Sequence[str], reason: str, run: str = "", actor: str = "") -> Entry:
    """The record that says so: C(mark) with C(detail.state) C(runs_on), sorted C(detail.heads) and C(detail.reason).

    Raises:
        ValueError: the component, the release, a head or the reason is missing; such a record would prove nothing.
    """
    lacking = [name for name, value in (("component", component), ("release", release), ("reason", reason)) if not value]
    if isinstance(heads, str) or not heads or not all(heads):
        lacking.append("heads")
    if lacking:
        raise ValueError(
            f"evidence needs component, release, heads (a list of revisions) and reason; missing or empty: {', '.join(lacking)}"
        )
    return {
        "op": "mark",
        "component": component,
        "release": release,
        "run": run,
        "actor": actor,
        "outcome": "ok",
        "detail": {"state": RUNS_ON, "heads": sorted(heads), "reason": reason},
    }


def record(
    state_dir: str | os.PathLike[str],
    component: str,
    release: str,
    heads: Sequence[str],
    reason: str,
    run: str = "",
    actor: str = "",
) -> Record | None:
    """Append the evidence, and return the whole record; None where the journal holds the same proof already.

    Raises:
        ValueError: something is missing, see :func:`evidence`.
        OSError: it could not be written.
    """
    wanted = evidence(component, release, heads, reason, run, actor)
    journal = Journal.of(state_dir)
    if any(_same(known, wanted) for known in journal.read()):
        return None
    return journal.append(wanted)


def _same(known: Entry, wanted: Entry) -> bool:
    """Whether both prove the same; when and why it was seen does not matter."""
    detail = known.get("detail") or {}
    if (detail.get("state"), detail.get("heads")) != (RUNS_ON, wanted["detail"]["heads"]):
        return False
    return all(known.get(key) == wanted[key] for key in ("op", "component", "release", "outcome"))
