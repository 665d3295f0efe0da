# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Refusals for people: what is refused to several components, or on several nodes, for one reason stands once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

Reason = TypeVar("Reason", bound=Mapping[str, object])

PLAYBOOKS = {
    "--allow-bad": "-e allow_bad=true",
    "--force-lock": "-e break_lock=true",
    "--to TAG": "-e to=TAG",
    "--to": "-e to=TAG",
    "--best-effort": "emergency_rollback.yml",
}
"""What the words of the node's command are to somebody who came by a playbook. The longer ones come first."""


def for_playbooks(text: str) -> str:
    """A remedy that the node's command tells, in words that a playbook understands."""
    for option, words in PLAYBOOKS.items():
        text = text.replace(option, words)
    return text


def grouped(refusals: Iterable[tuple[str, Reason]]) -> list[tuple[str, Reason]]:
    """(sentence, refusal) for each reason, in the order in which they came.

    Args:
        refusals: (node, refusal); the node may be empty, a refusal has ``code``, ``component`` (or None), ``reason``, ``remedy``.
    """
    places: dict[tuple[str, str, str], dict[str, list[str]]] = {}
    first: dict[tuple[str, str, str], Reason] = {}
    for node, refusal in refusals:
        component = str(refusal.get("component") or "")
        reason = str(refusal["reason"])
        if component and reason.startswith(f"{component}: "):
            reason = reason[len(component) + 2 :]
        key = (str(refusal.get("code")), reason, str(refusal["remedy"]))
        first.setdefault(key, refusal)
        places.setdefault(key, {}).setdefault(node, []).append(component)
    return [(_sentence(places[key], key[1]), refusal) for key, refusal in first.items()]


def _sentence(nodes: Mapping[str, list[str]], reason: str) -> str:
    named = {node: ", ".join(dict.fromkeys(name for name in names if name)) for node, names in nodes.items()}
    if len(named) == 1:
        ((node, components),) = named.items()
        return ": ".join(part for part in (node, components, reason) if part)
    where = ", ".join(f"{node} ({components})" if components else node for node, components in named.items())
    return f"{where}: {reason}"
