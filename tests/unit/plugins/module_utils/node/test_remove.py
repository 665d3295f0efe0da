# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A component goes, with everything that it left, and nothing else does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.journal.journal import Journal
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.lock import Lock
from ansible_collections.phasegate.aistack.plugins.module_utils.node import remove
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.unit import Finished


class Node:
    """Two components in a folder; what systemd and userdel are told is noted."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.state, self.root, self.registry = folder, folder / "state", folder / "root", folder / "etc"
        self.places = remove.Places(folder / "units", folder / "haproxy.cfg", folder / "data", folder / "cache")
        self.calls: list[list[str]] = []
        for name in ("api", "web"):
            self.write(f"units/aistack-{name}@.service", f"[Service]\nUser=aistack-{name}\n")
            self.write(f"units/aistack-{name}@.service.d/more.conf", "")
            for path in ("releases/v1/x", "config/h/env", "slots/blue/slot.env"):
                self.write(f"root/{name}/{path}", "")
            self.write(f"root/cache/{name}/uv/x", "")
            for part in remove.OF_A_COMPONENT:
                self.write(f"state/{part}/{name}.json", "{}")
            described = {"format": 1, "component": name, "root": str(self.root), "unit": f"aistack-{name}@{{slot}}.service"}
            self.write(f"state/components/{name}.json", json.dumps(described))
            self.write(f"data/aistack-{name}/schedule", "")
            self.write(f"state/data/{name}/uploads/a.png", "")
            self.write(f"state/cache/{name}/home/.cache/x", "")
            for slot in ("blue", "green"):
                self.write(f"cache/aistack-{name}-{slot}/site/server.js", "")
            self.write(f"root/cache/plan/{name}/packages/x", "")
            self.write(f"root/cache/plan/{name}.lock", "")
        claims = {"components": ["api", "web"], "roles": [], "ports": {"8000": "api", "3000": "web"}}
        self.write("etc/shop.json", json.dumps({"name": "shop", "root": str(self.root), "state_dir": str(self.state), "claims": claims}))
        self.write("haproxy.cfg", "backend api\n")

    def write(self, path: str, text: str) -> None:
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / path).write_text(text, encoding="utf-8")

    def files(self) -> set[str]:
        return {str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file()}

    def run(self, cmd: Any, timeout: float) -> Finished:
        self.calls.append(list(cmd))
        return Finished(3 if "is-active" in cmd else 0, "", "")

    def remove(self, component: str, data: bool = False) -> remove.Plan:
        return remove.remove(self.state, component, data, "run-1", "me", self.registry, self.places)


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Node:
    node = Node(tmp_path)
    monkeypatch.setattr(remove, "run_command", node.run)
    monkeypatch.setattr(remove.pwd, "getpwnam", lambda name: name)
    return node


@pytest.mark.parametrize("data", [False, True])
def test_nothing_of_it_is_left_and_nothing_of_others_goes(node: Node, data: bool) -> None:
    before = node.files()
    planned = remove.plan(node.state, "web", data, node.places)
    assert node.files() == before, "planning touches nothing"
    done = node.remove("web", data)
    assert done.lines == planned.lines
    left = node.files() - {"state/journal.jsonl", "state/journal.jsonl.last"}
    gone = {path for path in before if "web" in path and (data or not path.startswith(("data/", "state/data/")))}
    assert left == before - gone
    assert ["systemctl", "disable", "--now", "aistack-web@blue.service"] in node.calls
    assert ["userdel", "aistack-web"] in node.calls
    claims = json.loads((node.registry / "shop.json").read_text(encoding="utf-8"))["claims"]
    assert claims == {"components": ["api"], "roles": [], "ports": {"8000": "api"}}
    records = [(record["op"], record["component"], record["outcome"]) for record in Journal.of(node.state).read()]
    assert records == [("remove", "web", "started"), ("remove", "web", "ok")]
    assert (done.stays == []) == data


def test_it_is_gone_once(node: Node) -> None:
    node.remove("web")
    with pytest.raises(remove.Refused, match="no component web was released on this node; there are api"):
        node.remove("web")


def test_cut_off_it_is_finished_by_the_same_call(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remove, "_forget", lambda *given: (one for one in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        node.remove("web")
    monkeypatch.undo()
    monkeypatch.setattr(remove, "run_command", node.run)
    node.remove("web")
    assert not [path for path in node.files() if "web" in path and not path.startswith(("data/", "state/data/"))]


@pytest.mark.parametrize("data", [False, True])
def test_folders_elsewhere_that_it_wrote_are_named_and_stay(node: Node, data: bool) -> None:
    node.write("srv/shop/a.png", "")
    folders = f"{node.folder}/srv/shop {node.state}/data/web/uploads {node.state}/cache/web/home {node.folder}/srv/gone"
    node.write("units/aistack-web@.service", f"[Service]\nUser=aistack-web\nReadWritePaths={folders}\n")
    done = node.remove("web", data)
    assert (node.folder / "srv/shop/a.png").exists()
    said = [line for line in done.stays if "srv" in line]
    assert said == [f"{node.folder}/srv/shop, which it could write; remove it by hand if nobody needs it"]


def test_a_user_that_somebody_else_runs_as_stays(node: Node) -> None:
    node.write("units/other.service", "[Service]\nUser=aistack-web\n")
    assert remove.plan(node.state, "web", False, node.places).user == ""


def test_what_is_still_used_is_refused(node: Node) -> None:
    with pytest.raises(remove.Refused, match="still has a section for api; take the component out of the inventory"):
        node.remove("api")
    node.write("state/backup.json", json.dumps({"postgres": [{"name": "shop", "component": "web"}], "timeout": 1}))
    with pytest.raises(remove.Refused, match=r"read the environment of web \(postgres in aistack_backup\)"):
        node.remove("web")
    node.write("state/backup.json", "{}")
    described = json.loads((node.state / "components/api.json").read_text(encoding="utf-8"))
    node.write("state/components/api.json", json.dumps({**described, "source": "web"}))
    with pytest.raises(remove.Refused, match=r"api runs the releases of web \(release_from\)"):
        node.remove("web")
    node.write("state/components/api.json", json.dumps(described))
    Lock(node.state).acquire("other", {"actor": "somebody"})
    with pytest.raises(remove.Refused, match="this node is being changed by"):
        node.remove("web")
    with pytest.raises(remove.Refused, match="no component"):
        node.remove("../web")
    assert node.calls == []
