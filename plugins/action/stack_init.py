# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Controller side of C(phasegate.aistack.stack_init): looks into a repository and writes the first inventory of its stack."""

from __future__ import annotations

import os
import re
import tarfile
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError

from ansible_collections.phasegate.aistack.plugins.module_utils.core.names import COMPONENT_NAME
from ansible_collections.phasegate.aistack.plugins.module_utils.init.detect import READ, Application, detect
from ansible_collections.phasegate.aistack.plugins.module_utils.init.inventory import SOUGHT, Inventory, Place
from ansible_collections.phasegate.aistack.plugins.module_utils.release.mirror import Source, SourceError
from ansible_collections.phasegate.aistack.plugins.plugin_utils.controller_action import ControllerAction

LARGEST = 256 * 1024
"""Bytes of a file that is looked into; what is larger was hardly written by hand."""
QUESTIONS = {
    "stack": "Name of the stack, such as shop",
    "repo": "Its repository: an address, or a folder on this machine",
    "address": "Address of the node (empty: later)",
    "user": "Who logs in there and may become root (empty: later)",
}
NEEDED = ("stack", "repo")


def tree(archive: Path) -> dict[str, str]:
    """The paths of an archive, with the contents of files that are looked into."""
    files: dict[str, str] = {}
    with tarfile.open(archive) as packed:
        for member in packed:
            path = member.name[2:] if member.name.startswith("./") else member.name
            if member.isfile() and path.isprintable():  # a line break would begin a line of the inventory's own
                reader = packed.extractfile(member) if READ.search(path) and member.size <= LARGEST else None
                files[path] = reader.read().decode("utf-8", "replace") if reader else ""
    return files


def page(found: Application, inventory: Inventory, dest: str, written: bool) -> str:
    """What was found, what was written, what is left to do."""
    what = [
        ("web", f"{found.web.framework} {found.web.app}" if found.web else ""),
        ("tasks", f"Celery {found.celery.app}" + (", with a schedule" if found.beat else "") if found.celery else ""),
        ("database", f"migrations by Alembic ({found.alembic})" if found.alembic else ""),
        ("image", f"{os.path.join(found.image.path, found.image.dockerfile)}, run in containers" if found.image else ""),
        ("page", "Next.js" + (f" in {found.frontend.path}" if found.frontend and found.frontend.path else "") if found.frontend else ""),
    ]
    seen = [f"  {kind:9} {text}" for kind, text in what if text]
    seen += [f"  missing   {SOUGHT}, such as -e app=app.main:app"] if inventory.missed() else []
    lines = [f"{inventory.place.name} at {inventory.place.tag}:", *seen, "", "written:" if written else "would write:"]
    lines += [f"  {os.path.join(dest, path)}" for path in inventory.files()]
    todos = inventory.todos()
    lines += ["", f"left to do ({len(todos)}):", *(f"  {todo}" for todo in todos)] if todos else []
    check = f"  ansible-playbook -i {dest} phasegate.aistack.check"
    return "\n".join([*lines, "", "next:", check, f"  ansible-playbook -i {dest} phasegate.aistack.site --check --diff"])


IMAGE = {"": None, "true": True, "false": False}
"""Whether it is released as an image; without a word, by what the repository has."""
ARGUMENTS: dict[str, Any] = {
    **{name: {"type": "str", "default": ""} for name in ("stack", "repo", "release", "dest", "address", "user", "app")},
    "image": {"type": "str", "choices": ["", "true", "false"], "default": ""},
}


class ActionModule(ControllerAction):
    """Ask for what is missing, look, write; a file that is there is never written over."""

    arguments = ARGUMENTS

    def answer(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Return what was found, the files, and the page that says both."""
        self._ask(args)
        name, dest = args["stack"], args["dest"] or "inventory"
        missing = [key for key in NEEDED if not args[key]]
        if missing:
            return self._failed(f"init.yml has to know {' and '.join(missing)}: say {' '.join(f'-e {key}=…' for key in missing)}, "
                                "or run it at a terminal, where it asks. Nothing was written.")
        if not COMPONENT_NAME.fullmatch(name):
            return self._failed(f"stack: expected a-z, 0-9, _ and -, a letter or digit first, got {name!r}; users and files are "
                                "called so. Say -e stack=shop, with another name. Nothing was written.")
        if not re.fullmatch(r"[A-Za-z0-9.:_-]*", args["address"]):
            return self._failed(f"address: expected the name or address of a node, such as 192.0.2.10, got {args['address']!r}. "
                                "Correct -e address=…; nothing was written.")
        try:
            source = Source(args["repo"])
            source.said_at = "-e repo=…"
            tag, commit = (args["release"], source.resolve(args["release"])) if args["release"] else source.newest_tag()
            files = tree(source.archive(tag, commit).path)
            found = detect(files, args["app"], IMAGE[args["image"]])
        except (SourceError, OSError, tarfile.TarError) as error:
            return self._failed(str(error))
        except LookupError as error:
            return self._failed(f"{error.args[0]} Nothing was written.")
        place = Place(name, source.repo, tag, args["address"], args["user"], source.repo != os.path.expanduser(args["repo"]) and
                      not os.path.isdir(source.repo))
        inventory = Inventory(found, place)
        made = inventory.files()
        there = [path for path in made if os.path.lexists(os.path.join(dest, path))]
        if there:
            return self._failed(
                f"{dest} has {', '.join(there)} already, which may hold what you have said there. Nothing was written. Name another folder "
                "with -e dest=FOLDER, or move these away."
            )
        if not self._task.check_mode:
            try:
                for path, content in made.items():
                    target = Path(dest, path)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with target.open("x", encoding="utf-8") as file:
                        file.write(content)
            except OSError as error:
                return self._failed(f"Nothing can be written below {os.path.abspath(dest)}: {error}. Name another folder: -e dest=FOLDER.")
        text = page(found, inventory, dest, not self._task.check_mode)
        return {"changed": True, "files": list(made), "todo": inventory.todos(), "release": tag, "page": text}

    def _ask(self, args: dict[str, str]) -> None:
        """Ask for what is not said, where somebody sits in front of a terminal."""
        for key, question in QUESTIONS.items():
            if not args[key]:
                try:
                    args[key] = self._display.prompt_until(f"{question}: ", private=False).decode("utf-8", "replace").strip()
                except AnsibleError:  # nobody is there
                    return

    @staticmethod
    def _failed(text: str) -> dict[str, object]:
        return {"failed": True, "msg": text}
