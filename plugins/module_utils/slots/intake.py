# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the instances of a slot take in, where they are Celery's workers: they stop taking tasks before they are stopped, and end theirs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ansible_collections.phasegate.aistack.plugins.module_utils.core.unit_user import service_user
from ansible_collections.phasegate.aistack.plugins.module_utils.slots import celery_drain
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.celery_drain import Ask, DrainError, Memory, Request

if TYPE_CHECKING:
    from ansible_collections.phasegate.aistack.plugins.module_utils.slots.node import Node


@dataclass(frozen=True)
class Intake:
    """The intake of a component's workers.

    Attributes:
        component: whose they are; ``state_dir``: where it is written down who was stopped.
        app: the application, as C(celery -A) takes it.
        worker: the name of a worker, with ``${slot}`` where that of the instance goes.
        timeout: seconds that they have to end what they hold.
        ask: asks them.
    """

    component: str
    state_dir: Path
    app: str
    worker: str
    timeout: float
    ask: Ask

    def _request(self, instances: Sequence[str]) -> Request:
        return Request(self.component, self.app, self.workers(instances), timeout=self.timeout)

    def workers(self, instances: Sequence[str]) -> list[str]:
        """The workers of *instances*."""
        return [self.worker.replace("${slot}", instance) for instance in instances]

    def end(self, instances: Sequence[str]) -> None:
        """Have *instances* take nothing more and end what they hold.

        Raises:
            DrainError: they did not, or do not answer; they take tasks again then.
        """
        celery_drain.drain_or_go_on(self._request(instances), self.ask, self._memory())

    def go_on(self, instances: Sequence[str]) -> None:
        """Have those of *instances* take tasks again that were stopped; who was not is not asked.

        Raises:
            DrainError: one does not.
        """
        stopped = self.stopped(instances)
        if stopped:
            celery_drain.resume(Request(self.component, self.app, sorted(self.workers(stopped))), self.ask, self._memory())

    def stopped(self, instances: Sequence[str]) -> list[str]:
        """Those of *instances* that were stopped and do not take tasks again since; nobody is asked.

        Raises:
            DrainError: what was stopped cannot be read.
        """
        stopped = self._memory().workers
        return [instance for instance, worker in zip(instances, self.workers(instances)) if worker in stopped]

    def forget(self, instances: Sequence[str]) -> None:
        """*instances* have ended."""
        self._memory().forget(self.workers(instances))

    def _memory(self) -> Memory:
        try:
            return Memory.of(self.state_dir, self.component)
        except (OSError, ValueError) as error:
            raise DrainError(celery_drain.unusable(self.state_dir, self.component, error)) from error


def of_live(node: Node, workers: Mapping[str, str] | None, timeout: float) -> Intake | None:
    """The intake of the workers that are live, who are asked by the Python of their release, in its environment.

    Args:
        node: the slots.
        workers: ``app`` and ``name``, see :class:`Intake`; None where they are no workers of Celery.
        timeout: seconds that those have to end what they hold who are to take nothing more.

    Returns:
        None where nothing is live, or no workers are.
    """
    live = node.live()
    content = node.content(live) if live else None
    if not workers or content is None:
        return None
    component, tree, env_file = node.spec.component, node.release_path(content), node.config_path(content) / "env"
    ask = celery_drain.runner(str(tree / ".venv" / "bin" / "python"), str(tree), str(env_file), service_user(component))
    return Intake(component, node.spec.state_dir, workers["app"], workers["name"], timeout, ask)
