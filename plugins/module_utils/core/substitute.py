# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filling ``${name}`` into texts, lists and mappings; ``$${`` stands for a ``${`` that is meant as it is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.core.names import did_you_mean

_NAME = re.compile(r"\$(\$)?\{([^{}]*)\}")
_WHOLE = re.compile(r"^\$\{([^{}$]*)\}\Z")


class MissingName(LookupError):
    """A ``${name}`` that nothing is known for; ``name`` is which, ``known`` what there is."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        self.name = name
        self.known = sorted(known)
        super().__init__(f"${{{name}}} cannot be filled in{did_you_mean(name, self.known)}")


def names_in(value: Any) -> set[str]:
    """Names that stand as ``${name}`` anywhere in a value, keys of mappings included."""
    if isinstance(value, str):
        return {match.group(2).strip() for match in _NAME.finditer(value) if not match.group(1)}
    if isinstance(value, Mapping):
        return {name for pair in value.items() for part in pair for name in names_in(part)}
    if isinstance(value, (list, tuple)):
        return {name for item in value for name in names_in(item)}
    return set()


def fill(value: Any, names: Mapping[str, object]) -> Any:
    """Return a copy of ``value`` with every ``${name}`` filled in.

    A text that consists of one name alone takes the type of what stands for it, so that ``port: ${port}`` is a number.

    Raises:
        MissingName: a name has no value, or None.
    """
    if isinstance(value, str):
        whole = _WHOLE.fullmatch(value)
        if whole:
            return _lookup(whole.group(1).strip(), names)
        return _NAME.sub(
            lambda match: match.group(0)[1:] if match.group(1) else str(_lookup(match.group(2).strip(), names)), value
        )
    if isinstance(value, Mapping):
        return {fill(key, names): fill(item, names) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [fill(item, names) for item in value]
    return value


def _lookup(name: str, names: Mapping[str, object]) -> Any:
    found = names.get(name)
    if found is None:
        raise MissingName(name, (known for known, known_value in names.items() if known_value is not None))
    return found
