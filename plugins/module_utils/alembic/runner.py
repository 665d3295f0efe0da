# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a release's Python is run: in the release's tree, or in a container of its image.

Both speak over the standard input and output of what is started here (see C(script)).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Protocol

from ansible_collections.phasegate.aistack.plugins.module_utils.alembic.script import BOOTSTRAP, ENVIRONMENT_FIRST
from ansible_collections.phasegate.aistack.plugins.module_utils.clients.docker import ENVIRONMENT, run_docker
from ansible_collections.phasegate.aistack.plugins.module_utils.core.proc import PIPE, Child, start
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.psql import base_environment

GONE = 30.0
"""Seconds that removing a container may take."""
SCRATCH = "/tmp:size=64m"
PROCESSES = 512


class Runner(Protocol):
    """Starts the release's Python with the helper, and ends what is not ended with that process."""

    @property
    def where(self) -> str:
        """The program and its place, for people."""

    def start(self, name: str, words: Sequence[str], variables: Mapping[str, str], errors: IO[bytes]) -> Child:
        """Start it; C(words) tell what it is to who looks at processes. C(name) is this session's.

        Raises:
            OSError: it could not be started.
            LookupError: there is no such user.
        """

    def first(self, variables: Mapping[str, str]) -> bytes:
        """What its standard input begins with, before the helper."""

    def end(self, name: str) -> None:
        """End what goes on after the process that was started was killed."""


@dataclass(frozen=True)
class InTree:
    """The interpreter of a tree, as ``user``; ``wrapper`` stands in front of it."""

    python: str
    folder: str
    user: str | None = None
    wrapper: Sequence[str] = ()

    @property
    def where(self) -> str:
        return f"{self.python} cannot be run in {self.folder}" + (f" as user {self.user}" if self.user else "")

    def start(self, name: str, words: Sequence[str], variables: Mapping[str, str], errors: IO[bytes]) -> Child:
        argv = [*self.wrapper, self.python, "-c", BOOTSTRAP, *words]
        return start(argv, {**base_environment(self.user), **variables}, self.folder, PIPE, PIPE, errors, user=self.user)

    def first(self, variables: Mapping[str, str]) -> bytes:
        return b""

    def end(self, name: str) -> None:
        return


@dataclass(frozen=True)
class InImage:
    """The interpreter of an image, in a container of its own, which may nothing but speak to the network that is named.

    Its variables come over standard input: they stand on no command line, in no file, and C(docker inspect) does not show them.

    Attributes:
        image: digest of the image.
        user: who its process is, as Docker takes it (C(uid:gid)); empty for the image's own.
        network: C(host), that of the node; or C(none).
        read: files of the node that it reads under their own path.
        python: the interpreter, along the image's own search path.
    """

    image: str
    user: str = ""
    network: str = "none"
    read: Sequence[str] = ()
    python: str = "python3"
    docker: str = "docker"

    @property
    def where(self) -> str:
        return f"{self.docker} cannot be run"

    def command(self, name: str, words: Sequence[str]) -> list[str]:
        """The command line; no variable is on it."""
        bounds = ["--read-only", "--tmpfs", SCRATCH, "--cap-drop", "ALL", "--security-opt", "no-new-privileges:true"]
        bounds += ["--pids-limit", str(PROCESSES), "--log-driver", "none"]  # what it answers is nobody's log
        seen = [word for path in self.read for word in ("--volume", f"{path}:{path}:ro")]
        return [
            self.docker, "run", "--rm", "--interactive", "--pull", "never", "--name", container(name), "--network", self.network, *bounds,
            *seen, *(["--user", self.user] if self.user else []), "--entrypoint", self.python, self.image,
            "-c", ENVIRONMENT_FIRST, BOOTSTRAP, *words,
        ]

    def start(self, name: str, words: Sequence[str], variables: Mapping[str, str], errors: IO[bytes]) -> Child:
        return start(self.command(name, words), ENVIRONMENT, "/", PIPE, PIPE, errors)

    def first(self, variables: Mapping[str, str]) -> bytes:
        given = json.dumps(dict(variables)).encode()
        return b"%d\n" % len(given) + given

    def end(self, name: str) -> None:
        """Its container outlives Docker's command, until it sees that nobody speaks to it any more: not while a library holds it up."""
        run_docker([self.docker, "rm", "--force", container(name)], GONE)


def container(name: str) -> str:
    """What a session's container is called: Docker takes no slash."""
    return name.replace("/", "-")
