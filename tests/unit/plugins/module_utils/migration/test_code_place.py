# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where the code lies that migrates: a tree, or an image."""

from __future__ import annotations

import getpass
import json
import os
from pathlib import Path
from typing import cast

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.alembic.runner import InImage, InTree
from ansible_collections.phasegate.aistack.plugins.module_utils.clients.docker import Docker, DockerError
from ansible_collections.phasegate.aistack.plugins.module_utils.migration import code_place, plan as alembic_plan
from ansible_collections.phasegate.aistack.plugins.module_utils.migration.plan import MigrationError, NotYet, Request

DIGEST = f"sha256:{'1' * 64}"


class Images:
    """Docker, which has one image, none, or does not answer."""

    def __init__(self, there: str | None = DIGEST, away: bool = False) -> None:
        self.there, self.away = there, away

    def digest(self, reference: str) -> str | None:
        if self.away:
            raise DockerError("it is away")
        return self.there


def has(there: str | None = DIGEST, away: bool = False) -> Docker:
    return cast(Docker, Images(there, away))


def request(tmp_path: Path, image: bool = True, **more: object) -> Request:
    tree = tmp_path / "opt" / "api" / "releases" / "v1.0.0"
    tree.mkdir(parents=True, exist_ok=True)
    images = {"api": {"reference": "api:1.0.0-0a1b2c3", "digest": DIGEST}} if image else {}
    (tree / "release.json").write_text(json.dumps({"images": images}))
    asked = Request("api", "v1.0.0", str(tmp_path / "opt"), str(tmp_path / "state"), user=getpass.getuser())
    for name, value in more.items():
        setattr(asked, name, value)
    return asked


def test_an_image_is_run_on_the_nodes_network_as_the_components_user(tmp_path: Path) -> None:
    asked = request(tmp_path)
    assert code_place.runner(asked) == InImage(DIGEST, f"{os.getuid()}:{os.getgid()}", "host", [])
    (tmp_path / "opt" / "ca.pem").write_text("a certificate")
    runner = code_place.runner(asked)
    assert isinstance(runner, InImage)
    assert runner.read == [str(tmp_path / "opt" / "ca.pem")], "an address may name it"


@pytest.mark.parametrize(("said", "own"), [({"user": "image"}, True), ({"user": "aistack-api"}, False), ([], False)])
def test_the_user_of_the_image_where_its_containers_run_as_that(tmp_path: Path, said: object, own: bool) -> None:
    asked = request(tmp_path)
    described = tmp_path / "state" / "containers" / "api.json"
    described.parent.mkdir(parents=True)
    described.write_text(json.dumps(said))
    runner = code_place.runner(asked)
    assert isinstance(runner, InImage)
    assert (runner.user == "") is own


def test_a_plan_with_made_up_values_has_no_network(tmp_path: Path) -> None:
    assert code_place.runner(request(tmp_path, made_up=["TOKEN"])) == InImage(DIGEST)


def test_an_image_that_is_not_staged_is_named(tmp_path: Path) -> None:
    other = DIGEST.replace("1", "2")
    asked = request(tmp_path, image=False, made_up=["TOKEN"])
    asked.image = other
    assert code_place.runner(asked) == InImage(other)


def test_a_tree_is_run_by_its_own_interpreter(tmp_path: Path) -> None:
    asked = request(tmp_path, image=False)
    assert code_place.runner(asked) == InTree(f"{asked.tree}/.venv/bin/python", str(asked.tree), asked.user, ())
    assert code_place.missing(asked) == f"release v1.0.0 of api has no interpreter: {asked.tree}/.venv/bin/python cannot be run"
    assert "alembic.ini does not exist" in code_place.unconfigured(asked)


@pytest.mark.parametrize(
    ("docker", "said"),
    [
        (has(), ""),
        (has(None), f"the image of release v1.0.0 of api is not on this node any more ({DIGEST}): somebody removed it"),
        (has(away=True), "whether the image of release v1.0.0 of api is there is not known: it is away"),
    ],
)
def test_what_is_not_there_is_said(tmp_path: Path, docker: Docker, said: str) -> None:
    asked = request(tmp_path)
    assert code_place.missing(asked, docker).startswith(said)
    assert (code_place.missing(asked, docker) == "") is (said == "")
    assert code_place.unconfigured(asked) == "", "its own Alembic tells that"
    asked.release = "v2.0.0"
    assert "is not staged" in code_place.missing(asked, docker)


def test_nothing_is_planned_where_it_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code_place, "Docker", lambda: has(None))
    with pytest.raises(NotYet, match="docker image prune"):
        alembic_plan.context_of(request(tmp_path))


def test_without_a_configuration_it_is_said_where_to_name_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "srv"
    folder.mkdir()
    for name in ("alembic", "sqlalchemy"):
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text("__version__ = '1'\nclass event:\n    listen = lambda *words: None\n")
    (folder / "sqlalchemy" / "engine.py").write_text("class Engine: pass\n")
    (folder / "alembic" / "config.py").write_text("class Config: pass\n")
    (folder / "alembic" / "script.py").write_text("class ScriptDirectory: pass\n")
    docker = tmp_path / "docker"
    docker.write_text(f'#!/bin/sh\nwhile [ "$1" != {DIGEST} ]; do shift; done\nshift\ncd {folder}\nexec python3 "$@"\n')
    docker.chmod(0o755)
    monkeypatch.setattr(code_place, "runner", lambda request: InImage(DIGEST, docker=str(docker)))
    asked = request(tmp_path)
    context = alembic_plan.MigrationContext({}, alembic_plan.DatabaseAddress("h", 5432, "u", "d"))
    with alembic_plan.start(asked, context) as session, pytest.raises(MigrationError) as caught:
        alembic_plan.ask(asked, session, "open")
    assert caught.value.code == "no_ini"
    assert "below the folder that the image begins in (WORKDIR)" in str(caught.value)
