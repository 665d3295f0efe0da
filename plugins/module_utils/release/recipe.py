# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From the options of module C(release) to the recipe of a build: which variables builds and tests see, and which of them are real."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.core.masking import Masker
from ansible_collections.phasegate.aistack.plugins.module_utils.environment.file import read_env
from ansible_collections.phasegate.aistack.plugins.module_utils.environment.placeholders import placeholder_env
from ansible_collections.phasegate.aistack.plugins.module_utils.environment.schema import MASK, as_text
from ansible_collections.phasegate.aistack.plugins.module_utils.release import sandbox
from ansible_collections.phasegate.aistack.plugins.module_utils.release.artefact_key import digest
from ansible_collections.phasegate.aistack.plugins.module_utils.release.build import Recipe
from ansible_collections.phasegate.aistack.plugins.module_utils.release.place import includes_of, place_of
from ansible_collections.phasegate.aistack.plugins.module_utils.release.store import ReleaseError
from ansible_collections.phasegate.aistack.plugins.module_utils.release.tree_names import output_problem

OPTIONS: dict[str, dict[str, Any]] = {
    "kind": {"type": "str", "choices": ["python", "node", "static", "image"], "default": "python"},
    "image": {"type": "dict", "default": {}},
    "lock": {"type": "str"},
    "context": {"type": "list", "elements": "str", "default": []},
    "includes": {"type": "list", "elements": "dict", "default": []},
    "requires_python": {"type": "str", "default": ""},
    "alembic_ini": {"type": "str", "default": "alembic.ini"},
    "python": {"type": "str", "default": "python3"},
    "tools": {"type": "path"},
    "output": {"type": "str", "default": "none"},
    "environment": {"type": "dict", "default": {}},
    "secret_environment": {"type": "dict", "default": {}, "no_log": True},
    "build": {"type": "list", "elements": "list", "default": []},
    "tests": {"type": "list", "elements": "list", "default": []},
    "build_user": {"type": "str", "default": "aistack-build"},
    "build_env": {"type": "list", "elements": "str", "default": []},
    "sdists": {"type": "raw", "default": False},
    "install_scripts": {"type": "bool", "default": False},
    "test_user": {"type": "str", "default": "aistack-test"},
    "env_schema": {"type": "list", "elements": "dict", "default": []},
    "test_env": {"type": "dict", "default": {}},
    "test_env_from": {"type": "list", "elements": "str", "default": []},
    "test_network": {"type": "bool", "default": False},
    "test_sandbox": {"type": "str", "choices": ["auto", "none"], "default": "auto"},
    "test_memory": {"type": "str", "default": "50%"},
    "env_file": {"type": "path"},
    "test_timeout": {"type": "int", "default": 300},
    "build_timeout": {"type": "int", "default": 900},
}
"""Options of C(release) that a recipe is made of, besides its places and names, in Ansible's form."""

_WITH_PASSWORD = re.compile(r"://[^/@\s]*:[^/@\s]*@")
YES = {"true", "yes", "on", "1"}
NO = {"false", "no", "off", "0", ""}


def _real(params: dict[str, Any], check: bool) -> dict[str, str] | None:
    """The variables that build or tests asked for by name; one that the schema has and nobody set is left out.

    None where they are not known in *check* mode. Raises ReleaseError.
    """
    asked = {*params["build_env"], *params["test_env_from"]}
    if not asked:
        return {}
    try:
        values = read_env(params["env_file"]) if params["env_file"] else {}
    except OSError as error:
        if check:  # the configuration may not be written yet
            return None
        raise ReleaseError(f"The environment file {params['env_file']} cannot be read: {error.strerror}.") from error
    unknown = sorted(asked - set(values) - {str(entry.get("name")) for entry in params["env_schema"]})
    if unknown:
        raise ReleaseError(
            f"build_env or test_env_from of aistack_components.{params['component']} name {', '.join(unknown)}, which neither the "
            f"schema of its environment nor {params['env_file'] or 'an environment file'} has. Correct the name, or add it to the "
            "schema in aistack_env."
        )
    return {name: value for name, value in values.items() if name in asked}


def sdists_of(given: Any) -> bool | list[str]:
    """Which packages may be built. Raises ReleaseError."""
    if isinstance(given, list):
        return [str(name) for name in given]
    said = str(given).strip().lower()
    if said not in YES | NO:
        raise ReleaseError(f"aistack_components.<component>.sdists is {given!r}; expected true, false or a list of packages.")
    return said in YES


def _built_in(asked: list[str], real: dict[str, str], secret: set[str]) -> dict[str, str | None]:
    """Hashes of the variables that a build puts into a tree; None for one that nobody set. What fetches (a token) is not part of it."""
    return {
        name: digest(real[name]) if name in real else None
        for name in sorted(set(asked) - secret)
        if not _WITH_PASSWORD.search(real.get(name, ""))
    }


def _check_output(kind: str, output: str) -> None:
    """Raise ReleaseError where *output* is none that this kind of release can have."""
    wrong = output_problem(kind, output)
    if wrong:
        raise ReleaseError(f"output: {wrong}.")


def recipe_of(params: dict[str, Any], check: bool) -> Recipe:
    """The recipe that the module's options describe; secrets among their defaults are blotted out of the options themselves.

    In *check* mode an environment file that is not there yet is no fault.

    Raises:
        ReleaseError: a variable that build or tests ask for is unknown, or an option makes no sense.
    """
    root = Path(params["root"])
    place = place_of(params["path"], params["lock"], params["context"], [str(one["path"]) for one in params["includes"]])
    own = place_of(params["path"], params["lock"], params["context"])
    npm = params["kind"] == "node" or (params["kind"] == "static" and params["lock"])
    build = params["build"] or ([["npm", "run", "build"]] if npm else [])
    _check_output(params["kind"], params["output"])
    known = _real(params, check)
    real = known or {}
    fetching = {str(name): str(value) for name, value in params["secret_environment"].items()}
    declared = {str(entry.get("name")) for entry in params["env_schema"] if entry.get("secret")}
    for entry in params["env_schema"]:  # what is shown of the arguments
        if entry.get("secret") and entry.get("default") is not None:
            entry["default"] = MASK
    masker = Masker.of(real, declared)
    masker.learn(fetching, [name for name, value in fetching.items() if "://" not in value])
    made_up = {**placeholder_env(params["env_schema"]), **{str(name): as_text(value) for name, value in params["test_env"].items()}}
    masker.learn(sandbox.fetching(os.environ))  # what the machine itself has for whoever fetches
    return Recipe(
        component=params["component"],
        tag=params["release"],
        kind=params["kind"],
        tools=Path(params["tools"]) if params["tools"] else root / "tools" / "bin",
        cache=root / "cache",
        python=params["python"],
        lock=params["lock"],
        inner=place.inner,
        whole=own.whole or (bool(own.inner) and params["kind"] == "node" and params["output"] == "none"),  # its packages lie above it
        requires=params["requires_python"],
        output=params["output"],
        environment={**{str(key): str(value) for key, value in params["environment"].items()}, **fetching},
        build=[[str(word) for word in argv] for argv in build],
        tests=[[str(word) for word in argv] for argv in params["tests"]],
        build_user=params["build_user"],
        test_user=params["test_user"],
        sdists=sdists_of(params["sdists"]),
        install_scripts=params["install_scripts"],
        build_env={name: value for name, value in real.items() if name in params["build_env"]},
        built_in=None if known is None and params["build_env"] else _built_in(params["build_env"], real, declared),
        made_up=made_up,
        alembic_ini=params["alembic_ini"],
        test_env={
            **made_up,
            **{name: value for name, value in real.items() if name in params["test_env_from"]},
        },
        masker=masker,
        test_network=params["test_network"],
        test_sandbox=params["test_sandbox"],
        test_memory=params["test_memory"],
        build_timeout=params["build_timeout"],
        test_timeout=params["test_timeout"],
        image=params.get("image") or {},
        includes=includes_of(params["includes"], place.base),
    )
