# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a run knows of itself: its identifier, its process, and what its gates have proven so far."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.core import proc


def new_run_id() -> str:
    """Identifier of a run: sorts by time, and two of the same second differ."""
    return f"{datetime.now(timezone.utc):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"


def this_process() -> str:
    """The C(ansible-playbook) process that this runs under, so that facts of an earlier run, kept in a cache, are told apart."""
    pid = os.getppid()
    return f"{pid}:{proc.start_time(pid)}"


def remembered(facts: Mapping[str, Any], accepted: Iterable[str], proven: Iterable[str], changed: bool, now: float,
               seconds: float) -> dict[str, object]:
    """Facts of the run: acceptance probes that passed, and component to the time at which its gate was last asked and passed.

    A component whose proof is younger than ``seconds`` was not asked again and keeps its time. After a change only what is
    named counts: the proofs of all others are from before it.
    """
    known = {} if changed else dict(facts.get("aistack_proven") or {})
    known.update({name: now for name in proven if name not in known or now - float(known[name]) > seconds})
    return {"aistack_accepted": sorted({*(facts.get("aistack_accepted") or []), *accepted}), "aistack_proven": known}
