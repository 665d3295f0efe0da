# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A command beside a component: in the tree, the environment, the sandbox and as the user of what is live; and a component's log.

Where containers run, it is a container of its own beside them. Else the process is a service of its own
(``aistack-run-<component>-<number>.service``) with the settings of the slot's unit, so that it may what the component may. It is no part of
the component: a switch does not end it, and it answers no request.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.docker import ENVIRONMENT
from ansible_collections.phasegate.aistack.plugins.module_utils.clients.systemd import QUICK, run_command
from ansible_collections.phasegate.aistack.plugins.module_utils.clients.unit_text import process_settings
from ansible_collections.phasegate.aistack.plugins.module_utils.core.masking import Masker
from ansible_collections.phasegate.aistack.plugins.module_utils.core.names import SLOTS
from ansible_collections.phasegate.aistack.plugins.module_utils.core.places import container_file
from ansible_collections.phasegate.aistack.plugins.module_utils.environment.file import read_env, secrets_beside
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.file import Journal
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.lock import Lock, describe
from ansible_collections.phasegate.aistack.plugins.module_utils.node import container
from ansible_collections.phasegate.aistack.plugins.module_utils.slots import component_file
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.gate import SlotGate
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.operations import Slots

LATE = 124
"""Exit status of a command that ran past its time, as that of ``timeout``."""
INTERRUPTED = 130
"""That of one which was ended by hand, as a shell has it."""


class Refused(Exception):
    """Nothing was run; the text says why and what to do."""


@dataclass(frozen=True)
class Live:
    """What a command runs beside: the component, its slot, release, unit, and the folder of the release.

    Without a slot it is a release that need not be live: tree and environment are its own, and nothing is taken that is a slot's.
    """

    component: str
    slot: str
    release: str
    unit: str
    tree: Path
    config: Path
    root: Path

    def masker(self) -> Masker:
        """Hides what is secret in its environment."""
        return _masker(self.config / "env")


def _masker(path: Path) -> Masker:
    try:
        return Masker.of(read_env(path), secrets_beside(path))
    except OSError:
        return Masker()


def _described(state_dir: Path, component: str) -> component_file.Description:
    described, problems = component_file.load_all(state_dir)
    if component not in described:
        known = f"there are {', '.join(described)}" if described else "there are none"
        raise Refused("; ".join([f"no component {component} was released on this node; {known}", *problems]))
    return described[component]


def _slots(state_dir: Path, component: str) -> Slots:
    return Slots(component_file.spec_of(_described(state_dir, component), state_dir), SlotGate(), Journal.of(state_dir))


def live(state_dir: Path, component: str) -> Live:
    """What is live of a component.

    Raises:
        Refused: nothing is, or the node does not know the component.
    """
    node = _slots(state_dir, component).node
    slot = node.live()
    content = node.content(slot) if slot else None
    if slot is None or content is None:
        raise Refused(f"nothing is live of {component} on this node; deploy it first")
    spec = node.spec
    home = node.slots / slot  # its links, since a component may run the tree of another
    tree, config = ((home / link).resolve() for link in ("release", "config"))
    return Live(component, slot, content.release, spec.unit_of(slot), tree, config, spec.root)


def service(found: Live, command: Sequence[str], name: str, timeout: float, terminal: bool, unit_text: str) -> list[str]:
    """The command line that runs *command* beside the component. *timeout* in seconds, 0: none."""
    path = f"{found.tree}/.venv/bin:{found.tree}/node_modules/.bin:{found.root}/tools/bin:/usr/local/bin:/usr/bin:/bin"
    program = command[0]
    if "/" not in program:  # systemd-run would look along its own path
        program = next((f"{folder}/{program}" for folder in path.split(":") if os.access(f"{folder}/{program}", os.X_OK)), "")
        if not program:
            raise Refused(f"there is no program {command[0]} in the release's environment ({found.tree}/.venv/bin), nor in /usr/bin")
    said = [*_settings(found, unit_text), f"Environment=PATH={path}", "OOMScoreAdjust=500"]
    said += [f"RuntimeMaxSec={timeout:g}"] if timeout else []
    if terminal:
        said.append("Environment=TERM=" + os.environ.get("TERM", "dumb"))
    return [
        "systemd-run", "--quiet", "--wait", "--collect", "--pty" if terminal else "--pipe", f"--unit={name}",
        f"--description=A command beside {found.component}", *(word for setting in said for word in ("--property", setting)),
        "--", program, *command[1:],
    ]


def _settings(found: Live, unit_text: str) -> list[str]:
    """What the slot's unit gives its process; for a release without a slot what is not the slot's, and its own tree and environment."""
    if found.slot:
        return process_settings(unit_text, found.slot)
    return [
        *(setting for setting in process_settings(unit_text, "%i") if "%i" not in setting),
        f"WorkingDirectory={found.tree}",
        f"EnvironmentFile={found.config / 'env'}",
        f"Environment=AISTACK_COMPONENT={found.component} AISTACK_RELEASE={found.release}",
    ]


def beside_containers(found: Live, command: Sequence[str], name: str, timeout: float, terminal: bool, compose_file: Path) -> list[str]:
    """The command line that runs *command* in a container of its own, of the image, environment, user and folders of the live slot.

    It has a network of its own as well, and both are gone with it, however it ends.
    """
    docker = ["/usr/bin/env", "-i", *(f"{key}={value}" for key, value in ENVIRONMENT.items()), "docker", "compose"]
    own = ["--ansi", "never", "--progress", "quiet", "--project-name", name.removesuffix(".service"), "--file", str(compose_file)]
    (service_name,) = json.loads(compose_file.read_text(encoding="utf-8"))["services"]
    down = shlex.join([*docker, *own, "down", "--timeout", "0"])
    return [
        "systemd-run", "--quiet", "--wait", "--collect", "--pty" if terminal else "--pipe", f"--unit={name}",
        f"--description=A command beside {found.component}", "--property", f"ExecStopPost=-{down}",
        *(["--property", f"RuntimeMaxSec={timeout:g}"] if timeout else []),
        "--", *docker, *own, "run", "--rm", "--no-deps", "--quiet-pull", *([] if terminal else ["--no-TTY"]), service_name, *command,
    ]


def unit_text_of(unit: str) -> str:
    """The text of a unit with its drop-ins. Raises Refused."""
    shown = run_command(["systemctl", "cat", "--no-pager", unit], QUICK)
    if shown.rc != 0:
        raise Refused(f"systemd does not show the unit {unit}: {shown.stderr.strip() or shown.rc}; run site.yml, which writes it")
    return shown.stdout


@dataclass(frozen=True)
class OneOff:
    """Who runs what, for how long (seconds; 0: no limit), and whether somebody sits at it."""

    command: Sequence[str]
    run: str
    actor: str
    timeout: float = 0.0
    terminal: bool = False


def run(state_dir: Path, component: str, asked: OneOff, say: Callable[[str], None]) -> dict[str, Any]:
    """Run a command and wait for it; ``rc``, ``seconds``, ``late``, and what was live. *say* gets its output by lines, masked.

    The journal has it as ``run``, with the command masked. With a terminal the process has that, and nothing is masked.

    Raises:
        Refused: nothing was run.
    """
    found = live(state_dir, component)
    lease = Lock(state_dir).holder()
    if lease is not None and lease.get("run") != asked.run:
        raise Refused(f"this node is being changed by {describe(lease)}, and what is live may be another in a moment; wait for it to end")
    name = f"aistack-run-{component}-{os.getpid()}.service"
    compose_file = container.file_of(component, found.slot)
    if container_file(state_dir, component).exists():
        if not compose_file.exists():
            told = f"the slot {found.slot} of {component} does not run ({compose_file} is not there)"
            raise Refused(f"{told}; start it: systemctl start {found.unit}")
        argv = beside_containers(found, asked.command, name, asked.timeout, asked.terminal, compose_file)
    else:
        argv = service(found, asked.command, name, asked.timeout, asked.terminal, unit_text_of(found.unit))
    answer = carry_out(Journal.of(state_dir), found, asked, Step("run", name, argv, {"slot": found.slot}), say)
    return {"slot": found.slot, **answer}


@dataclass(frozen=True)
class Step:
    """What is started, and how the journal has it: the operation, the service and its command line, and what is noted besides.

    ``ended`` is called where it has ended well, before that is noted; what it raises is noted instead, and goes on.
    """

    op: str
    name: str
    argv: Sequence[str]
    detail: Mapping[str, object]
    ended: Callable[[], None] = lambda: None


def carry_out(journal: Journal, found: Live, asked: OneOff, step: Step, say: Callable[[str], None]) -> dict[str, Any]:
    """Start a service, wait for its end, and have the journal tell of both. As :func:`run` has it; nothing is refused any more."""
    masker = found.masker()
    shown = masker.mask(" ".join(map(shlex.quote, asked.command)))
    began = time.monotonic()
    answer: dict[str, Any] = {"component": found.component, "release": found.release, "command": shown}
    detail = {"command": shown, **step.detail}
    try:
        with journal.operation(step.op, found.component, found.release, asked.run, asked.actor, detail) as operation:
            rc = _wait(step.argv, step.name, None if asked.terminal else lambda line: say(masker.mask(line)))
            seconds = round(time.monotonic() - began, 1)
            late = bool(asked.timeout) and rc != 0 and seconds >= asked.timeout
            answer.update(rc=LATE if late else rc, seconds=seconds, late=late)
            operation.detail.update(rc=answer["rc"], seconds=seconds)
            if rc != 0:
                raise _Ended(f"it ran past {asked.timeout:g} s and was ended" if late else f"exit status {rc}")
            step.ended()
    except _Ended as ended:
        answer = {"rc": INTERRUPTED, "seconds": round(time.monotonic() - began, 1), "late": False, **answer, "error": str(ended)}
    return answer


class _Ended(Exception):
    """The command did not end well."""


def _wait(argv: Sequence[str], name: str, say: Callable[[str], None] | None) -> int:
    """Wait for the service; who ends this process ends it as well."""

    def leave(number: int, _frame: object) -> None:
        raise _Ended(f"ended by hand (signal {number})")

    for number in (signal.SIGTERM, signal.SIGHUP, *(() if say is None else (signal.SIGINT,))):
        signal.signal(number, leave)
    try:
        if say is None:  # who sits at the terminal has it, its keys for ending something too: no session of its own
            return subprocess.run(list(argv), check=False).returncode
        with subprocess.Popen(list(argv), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as child:
            for raw in child.stdout or ():
                say(raw.decode("utf-8", "replace").rstrip("\r\n"))
            return child.wait()
    except _Ended:
        run_command(["systemctl", "stop", name], 2 * QUICK)
        raise


def log(state_dir: Path, component: str, units: Sequence[str], lines: int, since: str) -> str:
    """The newest *lines* of a component's units, both slots, oldest first, masked. *units* where the node does not know the component.

    Raises:
        Refused: it cannot be read.
    """
    masker = Masker()
    wanted = list(units)
    if not wanted:
        node = _slots(state_dir, component).node
        wanted = [unit for slot in SLOTS for unit in node.own.all_units(slot)]
        for slot in SLOTS:
            path = node.slots / slot / "config" / "env"
            if path.exists():
                masker.learn(read_env(path), secrets_beside(path))
    argv = ["journalctl", "--no-pager", "--quiet", "--output=short-iso", f"--lines={lines}"]
    argv += [f"--since={since}"] if since else []
    shown = run_command([*argv, *(f"--unit={unit}" for unit in wanted)], 60.0)
    if shown.rc != 0:
        raise Refused(f"the log of {', '.join(wanted)} cannot be read: {shown.stderr.strip() or f'exit status {shown.rc}'}")
    return masker.mask(shown.stdout).rstrip("\n")
