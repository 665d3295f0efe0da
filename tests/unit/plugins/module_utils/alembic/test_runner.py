# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The helper in a container of an image; Docker is a script that runs the interpreter of these tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.alembic.runner import InImage, container
from ansible_collections.phasegate.aistack.plugins.module_utils.alembic.script import ENVIRONMENT_FIRST
from ansible_collections.phasegate.aistack.plugins.module_utils.alembic.session import AlembicSession, HelperError

DIGEST = f"sha256:{'1' * 64}"
VARIABLES = {"DATABASE_URL": "postgresql://u:hidden-word@h/d", "DOCKER_HOST": "tcp://elsewhere", "KEY": "two\nlines '\"$HOME"}

DOCKER = """\
#!/bin/sh
echo "$@" >> {folder}/asked
env >> {folder}/environment
[ "$1" = rm ] && exit 0
while [ "$1" != {digest} ]; do shift; done
shift
{before}
exec {python} "$@"
"""


def image(folder: Path, before: str = "cd /", **given: Any) -> InImage:
    docker = folder / "docker"
    docker.write_text(DOCKER.format(folder=folder, digest=DIGEST, before=before, python=sys.executable))
    docker.chmod(0o755)
    return InImage(DIGEST, docker=str(docker), **given)


def test_the_command_line() -> None:
    words = InImage(DIGEST, "998:998", "host", ("/opt/x/ca.pem",)).command("aistack-migrate/api/0a", ("aistack-migrate", "api"))
    line = " ".join(words[: words.index(DIGEST)])
    for part in (
        "--rm", "--interactive", "--pull never", "--name aistack-migrate-api-0a", "--network host", "--read-only", "--cap-drop ALL",
        "--security-opt no-new-privileges:true", "--log-driver none", "--user 998:998", "--volume /opt/x/ca.pem:/opt/x/ca.pem:ro",
        "--entrypoint python3",
    ):
        assert part in line
    assert words[-2:] == ["aistack-migrate", "api"]
    assert "--user" not in InImage(DIGEST).command("n", ())
    assert "--network none" in " ".join(InImage(DIGEST).command("n", ())), "no network but where it is named"


def test_it_answers_and_docker_is_given_no_variable(tmp_path: Path) -> None:
    with AlembicSession(image(tmp_path), VARIABLES, "api") as helper:
        with pytest.raises(HelperError) as caught:
            helper.request("nonsense", 30)
        name = container(helper.application)
    assert caught.value.facts["type"] == "KeyError"
    asked, given = (tmp_path / "asked").read_text(), (tmp_path / "environment").read_text()
    assert f"--name {name}" in asked
    for text in (asked, given):
        assert "hidden-word" not in text
        assert "elsewhere" not in text
    assert asked.startswith("run"), "what ends by itself needs nobody to end it"
    assert "rm --force" not in asked


def test_what_is_printed_before_it_listens_is_no_answer(tmp_path: Path) -> None:
    with AlembicSession(image(tmp_path, "echo waits for the database; echo 12"), VARIABLES, "api") as helper:
        with pytest.raises(HelperError, match="nonsense"):
            helper.request("nonsense", 30)
        assert helper.said() == "waits for the database\n12"


def test_its_container_goes_with_it_where_it_is_killed(tmp_path: Path) -> None:
    with AlembicSession(image(tmp_path), VARIABLES, "api") as helper:
        helper.kill()
        assert f"rm --force {container(helper.application)}\n" in (tmp_path / "asked").read_text()


def test_an_image_without_the_interpreter_is_told(tmp_path: Path) -> None:
    before = "echo 'exec: \"python3\": executable file not found in $PATH' >&2; exit 127"
    told = r"ended with 127.*not found"
    with AlembicSession(image(tmp_path, before), VARIABLES, "api") as helper, pytest.raises(HelperError, match=told):
        helper.request("graph", 30)


def test_no_docker(tmp_path: Path) -> None:
    with pytest.raises(HelperError, match="cannot be run"):
        AlembicSession(InImage(DIGEST, docker=str(tmp_path / "docker")), VARIABLES, "api")


def test_the_variables_come_before_anything_else() -> None:
    asked = "import os, sys; print(os.environ['KEY']); print(sys.argv[1]); print(sys.stdin.read())"
    given = InImage(DIGEST).first(VARIABLES) + b"the rest"
    argv = [sys.executable, "-c", ENVIRONMENT_FIRST, asked, "word"]
    done = subprocess.run(argv, input=given, capture_output=True, check=True)
    assert done.stdout.decode() == f"{VARIABLES['KEY']}\nword\nthe rest\n"
    cut = subprocess.run(argv, input=given[:20], capture_output=True, check=False)
    assert (cut.returncode, cut.stdout) == (1, b"")


def test_a_virtual_environment_in_its_folder_is_taken_where_the_interpreter_has_no_alembic(tmp_path: Path) -> None:
    python = tmp_path / "venv" / "bin" / "python3"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\necho the environment, with $KEY\n")
    python.chmod(0o755)
    argv = ["/usr/bin/python3", "-I", "-S", "-c", ENVIRONMENT_FIRST, "print('the interpreter')"]
    given = InImage(DIGEST).first({"KEY": "a value"})

    def said() -> str:
        return subprocess.run(argv, input=given, capture_output=True, check=True, cwd=tmp_path, text=False).stdout.decode()

    assert said() == "the environment, with a value\n"
    argv.remove("-I")
    (tmp_path / "alembic").mkdir()
    assert said() == "the environment, with a value\n", "a folder with migrations is no Alembic"
    (tmp_path / "alembic" / "__init__.py").write_text("")
    assert said() == "the interpreter\n"
