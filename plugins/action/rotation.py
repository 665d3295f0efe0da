# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Controller side of C(phasegate.aistack.rotation): a new value in the file that the inventory looks a secret up in."""

from __future__ import annotations

import os
import secrets
import string
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.phasegate.aistack.plugins.filter.stack import released
from ansible_collections.phasegate.aistack.plugins.module_utils.core.durable import write_file
from ansible_collections.phasegate.aistack.plugins.module_utils.core.schema import nearest
from ansible_collections.phasegate.aistack.plugins.module_utils.environment import rotation
from ansible_collections.phasegate.aistack.plugins.module_utils.environment.rotation import problems
from ansible_collections.phasegate.aistack.plugins.plugin_utils import pages, parts
from ansible_collections.phasegate.aistack.plugins.plugin_utils.controller_action import ControllerAction

LETTERS = string.ascii_letters + string.digits
LEAST = 20
"""Characters; a value that was shorter is replaced by one of 40."""


def value_of(text: str) -> str:
    """The value in a file of C(ansible.builtin.password): its first word."""
    return text.split(" ", 1)[0].strip()


def another(value: str) -> str:
    """A random value of letters and digits, as long as the one before."""
    return "".join(secrets.choice(LETTERS) for _index in range(len(value) if len(value) >= LEAST else 40))


STATES = ["begun", "checked", "planned", "abandoned", "finished", "forgotten"]


class Store:
    """One file with a secret; beside it, while the secret is being changed, C(.next) with the new value and C(.before) with the old one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.next = path.with_name(path.name + ".next")
        self.before = path.with_name(path.name + ".before")

    def begin(self, check: bool) -> bool:
        """Have the file hold a new value, once; whether this call made it. The second call, and one after a kill, finds the same value."""
        if self.next.exists():
            if not check:
                self._put(self.next.read_text(encoding="utf-8"))
            return False
        if check:
            return True
        text = self.path.read_text(encoding="utf-8")
        old = value_of(text)
        write_file(self.before, text, 0o600)
        write_file(self.next, text.replace(old, another(old), 1), 0o600)
        self._put(self.next.read_text(encoding="utf-8"))
        return True

    def abandon(self) -> None:
        """Have the file hold the former value."""
        if self.before.exists():
            self._put(self.before.read_text(encoding="utf-8"))
        self.finish()

    def finish(self, keep: bool = False) -> None:
        """Forget what is no longer needed: the former value last, so that it can be taken back until then; or *keep* that one."""
        for path in (self.next, *(() if keep else (self.before,))):
            path.unlink(missing_ok=True)

    def _put(self, text: str) -> None:
        if self.path.read_text(encoding="utf-8") != text:
            write_file(self.path, text, 0o600)


def planned(name: str, entry: Mapping[str, Any], args: Mapping[str, Any], variables: Mapping[str, Any], check: bool) -> dict[str, Any]:
    """What is left to do, from what the servers know and what components run with; a value that a check would make is nowhere yet."""
    foreseen = check and bool(args["foreseen"])
    seen = [found for found in parts.of_hosts(variables, args["seen"]).values() if found]
    behind = list(dict.fromkeys(name for found in parts.of_hosts(variables, args["behind"]).values() for name in found))
    state = rotation.State(
        value=not foreseen and all(found.get("value") for found in seen), bridge=any(found.get("bridge") for found in seen),
        behind=foreseen or bool(behind), live=any(parts.of_hosts(variables, args["live"]).values()),
    )
    steps = rotation.plan("pair" if "previous" in entry and not args["forget"] else entry["kind"], state)
    said = "; ".join(rotation.words(entry["kind"], steps)) or "nothing to do, the live release has the value of the inventory"
    return {"changed": False, "steps": steps, "behind": behind, "text": f"{name}: {said}"}


ARGUMENTS: dict[str, Any] = {
    "secret": {"type": "str", "required": True, "no_log": False},
    "state": {"type": "str", "choices": STATES, "default": "begun"},
    "described": {"type": "dict", "default": {}},
    "foreseen": {"type": "bool", "default": False},
    "forget": {"type": "bool", "default": False},
    "seen": {"type": "str", "default": ""},
    "live": {"type": "str", "default": ""},
    "behind": {"type": "str", "default": ""},
}


class ActionModule(ControllerAction):
    """Begin, abandon, finish; check, plan."""

    arguments = ARGUMENTS

    def answer(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Do it; values are never part of the result."""
        name, check = args["secret"], bool(self._task.check_mode)
        rotations = self._templar.template(task_vars.get("aistack_rotations") or {})
        wrong = problems(rotations, task_vars.get("aistack_components") or {})
        if wrong:
            return {"failed": True, "msg": "\n".join(["No secret was changed; aistack_rotations in the inventory cannot be used:", *wrong])}
        if name not in rotations:
            asked = f"there is no '{name}'" if name else "nobody says which; add -e secret=NAME"
            msg = f"No secret was changed: {asked}{nearest(name, rotations)}. aistack_rotations in the inventory says which can be."
            return {"failed": True, "msg": msg}
        if args["state"] == "checked":
            return self._checked(rotations[name], args["described"], task_vars)
        if args["state"] == "planned":
            return planned(name, rotations[name], args, task_vars, check)
        given = rotations[name].get("file")
        if not given:
            return {"changed": False, "fresh": False, "generated": False}
        path = Path(os.path.expanduser(str(given)))
        store = Store(path)
        try:
            if args["state"] == "begun":
                fresh = store.begin(check)
                return {"changed": fresh, "fresh": fresh, "generated": True}
            keep = bool(rotations[name].get("previous")) and args["state"] != "forgotten"
            if args["state"] == "forgotten" and store.next.exists():
                return {"failed": True, "msg": f"A change of the secret '{name}' is under way, so that its former value is still needed. "
                                               "Finish it first: run the same without forget=true."}
            pending = store.next.exists() or (store.before.exists() and not keep)
            if pending and not check:
                store.abandon() if args["state"] == "abandoned" else store.finish(keep)
            return {"changed": pending, "fresh": False, "generated": True}
        except FileNotFoundError as error:
            return {"failed": True, "msg": (
                f"No secret was changed: the file {error.filename}, which holds the secret '{name}', is not there. The first run of "
                "site.yml "
                f"makes it; where its value comes from a vault, take aistack_rotations.{name}.file out of the inventory."
            )}
        except OSError as error:
            return {"failed": True, "msg": (
                f"The new value of the secret '{name}' cannot be written beside {path} on this machine: {error}. Expected a folder that "
                "you "
                "may write to. No server was touched; then run the same command again."
            )}

    def _checked(self, entry: Mapping[str, Any], described: Mapping[str, Any], variables: Mapping[str, Any]) -> dict[str, Any]:
        """Refuse where the description does not hold with the new value, or where hosts are missing."""
        if described.get("refused"):
            return pages.refusal(str(described.get("msg") or ""))
        known, groups = parts.described(self._templar, variables, ("hosts", "application", "release_from", "after")), variables["groups"]
        names = [*([entry["component"]] if "component" in entry else []), *released(known)]
        hosts = dict.fromkeys(host for name in names for host in groups.get(known[name]["hosts"], []))
        missing = [host for host in hosts if host not in (variables.get("ansible_play_hosts_all") or [])]
        if not missing:
            return {"changed": False}
        return pages.refusal(
            "A secret is changed everywhere or nowhere: expected all hosts of the server and of the released components in this run, got "
            f"it without {', '.join(missing)}. No server was touched. Run again without --limit."
        )
