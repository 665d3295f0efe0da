# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a slot of containers is started by, and what keeps it from being started."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.docker import Docker, DockerError
from ansible_collections.phasegate.aistack.plugins.module_utils.core.proc import Ended
from ansible_collections.phasegate.aistack.plugins.module_utils.node import container

DIGEST = "sha256:" + "1" * 64


class Images(Docker):
    """Has one image, or does not answer."""

    def __init__(self, digest: str | None = DIGEST, away: bool = False) -> None:
        super().__init__(lambda cmd, timeout: Ended(1, "", "unused"))
        self.there, self.away = digest, away

    def digest(self, reference: str) -> str | None:
        if self.away:
            raise DockerError("it is away")
        return self.there if reference == self.there else None


@pytest.fixture
def node(tmp_path: Path) -> Path:
    """A node with one slot."""
    base, state = tmp_path / "opt" / "api", tmp_path / "state"
    (base / "releases" / "v1.0.0").mkdir(parents=True)
    (base / "slots" / "blue").mkdir(parents=True)
    (base / "config" / "c1").mkdir(parents=True)
    (state / "containers").mkdir(parents=True)
    images = {"api": {"reference": "api:1.0.0-aaaaaaa", "digest": DIGEST}}
    (base / "releases" / "v1.0.0" / "release.json").write_text(json.dumps({"kind": "image", "images": images}))
    (base / "config" / "c1" / "env").write_text('TOKEN="a\\$b\n"\n')
    (base / "slots" / "blue" / "config").symlink_to("../../config/c1")
    (base / "slots" / "blue" / "slot.env").write_text("AISTACK_RELEASE=v1.0.0\nAISTACK_PORT=18000\n")
    (state / "containers" / "api.json").write_text(json.dumps({"format": 1, "stack": "shop", "user": "root", "port": 8000}))
    return tmp_path


def made(node: Path, docker: Docker) -> Path:
    return container.write(str(node / "opt"), node / "state", "api", "blue", docker, node / "run" / "compose.json")


def test_the_file_is_roots_alone_and_says_what_the_slot_is(node: Path) -> None:
    path = made(node, Images())
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    service = json.loads(path.read_text())["services"]["api"]
    assert (service["image"], service["user"], service["ports"][0]["published"]) == (DIGEST, "0:0", "18000")
    assert service["environment"]["TOKEN"] == "a$$b\n"


def test_the_images_own_user(node: Path) -> None:
    described = node / "state" / "containers" / "api.json"
    described.write_text(json.dumps({"user": "image", "port": 8000}))
    assert "user" not in json.loads(made(node, Images()).read_text())["services"]["api"]
    described.write_text(json.dumps({"user": "nobody-of-that-name", "port": 8000}))
    with pytest.raises(container.ContainerError, match="this host has no user nobody-of-that-name"):
        made(node, Images())


@pytest.mark.parametrize(
    ("docker", "said"),
    [
        (Images(None), r"the image api:1.0.0-aaaaaaa of api v1.0.0 is not on this node any more"),
        (Images("sha256:" + "2" * 64), "is not on this node any more"),
        (Images(away=True), "Docker does not answer: it is away"),
    ],
)
def test_without_its_own_image_it_is_not_started(node: Path, docker: Docker, said: str) -> None:
    with pytest.raises(container.ContainerError, match=said):
        made(node, docker)
    assert not (node / "run").exists()


def test_a_release_that_is_a_tree_and_a_slot_that_is_none(node: Path) -> None:
    (node / "opt/api/releases/v1.0.0/release.json").write_text('{"kind": "python"}')
    with pytest.raises(container.ContainerError, match=r"the release v1\.0\.0 of api names no image"):
        made(node, Images())
    (node / "opt/api/slots/blue/slot.env").unlink()
    with pytest.raises(container.ContainerError, match="slot blue of api cannot be read"):
        made(node, Images())
    for component, slot in (("api", "red"), ("../api", "blue"), ("api", "blue-1"), ("api", "blue-65"), ("api", "blue-2/x")):
        with pytest.raises(container.ContainerError, match="is no slot of a component"):
            container.document(str(node / "opt"), node / "state", component, slot, Images())


def test_an_instance_is_a_container_of_its_own_and_of_the_same_slot(node: Path) -> None:
    with pytest.raises(container.ContainerError, match=r"api@blue-2: slot blue listens on port 18000, which one container alone can have"):
        container.document(str(node / "opt"), node / "state", "api", "blue-2", Images())
    (node / "opt/api/slots/blue/slot.env").write_text("AISTACK_RELEASE=v1.0.0\nAISTACK_PORT=\n")
    first, second = (container.document(str(node / "opt"), node / "state", "api", name, Images()) for name in ("blue", "blue-2"))
    assert (first["name"], second["name"]) == ("aistack-shop-api-blue", "aistack-shop-api-blue-2")
    one, two = first["services"]["api"], second["services"]["api"]
    assert (one.pop("container_name"), two.pop("container_name")) == ("aistack-api-blue", "aistack-api-blue-2")
    assert (one["environment"].pop("AISTACK_INSTANCE"), two["environment"].pop("AISTACK_INSTANCE")) == ("blue", "blue-2")
    assert one == two, "all else is the slot's"
    assert two["environment"]["AISTACK_SLOT"] == "blue"
    assert container.file_of("api", "blue-2") == Path("/run/aistack-api-blue-2/compose.json"), "as the unit names it"
