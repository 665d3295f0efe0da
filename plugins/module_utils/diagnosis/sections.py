# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a node is looked at for, by section: lists of things, each with the fields that a rule may ask for and name."""

from __future__ import annotations

from collections.abc import Mapping

_COMPONENT = {"component": "the component", "role": "its role"}
_STATE = "of its units: running, restarting, failed, stopped, absent, or unknown where systemd does not answer"

SECTIONS: Mapping[str, Mapping[str, str]] = {
    "node": {
        "memory_percent": "memory in use that the kernel cannot give away",
        "swap_percent": "swap in use",
        "clock_behind": "seconds that the clock is at least behind the controller's",
        "clock_ahead": "seconds that the clock is at least ahead of the controller's",
        "synchronised": "whether the clock follows a time server; nothing where the node does not say",
        "journal_ahead": "seconds by which the newest record of the journal lies in the future",
    },
    "disks": {
        "path": "the folder that was asked about",
        "percent": "space in use, as df counts it",
        "inodes_percent": "inodes in use",
        "free_mib": "MiB that an ordinary user may still write",
        "read_only": "whether it is mounted read-only",
    },
    "processes": {
        "rank": "1 is who has the most memory",
        "name": "the unit, or the program where it belongs to none",
        "component": "the component whose unit it is; - for none",
        "pid": "the largest process of it",
        "count": "how many processes",
        "mib": "MiB of memory; what they share is counted for each",
        "percent": "the same of the node's memory",
        "node_percent": "memory in use on the whole node",
    },
    "locks": {
        "holder": "who has the lock, since when and until when",
        "run": "the run",
        "dead": "whether the process that took it is known to be gone",
        "expired": "whether its time is over",
        "working": "whether a process of that run still works on this node",
    },
    "components": {
        **_COMPONENT,
        "slot": "blue or green; - for a component without slots",
        "live": "whether it is the slot that serves",
        "release": "what is in the slot; - for nothing",
        "unit": "its unit; - where none is known",
        "state": _STATE,
        "result": "how systemd calls the end of its last run",
        "reason": "the same in words; - while nothing went wrong",
        "restarts": "automatic restarts",
    },
    "probes": {
        **_COMPONENT,
        "probe": "name of the probe",
        "type": "type of the probe",
        "severity": "critical or warning",
        "verdict": "pass, fail, error, inconclusive or skipped",
        "expected": "what was expected",
        "got": "what came",
        "hint": "what the probe says to do",
    },
    "ports": {
        **_COMPONENT,
        "port": "the number",
        "use": "what it is for: slot or server",
        "holder": "who listens there",
        "pid": "its process",
        "own": "whether that is a process of the component",
        "state": _STATE,
    },
    "servers": {
        **_COMPONENT,
        "variable": "the variable of the component's environment that holds the address",
        "kind": "redis, postgres, ollama, or other",
        "address": "host and port",
        "host": "the host alone",
        "state": "answers, refused, timeout, unreachable, unresolved, password, acl, memory_full, disk, read_only, starting, full, missing,"
                 " tls, expired, foreign (something else answers there), error, or unknown"
                 " (a container's: it is asked from outside)",
        "error": "what was said",
        "known": "whether the inventory has such a server at that address",
        "wanted": "where the inventory has one; - for nowhere",
        "server": "the component that it is in the inventory, else its kind",
        "memory_percent": "of Redis: memory in use, of maxmemory",
        "policy": "of Redis: what it does when memory is used up",
        "connections": "of PostgreSQL: connections in use",
        "connections_percent": "of PostgreSQL: the same of those that it allows",
        "model": "of Ollama: a model that the environment names and the server does not have; - for none",
        "models": "of Ollama: the models that it has",
    },
    "queues": {
        **_COMPONENT,
        "queue": "name of the queue",
        "address": "the broker",
        "length": "tasks that wait",
        "taken_by": "workers of the inventory that take from it; - for none",
        "consumed": "whether there is such a worker",
        "state": "of the units of the worker that asks: see components",
    },
    "certificates": {
        **_COMPONENT,
        "where": "the file, or the address that shows it",
        "days_left": "days until it ends",
        "ends": "when it ends",
    },
    "edges": {
        **_COMPONENT,
        "section": "HAProxy's backend section",
        "servers": "each server with its state",
        "ready": "how many take requests",
        "asked": "whether HAProxy answered",
    },
    "interrupted": {
        "component": "the component; - for the node",
        "op": "what was begun and has no end",
        "run": "the run",
        "time": "when it began",
        "held": "whether that run still has the lock",
    },
}
"""Section to its fields, each with what it holds. A thing may lack a field: then no condition on it holds but C(exists: false)."""

LOGGED = ("components",)
"""Sections whose things have a log that a rule may search."""
