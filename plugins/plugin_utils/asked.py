# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What ansible-playbook was asked for on its command line, beyond variables."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ansible import context
from ansible.errors import AnsibleError
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.utils.display import Display
from ansible.vars.manager import VariableManager

COLLECTION = Path(__file__).resolve().parents[2]
display = Display()


def imported(given: Iterable[str] | None = None) -> bool:
    """Whether a playbook of somebody's own is played, which imports those of the collection.

    *given* are the playbooks of the command line: names of the collection's, or paths. Without any, where another program plays them,
    nothing is known, and false is the answer.
    """
    names = [str(name) for name in (context.CLIARGS.get("args") or () if given is None else given)]
    return any(not name.startswith("phasegate.aistack.") and COLLECTION not in Path(name).resolve().parents for name in names)


def start_refusal(start: str | None = None, given: Iterable[str] | None = None) -> str:
    """Why ``--start-at-task`` is refused; empty where it is not asked for, or is meant for tasks of somebody's own playbook.

    What comes before a task of a verb is what makes it safe: the check of the description, the lock, a plan, a backup.
    """
    start = str((context.CLIARGS.get("start_at_task") if start is None else start) or "")
    if not start or (imported(given) and not _is_ours(start)):
        return ""
    return (
        f"Refused: --start-at-task '{start}'. Nothing was touched. The tasks before it take the lock, make the plan and prove what the "
        "rest stands on, and would be left out. Run the verb again from its beginning: what is done already is not done twice. "
        "One phase alone: phasegate.aistack.site --tags PHASE."
    )


def _is_ours(pattern: str) -> bool:
    """Whether a task of the collection's playbooks is called like this."""
    named = re.compile(r"^ *- name: (.+)$", re.MULTILINE)
    for path in sorted((COLLECTION / "playbooks").rglob("*.yml")):
        for name in named.findall(path.read_text(encoding="utf-8")):
            if fnmatch.fnmatch(name.strip("\"'"), pattern):
                return True
    return False


def show_phases(groups: Mapping[str, Sequence[str]], wanted: str) -> None:
    """Name the phases of the stack, each of which is a tag, where ``--list-tags`` or ``--list-tasks`` lists and nothing is run.

    Ansible knows no variables of hosts then, so the inventory is read here; of one that cannot be read (a vault) it is said that it is so.
    """
    if not (context.CLIARGS.get("listtags") or context.CLIARGS.get("listtasks")):
        return
    hosts = groups.get(wanted) or groups.get("all") or []
    try:
        loader = DataLoader()
        inventory = InventoryManager(loader=loader, sources=context.CLIARGS.get("inventory"))
        host = inventory.get_host(hosts[0]) if hosts else None
        described = VariableManager(loader=loader, inventory=inventory).get_vars(host=host).get("aistack_phases")
    except AnsibleError as error:
        display.warning(f"The phases of this stack cannot be listed: {error}")
        return
    if isinstance(described, Mapping):
        display.display(f"Phases of this stack, in order, each a tag: {', '.join(str(name) for name in described)}")
