# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What ansible-playbook was asked for on its command line, beyond variables."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ansible import context

COLLECTION = Path(__file__).resolve().parents[2]


def imported(given: Iterable[str] | None = None) -> bool:
    """Whether a playbook of somebody's own is played, which imports those of the collection.

    *given* are the playbooks of the command line: names of the collection's, or paths. Without any, where another program plays them,
    nothing is known, and false is the answer.
    """
    names = [str(name) for name in (context.CLIARGS.get("args") or () if given is None else given)]
    return any(not name.startswith("phasegate.aistack.") and COLLECTION not in Path(name).resolve().parents for name in names)
