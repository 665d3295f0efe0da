# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which stacks this node has, C(/etc/aistack/<stack>.json) each: a second one is let in only where it overwrites nothing of the first."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.core import flock
from ansible_collections.phasegate.aistack.plugins.module_utils.core.durable import write_file
from ansible_collections.phasegate.aistack.plugins.module_utils.core.names import STACK_NAME
from ansible_collections.phasegate.aistack.plugins.module_utils.node.claims import ONE_PER_NODE, Claims, conflicts


class Refused(Exception):
    """The stack cannot be on this node; the message says why and what to do. Nothing was written."""


def entry_of(name: str, root: str, state_dir: str, claims: Claims | None = None) -> dict[str, object]:
    """What the registry says about a stack."""
    return {"name": name, "root": root, "state_dir": state_dir, **({"claims": claims} if claims is not None else {})}


def register(registry: Path, entry: Mapping[str, Any], check: bool = False) -> tuple[bool, str, str]:
    """Let a stack in, or refuse it. Without C(claims) those that it had stay.

    Returns:
        Whether the registry is changed by it, and the text of its entry before and after.

    Raises:
        Refused, OSError: see there.
    """
    name = entry["name"]
    if not STACK_NAME.fullmatch(name):
        raise Refused(f"cannot be called so: a stack's name is made of letters, digits, '.', '_' and '-', got {name!r}")
    place = registry / f"{name}.json"
    with _alone(registry, check):
        before = _text(place)
        known = _read(before) or {}
        wanted = {**({"claims": known["claims"]} if "claims" in known else {}), **entry}
        for path in sorted(registry.glob("*.json")):
            other = _read(_text(path)) if path != place else None
            told = conflicts(wanted, _whole(other)) if other else []
            if other and told:
                whose = other["name"]
                raise Refused(
                    f"{name} cannot be on this node beside the stack {whose}, which {path} names: {'; '.join(told)}. Nothing was touched. "
                    f"Where {whose} is not wanted here any more, aistack --stack {whose} remove --whole shows what would go; where it is "
                    f"what {name} was called before, remove {path} alone (docs/architecture.md, Several stacks on a node)"
                )
        after = json.dumps(wanted, indent=1, sort_keys=True) + "\n"
        if before != after and not check:
            write_file(place, after, 0o644)
    return before != after, before, after


@contextlib.contextmanager
def _alone(registry: Path, check: bool) -> Iterator[None]:
    """Two that come at once come one after the other."""
    if check and not registry.is_dir():
        yield
        return
    registry.mkdir(mode=0o755, parents=True, exist_ok=True)
    handle = os.open(registry, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        flock.take(handle, registry)
        yield
    finally:
        os.close(handle)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""


def _read(text: str) -> dict[str, object] | None:
    """An entry; None where it is none, which the command says when it is asked."""
    try:
        entry = json.loads(text)
        return entry if all(isinstance(entry[key], str) for key in ("name", "root", "state_dir")) else None
    except (ValueError, KeyError, TypeError):
        return None


def _whole(entry: dict[str, Any]) -> dict[str, object]:
    """An entry with its claims. One of a version before has none: they are read from what that stack left on this node."""
    if "claims" in entry:
        return entry
    state = Path(entry["state_dir"])
    claims: Claims = {"components": [], "roles": [], "ports": {}}
    for path in sorted(state.glob("components/*.json")):
        claims["components"].append(path.stem)
        with contextlib.suppress(ValueError, AttributeError):  # the rollback says that it is no description
            claims["ports"].update({str(port): path.stem for port in (json.loads(_text(path)).get("ports") or {}).values()})
    claims["roles"] = [role for role in ONE_PER_NODE if (state / "receipts" / f"{role}.json").exists()]
    return {**entry, "claims": claims}
