# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Releases that are images: kind, runtime and role go together, and what nothing reads of them is refused."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.stack.check import check_stack

GOOD: dict[str, Any] = {
    "applications": {"shop": {"repo": "/repo.git", "release": "v1.0.0"}},
    "ports": {"api": 8000, "api_blue": 18000, "api_green": 18001},
    "env": {},
    "roles": ["backend", "container", "docker", "edge", "worker"],
    "groups": {"all": ["a"], "one": ["a"]},
    "acceptance": {},
    "phases": {"phase0": {"components": ["docker", "edge", "api", "worker"]}},
    "components": {
        "docker": {"role": "docker", "hosts": "one"},
        "edge": {"role": "edge", "hosts": "one"},
        "api": {
            "role": "container", "hosts": "one", "application": "shop", "runtime": "compose", "kind": "image", "port": "api",
            "after": ["docker"], "options": {"port": 8000}, "image": {"build": "docker/Dockerfile", "args": {"A": 1}, "target": "run"},
        },
        "worker": {"role": "container", "hosts": "one", "release_from": "api", "runtime": "compose", "after": ["docker", "api"]},
    },
}


def changed(**keys: Any) -> list[str]:
    stack = copy.deepcopy(GOOD)
    for key, value in keys.items():
        if value is None:
            stack["components"]["api"].pop(key, None)
        else:
            stack["components"]["api"][key] = value
    return check_stack(stack)


def test_a_component_of_containers_and_one_that_runs_its_image() -> None:
    assert check_stack(GOOD) == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"port": 70000}, "options.port: must be a port (1 to 65535), or 0 where it listens nowhere, is 70000"),
        ({"port": -1}, "options.port: must be a port (1 to 65535), or 0 where it listens nowhere, is -1"),
        ({"memory": "lots"}, "options.memory: must be an amount as Docker takes it, such as 512m or 2g, is the text 'lots'"),
        ({"memory": "-1g"}, "options.memory: must be an amount as Docker takes it, such as 512m or 2g, is the text '-1g'"),
        ({"pids": -5}, "options.pids: must be a whole number from 0 on, is -5"),
        ({"cpus": -0.5}, "options.cpus: must be a number from 0 on, is -0.5"),
    ],
)
def test_what_docker_would_not_take_is_said_here(options: dict[str, Any], said: str) -> None:
    assert changed(options={"port": 8000, **options}) == [f"aistack_components.api.{said}"]


@pytest.mark.parametrize("memory", ["", "512m", "1.5g", "64MB", "1GiB", 1073741824])
def test_what_docker_takes_is_taken(memory: object) -> None:
    assert changed(options={"port": "8000", "memory": memory, "pids": 0, "cpus": "1.5"}) == []


def test_what_is_of_another_type_is_left_to_the_role() -> None:
    assert changed(options={"port": [8000], "memory": {"a": 1}, "pids": "many", "cpus": True}) == []


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"runtime": None}, "aistack_components.api.runtime: a release that is an image runs in containers; write runtime: compose"),
        ({"runtime": "systemd"}, "api.runtime: a release that is an image runs in containers; write runtime: compose"),
        ({"kind": None}, "aistack_components.api.kind: is not given, which means python, and role container runs image; write kind: image"),
        ({"role": "backend"}, "aistack_components.api.role: role backend runs processes of systemd and no image; write role: container"),
        ({"lock": "requirements.lock"}, "aistack_components.api.lock: nothing reads it of an image; drop it"),
        ({"tests": [["pytest"]]}, "aistack_components.api.tests: nothing reads it of an image; drop it"),
        ({"devices": ["gpu"]}, "aistack_components.api.devices: nothing reads it of an image; drop it"),
        ({"image": {"pull": "registry.example.com/shop/api", "digests": {"v1.0.0": 12}}},
         "aistack_components.api.image.digests.v1.0.0: must be a text, is 12 to YAML; quote it"),
        ({"image": {"pull": "registry.example.com/shop/api", "digests": "sha256:1"}},
         "aistack_components.api.image.digests: must be a mapping of releases to digests, is the text 'sha256:1'"),
        ({"image": {"build": True}}, "aistack_components.api.image.build: must be the name of a Dockerfile, is true"),
        ({"image": {"build": "../Dockerfile"}}, "api.image.build: '../Dockerfile' leads out of the component's folder"),
        ({"image": {"pul": "x"}}, "aistack_components.api.image: unknown key 'pul'; did you mean 'pull'?"),
        ({"image": {"pull": "example.com/api:latest", "digests": {}}}, "api.image.pull: 'example.com/api:latest' has to be a name alone"),
        ({"image": {"args": {"A B": 1}}}, "api.image.args: 'A B' cannot be the name of a build argument"),
        ({"options": {}}, "aistack_components.api.options.port: is missing: the port that its process listens on inside its container"),
        ({"after": None}, "aistack_components.api.after: names no component with role docker, which containers need; add 'docker'"),
    ],
)
def test_what_does_not_go_together_is_refused(keys: dict[str, Any], said: str) -> None:
    problems = changed(**keys)
    assert any(said in problem for problem in problems), problems


def test_a_probe_that_runs_the_releases_python_finds_none_in_a_tree() -> None:
    stack = copy.deepcopy(GOOD)
    probe = {"name": "takes tasks", "celery": "app.worker:app", "count": 1}
    stack["components"]["worker"]["gate"] = [probe]
    (problem,) = check_stack(stack)
    assert problem.startswith("aistack_components.worker.gate[0]: celery asks with the release's Python, which is in the image; name one")
    stack["components"]["worker"]["gate"] = [{**probe, "python": "/usr/bin/python3", "cwd": "/"}]
    assert check_stack(stack) == []


def test_an_image_may_bring_migrations() -> None:
    assert changed(migrations={"tables": ["orders"]}) == []


def test_on_the_nodes_network_no_port_inside_is_said() -> None:
    assert changed(options={"network": "host"}) == []


def test_processes_do_not_run_an_image() -> None:
    stack = copy.deepcopy(GOOD)
    stack["components"]["worker"] = {"role": "worker", "hosts": "one", "release_from": "api", "after": ["docker"]}
    assert "aistack_components.worker.role: role worker runs processes of systemd and no image; write role: container" in check_stack(stack)


def test_an_image_of_something_else_is_nothing() -> None:
    stack = copy.deepcopy(GOOD)
    stack["components"]["docker"]["image"] = {}
    assert "docker.image: nothing reads it, since its kind is not image; drop it, or write kind: image" in "\n".join(check_stack(stack))


def test_a_name_that_no_image_can_have() -> None:
    stack = copy.deepcopy(GOOD)
    stack["components"]["api_"] = stack["components"].pop("api")
    stack["components"]["worker"].update(release_from="api_", after=["docker", "api_"])
    stack["phases"]["phase0"]["components"][2] = "api_"
    assert check_stack(stack) == [
        "aistack_components.api_: an image cannot be called 'api_': expected a-z and 0-9, with '.', '_' or '-' between them"
    ]


def test_names_and_files_that_no_image_has() -> None:
    (said,) = changed(image={"pull": "https://images.example.com/shop/api", "digests": {"v1.0.0": "sha256:" + "1" * 64}})
    assert said.endswith("is an address of the web; an image is named without scheme: images.example.com/shop/api")
    (said,) = changed(image={"load": "/images/api-{tag}.tar", "sha256": {"v1.0.0": "1" * 64}})
    assert said.endswith("image.load: '/images/api-{tag}.tar' has '{tag}', which nothing fills; there is {release} alone")
    assert changed(image={"load": "/images/api-{release}.tar", "sha256": {"v1.0.0": "1" * 64}}) == []
