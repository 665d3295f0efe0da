# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Notices to people about deployments and rollbacks: who gets which, and what they say. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.phasegate.aistack.plugins.module_utils.core import schema
from ansible_collections.phasegate.aistack.plugins.module_utils.core.schema import Option, nearest

VERBS = ("deploy", "rollback")
STATES = ("started", "finished", "failed")
EVENTS = (*(f"{verb}_{state}" for verb in VERBS for state in STATES), "watch_failed")
ASKED: Mapping[str, tuple[str, str]] = {f"before_{verb}": (verb, "asked for") for verb in VERBS}
"""Events at which a command is asked instead of told, each with verb and state in words: it can refuse, before the lock is taken. Only who
names one is asked."""
SECURITY = ("starttls", "tls", "none")
KINDS: Mapping[str, Mapping[str, Option]] = {
    "webhook": {
        "url": Option("str", "http or https address that is told as JSON", required=True, secret=True),
        "headers": Option("dict", "headers to send", items=Option("text", "a value", secret=True), secret=True),
        "ca_file": Option("str", "CA certificates on the controller, instead of the system's"),
    },
    "mail": {
        "host": Option("str", "mail server", required=True),
        "from": Option("str", "who sends it", required=True),
        "to": Option("list", "who gets it", required=True, secret=True, items=Option("str", "an address"), expected="a list of addresses"),
        "port": Option("number", "its port; 587, with tls 465, with none 25"),
        "security": Option("str", "how the connection is encrypted", choices=SECURITY, default=SECURITY[0]),
        "user": Option("str", "login; with password", secret=True),
        "password": Option("str", "its password", secret=True),
        "ca_file": Option("str", "CA certificates on the controller, instead of the system's"),
    },
    "command": {
        "command": Option(
            "list", "a program on the controller and its arguments; the notice comes as JSON on standard input", required=True, secret=True,
            items=Option("str", "a word", secret=True), expected="a list: the program and its arguments",
        ),
    },
}
NOTICE = Option(
    "dict", "a receiver", by="kind", variants=KINDS, secret=True,
    keys={
        "kind": Option("str", "how it is told", required=True, choices=tuple(sorted(KINDS))),
        "name": Option("str", "what it is called in messages"),
        "events": Option(
            "list", "what it is told of; all if left out, but for before_deploy and before_rollback: at these a command is asked",
            secret=True, items=Option("str", "an event", choices=(*EVENTS, *ASKED)),
        ),
        "timeout": Option("number", "seconds that it may take; where it is asked, 60 if left out", default=10),
    },
)
NOTICES = Option("list", "who is notified of deployments and rollbacks", items=NOTICE, secret=True)
TIMEOUT = 10.0
"""Seconds that a receiver has where the entry does not say."""
ASK_TIMEOUT = 60.0
"""The same of one that is asked: somebody waits for its answer, and it may ask others."""


def label(entry: Any, index: int) -> str:
    """What a receiver is called in every message: its name, or its kind and place; never its address, which may be a secret."""
    if isinstance(entry, Mapping) and entry.get("name"):
        return str(entry["name"])
    kind = entry.get("kind") if isinstance(entry, Mapping) else None
    return f"{kind if kind in KINDS else 'notice'} {index + 1}"


def problems(entries: Any, where: str = "aistack_notices") -> list[str]:
    """Everything that is wrong with the list, one line each; values are not shown, because any of them may be a secret."""
    if isinstance(entries, (str, Mapping)) or not isinstance(entries, Sequence):
        return schema.problems(where, entries, NOTICES)
    return [problem for index, entry in enumerate(entries) for problem in entry_problems(entry, f"{where}[{index}]")]


def entry_problems(entry: Any, where: str = "") -> list[str]:
    """What is wrong with one receiver; each line begins with ``where``."""
    given, found = schema.examine(where, entry, NOTICE)
    if given is None or "kind" not in given:
        return found
    found += [f"{where}.{key}: must be a number above 0" for key in ("timeout", "port") if key in given and float(given[key]) <= 0]
    if given["kind"] != "command":
        found += [f"{where}.events: {event} asks, and only a command can answer; a {given['kind']} is told of {told}"
                  for event in given.get("events") or () if event in ASKED for told in [f"{event.partition('_')[2]}_started"]]
    return found + [f"{where}{problem}" for problem in _OF_KIND[given["kind"]](given)]


def _webhook(entry: Mapping[str, object]) -> list[str]:
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
    return found


def _mail(entry: Mapping[str, object]) -> list[str]:
    found = []
    if entry.get("security") == "none" and entry.get("password"):
        found.append(".security: a password is sent over an encrypted connection only; take starttls or tls")
    if bool(entry.get("user")) != bool(entry.get("password")):
        found.append(": user and password go together")
    return found


_OF_KIND: Mapping[str, Callable[[Mapping[str, Any]], list[str]]] = {"webhook": _webhook, "mail": _mail, "command": lambda _entry: []}


def wanted(entry: Mapping[str, Any], event: str) -> bool:
    """Whether a receiver asked for this event; one that names no events gets all of them."""
    events = entry.get("events") or EVENTS
    return event in events


def message(event: str, facts: Mapping[str, object]) -> dict[str, object]:
    """What is sent: ``event``, ``status``, ``stack``, ``title``, ``text`` (a page for people) and the ``facts`` as they came.

    Of ``facts`` the text uses, where they are there: ``stack``, ``level``, ``from``, ``to``, ``reason``, ``owner``, ``run``, ``nodes``,
    ``expected_s``, ``seconds``, ``objective_s``, ``done``, ``losses``, ``warnings``, ``error``, ``serving``, ``next``, ``document``.

    Raises:
        ValueError: there is no such event.
    """
    if event not in (*EVENTS, *ASKED):
        raise ValueError(f"event: '{event}' is unknown{nearest(event, EVENTS)}")
    verb, state = ASKED.get(event) or event.split("_")
    stack = str(facts.get("stack") or "")
    return {
        "event": event,
        "status": state,
        "stack": stack,
        "title": f"[{stack or 'aistack'}] {verb} {state}{_moved(facts)}",
        "text": "\n".join(_lines(verb, state, facts)),
        "facts": dict(facts),
    }


def _moved(facts: Mapping[str, object]) -> str:
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
        tense = {"started": "Will be lost", "asked for": "Will be lost", "finished": "Lost", "failed": "Lost, as far as it is known"}[state]
        lines += _listed(tense, losses) if losses else [f"{tense}: nothing"]
    lines += _listed("To know", facts.get("warnings"))
    lines += _listed("Next", facts.get("next"))
    return [*lines, f"More: {facts['document']}"] if facts.get("document") else lines


def _times(state: str, facts: Mapping[str, object]) -> str:
    key, word = ("expected_s", "expected") if state in ("started", "asked for") else ("seconds", "took")
    if not isinstance(facts.get(key), (int, float)):
        return ""
    objective = f", objective {facts['objective_s']:g} s" if isinstance(facts.get("objective_s"), (int, float)) else ""
    return f"; {word} {facts[key]:.0f} s{objective}"


def _listed(title: str, items: Any) -> list[str]:
    given = [items] if isinstance(items, str) else list(items or [])
    return [f"{title}:", *(f"  - {item}" for item in given)] if given else []
