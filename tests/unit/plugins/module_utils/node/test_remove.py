# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A component goes, with everything that it left, and nothing else does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.journal.file import Journal
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.lock import Lock
from ansible_collections.phasegate.aistack.plugins.module_utils.node import remove, remove_plan
from ansible_collections.phasegate.aistack.tests.unit.plugins.module_utils.node.removal import Node

JOURNAL = {"var/lib/shop/journal.jsonl", "var/lib/shop/journal.jsonl.last"}


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Node:
    node = Node(tmp_path)
    node.pretend(monkeypatch)
    return node


def take(node: Node, component: str, data: bool = False) -> remove_plan.Plan:
    """Remove it."""
    return remove.remove(node.state, component, data, "run-1", "me", node.places)


@pytest.mark.parametrize("data", [False, True])
def test_nothing_of_it_is_left_and_nothing_of_others_goes(node: Node, data: bool) -> None:
    before = node.files()
    planned = remove.plan(node.state, "web", data, node.places)
    assert node.files() == before, "planning touches nothing"
    done = take(node, "web", data)
    assert done.lines == planned.lines
    written = {"var/lib/aistack-web/schedule", "var/lib/shop/data/web/uploads/a.png"}
    gone = {path for path in before if "web" in path and (data or path not in written)}
    assert node.files() - JOURNAL == before - gone
    assert ["systemctl", "disable", "--now", "aistack-web@blue.service"] in node.calls
    assert ("aistack-web" in node.users) != data, "whose number the next user would get, and with it what stays"
    claims = json.loads((node.places.registry / "shop.json").read_text(encoding="utf-8"))["claims"]
    assert claims == {"components": ["api"], "roles": [], "ports": {"8000": "api"}}
    records = [(record["op"], record["component"], record["outcome"]) for record in Journal.of(node.state).read()]
    assert records == [("remove", "web", "started"), ("remove", "web", "ok")]
    stays = [line for line in done.stays if not line.startswith("nginx")]
    assert (stays == []) == data, stays


def test_every_instance_ends(node: Node) -> None:
    (node.places.top / "opt/shop/web/slots/green-3").symlink_to("green")
    take(node, "web")
    ended = [call[-1] for call in node.calls if call[:3] == ["systemctl", "disable", "--now"]]
    assert {f"aistack-web@{name}.service" for name in ("blue", "green", "green-2", "green-3")} <= set(ended)


def test_images_go_with_the_releases_that_have_them(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    release = node.places.top / "opt/shop/web/releases/v9.0.0"
    release.mkdir(parents=True)
    images = {"web": {"reference": "web:9.0.0-aaaaaaa", "digest": "sha256:9"}}
    (release / "release.json").write_text(json.dumps({"kind": "image", "images": images}), encoding="utf-8")
    why, asked = "a container is using it", list[str]()
    monkeypatch.setattr(remove_plan, "Docker", type("Images", (), {"remove": lambda self, name: (asked.append(name), why)[1]}))
    with pytest.raises(remove_plan.Refused, match=r"the image web:9\.0\.0-aaaaaaa cannot be removed: a container is using it"):
        take(node, "web")
    why = ""
    done = take(node, "web")
    assert asked == ["web:9.0.0-aaaaaaa", "web:9.0.0-aaaaaaa", "sha256:9"]
    assert "image web:9.0.0-aaaaaaa" in done.lines


def test_it_is_gone_once(node: Node) -> None:
    take(node, "web")
    with pytest.raises(remove.Refused, match="no component web is on this node; there are api, edge; the journal has it") as told:
        take(node, "web")
    assert "nothing was done" not in str(told.value), "so that remove.yml goes on"


@pytest.mark.parametrize(("name", "nearest"), [("apii", "api"), ("wbe", "web"), ("beatt", "beat"), ("zzzz", "")])
def test_a_name_that_nothing_has_is_told_the_nearest(node: Node, name: str, nearest: str) -> None:
    with Journal.of(node.state).operation("activate", "beat", run="run-1", actor="me"):
        pass
    before = node.files()
    with pytest.raises(remove.Refused) as told:
        take(node, name)
    hint = f" (did you mean {nearest}?)" if nearest else ""
    assert str(told.value) == f"no component {name} is on this node; there are api, edge, web{hint}; nothing was done"
    assert node.files() == before


def test_interrupted_it_is_finished_by_the_same_call(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(remove, "_forget", lambda *given: (one for one in ()).throw(OSError("full")))
        with pytest.raises(OSError, match="full"):
            take(node, "web", data=True)
    take(node, "web", data=True)
    assert not [path for path in node.files() if "web" in path]


@pytest.mark.parametrize(
    ("home", "group"), [("/nonexistent", 33), ("/var/www", 999), ("/home/shop", 999)], ids=["not our group", "www-data", "a person"]
)
def test_a_user_that_no_role_made_stays(node: Node, monkeypatch: pytest.MonkeyPatch, home: str, group: int) -> None:
    node.write("etc/systemd/system/aistack-web@.service", "[Service]\nUser=shop\n")
    made: Any = node.getpwnam("aistack-web")
    made.pw_dir, made.pw_gid = home, group
    monkeypatch.setattr(remove_plan.pwd, "getpwnam", lambda name: made)
    monkeypatch.setattr(remove_plan.grp, "getgrgid", lambda number: type("Group", (), {"gr_name": "aistack" if number == 999 else "www"}))
    assert remove.plan(node.state, "web", True, node.places).users == []
    made.pw_dir, made.pw_gid = "/nonexistent", 999
    assert remove.plan(node.state, "web", True, node.places).users == ["shop"]


def test_a_user_that_somebody_else_runs_as_stays(node: Node) -> None:
    node.write("etc/systemd/system/other.service", "[Service]\nUser=aistack-web\n")
    assert remove.plan(node.state, "web", True, node.places).users == []


def test_what_is_still_used_is_refused(node: Node) -> None:
    with pytest.raises(remove.Refused, match="still has a section for api; take the component out of the inventory"):
        take(node, "api")
    node.write("var/lib/shop/backup.json", json.dumps({"postgres": [{"name": "shop", "component": "web"}], "timeout": 1}))
    with pytest.raises(remove.Refused, match=r"read the environment of web \(postgres in aistack_backup\)"):
        take(node, "web")
    node.write("var/lib/shop/backup.json", "{}")
    described = json.loads((node.state / "components/api.json").read_text(encoding="utf-8"))
    node.write("var/lib/shop/components/api.json", json.dumps({**described, "source": "web"}))
    with pytest.raises(remove.Refused, match=r"api runs the releases of web \(release_from\)"):
        take(node, "web")
    node.write("var/lib/shop/components/api.json", json.dumps(described))
    Lock(node.state).acquire("other", {"actor": "somebody"})
    with pytest.raises(remove.Refused, match="this node is being changed by"):
        take(node, "web")
    with pytest.raises(remove.Refused, match="no component"):
        take(node, "../web")
    assert node.calls == []
