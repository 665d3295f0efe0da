# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the files of a role say that a component is converged by: of itself and of every role that it includes.

Which roles are included is read from their tasks. Of a role of which one file is included (C(tasks_from)) that file counts, with those
that it includes in turn, and what every one of its files reads: defaults, variables and templates.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from ansible.utils.collection_loader import AnsibleCollectionConfig

COLLECTION = Path(__file__).resolve().parents[2]
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The fast one, where PyYAML was built with it."""

ASKED_ONLY = {"toolchain": "aistack_components"}
"""What a role reads only to ask who uses what, before it changes it: nothing is made of it."""

_ROLES = re.compile(
    r"^(?P<indent>[ \t]*)(?:- )?(?:ansible\.(?:builtin|legacy)\.)?(?:include|import)_role:"
    r"(?P<how>[ \t]*\{[^}]*\}?|(?:\n(?P=indent)[ \t]+\S.*)+)",
    re.MULTILINE,
)
_REGISTERED = re.compile(r"^[ \t]*register:[ \t]*(\w+)", re.MULTILINE)
_SET_FACT = re.compile(
    r"^(?P<indent>[ \t]*)(?:- )?(?:ansible\.builtin\.)?set_fact:(?P<how>[ \t]*\{[^\n]*|(?:\n(?P=indent)[ \t]+\S.*)+)", re.MULTILINE
)
_SETTING = re.compile(r"""(?:^|[{,\s])(name|tasks_from):[ \t]*["']?([^\s"'},]+)""")
_EXPRESSION = re.compile(
    r"\{\{.*?\}\}|^[ \t]*(?:when|until|that|failed_when|changed_when):[^\n]*(?:\n[ \t]+- [^\n]*)*", re.DOTALL | re.MULTILINE
)
"""What of a file of tasks is evaluated: messages mention variables as well."""
_TASKS = re.compile(r"""(?:include|import)_tasks:\s*(?:\{[^}]*?\bfile:\s*|file:\s*)?["']?([^\s"'},]+)""")


def _load(path: Path) -> Any:
    """What a YAML file says; None where there is none."""
    return yaml.load(path.read_text(encoding="utf-8"), Loader=_LOADER) if path.is_file() else None


def role_directory(role: str) -> Path | None:
    """Where a role of this collection, or one given by its full name, keeps its files; None if it is not found."""
    namespace, collection, name = ["phasegate", "aistack", role] if "." not in role else role.split(".", 2)
    bases = [COLLECTION] if (namespace, collection) == ("phasegate", "aistack") else [
        Path(path) / "ansible_collections" / namespace / collection for path in AnsibleCollectionConfig.collection_paths
    ]
    return next((base / "roles" / name for base in bases if (base / "roles" / name).is_dir()), None)


def _read(directory: Path, paths: Iterable[Path]) -> str:
    """Names and contents of a role's files, one after the other."""
    return "".join(f"{path.relative_to(directory)}\n{path.read_bytes().decode(errors='surrogateescape')}\n" for path in sorted(paths))


def _files(directory: Path, *folders: str) -> list[Path]:
    found = [path for folder in folders or (".",) for path in (directory / folder).rglob("*")]
    return [path for path in found if path.is_file() and path.suffix != ".pyc"]


def _tasks(directory: Path, entry: str) -> list[Path]:
    """A file of tasks and those that it includes; all of them where a name is worked out only when it runs."""
    found: list[Path] = []
    wanted = [entry]
    while wanted:
        name = wanted.pop()
        path = directory / "tasks" / (name if name.endswith((".yml", ".yaml")) else f"{name}.yml")
        if "{{" in name or not path.is_file():
            return _files(directory, "tasks")
        if path not in found:
            found.append(path)
            wanted += _TASKS.findall(path.read_text(encoding="utf-8"))
    return found


def included(text: str) -> list[tuple[str, str]]:
    """The roles that tasks include, each with its C(tasks_from), or nothing where that is not said or known only when it runs."""
    found = []
    for match in _ROLES.finditer(text):
        given = dict(_SETTING.findall(match["how"]))
        entry = given.get("tasks_from", "")
        if given.get("name"):
            found.append((given["name"], "" if "{{" in entry else entry))
    return found


def dependencies(directory: Path) -> list[str]:
    """The roles that a role's C(meta) names."""
    listed = (_load(directory / "meta" / "main.yml") or {}).get("dependencies") or []
    return [str(item if isinstance(item, str) else item.get("role") or item.get("name")) for item in listed]


def closure(role: str) -> tuple[str, str, set[str]]:
    """From what a role converges: the text of its files and of those of the roles that it includes, the part of it that says which
    variables are read, and the names of the roles, without their collection.
    """
    text, reads, prefixes = "", "", set()
    wanted, seen = [(role, "")], set()
    while wanted:
        name, entry = wanted.pop(0)
        directory = role_directory(name)
        if (name, entry) in seen or directory is None:
            continue
        seen.add((name, entry))
        prefixes.add(name.rsplit(".", 1)[-1])
        tasks = _read(directory, _tasks(directory, entry) if entry else _files(directory, "tasks", "handlers"))
        if entry:
            text += f"{name}\n{tasks}{_read(directory, _files(directory, 'defaults', 'vars', 'templates'))}"
            said = "\n".join(_EXPRESSION.findall(tasks))
        else:
            said = _read(directory, _files(directory))
            text += f"{name}\n{said}"
        asked = ASKED_ONLY.get(name.rsplit(".", 1)[-1])
        reads += said.replace(asked, "") if asked else said
        home = "".join(f"{part}." for part in name.split(".")[:-1])
        for other, from_ in [*included(tasks), *((found, "") for found in dependencies(directory))]:
            wanted.append((other if "." in other else home + other, from_))
    return text, reads, prefixes


def defaults_of(roles: Iterable[str]) -> dict[str, Any]:
    """The variables that the defaults of roles give, as they are written."""
    found: dict[str, Any] = {}
    for role in sorted(roles):
        directory = role_directory(role)
        found.update((_load(directory / "defaults" / "main.yml") or {}) if directory else {})
    return found


def made(text: str) -> set[str]:
    """The variables that tasks make: results and facts."""
    found = set(_REGISTERED.findall(text))
    for match in _SET_FACT.finditer(text):
        lines = match["how"].lstrip("\n").splitlines()
        first = len(lines[0]) - len(lines[0].lstrip())
        found |= set(re.findall(r"[{,][ \t]*(\w+):", lines[0]) if "{" in lines[0][: first + 1] else
                     re.findall(rf"^[ \t]{{{first}}}(\w+):", "\n".join(lines), re.MULTILINE))
    return found


@dataclass(frozen=True)
class RoleFiles:
    """What is made of a role's files.

    Attributes:
        digest: SHA-256 of all that counts.
        mentioned: variables of the stack that they read.
        prefixes: how their own variables begin.
        made: variables that their tasks make: what earlier tasks of the same run said is no input of the next ones.
        defaults: what their defaults give, as it is written.
    """

    digest: str
    mentioned: frozenset[str]
    prefixes: tuple[str, ...]
    made: frozenset[str]
    defaults: dict[str, Any]


_READ: dict[str, RoleFiles] = {}


def read(role: str) -> RoleFiles:
    """The role as its files are now."""
    text, reads, roles = closure(role)
    return RoleFiles(
        hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest(),
        frozenset(re.findall(r"\baistack_[a-z_]+\b", reads)),
        tuple(f"{name}_" for name in sorted(roles)),
        frozenset(made(text)),
        defaults_of(roles),
    )


def role_files(role: str) -> RoleFiles:
    """The role as it was read when the run began; where it was not read then, as it is now."""
    return _READ.get(role) or read(role)


def read_own_roles() -> None:
    """Read the roles of this collection. Ansible forks a process for each host of a task: what is read before that is read once."""
    if not _READ:
        _READ.update({path.name: read(path.name) for path in sorted((COLLECTION / "roles").iterdir()) if path.is_dir()})
