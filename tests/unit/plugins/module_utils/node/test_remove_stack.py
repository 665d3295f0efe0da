# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A whole stack goes: the files of a node before and after."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.cli import main as cli
from ansible_collections.phasegate.aistack.plugins.module_utils.core.proc import Ended
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.lock import Lock
from ansible_collections.phasegate.aistack.plugins.module_utils.node import remove_plan, remove_stack
from ansible_collections.phasegate.aistack.tests.unit.plugins.module_utils.node.removal import Node

PACKAGES = {"etc/redis/redis.conf", "etc/systemd/system/postgresql@.service.d/aistack.conf", "etc/postgresql/17/main/pg_hba.conf",
            "var/lib/postgresql/17/main/base/1"}
DATA = {"var/lib/redis/dump.rdb", "var/lib/ollama/a", "var/lib/aistack-api/schedule", "var/lib/aistack-web/schedule"}
KEPT = {"journal.jsonl", "journal.jsonl.last", "journal.jsonl.1.gz", "backup.key", "backups/one/manifest.json",
        "data/api/uploads/a.png", "data/web/uploads/a.png"}
FOREIGN = {"srv/ollama/b"}


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Node:
    node = Node(tmp_path)
    node.packaged()
    node.server("ollama")
    node.backup()
    node.made("shop", "toolchain", ["opt/shop/tools/complete"])
    node.pretend(monkeypatch)
    return node


def stack(node: Node) -> remove_stack.Stack:
    return remove_stack.Stack("shop", node.root, node.state)


def take(node: Node, data: bool = False) -> tuple[remove_plan.Plan, Path | None]:
    return remove_stack.remove(stack(node), data, "run-1", "me", node.places)


@pytest.mark.parametrize("data", [False, True])
def test_the_last_stack_leaves_what_is_not_its_own(node: Node, data: bool) -> None:
    before = node.files()
    planned = remove_stack.plan(stack(node), data, node.places)
    assert node.files() == before, "planning touches nothing"
    done, kept = take(node, data)
    assert done.lines == planned.lines
    place = str(kept.relative_to(node.top)) if kept else ""
    assert node.files() == PACKAGES | FOREIGN | (set() if data else DATA | {f"{place}/{path}" for path in KEPT})
    assert not (node.top / "etc/aistack").exists()
    assert node.users == (set() if data else {"ollama", "aistack-api", "aistack-web"}), "those whose files stay"
    assert (["groupdel", "aistack"] in node.calls) == data, "while somebody is in it, it stays"
    stopped = {call[3] for call in node.calls if call[:3] == ["systemctl", "disable", "--now"]}
    assert {"haproxy.service", "redis-server.service", "ollama.service", "aistack-backup@shop.timer"} <= stopped
    assert {f"aistack-{name}@{slot}.service" for name in ("api", "web") for slot in ("blue", "green")} <= stopped
    assert not [unit for unit in stopped if unit.startswith("postgresql")]
    assert [line for line in done.stays if "pg_dropcluster --stop 17 main" in line]
    if kept:
        assert kept.stat().st_mode & 0o777 == 0o700
        assert '"op":"remove"' in (kept / "journal.jsonl").read_text(encoding="utf-8").replace(" ", "")
        said = {line.split(",")[0].rpartition("/")[2] for line in done.stays if ".removed-<time>" in line}
        assert said == {"journal.jsonl.1.gz", "backup.key", "backups", "data"}


def test_another_stack_stays_as_it_is(node: Node) -> None:
    alone = node.files()
    node.second()
    others = {path: (node.top / path).read_bytes() for path in node.files() - alone}
    shared = {"usr/local/bin/aistack", "etc/systemd/system/aistack-reconcile@.service", "usr/local/sbin/aistack-edge-state",
              "etc/systemd/system/haproxy.service.d/aistack.conf", "var/lib/haproxy/server-state", "etc/haproxy/haproxy.cfg"}
    take(node, data=True)
    assert {path: (node.top / path).read_bytes() for path in others} == others
    assert node.files() == set(others) | shared | PACKAGES | FOREIGN
    assert (node.top / "etc/haproxy/haproxy.cfg").read_text(encoding="utf-8") == (
        "global\n    user haproxy\n\n# BEGIN stack other\nbackend blog\n# END stack other\n"
    )
    assert ["systemctl", "reload", "haproxy.service"] in node.calls
    assert ["systemctl", "disable", "--now", "haproxy.service"] not in node.calls
    assert node.users == {"aistack", "aistack-build", "aistack-test", "aistack-blog"}


@pytest.mark.parametrize("where", ["userdel", "keep", "erase", "registry"])
def test_interrupted_it_is_finished_by_the_same_call(node: Node, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    class Cut(Exception):
        """The power is lost."""

    def erase(path: Path) -> None:
        if path == {"erase": node.state, "registry": node.places.registry / "shop.json"}.get(where):
            raise Cut
        remove_plan.erase(path)

    def run(cmd: list[str], timeout: float) -> Ended:
        if cmd[0] == "userdel":
            raise Cut
        return node.run(cmd, timeout)

    def keep(_stack: remove_stack.Stack) -> None:
        raise Cut

    with monkeypatch.context() as broken:
        broken.setattr(remove_stack, "erase", erase)
        if where == "userdel":
            broken.setattr(remove_plan, "run_command", run)
        if where == "keep":
            broken.setattr(remove_stack, "_keep", keep)
        with pytest.raises(Cut):
            take(node, data=where != "keep")
    take(node, data=True)
    assert node.files() == PACKAGES | FOREIGN
    assert node.users == set()


def test_it_is_refused_where_it_would_take_what_is_anothers(node: Node) -> None:
    Lock(node.state).acquire("other", {"actor": "somebody"})
    before = node.files()
    with pytest.raises(remove_plan.Refused, match="this node is being changed by"):
        take(node)
    assert node.files() == before
    node.stack("inner", {})
    entry = node.places.registry / "inner.json"
    entry.write_text(json.dumps({**json.loads(entry.read_text(encoding="utf-8")), "root": f"{node.root}/inner"}), encoding="utf-8")
    with pytest.raises(remove_plan.Refused, match=r"aistack_root of shop is .*, which cannot go as a whole: .*opt/shop/inner is in it"):
        remove_stack.plan(stack(node), False, node.places)
    entry.unlink()
    with pytest.raises(remove_plan.Refused, match="aistack_state of shop is /srv, which cannot go as a whole: it is the system's"):
        remove_stack.plan(remove_stack.Stack("shop", node.root, Path("/srv")), False, node.places)


def test_the_command_asks_first(node: Node, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remove_plan.Places, "__new__", lambda *_given, **_said: node.places, raising=False)
    monkeypatch.setattr(remove_plan.Places, "__init__", lambda *_given, **_said: None)
    call = ["--registry", str(node.places.registry), "--stack", "shop", "remove"]
    assert cli.main(call) == 2
    assert "say what is to go: a component of shop, or --whole" in capsys.readouterr().err
    before = node.files()
    assert cli.main([*call, "--whole"]) == 0
    assert f"would remove {node.root}\n" in capsys.readouterr().out
    assert node.files() == before
    assert cli.main([*call, "--whole", "--yes", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert Path(answer["kept"]).is_dir()
    assert any(f"into {answer['kept']}, for root alone" in line for line in answer["stays"])
    assert cli.main([*call, "--whole", "--yes"]) == 2
    assert "no stack is registered" in capsys.readouterr().err
