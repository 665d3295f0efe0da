# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command C(aistack): this node, seen and taken back by somebody with a shell on it and nothing else.

Exit status: 0 done; 1 tried and failed, what was live stays live (or C(journal --verify) found the chain broken); 2 refused, or the
command line makes no sense; C(run) and C(shell) have that of their command. With C(--json), one line of JSON on standard
output. What a command needs is loaded when it runs.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from ansible_collections.phasegate.aistack.plugins.module_utils.core.names import release_name
from ansible_collections.phasegate.aistack.plugins.module_utils.core.places import REGISTRY

if TYPE_CHECKING:
    from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.contract import PlanAnswer

OK, FAILED, REFUSED, OTHER_SOURCE = 0, 1, 2, 3


class UsageError(Exception):
    """Nothing was done; the message says why and what to do."""


@dataclass(frozen=True)
class Stack:
    """A stack on this node: its name, where its components live, where its journal is."""

    name: str
    root: str
    state_dir: Path


def _elsewhere(text: str) -> tuple[str, str]:
    name, _is, host = text.partition("=")
    if not name or not host:
        raise argparse.ArgumentTypeError(f"expected COMPONENT=HOST, got {text!r}")
    return name, host


def _queues(text: str) -> tuple[str, list[str]]:
    name, _is, queues = text.partition("=")
    if not name or not queues:
        raise argparse.ArgumentTypeError(f"expected COMPONENT=QUEUE,QUEUE, got {text!r}")
    return name, [queue for queue in queues.split(",") if queue]


def parser() -> argparse.ArgumentParser:
    """The command line."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--stack", metavar="NAME", default=argparse.SUPPRESS, help="which stack, where this node has several")
    common.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="one line of JSON instead of text")
    common.add_argument("--registry", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    top = argparse.ArgumentParser(prog="aistack", description="The AI stack on this node.", parents=[common])
    verbs = top.add_subparsers(dest="verb", metavar="COMMAND", required=True)

    def verb(name: str, text: str) -> argparse.ArgumentParser:
        return verbs.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".", parents=[common])

    verb("status", "what is live, what it can go back to, who has the lock")
    journal = verb("journal", "what was done on this node")
    journal.add_argument("--lines", type=int, default=20, metavar="N", help="the newest N records (20); 0: all")
    journal.add_argument("--verify", action="store_true", help="check the chain of hashes, its end, and the archived parts")
    plan = verb("plan", "where this node would go back to, in which steps; changes nothing")
    rollback = verb("rollback", "go back to the previous good release, or to another")
    for found, levels in ((plan, ("app", "config", "schema", "system")), (rollback, ("app", "config"))):
        found.add_argument(
            "--to", metavar="TAG", type=release_name, help="release to go to; for the level config, a config or a release that had it"
        )
        found.add_argument("--level", choices=levels, help="app: the slots (what is taken if none is said); config: the environment alone")
        found.add_argument("--application", metavar="NAME", help="which application, where there are several")
        found.add_argument("--best-effort", action="store_true", help="go on without what cannot go back, or fails now as well")
        found.add_argument("--allow-bad", action="store_true", help="go to a release although it is marked bad")
    plan.add_argument("--set", metavar="NAME", help="for the level system: the backup set (the newest of the target's time)")
    plan.add_argument("--elsewhere", metavar="COMPONENT=HOST", type=_elsewhere, action="append", default=[],
                      help="HOST moves the component's database for this node (levels schema and system)")
    rollback.add_argument("--dry-run", action="store_true", help="only show the plan")
    revert = verb("revert", "take back what one run activated")
    revert.add_argument("--run", metavar="RUN", required=True, help="the run")
    revert.add_argument("--unless-confirmed", action="store_true", help="do nothing where the run was confirmed")
    ran = verb("run", "a command in the environment, tree, user and sandbox of what is live; its exit status is the command's")
    ran.add_argument("--timeout", type=float, default=3600.0, metavar="SECONDS", help="time that it may take (3600); 0: no limit")
    ran.add_argument("--line", metavar="TEXT", help="the command as one text, split as a shell does; without it, the words behind --")
    shell = verb("shell", "a shell there, on this terminal")
    log = verb("logs", "the newest lines of a component's log, of both slots")
    log.add_argument("--lines", type=int, default=100, metavar="N", help="how many (100)")
    log.add_argument("--since", default="", metavar="TIME", help='not older than this, as journalctl takes it, such as "10 min ago"')
    log.add_argument("--unit", action="append", default=[], metavar="UNIT", help="of these units, for a component that has no slots")
    ship = verb("ship", "send what the units of this node say to a store of logs (what the unit aistack-log-shipper runs)")
    ship.add_argument("settings", metavar="FILE", help="what is sent where")
    gone = verb("remove", "take away a component that the inventory does not have any more, or the whole stack; shows what would go")
    gone.add_argument("--yes", action="store_true", help="do it")
    gone.add_argument("--data", action="store_true", help="with what it wrote itself")
    gone.add_argument("--whole", action="store_true", help="the stack, with all its components; no other stack of this node is touched")
    gone.add_argument("component", metavar="COMPONENT", nargs="?", default="", help="the component")
    for found in (ran, shell, log):
        found.add_argument("component", metavar="COMPONENT", help="the component")
    verb("backup", "save what this node holds, or list, verify and prune the sets (aistack backup --help)")
    gate = verb("gate", "ask probes: parameters as JSON on standard input, the result as JSON (the controller's way)")
    gate.add_argument("--source", metavar="SHA256", required=True, help="answer only where this command was made from these sources")
    gate.add_argument("--check", action="store_true", help="only look")
    confirm = verb("confirm", "keep what a run activated, which would go back by itself")
    confirm.add_argument("run", metavar="RUN", help="the run")
    resume = verb("resume", "let a component take requests again that was drained, as before a rollback")
    resume.add_argument("component", metavar="COMPONENT", help="the component")
    resume.add_argument("--by-timer", action="store_true", help=argparse.SUPPRESS)
    container = verb("container", "write the compose file that a slot of containers is started by (its unit's way)")
    container.add_argument("component", metavar="COMPONENT", help="the component")
    container.add_argument("slot", metavar="SLOT", help="blue or green, or an instance of one, such as blue-2")
    told = verb("figures", "what Prometheus is told of this node: what is live, journal, lock, sets, drills, queues (its timer's way)")
    told.add_argument("--to", metavar="FILE", default="", help="write the page there instead of showing it")
    told.add_argument("--worker", metavar="COMPONENT=QUEUES", type=_queues, action="append", default=[],
                      help="a worker on this node, with the queues that it takes from, separated by commas")
    verb("reconcile", "what a boot runs: have what starts by itself, the edge and the live link agree after a power cut")
    for found in (rollback, resume, ran, shell, gone):
        found.add_argument("--run", metavar="RUN", default="", help=argparse.SUPPRESS)
    for found in (rollback, revert):
        found.add_argument("--reason", metavar="TEXT", default="", help="why; for the journal")
        found.add_argument(
            "--force-lock", action="store_true", help="take the lock from a run that is known not to work any more"
        )
    for found in (rollback, revert, resume, confirm, ran, shell, gone):
        found.add_argument("--actor", metavar="NAME", default="", help=argparse.SUPPRESS)
    return top


def stacks(registry: str) -> dict[str, Stack]:
    """The stacks of this node by name.

    Raises:
        UsageError: an entry cannot be read.
    """
    found = {}
    for path in sorted(Path(registry).glob("*.json")):
        try:
            entry = json.loads(path.read_text(encoding="utf-8"))
            found[entry["name"]] = Stack(entry["name"], entry["root"], Path(entry["state_dir"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UsageError(
                f"{path} does not say where a stack is: {error!r}. Expected name, root and state_dir; deploy once"
            ) from error
    return found


def choose(registry: str, name: str | None) -> Stack:
    """The stack that is meant.

    Raises:
        UsageError: there is none, or which of several is not said.
    """
    found = stacks(registry)
    if not found:
        raise UsageError(f"no stack is registered in {registry}: deploy once, which installs this command and its registry")
    if name is None and len(found) > 1:
        raise UsageError(f"this node has {len(found)} stacks: say --stack with one of {', '.join(found)}")
    if name is not None and name not in found:
        raise UsageError(f"this node has no stack {name}; it has {', '.join(found)}")
    return found[name] if name is not None else next(iter(found.values()))


def actor() -> str:
    """Who is at the keyboard."""
    name = os.environ.get("SUDO_USER")
    if name:
        return name
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def run_id() -> str:
    """Name of a run, in the form that the controller gives them."""
    import time

    return f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{os.urandom(3).hex()}"


def _writable(stack: Stack) -> None:
    if not os.access(stack.state_dir, os.W_OK):
        raise UsageError(f"{stack.state_dir} cannot be written by {actor()}: this needs root. Say it again with sudo")


def _readable(stack: Stack) -> None:
    if not os.access(stack.state_dir, os.R_OK | os.X_OK):
        missing = "" if stack.state_dir.exists() or os.geteuid() else " (it does not exist)"
        raise UsageError(f"{stack.state_dir} cannot be read by {actor()}{missing}. Say it again with sudo")


def write(stream: TextIO, text: str) -> None:
    """Write lines at once."""
    stream.write(f"{text}\n")
    stream.flush()


def emit(given: argparse.Namespace, answer: Mapping[str, object], text: Callable[[], str]) -> None:
    """Print the answer. That nobody listens any more changes nothing about what was done."""
    try:
        write(sys.stdout, json.dumps(answer, sort_keys=True, default=str) if given.json else text())
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # so that what is flushed at the end goes nowhere, too


def _say(given: argparse.Namespace) -> Callable[[str], None]:
    def say(text: str) -> None:
        if not given.json:
            emit(given, {}, lambda: f"  {text}")

    return say


def _stop() -> threading.Event:
    """Set where somebody asks this process to end; what is under way ends in order. A lost terminal is no reason to end."""
    stop = threading.Event()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    return stop


# -- the commands


def status(stack: Stack, given: argparse.Namespace) -> int:
    """``aistack status``."""
    from ansible_collections.phasegate.aistack.plugins.module_utils.node import status as node_status, text as node_text

    _readable(stack)
    answer = node_status.observe(stack.state_dir, stack.name, stack.root)
    emit(given, answer, lambda: node_text.status_text(answer))
    return OK


def journal(stack: Stack, given: argparse.Namespace) -> int:
    """``aistack journal``."""
    from ansible_collections.phasegate.aistack.plugins.module_utils.journal.file import Journal
    from ansible_collections.phasegate.aistack.plugins.module_utils.node import text as node_text

    _readable(stack)
    book = Journal.of(stack.state_dir)
    problems = book.verify_all() if given.verify else []
    shown = book.newest(max(given.lines, 0))
    count = int(shown[-1]["seq"]) if shown else 0
    answer: node_text.Book = {"path": str(book.path), "count": count, "records": shown, "verified": given.verify, "problems": problems}
    emit(given, answer, lambda: node_text.journal_text(answer))
    return FAILED if problems else OK


def _rollback_request(given: argparse.Namespace) -> Any:
    from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.plan import RollbackRequest

    named = getattr(given, "set", None)
    return RollbackRequest(given.level or "app", given.to, given.application, given.allow_bad, given.best_effort, named, bool(given.level),
                           elsewhere=dict(getattr(given, "elsewhere", ())))


def plan(stack: Stack, given: argparse.Namespace) -> int:
    """``aistack plan`` and ``aistack rollback --dry-run``."""
    from ansible_collections.phasegate.aistack.plugins.module_utils.node import text as node_text
    from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.plan import plan as make, resumed
    from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.view import observe

    _readable(stack)
    view = observe(stack.state_dir, stack.name, sets=given.level in ("schema", "system"))
    made = make(view, resumed(view, _rollback_request(given)))
    answer: PlanAnswer = {
        **made,
        "node": view["node"],
        "stack": stack.name,
        "descriptions": {name: entry["description"] for name, entry in view["components"].items()},
        "resumes": view["interrupted_rollback"],
        "open": view["open_rollback"],
        "last_rollback": view["last_rollback"],
    }
    emit(given, answer, lambda: node_text.plan_text(answer))
    return OK if made["allowed"] else REFUSED


def rollback(stack: Stack, given: argparse.Namespace) -> int:
    """``aistack rollback``."""
    if given.dry_run:
        return plan(stack, given)
    from ansible_collections.phasegate.aistack.plugins.module_utils.node import text as node_text
    from ansible_collections.phasegate.aistack.plugins.module_utils.rollback import run as core

    _readable(stack)
    _writable(stack)
    caller = core.Caller(given.run or run_id(), given.actor or actor(), given.reason, given.force_lock, given.best_effort, _stop())
    try:
        answer = core.roll_back(stack.state_dir, stack.name, _rollback_request(given), caller, core.Tools(say=_say(given)))
    except core.Locked as locked:
        raise UsageError(str(locked)) from locked
    emit(given, answer, lambda: node_text.rollback_text(answer))
    return {"ok": OK, "refused": REFUSED}.get(answer["outcome"], FAILED)


def revert(stack: Stack, given: argparse.Namespace) -> int:
    """``aistack revert``."""
    from ansible_collections.phasegate.aistack.plugins.module_utils.node import text as node_text
    from ansible_collections.phasegate.aistack.plugins.module_utils.rollback import deadman, run as core

    _readable(stack)
    _writable(stack)
    reason = given.reason or (deadman.reason_of(stack.state_dir, given.run) if given.unless_confirmed else "taken back by hand")
    caller = core.Caller(given.run, given.actor or actor(), reason, given.force_lock, True, _stop())
    try:
        answer = deadman.revert(stack.state_dir, caller, given.unless_confirmed, core.Tools(say=_say(given)))
    except (core.Locked, deadman.DeadManError) as refused:
        raise UsageError(str(refused)) from refused
    emit(given, answer, lambda: node_text.revert_text(answer))
    return FAILED if answer["outcome"] == "failed" else OK


def resume(stack: Stack, given: argparse.Namespace) -> int:
    """``aistack resume``."""
    from ansible_collections.phasegate.aistack.plugins.module_utils.journal.file import Journal
    from ansible_collections.phasegate.aistack.plugins.module_utils.slots import component_file
    from ansible_collections.phasegate.aistack.plugins.module_utils.slots.contract import Failed, Request
    from ansible_collections.phasegate.aistack.plugins.module_utils.slots.gate import SlotGate
    from ansible_collections.phasegate.aistack.plugins.module_utils.slots.operations import Slots

    _readable(stack)
    _writable(stack)
    described, _problems = component_file.load_all(stack.state_dir)
    if given.component not in described:
        raise UsageError(f"no component {given.component} was released on this node; there are {', '.join(described) or 'none'}")
    slots = Slots(component_file.spec_of(described[given.component], stack.state_dir), SlotGate(), Journal.of(stack.state_dir))
    code = OK
    try:
        outcome = slots.resume(Request(run=given.run, actor=given.actor or actor()), given.by_timer)
        answer = {"changed": outcome.changed, "outcome": "ok", "msg": outcome.message}
    except Failed as error:
        answer, code = {"changed": False, "outcome": "failed", "msg": str(error)}, FAILED
    emit(given, answer, lambda: f"{answer['msg']}.")
    return code


def reconcile(stack: Stack, given: argparse.Namespace) -> int:
    """``aistack reconcile``."""
    from ansible_collections.phasegate.aistack.plugins.module_utils.node import reconcile as core
    from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.run import Caller, Locked

    _readable(stack)
    _writable(stack)
    try:
        answer = core.reconcile(stack.state_dir, Caller(run_id(), actor(), "after a boot"))
    except Locked as locked:
        raise UsageError(str(locked)) from locked
    emit(given, answer, lambda: "\n".join([*answer["problems"], *(f"{row['message']}." for row in answer["components"])]))
    return FAILED if answer["outcome"] == "failed" else OK


def confirm(stack: Stack, given: argparse.Namespace) -> int:
    """``aistack confirm``."""
    from ansible_collections.phasegate.aistack.plugins.module_utils.clients.systemd import UnitError
    from ansible_collections.phasegate.aistack.plugins.module_utils.rollback import deadman

    _readable(stack)
    _writable(stack)
    code = OK
    try:
        answer = deadman.confirm(stack.state_dir, given.run)
    except deadman.DeadManError as refused:
        raise UsageError(str(refused)) from refused
    except UnitError as error:
        answer, code = {"changed": True, "msg": f"run {given.run} is confirmed, but its timer is still there: {error}"}, FAILED
    emit(given, answer, lambda: f"{answer['msg']}.")
    return code


def figures(stack: Stack, given: argparse.Namespace) -> int:
    """``aistack figures``."""
    from ansible_collections.phasegate.aistack.plugins.module_utils.node import figures as node_figures

    _readable(stack)
    asked = node_figures.Asked(stack.name, stack.state_dir, dict(given.worker))
    text = node_figures.write(asked, Path(given.to)) if given.to else node_figures.observe(asked)
    emit(given, {"page": text, "path": given.to}, lambda: given.to or text.rstrip())
    return OK


def _beside(stack: Stack, given: argparse.Namespace) -> int:
    """``aistack run``, ``shell``, ``logs``, ``ship``, ``remove`` and ``container``."""
    from ansible_collections.phasegate.aistack.plugins.module_utils.cli import component as cli_component

    return cli_component.VERBS[given.verb](stack, given)


def _words(words: list[str]) -> tuple[list[str], list[str]]:
    """What this command line reads, and what is another's: everything behind C(backup), and behind the two dashes of C(run)."""
    end = words.index("--") if "--" in words else len(words)
    for place, word in enumerate(words[:end]):
        if place and words[place - 1] == "--stack":
            continue
        if word == "backup":
            return words[: place + 1], words[place + 1 :]
        if word == "run":
            return words[:end], words[end + 1 :]
        if word in VERBS:
            break
    return words, []


def backup(stack: Stack, words: Sequence[str]) -> int:
    """``aistack backup``."""
    from ansible_collections.phasegate.aistack.plugins.module_utils.backup import command as backup_command

    _readable(stack)
    return backup_command.command(words, str(stack.state_dir), stack.root)


def gate(given: argparse.Namespace) -> int:
    """``aistack gate``: no stack is meant, the parameters say where things are. Exit status 3: made from other sources."""
    from ansible_collections.phasegate.aistack.plugins.module_utils.node import zipapp

    if zipapp.stamp_of(sys.argv[0]).get("source") != given.source:
        return OTHER_SOURCE
    from ansible_collections.phasegate.aistack.plugins.module_utils.gate.call import judge

    write(sys.stdout, json.dumps(judge(json.load(sys.stdin), given.check)))
    return OK


VERBS: dict[str, Callable[[Stack, argparse.Namespace], int]] = {
    "status": status,
    "journal": journal,
    "plan": plan,
    "rollback": rollback,
    "revert": revert,
    "resume": resume,
    "reconcile": reconcile,
    "confirm": confirm,
    "figures": figures,
    "run": _beside,
    "shell": _beside,
    "logs": _beside,
    "ship": _beside,
    "remove": _beside,
    "container": _beside,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; returns the exit status."""
    defaults = argparse.Namespace(stack=None, json=False, registry=REGISTRY)
    words = list(sys.argv[1:] if arguments is None else arguments)
    own, rest = _words(words)
    given = parser().parse_args(own, defaults)
    given.command = rest
    try:
        if given.verb == "backup":
            return backup(choose(given.registry, given.stack), [*rest, *(["--json"] if given.json else [])])
        if given.verb == "gate":
            return gate(given)
        return VERBS[given.verb](choose(given.registry, given.stack), given)
    except UsageError as error:
        said, code = str(error), REFUSED
    except OSError as error:
        said, code = f"{error.filename or 'this node'}: {error.strerror or error}. Nothing more was done", FAILED
    except ValueError as error:
        said, code = str(error), FAILED
    if given.json:
        emit(given, {"outcome": "refused" if code == REFUSED else "failed", "msg": said}, str)
    else:
        write(sys.stderr, f"aistack {given.verb}: {said}.")
    return code
