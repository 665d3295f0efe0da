# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Environments of components: checked against their schemas, compared with what is there, written under the name that they make.

What secrets are stays here: a refusal names variables, a difference masks values.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.core import privileges
from ansible_collections.phasegate.aistack.plugins.module_utils.core.names import COMPONENT_NAME, COMPONENT_WORDS
from ansible_collections.phasegate.aistack.plugins.module_utils.environment import file as env_file, schema as env_schema
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.file import Journal
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.lock import require

OPTIONS: dict[str, Any] = {
    "component": {"type": "str", "required": True},
    "schema": {"type": "list", "elements": "dict", "default": [], "options": {
        "name": {"type": "str", "required": True},
        "type": {"type": "str", "choices": list(env_schema.TYPES), "default": "str"},
        "required": {"type": "bool", "default": False},
        "secret": {"type": "bool", "default": False},
        "forbidden": {"type": "list", "elements": "str", "no_log": False},
        "default": {"type": "raw"},
        "pattern": {"type": "str"},
        "choices": {"type": "list", "elements": "str"},
        "min_length": {"type": "int"},
        "description": {"type": "str"},
    }},
    "values": {"type": "dict", "default": {}, "no_log": True},
    "schema_version": {"type": "str"},
    "owner": {"type": "str", "default": "root"},
}
"""What is asked of one component, in Ansible's form."""


class Refused(Exception):
    """An environment is not written. ``extra`` is returned beside the message."""

    def __init__(self, message: str, **extra: Any) -> None:
        super().__init__(message)
        self.extra = extra


@dataclass(frozen=True)
class By:
    """Where the node remembers what it does, in which run it is done, and who runs it."""

    state_dir: str
    run: str
    actor: str


class Environment:
    """What the environment of one component is to be.

    Args:
        root: the folder that holds a folder for each component.
        given: as :data:`OPTIONS` has it.
    """

    def __init__(self, root: str, given: Mapping[str, Any]) -> None:
        self.root = root
        self.component = str(given["component"])
        self.schema = [{key: value for key, value in entry.items() if value is not None} for entry in given["schema"]]
        self.values: dict[str, Any] = given["values"]
        self.owner = str(given["owner"])
        self.version = str(given["schema_version"] or env_schema.version_of(self.schema))

    def secret_texts(self) -> set[str]:
        """What nobody is to read: values of what is declared secret, and of what may be a secret under a mistyped name."""
        secrets = {str(entry["name"]) for entry in self.schema if entry.get("secret")}
        unknown = set(self.values) - {str(entry["name"]) for entry in self.schema}
        known = [env_schema.as_text(value) for entry in self.schema for value in entry.get("forbidden") or []]
        defaults = {str(entry["name"]): entry["default"] for entry in self.schema if entry.get("default") is not None}
        return set(env_schema.secret_texts({**defaults, **self.values}, secrets | unknown, known))

    @cached_property
    def _resolved(self) -> env_schema.Resolved:
        return env_schema.resolve(self.schema, self.values)

    @cached_property
    def _content(self) -> str:
        return env_file.render_env(self._resolved.values)

    @cached_property
    def _config(self) -> env_file.Config:
        return env_file.locate(self.root, self.component, self._content, self.version, self._resolved.secrets)

    def check(self, only_looks: bool) -> None:
        """Raise :class:`Refused` with every problem of the values, because of the component's name, or, unless *only_looks*, of its owner.

        In check mode the user may be one that an earlier task would have made.
        """
        if not COMPONENT_NAME.fullmatch(self.component):
            raise Refused(f"Not a component's name: {self.component}; expected {COMPONENT_WORDS}.")
        found = self._resolved.problems
        if found:
            lines = "\n".join(f"  - {problem}" for problem in found)
            raise Refused(
                f"The environment of {self.component} is not as its schema demands ({len(found)} problems). Nothing was written. Correct "
                f"these variables in the inventory:\n{lines}",
                problems=[{"name": problem.name, "message": problem.message} for problem in found],
                schema_version=self.version,
            )
        if not only_looks:
            self._owned()

    def result(self) -> dict[str, Any]:
        """What is to be, and how it differs from what the live slot has, where it is not there yet."""
        told = {"changed": not self._config.present, "config": self._config.hash, "path": str(self._config.path),
                "schema_version": self.version}
        if self._config.present:
            return told
        before, secrets = env_file.live_env(self.root, self.component), self._resolved.secrets
        return {**told, "diff": {
            "before_header": f"{self.component}: environment of the live slot",
            "after_header": f"{self.component}: config {self._config.hash}",
            "before": env_schema.masked_lines(before, secrets),
            "after": env_schema.masked_lines(self._resolved.values, secrets, before),
        }}

    def _owned(self) -> tuple[int, int] | None:
        """User and group of the file; None where both stay as they come."""
        if os.geteuid() != 0:
            return None
        try:
            entry = pwd.getpwnam(self.owner)
        except KeyError:
            raise Refused(f"The environment of {self.component} is to belong to {self.owner}, but this host has no such user. Nothing was "
                          "written. Run site.yml with its phase, which makes the user.") from None
        return entry.pw_uid, entry.pw_gid

    def write(self, by: By) -> None:
        """Write it where it is not there. Raises :class:`Refused` where that fails, and LeaseLost."""
        owner = self._owned()
        if self._config.present:
            return
        require(by.state_dir, by.run, f"configure {self.component}")
        detail = {"config": self._config.hash, "schema_version": self.version}
        try:
            with Journal.of(by.state_dir).operation("configure", self.component, run=by.run, actor=by.actor, detail=detail):
                env_file.write_config(self._config, self._content, owner)
        except OSError as error:
            raise Refused(
                f"The environment of {self.component} could not be written to {self._config.path}: {privileges.in_words(error)}"
            ) from error


def masked(given: Mapping[str, Any]) -> dict[str, Any]:
    """What was asked of a component (:data:`OPTIONS`) without values, as a result may show it."""
    return {
        **given,
        "values": dict.fromkeys(given["values"], env_schema.MASK),
        "schema": [
            {**entry, "default": env_schema.MASK} if entry.get("secret") and entry.get("default") is not None else entry
            for entry in given["schema"]
        ],
    }
