# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Notices to people about deployments and rollbacks: who gets which, and what they say. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.phasegate.aistack.plugins.module_utils.pure.stack import nearest

VERBS = ("deploy", "rollback")
STATES = ("started", "finished", "failed")
EVENTS = (*(f"{verb}_{state}" for verb in VERBS for state in STATES), "watch_failed")
SECURITY = ("starttls", "tls", "none")
COMMON = {"kind", "name", "events", "timeout"}
KINDS: dict[str, dict[str, set[str]]] = {
    "webhook": {"needs": {"url"}, "may": {"headers", "ca_file"}},
    "mail": {"needs": {"host", "from", "to"}, "may": {"port", "security", "user", "password", "ca_file"}},
    "command": {"needs": {"command"}, "may": set()},
}
TIMEOUT = 10.0
"""Seconds that a receiver has where the entry does not say."""


def label(entry: Any, index: int) -> str:
    """What a receiver is called in every message: its name, or its kind and place; never its address, which may be a secret."""
    if isinstance(entry, Mapping) and entry.get("name"):
        return str(entry["name"])
    kind = entry.get("kind") if isinstance(entry, Mapping) else None
    return f"{kind if kind in KINDS else 'notice'} {index + 1}"


def problems(entries: Any, where: str = "aistack_notices") -> list[str]:
    """Everything that is wrong with the list, one line each; values are not shown, because any of them may be a secret."""
    if isinstance(entries, (str, Mapping)) or not isinstance(entries, Sequence):
        return [f"{where}: must be a list, is {type(entries).__name__}"]
    found: list[str] = []
    for index, entry in enumerate(entries):
        found += [f"{where}[{index}]{problem}" for problem in entry_problems(entry)]
    return found


def entry_problems(entry: Any) -> list[str]:
    """What is wrong with one receiver; each begins with the key's place."""
    if not isinstance(entry, Mapping):
        return [f": must be a mapping, is {type(entry).__name__}"]
    kind = entry.get("kind")
    if kind not in KINDS:
        return [f".kind: {'is missing' if kind is None else repr(kind) + ' is unknown'}; there are {', '.join(sorted(KINDS))}"]
    known = COMMON | KINDS[kind]["needs"] | KINDS[kind]["may"]
    found = [f": unknown key '{key}' for a {kind}{nearest(str(key), known)}" for key in entry if key not in known]
    found += [f".{key}: is missing" for key in sorted(KINDS[kind]["needs"]) if not entry.get(key)]
    events = entry.get("events", [])
    if isinstance(events, (str, Mapping)) or not isinstance(events, Sequence):
        found.append(".events: must be a list")
    else:
        found += [f".events: unknown event '{event}'{nearest(str(event), EVENTS)}" for event in events if event not in EVENTS]
    found += [f".{key}: must be a number above 0" for key in ("timeout", "port") if key in entry and not _positive(entry[key])]
    return found + _OF_KIND[kind](entry)


def _positive(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0


def _texts(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str) and bool(value) and all(isinstance(item, str) for item in value)


def _webhook(entry: Mapping[str, Any]) -> list[str]:
    found = []
    url = entry.get("url")
    if url:
        try:
            parts = urlsplit(str(url))
            good = parts.scheme in ("http", "https") and bool(parts.hostname) and not any(char.isspace() for char in str(url))
        except ValueError:
            good = False
        if not good:
            found.append(".url: is no http or https address")
    if not isinstance(entry.get("headers", {}), Mapping):
        found.append(".headers: must be a mapping")
    return found


def _mail(entry: Mapping[str, Any]) -> list[str]:
    found = []
    if entry.get("to") and not _texts(entry["to"]):
        found.append(".to: must be a list of addresses")
    security = entry.get("security", SECURITY[0])
    if security not in SECURITY:
        found.append(f".security: must be one of {', '.join(SECURITY)}")
    if security == "none" and entry.get("password"):
        found.append(".security: a password is sent over an encrypted connection only; take starttls or tls")
    if bool(entry.get("user")) != bool(entry.get("password")):
        found.append(": user and password go together")
    return found


def _command(entry: Mapping[str, Any]) -> list[str]:
    return [] if _texts(entry.get("command") or ["-"]) else [".command: must be a list: the program and its arguments"]


_OF_KIND = {"webhook": _webhook, "mail": _mail, "command": _command}


def wanted(entry: Mapping[str, Any], event: str) -> bool:
    """Whether a receiver asked for this event; one that names no events gets all of them."""
    events = entry.get("events") or EVENTS
    return event in events


def message(event: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    """What is sent: ``event``, ``status``, ``stack``, ``title``, ``text`` (a page for people) and the ``facts`` as they came.

    Of ``facts`` the text uses, where they are there: ``stack``, ``level``, ``from``, ``to``, ``reason``, ``owner``, ``run``, ``nodes``,
    ``expected_s``, ``seconds``, ``objective_s``, ``done``, ``losses``, ``warnings``, ``error``, ``serving``, ``next``, ``document``.

    Raises:
        ValueError: there is no such event.
    """
    if event not in EVENTS:
        raise ValueError(f"event: '{event}' is unknown{nearest(event, EVENTS)}")
    verb, state = event.split("_")
    stack = str(facts.get("stack") or "")
    return {
        "event": event,
        "status": state,
        "stack": stack,
        "title": f"[{stack or 'aistack'}] {verb} {state}{_moved(facts)}",
        "text": "\n".join(_lines(verb, state, facts)),
        "facts": dict(facts),
    }


def _moved(facts: Mapping[str, Any]) -> str:
    level = f" (level {facts['level']})" if facts.get("level") else ""
    if facts.get("from") and facts.get("to"):
        return f": {facts['from']} → {facts['to']}{level}"
    return f": {facts['to']}{level}" if facts.get("to") else level


def _lines(verb: str, state: str, facts: Mapping[str, Any]) -> list[str]:
    rows: list[tuple[str, Any]] = [
        ("Situation", facts.get("reason")),
        ("Action", f"{verb} {state}{_moved(facts)}{_times(state, facts)}"),
        ("Nodes", ", ".join(map(str, facts.get("nodes") or []))),
        ("Owner", facts.get("owner")),
        ("Run", facts.get("run")),
        ("Error", facts.get("error")),
        ("Serving now", facts.get("serving")),
    ]
    lines = [f"{name}: {value}" for name, value in rows if value]
    lines += _listed("Done", facts.get("done"))
    if verb == "rollback":
        losses = facts.get("losses") or []
        tense = {"started": "Will be lost", "finished": "Lost", "failed": "Lost, as far as it is known"}[state]
        lines += _listed(tense, losses) if losses else [f"{tense}: nothing"]
    lines += _listed("To know", facts.get("warnings"))
    lines += _listed("Next", facts.get("next"))
    return [*lines, f"More: {facts['document']}"] if facts.get("document") else lines


def _times(state: str, facts: Mapping[str, Any]) -> str:
    key, word = ("expected_s", "expected") if state == "started" else ("seconds", "took")
    if not isinstance(facts.get(key), (int, float)):
        return ""
    objective = f", objective {facts['objective_s']:g} s" if isinstance(facts.get("objective_s"), (int, float)) else ""
    return f"; {word} {facts[key]:.0f} s{objective}"


def _listed(title: str, items: Any) -> list[str]:
    given = [items] if isinstance(items, str) else list(items or [])
    return [f"{title}:", *(f"  - {item}" for item in given)] if given else []
