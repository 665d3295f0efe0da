# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan that the controller makes of a release that no node has: the same as the node makes once it has it."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.migration import (
    controller_plan,
    controller_sandbox,
    plan as alembic_plan,
    scratch_plan,
    seen as alembic_seen,
)
from ansible_collections.phasegate.aistack.plugins.module_utils.migration.controller_plan import Origin
from ansible_collections.phasegate.aistack.plugins.module_utils.migration.offline_plan import Unavailable
from ansible_collections.phasegate.aistack.plugins.module_utils.migration.plan import MigrationError
from ansible_collections.phasegate.aistack.plugins.module_utils.release import mirror

from .conftest import HERE, PASSWORD, QUOTED, Stage
from .test_migrate import ADD, DROP, first

CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "phasegate-aistack" / "test-plan"


def git(folder: Path, *words: str) -> None:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.com"]
    subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True)


def tagged(stage: Stage, tag: str = "v1") -> Origin:
    """The release's tree as a tag of a repository, its requirements with it."""
    repo = stage.root / "repo"
    shutil.copytree(stage.release.tree, repo / "backend", dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(HERE / "requirements.txt", repo / "backend" / "requirements.lock")
    if not (repo / ".git").exists():
        git(repo, "init", "--quiet")
    git(repo, "add", "--all")
    git(repo, "commit", "--quiet", "--message", tag)
    git(repo, "tag", tag)
    schema = [{"name": "API_TOKEN", "secret": True, "default": "s3cret-default"}, {"name": "DATABASE_URL", "type": "dsn"}]
    return Origin(str(repo), "backend", "requirements.lock", schema=schema, mirror_dir=str(stage.root / "mirrors"), plan_dir=str(CACHE))


def elsewhere(stage: Stage) -> alembic_plan.Request:
    """What is asked of a node that has no tree of the release."""
    return stage.request(release_path=str(stage.root / "absent"), python="")


def live(stage: Stage) -> None:
    """Something of the component runs on this node."""
    (stage.root / "backend" / "slots" / "live").mkdir(parents=True)


def test_the_same_plan_as_on_the_node(stage: Stage) -> None:
    first(stage)
    live(stage)
    stage.release.add("bbb2", "aaa1", ADD, DROP, "owner")
    origin = tagged(stage)
    here = alembic_plan.inspect(stage.request(squawk="/absent"))
    seen = alembic_seen.observe(elsewhere(stage))
    assert seen["known"], seen["why"]
    assert seen["current"] == ["aaa1"]
    there = controller_plan.document(elsewhere(stage), seen, origin, "it is not staged")
    for key in ("current", "target", "heads", "verdict", "fresh", "tables", "database"):
        assert there[key] == here[key], key
    assert [step["sql"] for step in there["pending"]] == [step["sql"] for step in here["pending"]]
    assert "ADD COLUMN owner" in there["pending"][0]["sql"]
    text = json.dumps(there)
    assert PASSWORD not in text
    assert QUOTED not in text
    began = time.monotonic()
    controller_plan.document(elsewhere(stage), seen, origin, "it is not staged")
    assert time.monotonic() - began < 30  # nothing is installed again; the bound is no benchmark


def test_a_bare_node_starts_from_nothing(stage: Stage) -> None:
    (stage.root / "env").unlink()
    request = elsewhere(stage)
    request.root = str(stage.root)
    seen = alembic_seen.observe(request)
    assert seen["bare"]
    assert not seen["known"]
    plan = controller_plan.document(request, seen, tagged(stage), "it is not staged")
    assert plan["current"] == []
    assert plan["fresh"]
    assert [step["revision"] for step in plan["pending"]] == ["aaa1"]
    assert "empty one" in plan["text"]


def test_the_policy_refuses_as_on_the_node(stage: Stage) -> None:
    first(stage)
    stage.release.add("bbb2", "aaa1", "op.drop_column('workflows', 'name')", "op.add_column('workflows', sa.Column('name', sa.Text))")
    request = elsewhere(stage)
    plan = controller_plan.document(request, alembic_seen.observe(request), tagged(stage), "it is not staged")
    with pytest.raises(MigrationError, match="contracts the schema") as caught:
        controller_plan.outcome(request, plan)
    assert caught.value.code == "contract"


SETTINGS = """
import os
if "@" not in os.environ["FIRST_SUPERUSER"]:
    raise ValueError("1 validation error for Settings\\nFIRST_SUPERUSER\\n  value is not a valid email address: xxxxxxxx")
"""


@pytest.mark.parametrize("where", ["env.py", "versions/bbb2.py"])
def test_what_a_made_up_value_stops_is_not_refused(stage: Stage, where: str) -> None:
    """The same with a fitting type is the whole plan."""
    first(stage)
    stage.release.add("bbb2", "aaa1", ADD, DROP, "owner")
    (stage.release.tree / "settings.py").write_text(SETTINGS)
    script = stage.release.tree / "migrations" / where
    script.write_text("import settings\n" + script.read_text())
    origin = tagged(stage)
    request = elsewhere(stage)
    schema = list(origin.schema)
    origin.schema = [*schema, {"name": "FIRST_SUPERUSER"}, {"name": "MODE", "type": "enum", "choices": ["a"]}]
    try:
        plan = controller_plan.document(request, alembic_seen.observe(request), origin, "it is not staged")
    except Unavailable as problem:
        said = str(problem)
    else:
        assert controller_plan.outcome(request, plan)["changed"]
        (said,) = plan["verdict"]["undecided"]
        assert "Allowed." not in plan["text"]
        assert "NOT known" in plan["text"]
    assert "With made-up values for FIRST_SUPERUSER and 1 more the code of the release stops at settings.py:4" in said
    assert "ValueError: 1 validation error for Settings FIRST_SUPERUSER value is not a valid email address: " in said
    assert "not refused for that" in said
    origin.schema = [*schema, {"name": "FIRST_SUPERUSER", "type": "email"}]
    plan = controller_plan.document(request, alembic_seen.observe(request), origin, "it is not staged")
    assert plan["verdict"] == {"allowed": True, "refusals": [], "warnings": plan["verdict"]["warnings"], "undecided": []}
    assert "ADD COLUMN owner" in plan["pending"][0]["sql"]


def test_a_script_that_reads_the_database_is_refused_as_on_the_node(stage: Stage) -> None:
    first(stage)
    stage.release.add("bbb2", "aaa1", "op.get_bind().execute(sa.text('SELECT 1')).scalar()", DROP)
    request = elsewhere(stage)
    plan = controller_plan.document(request, alembic_seen.observe(request), tagged(stage), "it is not staged")
    assert [entry["code"] for entry in plan["verdict"]["refusals"]] == ["unknown_sql"]


def test_two_heads_are_named(stage: Stage) -> None:
    first(stage)
    stage.release.add("bbb2", "aaa1", ADD, DROP).add("ccc3", "aaa1", ADD, DROP)
    request = elsewhere(stage)
    plan = controller_plan.document(request, alembic_seen.observe(request), tagged(stage), "it is not staged")
    assert plan["verdict"]["refusals"][0]["code"] == "several_heads"


def test_without_an_answer_of_the_database_nothing_is_guessed(stage: Stage) -> None:
    request = elsewhere(stage)
    request.root = str(stage.root)
    live(stage)
    stage.env(DATABASE_URL=stage.url(port=1))
    seen = alembic_seen.observe(request)
    assert not seen["bare"]
    assert not seen["known"]
    with pytest.raises(Unavailable, match="where the database stands is not known"):
        controller_plan.document(request, seen, tagged(stage), "it is not staged")


def test_without_uv_it_says_so(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    origin = tagged(stage)
    origin.plan_dir = str(stage.root / "plans")
    monkeypatch.setattr(controller_plan, "tool", lambda name: None)
    with pytest.raises(Unavailable, match="uv is not on the controller"):
        controller_plan.document(elsewhere(stage), {"known": True, "current": [], "fresh": True}, origin, "it is not staged")
    assert not list((stage.root / "plans" / "environments").glob("*.done"))


def scratch(stage: Stage, origin: Origin, seen: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """What the controller brings to a node."""
    tools = stage.root / "tools" / "bin"
    tools.mkdir(parents=True, exist_ok=True)
    if not (tools / "uv").exists():
        (tools / "uv").symlink_to(str(controller_plan.tool("uv")))
    source = mirror.Source(origin.repo, origin.path, origin.mirror_dir)
    commit = source.resolve("v1")
    archive = source.archive("v1", commit)
    brought = {"archive": str(archive.path), "archive_sha256": archive.sha256, "commit": commit, "seen": seen, "lock": origin.lock}
    settings = {name: entry.get("default") for name, entry in scratch_plan.SPEC.items()}
    return {**settings, **brought, "schema": list(origin.schema), "python": sys.executable, "build_user": "root", **changes}


def test_the_node_plans_with_its_own_interpreter(stage: Stage) -> None:
    """The same plan, and nothing but the packages that were fetched is left of it; a tree that is staged is taken as it is."""
    first(stage)
    stage.release.add("bbb2", "aaa1", ADD, DROP, "owner")
    origin = tagged(stage)
    request = elsewhere(stage)
    request.root = str(stage.root)
    seen = alembic_seen.observe(request)
    with pytest.raises(Unavailable, match="the role toolchain makes"):
        scratch_plan.document(request, scratch(stage, origin, seen))
    cache = stage.root / "cache"
    cache.mkdir()
    plan = scratch_plan.document(request, scratch(stage, origin, seen))
    assert (plan["current"], plan["target"], plan["known"]) == (["aaa1"], ["bbb2"], True)
    assert "ADD COLUMN owner" in plan["pending"][0]["sql"]
    assert "on the node, in a scratch environment with its own interpreter, from tag v1" in plan["basis"]
    assert sorted(path.name for path in (cache / "plan" / "backend").iterdir()) == ["packages"]
    with pytest.raises(Unavailable, match=r"needs uv|No interpreter|python9\.9"):
        scratch_plan.document(request, scratch(stage, origin, seen, python="python9.9"))
    assert sorted(path.name for path in (cache / "plan" / "backend").iterdir()) == ["packages"]
    staged = scratch_plan.document(stage.request(root=str(stage.root)), scratch(stage, origin, seen, archive="/absent"))
    assert "in the staged tree" in staged["basis"]
    assert [step["sql"] for step in staged["pending"]] == [step["sql"] for step in plan["pending"]]


def test_a_lock_file_that_cannot_be_installed(stage: Stage) -> None:
    origin = tagged(stage)
    lock = stage.root / "repo" / "backend" / "requirements.lock"
    lock.write_text("alembic==1.20.1 --hash=sha256:" + "0" * 64 + "\n")
    git(stage.root / "repo", "commit", "--quiet", "--all", "--message", "wrong hash")
    git(stage.root / "repo", "tag", "v2")
    origin.plan_dir = str(stage.root / "plans")
    request = elsewhere(stage)
    request.release = "v2"
    with pytest.raises(Unavailable, match=r"requirements in requirements\.lock could not be installed"):
        controller_plan.document(request, {"known": True, "current": [], "fresh": True}, origin, "it is not staged")
    assert [entry.suffix for entry in (stage.root / "plans" / "environments").iterdir()] == [".lock"]


NOSY = """
import os, socket
found = []
home = os.path.expanduser("~")
if os.listdir(home):
    found.append("home " + home + " holds " + ", ".join(sorted(os.listdir(home))[:3]))
for place in ({secret!r}, {cache!r}, "/home", "/etc/passwd", "/var/lib"):
    try:
        found.append(place + " can be read: " + str(os.listdir(place) if os.path.isdir(place) else open(place).read(20)))
    except OSError:
        pass
try:
    socket.create_connection(("127.0.0.1", {port}), 2).close()
    found.append("the network can be reached")
except OSError:
    pass
try:
    open(os.path.join(os.path.dirname(__file__), "mark"), "w").close()
    found.append("its tree can be written")
except OSError:
    pass
found += [name + " is in the environment" for name in os.environ if name.startswith("OPERATOR_")]
found += ["process " + name for name in os.listdir("/proc") if name.isdigit() and int(name) > 20]
if os.getuid() == 0:
    found.append("it is root")
if found:
    raise RuntimeError("seen: " + "; ".join(found))
"""


def nosy(stage: Stage) -> tuple[Origin, socket.socket]:
    """A release whose migration looks around when it is read, and a server that it might reach."""
    secret = stage.root / "operator"
    secret.mkdir()
    (secret / "key").write_text("private")
    CACHE.mkdir(parents=True, exist_ok=True)
    (CACHE / "environments.key").write_text("private")  # beside what it may see
    listener = socket.create_server(("127.0.0.1", 0))
    stage.release.add("bbb2", "aaa1", ADD, DROP)
    script = stage.release.tree / "migrations" / "versions" / "bbb2.py"
    probe = NOSY.format(secret=str(secret), cache=str(CACHE / "environments.key"), port=listener.getsockname()[1])
    script.write_text(script.read_text() + probe)
    return tagged(stage), listener


def test_a_release_that_looks_around_sees_nothing_of_the_operators(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPERATOR_TOKEN", "t0ken")
    first(stage)
    origin, listener = nosy(stage)
    with listener:
        request = elsewhere(stage)
        plan = controller_plan.document(request, alembic_seen.observe(request), origin, "it is not staged")
        assert [step["revision"] for step in plan["pending"]] == ["bbb2"]
        origin.plan_unsandboxed = True  # accepted by name: the same release, as the operator
        with pytest.raises(Unavailable, match=r"seen: .*can be read"):
            controller_plan.document(request, alembic_seen.observe(request), origin, "it is not staged")


def test_without_a_sandbox_nothing_of_the_release_runs(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    first(stage)
    origin, listener = nosy(stage)
    listener.close()
    monkeypatch.setattr(controller_sandbox.shutil, "which", lambda name: None)
    request = elsewhere(stage)
    with pytest.raises(Unavailable, match="Install the package bubblewrap") as caught:
        controller_plan.document(request, alembic_seen.observe(request), origin, "it is not staged")
    assert "migrate_plan_unsandboxed=true" in str(caught.value)


def test_a_sandbox_that_does_not_work_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "bwrap"
    broken.write_text("#!/bin/sh\necho bwrap: No permissions to create new namespace >&2; exit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(controller_sandbox.NoSandbox, match=r"does not work on this controller: bwrap: No permissions"):
        controller_sandbox.command([tmp_path])
