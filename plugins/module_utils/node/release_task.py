# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A task of a release: one-off work that belongs to its deployment, run once for it, whether the release is live already or not.

The process is a service of its own with the settings of the component's unit, in the tree and with the environment of the release; where
containers run, it is a container of the release's image.
"""

from __future__ import annotations

import shutil
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.systemd import QUICK, run_command
from ansible_collections.phasegate.aistack.plugins.module_utils.core import progress
from ansible_collections.phasegate.aistack.plugins.module_utils.core.names import task_unit
from ansible_collections.phasegate.aistack.plugins.module_utils.core.places import Home, container_file
from ansible_collections.phasegate.aistack.plugins.module_utils.journal import once
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.file import Journal
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.lock import keep_lease, require
from ansible_collections.phasegate.aistack.plugins.module_utils.node import container, one_off

LINES = 20
"""So many of the newest lines of a task that failed are shown."""
TIMEOUT = 600.0
"""Seconds that a task may take where it does not say."""
STANDS = {
    "before_migration": "Nothing was migrated or switched.",
    "after_migration": "Nothing was switched; the schema is the one of this release, and stays so.",
    "after_activation": "What this run made live goes back, and the release is marked bad: it is taken again with -e allow_bad=true.",
}
"""The points at which tasks run, in order, and what holds where one fails there."""


class TaskFailed(Exception):
    """It was run and did not end well, or could not be run; the text says what came and what to do."""


@dataclass(frozen=True)
class Task:
    """A task of one release, and who runs it; ``timeout`` in seconds, ``config`` is the configuration of its environment.

    With ``cut_off`` it is run only where the run that made the release live did not come to its end.
    """

    name: str
    point: str
    component: str
    release: str
    config: str
    command: Sequence[str]
    run: str
    actor: str
    timeout: float = TIMEOUT
    always: bool = False
    cut_off: bool = False

    @property
    def called(self) -> str:
        return f"the task {self.name} ({self.point}) of {self.component} {self.release}"


def filled(command: Sequence[str], tree: Path, tools: Path) -> list[str]:
    """The command with its placeholders filled in, which are those of a release's own tests."""
    words = []
    for word in command:
        for name, value in (("python", tree / ".venv" / "bin" / "python"), ("release_path", tree), ("tools", tools)):
            word = word.replace("{" + name + "}", str(value))
        words.append(word)
    return words


def run(root: str, state_dir: Path, task: Task, check: bool = False) -> dict[str, Any]:
    """Run a task, unless it was done; C(changed), C(done) (it was before), C(when), C(seconds) and C(msg).

    Raises:
        TaskFailed: it did not end well, or cannot be run.
        LeaseLost: the node's lock is another run's.
    """
    journal = Journal.of(state_dir)
    records = journal.read()
    before = None if task.always else once.done(records, task.component, task.release, task.point, task.name)
    if before is not None:
        when = str(before.get("time"))
        return {"changed": False, "done": True, "when": when, "msg": f"{task.called} was done at {when} by run {before.get('run')}"}
    if task.cut_off and not once.cut_off(records, task.component, task.release):
        return {"changed": False, "done": False, "msg": f"{task.called} is not run: what made it live came to its end"}
    if check:
        return {"changed": True, "done": False, "msg": f"would run {task.called}"}
    lines: deque[str] = deque(maxlen=LINES)

    def say(line: str) -> None:
        if line.strip():
            lines.append(line)
            progress.tell(line)

    with keep_lease(state_dir, task.run, f"run {task.called}"), progress.step(task.name):
        answer = _carried_out(root, state_dir, task, journal, say)
    if answer["rc"] != 0:
        raise TaskFailed(_failure(task, answer, list(lines)))
    return {"changed": True, "done": False, "seconds": answer["seconds"], "msg": f"{task.called} took {answer['seconds']:g} s"}


def _carried_out(root: str, state_dir: Path, task: Task, journal: Journal, say: Callable[[str], None]) -> dict[str, Any]:
    home = Home(root, task.component)
    tree, env = home.release(task.release), home.env(task.config)
    missing = next((path for path in (tree, env) if not path.exists()), None)
    if missing is not None:
        raise TaskFailed(f"{_begun(task)} cannot be run: {missing} is not there. {STANDS[task.point]} Run the same again, which makes it.")
    found = one_off.Live(task.component, "", task.release, f"aistack-{task.component}@blue.service", tree.resolve(), env.parent, Path(root))
    name = task_unit(task.component)
    asked = one_off.OneOff(filled(task.command, found.tree, Path(root) / "tools" / "bin"), task.run, task.actor, task.timeout)
    compose_file = Path("/run") / name.removesuffix(".service") / "compose.json"
    try:
        if container_file(state_dir, task.component).exists():
            container.write_of_release(root, state_dir, task.component, task.release, env, compose_file)
            argv = one_off.beside_containers(found, asked.command, name, asked.timeout, False, compose_file)
        else:
            argv = one_off.service(found, asked.command, name, asked.timeout, False, one_off.unit_text_of(found.unit))
        run_command(["systemctl", "stop", name], 2 * QUICK)  # what a run left that was killed: this one has the lease

        def ended() -> None:  # whoever took the lock may have ended it, which systemd-run takes for a good end
            require(state_dir, task.run, f"note that {task.called} was done")

        step = one_off.Step(once.TASK, name, argv, {"task": task.name, "point": task.point}, ended)
        return one_off.carry_out(journal, found, asked, step, say)
    except (one_off.Refused, container.ContainerError) as refused:
        raise TaskFailed(f"{_begun(task)} cannot be run: {refused}. {STANDS[task.point]}") from refused
    finally:
        shutil.rmtree(compose_file.parent, ignore_errors=True)  # there is one only where containers run


def _begun(task: Task) -> str:
    return task.called[0].upper() + task.called[1:]


def _failure(task: Task, answer: dict[str, Any], lines: Sequence[str]) -> str:
    more = " Give it more time (timeout), or make it shorter." if answer["late"] else ""
    told = [f"  {line}" for line in lines] or ["  It said nothing."]
    return "\n".join([
        f"{_begun(task)} did not end well: {answer['error']}, after {answer['seconds']:g} s.{more} {STANDS[task.point]}",
        f"  $ {answer['command']}", *told,
        "  Mend it and deploy again: what was done for this release is not done twice.",
    ])
