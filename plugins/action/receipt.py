# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Controller side of C(phasegate.aistack.receipt): works out from what a component would be converged.

The inputs of a component are its description, its environment, the files of its role and of the roles that this one includes, the
variables of all of them, and those of the stack that they mention. When none of them has changed, and the files that the role manages
are as it left them, converging again would change nothing.

Which roles are included is read from their tasks. Of a role of which one file is included (C(tasks_from)) that file counts, with those
that it includes in turn, and what every one of its files reads: defaults, variables and templates.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase
from ansible.utils.collection_loader import AnsibleCollectionConfig

NOT_INPUTS = {"aistack_component", "aistack_component_name", "aistack_env", "aistack_release_request", "aistack_rotations", "aistack_run",
              "aistack_secrets", "release_allow_bad"}
"""Variables that roles mention, but that say nothing about what they converge to, or are looked at by themselves."""

ASKED_ONLY = {"toolchain": "aistack_components"}
"""What a role reads only to ask who uses what, before it changes it: nothing is made of it."""

OWN_AFFAIRS = {"build", "build_env", "cache", "devices", "gate", "gate_settings", "install_scripts", "just_in_time", "lock", "sdists",
               "test_env", "test_env_from", "test_network", "tests", "title"}
"""Keys of a component that no role reads of another one: with another gate of the application the edge is as it was."""

_ROLES = re.compile(
    r"^(?P<indent>[ \t]*)(?:- )?(?:ansible\.(?:builtin|legacy)\.)?(?:include|import)_role:"
    r"(?P<how>[ \t]*\{[^}]*\}?|(?:\n(?P=indent)[ \t]+\S.*)+)",
    re.MULTILINE,
)
NAMING_FILES = re.compile(r"\w+_tls|aistack_ca|toolchain_ca")
"""Variables that name files of the controller, whose contents are inputs: a renewed certificate has the path of the one before."""

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


def role_directory(role: str) -> Path | None:
    """Where a role of this collection, or one given by its full name, keeps its files; None if it is not found."""
    namespace, collection, name = ["phasegate", "aistack", role] if "." not in role else role.split(".", 2)
    bases = [Path(__file__).resolve().parents[2]] if (namespace, collection) == ("phasegate", "aistack") else [
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
    path = directory / "meta" / "main.yml"
    meta = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else None
    listed = (meta or {}).get("dependencies") or []
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


def defaults_of(roles: Iterable[str]) -> dict[str, object]:
    """The variables that the defaults of roles give, as they are written."""
    found: dict[str, Any] = {}
    for role in sorted(roles):
        directory = role_directory(role)
        path = directory / "defaults" / "main.yml" if directory else None
        found.update((yaml.safe_load(path.read_text(encoding="utf-8")) or {}) if path and path.is_file() else {})
    return found


def made(text: str) -> set[str]:
    """The variables that tasks make: results and facts."""
    found = set(_REGISTERED.findall(text))
    for match in _SET_FACT.finditer(text):
        lines = match["how"].lstrip("\n").splitlines()
        first = len(lines[0]) - len(lines[0].lstrip())
        found |= set(re.findall(r"[{,][ \t]*(\w+):", lines[0]) if "{" in lines[0][: first + 1] else
                     re.findall(rf"^[ \t]{{{first}}}(\w+):", "\n".join(lines), re.MULTILINE))  # fmt: skip
    return found


def without_facts(variables: Mapping[str, Any]) -> dict[str, object]:
    """*variables* without what a role has gathered of the node, which is not there in a run in which no role has anything to do."""
    facts = variables.get("ansible_facts") or {}
    left = {key: value for key, value in variables.items() if not (key.startswith("ansible_") and key.removeprefix("ansible_") in facts)}
    return {**left, "ansible_facts": {key: value for key, value in facts.items() if key.startswith("aistack_")}}


def _as_json(value: Any) -> Any:
    return sorted(map(str, value)) if isinstance(value, (set, frozenset)) else str(value)


def _seen_by_others(component: Any) -> Any:
    """A component's description without what only its own convergence, proof and build make something of."""
    return {key: value for key, value in component.items() if key not in OWN_AFFAIRS} if isinstance(component, Mapping) else component


class ActionModule(ActionBase):
    """Fill in C(inputs) for each component, then ask the node."""

    _supports_check_mode = True
    _supports_diff = False

    def _inputs(self, component: dict[str, Any], name: str, environments: dict[str, Any], task_vars: dict[str, Any]) -> str:
        text, reads, roles = closure(component["role"])
        mentioned = set(re.findall(r"\baistack_[a-z_]+\b", reads)) - NOT_INPUTS
        prefixes = tuple(f"{role}_" for role in roles)
        results = made(text)  # what earlier tasks of this very run said is no input of the next ones
        templar = self._templar
        if "ansible_facts" in task_vars:
            templar = templar.copy_with_new_env(available_variables=without_facts(task_vars))
        # a role that ran earlier in this play has left its defaults in sight; they are part of its files, which count already
        left = defaults_of(roles)
        variables = {key: self._value(value, templar) for key, value in task_vars.items()
                     if (key.startswith(prefixes) or key in mentioned) and key not in results | NOT_INPUTS
                     and not (key in left and value == left[key])}
        named = [path for key, value in variables.items() if NAMING_FILES.fullmatch(key)
                 for path in (value.values() if isinstance(value, Mapping) else [value]) if isinstance(path, str) and path]
        if isinstance(variables.get("aistack_components"), Mapping):
            others = variables["aistack_components"].items()
            variables["aistack_components"] = {other: _seen_by_others(described) for other, described in others}
        described = {
            **({"files": {path: self._digest(path) for path in named}} if named else {}),
            "component": component,
            "role": hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest(),
            "variables": variables,
            "environment": environments.get(component.get("env") or name),
        }
        return hashlib.sha256(json.dumps(described, sort_keys=True, default=_as_json).encode()).hexdigest()

    def _digest(self, path: str) -> str:
        """SHA-256 of a file of the controller, as it lies there; empty where it cannot be read, which its role will say."""
        try:
            return hashlib.sha256(Path(self._loader.path_dwim(path)).read_bytes()).hexdigest()
        except OSError:
            return ""

    @staticmethod
    def _value(value: Any, templar: Any) -> Any:
        """What a variable says; as it is written where it speaks of what is known only inside the role, or of facts."""
        try:
            return templar.template(value)
        except AnsibleError:
            return str(value)

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the module for the components that live on this host; none of them means no connection."""
        super().run(tmp, task_vars)
        task_vars = task_vars or {}
        args = dict(self._task.args)
        if not args.get("components"):
            return {"changed": False, "components": {}}
        components = self._templar.template(task_vars["aistack_components"])
        environments = self._templar.template(task_vars.get("aistack_env") or {})
        groups = task_vars.get("groups", {})
        host = task_vars["inventory_hostname"]
        wanted: dict[str, dict[str, Any]] = {}
        for name, given in args["components"].items():
            if host in groups.get(components[name]["hosts"], []):
                wanted[name] = dict(given or {})
                wanted[name].setdefault("inputs", self._inputs(components[name], name, environments, task_vars))
        if not wanted:
            return {"changed": False, "components": {}}
        result: dict[str, Any] = self._execute_module(
            module_name="phasegate.aistack.receipt", module_args=dict(args, components=wanted), task_vars=task_vars,
        )
        return result
