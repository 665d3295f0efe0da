# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the command C(aistack) does with one component of this node: C(run), C(shell), C(logs), C(remove), C(container);
and with all of them: C(ship)."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from ansible_collections.phasegate.aistack.plugins.module_utils.cli import main as cli
from ansible_collections.phasegate.aistack.plugins.module_utils.node import (
    container as node_container,
    one_off,
    remove as core,
    remove_plan,
    remove_stack,
)


def run(stack: cli.Stack, given: argparse.Namespace) -> int:
    """``aistack run``."""
    command = shlex.split(given.line) if given.line else given.command
    if not command:
        raise cli.UsageError(f"there is no command; say it behind two dashes: aistack run {given.component} -- python -m app.seed")
    return _beside(stack, given, command, given.timeout)


def shell(stack: cli.Stack, given: argparse.Namespace) -> int:
    """``aistack shell``."""
    if not sys.stdin.isatty():
        raise cli.UsageError(f"a shell needs a terminal; without one: aistack run {given.component} -- COMMAND")
    return _beside(stack, given, ["/bin/bash", "--norc"] if os.path.exists("/bin/bash") else ["/bin/sh"], 0.0, terminal=True)


def _beside(stack: cli.Stack, given: argparse.Namespace, command: Sequence[str], timeout: float, terminal: bool = False) -> int:
    cli._readable(stack)
    cli._writable(stack)
    lines: list[str] = []
    asked = one_off.OneOff(command, given.run or cli.run_id(), given.actor or cli.actor(), timeout, terminal)
    try:
        answer = one_off.run(stack.state_dir, given.component, asked, lines.append if given.json else partial(cli.write, sys.stdout))
    except one_off.Refused as refused:
        raise cli.UsageError(str(refused)) from refused
    if given.json:
        cli.emit(given, {**answer, "output": lines, "outcome": "failed" if answer["rc"] else "ok"}, str)
    elif answer["late"]:
        cli.write(sys.stderr, f"aistack run: {answer['error']}; --timeout gives it more time.")
    return int(answer["rc"])


def logs(stack: cli.Stack, given: argparse.Namespace) -> int:
    """``aistack logs``."""
    cli._readable(stack)
    try:
        text = one_off.log(stack.state_dir, given.component, given.unit, given.lines, given.since)
    except one_off.Refused as refused:
        raise cli.UsageError(str(refused)) from refused
    cli.emit(given, {"component": given.component, "lines": text.splitlines()}, lambda: text)
    return cli.OK


def ship(stack: cli.Stack, given: argparse.Namespace) -> int:
    """``aistack ship``: until it is told to end."""
    from ansible_collections.phasegate.aistack.plugins.module_utils.shipping import ship as core

    cli._readable(stack)
    try:
        settings = core.Settings.read(given.settings, stack=stack.name, root=stack.root, state_dir=str(stack.state_dir))
        core.ship(settings, partial(cli.write, sys.stderr), time.monotonic)
    except core.SettingsError as error:
        raise cli.UsageError(str(error)) from error
    return cli.OK


def remove(stack: cli.Stack, given: argparse.Namespace) -> int:
    """``aistack remove``."""
    if given.whole == bool(given.component):
        raise cli.UsageError(f"say what is to go: a component of {stack.name}, or --whole for all of it")
    places = remove_plan.Places(registry=Path(given.registry))
    who = (given.run or cli.run_id(), given.actor or cli.actor())
    if not given.whole or stack.state_dir.exists():  # a removal that was interrupted may have left the registry's entry alone
        cli._readable(stack)
        cli._writable(stack)
    kept = None
    try:
        if given.whole:
            whole = remove_stack.Stack(stack.name, Path(stack.root), stack.state_dir)
            if given.yes:
                found, kept = remove_stack.remove(whole, given.data, *who, places)
            else:
                found = remove_stack.plan(whole, given.data, places)
        elif given.yes:
            found = core.remove(stack.state_dir, given.component, given.data, *who, places)
        else:
            found = core.plan(stack.state_dir, given.component, given.data, places)
    except remove_plan.Refused as refused:
        raise cli.UsageError(str(refused)) from refused
    stays = [line.replace(f"{stack.state_dir}.removed-<time>", str(kept or f"{stack.state_dir}.removed-<time>")) for line in found.stays]
    verb = "removed" if given.yes else "would remove"
    text = "\n".join([f"{verb} {line}" for line in found.lines] + [f"stays: {line}" for line in stays])
    answer = {"removed": found.lines, "stays": stays, "kept": str(kept or ""), "changed": given.yes, "text": text}
    cli.emit(given, answer, lambda: text)
    return cli.OK


def container(stack: cli.Stack, given: argparse.Namespace) -> int:
    """``aistack container``: what the unit of a slot calls before it starts one."""
    cli._readable(stack)
    try:
        path = node_container.write(stack.root, stack.state_dir, given.component, given.slot)
    except node_container.ContainerError as error:
        raise cli.UsageError(str(error)) from error
    if given.json:  # in the log of the unit it would stand before what the container says
        cli.emit(given, {"path": str(path)}, str)
    return cli.OK


VERBS: dict[str, Callable[[cli.Stack, argparse.Namespace], int]] = {
    "run": run, "shell": shell, "logs": logs, "ship": ship, "remove": remove, "container": container,
}
