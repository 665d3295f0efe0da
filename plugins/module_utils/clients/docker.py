# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Docker on this node, through its own command: which images are there, and removing one. It judges nothing."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from typing import Protocol

from ansible_collections.phasegate.aistack.plugins.module_utils.core.proc import Ended, finish

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ENVIRONMENT: Mapping[str, str] = {"PATH": PATH, "HOME": "/root", "LANG": "C.UTF-8"}
"""Of Docker's command: nothing that somebody at a keyboard, or a release, could lead it elsewhere by (DOCKER_HOST, a context)."""
ASK = 30.0
"""Seconds that an answer may take."""
REMOVE = 120.0
"""Seconds that removing an image may take."""


class DockerError(Exception):
    """Docker does not answer, or not as it should; the text says what it said."""


class Run(Protocol):
    """Runs a command line and waits for it, at most ``timeout`` seconds."""

    def __call__(self, cmd: Sequence[str], timeout: float) -> Ended: ...


def run_docker(cmd: Sequence[str], timeout: float) -> Ended:
    """Run *cmd* without a shell, with Docker's own surroundings. A missing program is exit status 127, as in a shell."""
    try:
        return finish(cmd, timeout, env=ENVIRONMENT, cwd="/")
    except FileNotFoundError as error:
        return Ended(127, "", str(error))


class Docker:
    """Images on this node. ``run`` is what runs Docker's command."""

    def __init__(self, run: Run = run_docker) -> None:
        self._run = run

    @staticmethod
    def installed() -> bool:
        """Whether its command is on this node."""
        return shutil.which("docker", path=PATH) is not None

    def digest(self, reference: str) -> str | None:
        """What an image of that name, or of that digest, is known by; None where there is none.

        Raises:
            DockerError: Docker does not answer.
        """
        done = self._run(["docker", "image", "inspect", "--format", "{{.Id}}", reference], ASK)
        if done.rc == 0 and not done.timed_out:
            return done.stdout.strip() or None
        if "no such image" in done.stderr.lower():
            return None
        raise DockerError(self._said("docker image inspect", done))

    def name(self, digest: str, reference: str) -> None:
        """Give an image that is there a name.

        Raises:
            DockerError: it did not.
        """
        done = self._run(["docker", "image", "tag", digest, reference], ASK)
        if done.rc != 0 or done.timed_out:
            raise DockerError(self._said("docker image tag", done))

    def remove(self, reference: str) -> str:
        """Take a name away, and with its last one the image; why it stays, in words, or nothing. That it is gone already is well.

        A container that runs keeps its image. One that stands still does not (a power cut leaves such); an image that somebody gave
        another name does, where it is its digest that is to go.
        """
        force = [] if reference.startswith("sha256:") else ["--force"]
        done = self._run(["docker", "image", "rm", *force, reference], REMOVE)
        if (done.rc == 0 and not done.timed_out) or "no such image" in done.stderr.lower():
            return ""
        return self._said("docker image rm", done)

    @staticmethod
    def _said(command: str, done: Ended) -> str:
        if done.rc == 127:
            return "there is no program docker on this node; the role docker installs it"
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()
        why = f"no answer within {ASK:g} s" if done.timed_out else last[-1] if last else f"exit status {done.rc}"
        return f"`{command}`: {why}"
