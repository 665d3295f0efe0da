# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import io
import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.journal.file import Journal
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.state import derive
from ansible_collections.phasegate.aistack.plugins.module_utils.release import staging

Call = Callable[..., dict[str, Any]]
FILES = {"app/main.py": "version = 1\n", "VERSION": "1\n", "same.txt": "x" * 50_000}


class Node:
    """A node's folders, and archives as the controller would send them."""

    def __init__(self, tmp_path: Path, call: Call) -> None:
        self.tmp, self.root, self.state = tmp_path, tmp_path / "root", tmp_path / "state"
        self.call = call

    def archive(self, files: dict[str, str]) -> dict[str, str]:
        path = self.tmp / "release.tar.gz"
        with tarfile.open(path, "w:gz") as bundle:
            for name, text in files.items():
                info = tarfile.TarInfo(name)
                info.size, info.mode = len(text), 0o644
                bundle.addfile(info, io.BytesIO(text.encode()))
        return {"archive": str(path), "archive_sha256": sha256(path.read_bytes()).hexdigest()}

    def arguments(self, tag: str, **given: Any) -> dict[str, Any]:
        base = {"component": "backend", "release": tag, "root": str(self.root), "state_dir": str(self.state), "kind": "static",
                "commit": f"commit-of-{tag}", "run": "r1", "min_free_bytes": 0, "python": sys.executable,
                "build_user": "root", "test_user": "root"}
        return {**base, **given}

    def stage(self, tag: str, files: dict[str, str] | None = None, check: bool = False, **given: Any) -> dict[str, Any]:
        return self.call("release", check=check, **self.arguments(tag, **self.archive(files or {**FILES, "VERSION": tag}), **given))

    def ask(self, tag: str, check: bool = False, **given: Any) -> dict[str, Any]:
        return self.call("release", check=check, **self.arguments(tag, **given))

    def path(self, tag: str) -> Path:
        return self.root / "backend" / "releases" / tag

    def records(self) -> list[dict[str, Any]]:
        return Journal.of(self.state).read()

    def info(self, *components: str) -> dict[str, Any]:
        arguments = {"root": str(self.root), "state_dir": str(self.state), **({"components": list(components)} if components else {})}
        return self.call("release_info", **arguments)

    def activate(self, tag: str, slot: str = "blue") -> None:
        slots = self.root / "backend" / "slots"
        (slots / slot).mkdir(parents=True, exist_ok=True)
        for link, goal in ((slots / slot / "release", f"../../releases/{tag}"), (slots / slot / "config", "../../config/c1"),
                           (slots / "live", slot)):
            link.unlink(missing_ok=True)
            link.symlink_to(goal)
        detail = {"slot": slot, "config": "c1", "previous": None}
        Journal.of(self.state).append({"op": "activate", "component": "backend", "release": tag, "outcome": "ok", "detail": detail})

    def mark(self, tag: str, mark: str, check: bool = False, **given: Any) -> dict[str, Any]:
        return self.call("release", check=check, **self.arguments(tag, state="marked", mark=mark, **given))

    def serve(self, tag: str, slot: str) -> None:
        self.stage(tag)
        self.activate(tag, slot)
        self.mark(tag, "good")

    def prune(self, keep: int, check: bool = False, **given: Any) -> dict[str, Any]:
        arguments = self.arguments("x", state="pruned", keep=keep, **given)
        del arguments["release"]
        return self.call("release", check=check, **arguments)


@pytest.fixture
def node(tmp_path: Path, call: Call) -> Node:
    return Node(tmp_path, call)


def test_check_run_check_run(node: Node) -> None:
    predicted = node.ask("v1", check=True)
    assert (predicted["changed"], predicted["present"]) == (True, False)
    assert not node.root.exists()
    assert not node.state.exists()
    asked = node.ask("v1")
    assert (asked["changed"], asked["present"]) == (True, False)
    assert not node.root.exists(), "without an archive it only answers"
    done = node.stage("v1")
    assert (done["changed"], done["present"], done["path"]) == (True, True, str(node.path("v1")))
    assert set(done["timings"]) >= {"unpack", "dependencies", "build", "tests", "seal", "sync"}
    for again in (node.ask("v1", check=True), node.ask("v1"), node.stage("v1")):
        assert (again["changed"], again["present"]) == (False, True)
        assert again["manifest"] == done["manifest"]


def test_the_manifest_and_the_tree(node: Node) -> None:
    manifest = node.stage("v1", env_schema_version="s7")["manifest"]
    assert manifest == json.loads((node.path("v1") / "release.json").read_text())
    assert (manifest["tag"], manifest["commit"], manifest["component"]) == ("v1", "commit-of-v1", "backend")
    assert manifest["env_schema_version"] == "s7"
    assert manifest["alembic_heads"] == []
    assert manifest["disk"]["bytes"] >= 50_000
    modes = {path.stat().st_mode & 0o222 for path in node.path("v1").rglob("*") if path.is_file()}
    assert modes == {0}, "somebody may write into a release"
    assert [(record["op"], record["outcome"]) for record in node.records()] == [("stage", "started"), ("stage", "ok")]
    assert os.listdir(node.root / "backend" / "staging") == []


def test_a_schema_that_lost_something_is_told_until_a_run_ends_well(node: Node) -> None:
    node.stage("v1")
    assert node.info("backend")["components"]["backend"]["contracted"] is False
    journal = Journal.of(node.state)
    detail = {"state": "upgraded", "phase": "contract"}
    journal.append({"op": "migrate", "component": "backend", "release": "v1", "outcome": "ok", "detail": detail})
    assert node.info("backend")["components"]["backend"]["contracted"] is True
    node.activate("v1")
    journal.append({"op": "phase", "component": "deploy", "outcome": "ok"})
    assert node.info("backend")["components"]["backend"]["contracted"] is False


def test_a_second_release_costs_what_differs(node: Node) -> None:
    files = {f"lib/{number}.py": f"{number}" * 20_000 for number in range(10)}
    node.stage("v1", files)
    disk = node.stage("v2", {**files, "lib/3.py": "changed"})["manifest"]["disk"]
    assert disk["new_bytes"] < 0.3 * disk["bytes"]
    assert (node.path("v1") / "lib/3.py").read_text() != "changed"


def test_failing_tests_mark_it_bad_and_stage_nothing(node: Node) -> None:
    failing = {"tests": [["{python}", "-c", "print('FAILED tests/test_x.py::test_y'); raise SystemExit(1)"]]}
    answer = node.stage("v1", **failing)
    assert answer["failed"]
    assert answer["failing"] == ["FAILED tests/test_x.py::test_y"]
    assert not node.path("v1").exists()
    assert os.listdir(node.root / "backend" / "staging") == []
    state = derive(node.records(), "backend")
    assert state.states == {"v1": "bad"}
    assert "test_y" in state.reasons["v1"]
    refused = node.ask("v1")
    assert refused["failed"]
    assert "marked bad" in refused["msg"]
    assert "allow_bad=true" in refused["msg"]
    assert node.stage("v1", allow_bad=True)["present"] is True


def test_tests_and_builds_get_nothing_real_that_nobody_named(node: Node) -> None:
    (node.tmp / "env").write_text('DATABASE_URL="postgresql://live:secret@db/app"\nAPI_KEY="key-of-production"\nPAGE="real"\n')
    schema = [
        {"name": "DATABASE_URL", "type": "dsn", "secret": True, "default": "postgresql://a:b@c/d"}, {"name": "API_KEY", "secret": True},
        {"name": "PAGE"}, {"name": "UNSET", "default": 3},
    ]
    # whoever may not write there shows it by the file that is missing
    shown = ["sh", "-c", "echo $DATABASE_URL $API_KEY $PAGE $UNSET; echo $DATABASE_URL $API_KEY $PAGE > {release_path}/built || true"]
    given: dict[str, Any] = {"env_file": str(node.tmp / "env"), "env_schema": schema, "tests": [shown]}
    made_up = "postgresql://planned:****@localhost:5432/planned xxxxxxxx xxxxxxxx 3"
    assert node.stage("v1", **given)["manifest"]["tests"][0]["summary"] == made_up
    own = {"test_env": {"API_KEY": "of the test"}, "test_env_from": ["PAGE"]}
    assert node.stage("v2", **given, **own)["manifest"]["tests"][0]["summary"] == made_up.replace("xxxxxxxx xxxxxxxx", "of the test real")
    answer = node.stage("v3", **{**given, "tests": [], "build": [shown], "build_env": ["PAGE", "UNSET"]})
    assert (node.path("v3") / "built").read_text() == "real\n"
    assert "postgresql://a:b" not in json.dumps(answer), "a secret's default is shown"
    hidden = node.stage("v4", **given, test_env_from=["API_KEY"])["manifest"]["tests"][0]["summary"]
    assert hidden == made_up.replace("xxxxxxxx xxxxxxxx", "****[API_KEY] xxxxxxxx")


def test_a_value_that_a_build_used_is_part_of_what_was_built(node: Node) -> None:
    """The same tag with another value is refused with words; what only fetches, and a node that knows nothing yet, are not."""
    env = node.tmp / "env"
    schema = [{"name": "PAGE"}, {"name": "NPM_TOKEN", "secret": True}, {"name": "BETA"}, {"name": "INDEX"}]
    names = ["PAGE", "NPM_TOKEN", "BETA", "INDEX"]
    given: dict[str, Any] = {"env_file": str(env), "env_schema": schema, "build_env": names, "build": [["true"]]}
    env.write_text('PAGE="one"\nNPM_TOKEN="t1"\nINDEX="https://a:b@host/"\n')
    manifest = node.stage("v1", **given)["manifest"]
    assert sorted(manifest["build_env"]) == ["BETA", "PAGE"]
    assert manifest["build_env"]["BETA"] is None
    env.write_text('PAGE="one"\nNPM_TOKEN="t2"\nINDEX="https://a:c@host/"\n')
    assert node.stage("v1", **given)["changed"] is False
    assert not node.ask("v1", True, **given).get("warnings"), "check mode knows the values"
    env.write_text('PAGE="two"\nBETA="on"\n')
    for check in (True, False):
        refused = node.ask("v1", check, **given)
        assert refused["built_in"] == ["BETA", "PAGE"]
        assert "with another value of BETA, PAGE (build_env) than its environment has now" in refused["msg"]
        assert "git tag v1-2 v1^{}, then git push origin v1-2" in refused["msg"]
        assert "ansible-playbook phasegate.aistack.deploy -e release=v1-2" in refused["msg"]
    assert node.stage("v2", **given)["changed"] is True
    env.unlink()
    unknown = node.ask("v1", True, **given)
    assert unknown["changed"] is False, "nothing is known of it yet"
    told = str(unknown["warnings"])
    assert "backend: not known in check mode whether v1 was built with the values that its build_env (BETA, PAGE)" in told


def test_a_value_that_a_build_used_and_does_not_get_any_more_is_no_longer_what_was_built(node: Node) -> None:
    """Taken out of build_env, whatever is known of the environment; what was asked for and never set is no loss."""
    env = node.tmp / "env"
    given: dict[str, Any] = {"env_file": str(env), "env_schema": [{"name": "PAGE"}, {"name": "BETA"}], "build": [["true"]]}
    env.write_text('PAGE="one"\n')
    node.stage("v1", **given, build_env=["PAGE", "BETA"])
    assert node.ask("v1", False, **given, build_env=["PAGE"])["changed"] is False, "BETA had no value"
    for left in ([], ["BETA"]):
        for check in (True, False):
            refused = node.ask("v1", check, **given, build_env=left)
            assert refused["built_in"] == ["PAGE"]
            assert "was built" in refused["msg"]
            assert "with PAGE, which its build_env does not name any more or has no value for" in refused["msg"]
            assert "Or name PAGE in aistack_components.backend.build_env again" in refused["msg"]
    secret = {**given, "env_schema": [{"name": "PAGE", "secret": True}, {"name": "BETA"}]}
    assert node.ask("v1", False, **secret, build_env=["PAGE", "BETA"])["changed"] is False, "it is given as before"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root stages with other users")
def test_a_whole_release_is_made_by_users_that_own_nothing_of_it_afterwards(call: Call) -> None:
    with tempfile.TemporaryDirectory() as open_to_all:
        os.chmod(open_to_all, 0o755)
        node = Node(Path(open_to_all), call)
        lock = node.root / "tools" / "bin"
        lock.mkdir(parents=True)
        (lock / "uv").write_text(  # makes what uv would, as far as it matters here
            '#!/bin/sh\n[ "$1" != venv ] || mkdir -p .venv/bin && ln -sf /usr/bin/python3 .venv/bin/python\nid -un >> who\n'
        )
        (lock / "uv").chmod(0o755)
        users = {"build_user": "nobody", "test_user": "daemon", "group": "nogroup", "python": "/usr/bin/python3"}
        commands = {"build": [["sh", "-c", "id -un >> who; umask 077; echo built > page; mkdir folder"]],
                    "tests": [["sh", "-c", "cat VERSION && ! touch beside 2> /dev/null && id -un"]]}
        files = {**FILES, "VERSION": "v1", "requirements.lock": ""}
        done = node.stage("v1", files, kind="python", lock="requirements.lock", **users, **commands)
        assert done["manifest"]["tests"][0]["summary"] == "v1daemon"
        assert (node.path("v1") / "who").read_text().split() == ["nobody"] * 3
        assert list(node.path("v1").glob("app/__pycache__/main.*.pyc"))
        found = [path for path in node.path("v1").rglob("*") if not path.is_symlink()]
        assert {(path.owner(), path.stat().st_mode & 0o022) for path in found} == {("root", 0)}
        assert (node.path("v1").group(), node.path("v1").stat().st_mode & 0o777) == ("nogroup", 0o750)
        assert os.listdir(node.root / "backend" / "staging") == []
        assert (node.root / "cache" / "backend").owner() == "root"
        assert node.ask("v1")["present"] is True


def test_a_build_cannot_have_the_manifest_written_elsewhere(node: Node) -> None:
    (node.tmp / "mine").write_text("as it was")
    node.stage("v1", build=[["ln", "-s", str(node.tmp / "mine"), "{release_path}/release.json"]])
    assert (node.tmp / "mine").read_text() == "as it was"
    assert json.loads((node.path("v1") / "release.json").read_text())["tag"] == "v1"


def test_another_failure_does_not_mark_it(node: Node) -> None:
    answer = node.stage("v1", build=[["sh", "-c", "exit 3"]])
    assert answer["failed"]
    assert [(record["op"], record["outcome"]) for record in node.records()] == [("stage", "started"), ("stage", "failed")]
    assert derive(node.records(), "backend").states == {}
    assert not node.path("v1").exists()


def test_a_moved_tag(node: Node) -> None:
    node.stage("v1")
    answer = node.ask("v1", commit="another")
    assert answer["failed"]
    for part in ("v1 was moved", "commit-of-v1", "another", "Tags are immutable"):
        assert part in answer["msg"]


def test_a_release_that_was_changed_on_the_node(node: Node) -> None:
    node.stage("v1")
    (node.path("v1") / "app/main.py").chmod(0o644)
    (node.path("v1") / "app/main.py").write_text("version = 2\n")
    (node.path("v1") / "added").write_text("")
    (node.path("v1") / "VERSION").unlink()
    for check in (False, True):
        answer = node.ask("v1", check=check)
        assert answer["failed"]
        assert answer["changed_files"] == ["missing VERSION", "added added", "changed app/main.py"]
        assert "changed after it was staged" in answer["msg"]


def test_a_damaged_archive(node: Node) -> None:
    answer = node.call("release", **node.arguments("v1", **{**node.archive(FILES), "archive_sha256": "0" * 64}))
    assert answer["failed"]
    assert "arrived damaged" in answer["msg"]
    assert not node.path("v1").exists()


def test_an_archive_that_reaches_outside(node: Node) -> None:
    answer = node.stage("v1", {"../../evil": "x"})
    assert answer["failed"]
    assert "is refused: ../../evil" in answer["msg"]
    assert not (node.root / "evil").exists()


@pytest.mark.parametrize("check", [False, True])
def test_a_full_disk_is_refused_with_figures_before_anything(node: Node, check: bool) -> None:
    answer = node.ask("v1", check=check, min_free_bytes=10**15)
    assert answer["failed"]
    assert answer["needed"] == 10**15
    assert answer["free"] == pytest.approx(shutil.disk_usage(node.tmp).free, rel=0.1)
    assert "was not staged" in answer["msg"]
    assert not node.root.exists()


def test_a_disk_that_becomes_full(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: Any) -> None:
        raise OSError(28, "No space left on device", str(node.root))

    monkeypatch.setattr(staging.tree, "seal", full)
    answer = node.stage("v1")
    assert answer["failed"]
    assert "became full" in answer["msg"]
    assert os.listdir(node.root / "backend" / "staging") == []
    assert node.records()[-1]["outcome"] == "failed"


def _stage_for_long(node: Node, archive: dict[str, str]) -> None:
    from ansible.module_utils.testing import patch_module_args

    from ansible_collections.phasegate.aistack.plugins.modules import release

    with patch_module_args(node.arguments("v1", **archive, build=[["sleep", "20"]])):
        release.main()


def test_killed_in_the_middle_the_next_goes_on(node: Node) -> None:
    archive = node.archive(FILES)
    worker = multiprocessing.get_context("fork").Process(target=_stage_for_long, args=(node, archive))
    worker.start()
    folder = node.root / "backend" / "staging"
    while not (folder.is_dir() and any(folder.glob("*/VERSION"))):
        assert worker.is_alive(), "it ended before it was seen to work"
        time.sleep(0.02)
    assert worker.pid is not None
    layout = staging.Layout(node.root, "backend")
    assert staging.sweep(layout) == [], "what a living process makes is left alone"
    os.kill(worker.pid, signal.SIGKILL)
    worker.join()
    left = sorted(os.listdir(folder))
    assert not node.path("v1").exists()
    assert node.info("backend")["components"]["backend"]["releases"] == {}
    seen = node.info("backend")["components"]["backend"]["interrupted"]
    assert [(item["op"], item["release"], item["run"]) for item in seen] == [("stage", "v1", "r1")]
    assert node.stage("v1")["present"] is True
    assert os.listdir(folder) == []
    assert derive(node.records(), "backend").interrupted == []
    assert node.records()[-1]["detail"]["swept"] == left


def test_something_else_is_in_the_way(node: Node) -> None:
    (node.path("v1")).mkdir(parents=True)
    answer = node.stage("v1")
    assert answer["failed"]
    assert "in the way" in answer["msg"]


def test_marking(node: Node) -> None:
    refused = node.mark("v1", "good")
    assert refused["failed"]
    assert "not staged" in refused["msg"]
    node.stage("v1")
    assert node.mark("v1", "good", check=True)["changed"] is True
    assert node.mark("v1", "good", reason="held 10 s")["changed"] is True
    assert node.mark("v1", "good")["changed"] is False
    node.activate("v1")
    assert node.mark("v1", "good")["changed"] is True, "it served again"
    assert node.mark("v1", "bad", reason="leaks")["changed"] is True
    assert derive(node.records(), "backend").reasons["v1"] == "leaks"
    assert node.mark("v1", "bad", check=True)["changed"] is False


def test_pruning_spares_what_is_needed(node: Node) -> None:
    for number, slot in ((1, "blue"), (2, "green"), (3, "blue")):
        node.serve(f"v{number}", slot)
    for number in (4, 5, 6):
        node.stage(f"v{number}")
    node.activate("v2", "green")  # v2 serves, v3 was before it, v6 is the newest
    predicted = node.prune(1, check=True, keep_releases=["v4"])
    assert node.path("v6").exists()
    done = node.prune(1, keep_releases=["v4"])
    assert done["removed"] == predicted["removed"] == ["v6", "v5"]
    behind = {"v3": "previous good", "v1": "good, behind the previous good"}
    assert done["kept"] == {"v4": "named in keep_releases", "v2": "live", **behind}
    assert sorted(os.listdir(node.root / "backend" / "releases")) == ["v1", "v2", "v3", "v4"]
    assert (node.path("v2") / "same.txt").read_text() == FILES["same.txt"]
    assert node.prune(1, keep_releases=["v4"])["changed"] is False
    assert derive(node.records(), "backend").states.keys() == {"v1", "v2", "v3", "v4"}


def test_what_never_served_and_what_is_bad_goes_before_what_is_good(node: Node) -> None:
    """A release that was refused, and one that was bad, had taken the place of the only one to go back to."""
    node.serve("v4.0.0", "blue")
    node.serve("v4.1.0", "green")
    for tag in ("v4.2.0", "v4.11.0", "v4.12.0"):
        node.stage(tag)
    node.mark("v4.2.0", "bad")
    node.mark("v4.12.0", "bad")
    node.serve("v4.10.0", "blue")
    done = node.prune(3)
    assert done["removed"] == ["v4.12.0", "v4.2.0"]
    assert done["kept"]["v4.11.0"] == "one of 3 to go back to (never live)"
    assert node.prune(0)["removed"] == ["v4.11.0"]
    assert sorted(os.listdir(node.root / "backend" / "releases")) == ["v4.0.0", "v4.1.0", "v4.10.0"]


@pytest.mark.parametrize("seed", range(12))
def test_two_good_ones_stay_behind_the_live_one_whatever_came_between(node: Node, seed: int) -> None:
    chance = random.Random(seed)
    for number in range(10):
        tag = f"v{number}"
        what = chance.choice(["serve", "serve", "stage", "bad", "back"])
        good = derive(node.records(), "backend", staged=staging.Layout(node.root, "backend").staged()).candidates
        if what == "back" and good:
            node.activate(good[0], chance.choice(["blue", "green"]))
        elif what == "serve":
            node.serve(tag, chance.choice(["blue", "green"]))
        else:
            node.stage(tag)
            if what == "bad":
                node.mark(tag, "bad")
    layout = staging.Layout(node.root, "backend")
    before = derive(node.records(), "backend", staged=layout.staged())
    node.prune(chance.choice([0, 1, 3]))
    after = derive(node.records(), "backend", staged=layout.staged())
    assert after.previous_good == before.previous_good
    assert after.candidates[:2] == before.candidates[:2]
    assert after.live == before.live


def test_the_drills_of_a_release_are_told_and_go_with_it(node: Node) -> None:
    layout = staging.Layout(node.root, "backend")
    for tag in ("v1", "v2"):
        node.stage(tag)
        record = {"tree_hash": (layout.manifest(tag) or {})["tree_hash"], "drills": {"v0": {"verdict": tag}}}
        layout.drill_file(tag).write_text(json.dumps(record))
    assert node.info("backend")["components"]["backend"]["drills"] == {tag: {"v0": {"verdict": tag}} for tag in ("v1", "v2")}
    assert node.info("backend")["components"]["backend"]["states"].keys() == {"v1", "v2"}, "a record is no release"
    assert node.prune(1)["removed"] == ["v1"]
    assert sorted(os.listdir(layout.releases)) == ["v2", "v2.drill.json"]
    for damaged in ("no json", "[]", '{"drills": 3}', '{"tree_hash": "another", "drills": {"v0": {}}}'):
        layout.drill_file("v2").write_text(damaged)
        assert layout.drills("v2") == {}


def test_pruning_spares_what_another_component_runs(node: Node) -> None:
    for tag in ("v1", "v2"):
        node.stage(tag)
    worker = node.root / "worker"
    (worker / "slots" / "blue").mkdir(parents=True)
    (worker / "releases").symlink_to("../backend/releases")
    (worker / "slots" / "blue" / "release").symlink_to("../../releases/v1")
    done = node.prune(0)
    assert done["removed"] == ["v2"]
    assert done["kept"] == {"v1": "in the slot blue of worker"}


def test_info_on_a_bare_node(node: Node) -> None:
    answer = node.info("backend", "frontend")
    assert answer["changed"] is False
    backend = answer["components"]["backend"]
    assert (backend["releases"], backend["states"], backend["live"], backend["previous_good"]) == ({}, {}, None, None)
    assert backend["agree"] is True
    assert answer["journal"] == {"records": 0, "torn": False, "problems": []}
    assert not node.state.exists()
    assert node.info()["components"] == {}


def test_info(node: Node) -> None:
    node.serve("v1", "blue")
    node.serve("v2", "green")
    node.stage("v3")
    answer = node.info()
    backend = answer["components"]["backend"]
    assert list(answer["components"]) == ["backend"]
    assert backend["states"] == {"v1": "good", "v2": "active", "v3": "staged"}
    assert backend["live"] == {"slot": "green", "release": "v2", "config": "c1"}
    assert backend["slots"]["blue"] == {"release": "v1", "config": "c1"}
    assert backend["previous_good"] == "v1"
    assert backend["agree"] is True
    assert list(backend["releases"]) == ["v3", "v2", "v1"]
    assert backend["disk"]["bytes"] < sum(item["disk"]["bytes"] for item in backend["releases"].values())
    (node.root / "backend/slots/live").unlink()
    (node.root / "backend/slots/live").symlink_to("blue")
    assert node.info()["components"]["backend"]["agree"] is False


def test_info_of_a_damaged_journal(node: Node) -> None:
    node.stage("v1")
    path = node.state / "journal.jsonl"
    path.write_text(path.read_text().replace("commit-of-v1", "commit-of-v9") + '{"seq":')
    answer = node.info("backend")["journal"]
    assert answer["torn"] is True
    assert "changed after it was written" in answer["problems"][0]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"component": "../x"}, "Not a component's name"),
        ({"release": "a/b"}, "Not a release's name"),
        ({"env_file": "/no/such", "build_env": ["A"]}, "cannot be read"),
        ({"build_env": ["A"], "env_schema": [{"name": "B"}]}, "name A, which neither the schema"),
        ({"sdists": {"a": 1}}, "expected true, false or a list of packages"),
        ({"output": "../dist"}, "output: '../dist' is nothing that can be kept of a release of kind static"),
        ({"output": "/srv"}, "Expected none, next-standalone (a Next.js site, kind node), or, for kind static, the folder"),
        ({"kind": "python", "output": "dist"}, "nothing that can be kept of a release of kind python"),
    ],
)
def test_bad_arguments(node: Node, given: dict[str, Any], said: str) -> None:
    answer = node.call("release", **{**node.arguments("v1"), **given})
    assert answer["failed"]
    assert said in answer["msg"]


def test_a_build_that_prints_its_environment_shows_no_token(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of aistack_environment, and those that the machine has for whoever fetches."""
    monkeypatch.setenv("UV_INDEX_CORP_PASSWORD", "m4chine-w1de")
    secret = {"NPM_TOKEN": "npm-S3cret/+", "PIP_INDEX_URL": "https://glpat-1ndex:@index.corp/simple", "REGISTRY_AUTH": 'a"b\\c$d'}
    printing = "import os, json; print(dict(os.environ), json.dumps(dict(os.environ)), *os.environ.values()); raise SystemExit(3)"
    answer = node.stage("v1", build=[[sys.executable, "-c", printing]], secret_environment=secret)
    assert answer["failed"]
    told = json.dumps(answer) + str(answer)
    assert "NPM_TOKEN" in told
    assert [piece for piece in ("npm-S3cret", "glpat-1ndex", "b\\c$", "m4chine-w1de") if piece in told] == []


def test_others_run_its_trees(call: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    given = {"state": "lent", "component": "api", "lent_to": ["worker"], "root": str(tmp_path), "state_dir": str(tmp_path / "state")}
    predicted, done, again = call("release", check=True, **given), call("release", **given), call("release", **given)
    assert [(one["changed"], one["lent"]) for one in (predicted, done, again)] == [(True, ["worker"]), (True, ["worker"]), (False, [])]
    assert (tmp_path / "worker/releases").is_symlink()
    assert "Not a component's name: ../x" in call("release", **{**given, "lent_to": ["../x"]})["msg"]
