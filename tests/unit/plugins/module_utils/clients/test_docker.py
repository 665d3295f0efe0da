# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Docker 26.1.5 answers, as it was captured, and what becomes of it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.docker import Docker, DockerError
from ansible_collections.phasegate.aistack.plugins.module_utils.core.proc import Ended

DIGEST = "sha256:4ecb85811b137a15ed5f4fe917b57ed520d845578d332d124765eed0f73f1efe"


class Answers:
    """Says what it is told to, and keeps what was asked."""

    def __init__(self, rc: int, out: str = "", err: str = "", late: bool = False) -> None:
        self.ended = Ended(rc, out, err, timed_out=late)
        self.asked: list[list[str]] = []

    def __call__(self, cmd: Sequence[str], timeout: float) -> Ended:
        self.asked.append(list(cmd))
        return self.ended


def test_an_image_is_known_by_its_digest() -> None:
    run = Answers(0, f"{DIGEST}\n")
    assert Docker(run).digest("api:1.0.0-aaaaaaa") == DIGEST
    assert run.asked == [["docker", "image", "inspect", "--format", "{{.Id}}", "api:1.0.0-aaaaaaa"]]


def test_no_image_is_no_failure() -> None:
    said = "Error response from daemon: No such image: api:1.0.0-aaaaaaa\n"
    assert Docker(Answers(1, "\n", said)).digest("api:1.0.0-aaaaaaa") is None
    assert Docker(Answers(1, "", said)).remove("api:1.0.0-aaaaaaa") == ""


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Answers(1, "", "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?\n"),
         "`docker image inspect`: Cannot connect to the Docker daemon"),
        (Answers(127, "", "[Errno 2] No such file or directory: 'docker'"), "there is no program docker on this node; the role docker"),
        (Answers(-9, late=True), "no answer within 30 s"),
        (Answers(2), "exit status 2"),
    ],
)
def test_that_docker_does_not_answer_is_said(answer: Answers, said: str) -> None:
    with pytest.raises(DockerError, match=said):
        Docker(answer).digest("api")


@pytest.mark.parametrize(("reference", "force"), [("api:1.0.0-aaaaaaa", True), (DIGEST, False)])
def test_a_container_that_stands_still_keeps_no_image_and_another_name_does(reference: str, force: bool) -> None:
    run = Answers(0)
    assert Docker(run).remove(reference) == ""
    assert ("--force" in run.asked[0]) == force


def test_an_image_that_is_in_use_stays_and_it_is_said_why() -> None:
    said = ("Error response from daemon: conflict: unable to remove repository reference \"api:1.0.0-aaaaaaa\" (must force) - container "
            "0f3a is using its referenced image 4ecb85811b13")
    assert "is using its referenced image" in Docker(Answers(1, "", said)).remove("api:1.0.0-aaaaaaa")
