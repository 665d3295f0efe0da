# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way back, rehearsed on a real server: what it finds, what it refuses, and that nothing of it stays but the record."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.phasegate.aistack.plugins.module_utils.alembic.runner import InImage
from ansible_collections.phasegate.aistack.plugins.module_utils.backup import sets as backup_set
from ansible_collections.phasegate.aistack.plugins.module_utils.drill import run as drill, text as drill_text
from ansible_collections.phasegate.aistack.plugins.module_utils.drill.run import DrillError
from ansible_collections.phasegate.aistack.plugins.module_utils.journal import lock
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.file import Journal
from ansible_collections.phasegate.aistack.plugins.module_utils.migration import code_place, locks as migration_locks, migrate as alembic
from ansible_collections.phasegate.aistack.plugins.module_utils.release.store import Layout
from ansible_collections.phasegate.aistack.plugins.modules import drill as module

from ..conftest import PASSWORD
from .conftest import QUOTED, Release, Stage

UP = (
    "op.add_column('workflows', sa.Column('owner', sa.Text))\nop.create_table('visits', sa.Column('id', sa.Integer, primary_key=True))"
)
DOWN = "op.drop_table('visits')\nop.drop_column('workflows', 'owner')"
OLD, NEW = "v1.0.0", "v2.0.0"


class Node:
    """A node on paper around a real database: two staged releases, an environment, a description, a journal."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.root, self.state = stage.root / "root", stage.root / "node"
        self.layout = Layout(self.root, "backend")
        for number, tag in enumerate((OLD, NEW), 1):
            tree = self.layout.release(tag)
            shutil.copytree(stage.release.tree, tree)
            (tree / ".venv").symlink_to(Path(stage.python).parent.parent)
            manifest = {"tag": tag, "component": "backend", "tree_hash": f"hash-{number}", "built_at": f"2026-01-0{number}T00:00:00Z"}
            (tree / "release.json").write_text(json.dumps(manifest))
        config = self.layout.base / "config" / "c1"
        config.mkdir(parents=True)
        shutil.copy(stage.root / "env", config / "env")
        for slot, tag in (("blue", OLD), ("green", NEW)):
            place = self.layout.base / "slots" / slot
            place.mkdir(parents=True)
            (place / "release").symlink_to(f"../../releases/{tag}")
            (place / "config").symlink_to("../../config/c1")
        (self.layout.base / "slots" / "live").symlink_to("green")
        self.state.mkdir()
        entry = {"name": "app", "component": "backend", "admin": {"host": str(stage.cluster.folder), "port": stage.cluster.port}}
        described = {"stack": "lab", "min_free_bytes": 0, "postgres": [entry]}
        (self.state / "backup.json").write_text(json.dumps(described))
        for tag in (OLD, NEW):
            for op, detail in (("stage", {}), ("activate", {"slot": "blue", "config": "c1"}), ("mark", {"state": "good"})):
                Journal.of(self.state).append({"op": op, "component": "backend", "release": tag, "outcome": "ok", "detail": detail})

    def brings(self, up: str, down: str, revision: str = "bbb2", below: str = "aaa1") -> None:
        """A revision that the newer release brings."""
        Release(self.layout.release(NEW)).add(revision, below, up, down)

    def migrate(self, tag: str) -> None:
        """Bring the live database to the head of a release, as a deployment would."""
        where = {"release": tag, "release_path": str(self.layout.release(tag)), "backup": False, "policy": drill.ALLOW}
        alembic.migrate(self.stage.request(**where))

    def save(self) -> str:
        return str(backup_set.make(backup_set.Request(self.state, "daily", self.root, min_free=0))["name"])

    def drill(self, check: bool = False, **more: Any) -> dict[str, Any]:
        given = {"user": None, "root": self.root, "state_dir": self.state, "min_free": 1024, "run": "run-1", **more}
        return drill.run(drill.Request("backend", **given), check)

    def refused(self, code: str, *said: str, **more: Any) -> DrillError:
        with pytest.raises(DrillError) as caught:
            self.drill(**more)
        assert caught.value.code == code, str(caught.value)
        for text in said:
            assert text in str(caught.value)
        assert self.layout.drills(NEW) == {}, "what did not come to its end is not written down"
        self.clean()
        return caught.value

    def databases(self) -> list[str]:
        return self.stage.sql(f"SELECT datname FROM pg_database WHERE datname LIKE '{self.stage.database}%' ORDER BY 1").split()

    def clean(self) -> None:
        """Nothing of a drill is left on the server and in the state directory, and no secret in what it wrote."""
        assert self.databases() == [self.stage.database]
        assert not list(self.state.glob(".drill*"))
        for path in (self.state / "journal.jsonl", self.layout.drill_file(NEW)):
            text = path.read_text() if path.exists() else ""
            assert PASSWORD not in text
            assert QUOTED not in text

    def live(self) -> tuple[str, str]:
        """What the live database says: its revision and its columns."""
        return (
            self.stage.sql("SELECT version_num FROM alembic_version"),
            self.stage.sql("SELECT string_agg(column_name, ',' ORDER BY 1) FROM information_schema.columns WHERE table_name = 'workflows'"),
        )


@pytest.fixture
def node(stage: Stage) -> Iterator[Node]:
    """The older release's schema is live, with five rows; the newer one is staged and brings nothing yet."""
    here = Node(stage)
    here.migrate(OLD)
    stage.sql("INSERT INTO workflows (id, name) SELECT n, 'w' || n FROM generate_series(1, 5) n")
    yield here
    for name in here.databases():
        if name != stage.database:
            stage.cluster.admin(f'DROP DATABASE "{name}" WITH (FORCE)')


def test_a_way_back_that_works_passes_and_is_written_down(node: Node) -> None:
    node.brings(UP, DOWN)
    name = node.save()
    seq = Journal.of(node.state).read()[-1]["seq"]
    predicted = node.drill(check=True)
    assert (predicted["changed"], predicted["set"], predicted["from"], predicted["to"]) == (True, name, NEW, OLD)
    assert Journal.of(node.state).read()[-1]["seq"] == seq
    node.clean()
    found = node.drill()
    assert (found["verdict"], found["why"], found["lost"], found["differences"], found["schema"]) == ("passed", "", [], [], [])
    assert (found["set"], found["from"], found["to"], found["tables"]) == (name, NEW, OLD, 1)
    assert set(found["seconds"]) == {"restore", "upgrade", "downgrade", "all"}
    assert 0 < found["recovery_s"] == found["seconds"]["downgrade"] < found["seconds"]["all"]
    assert found["goes"] == ["table visits (0 rows)", "column workflows.owner (0 rows hold something there)"]
    node.clean()
    assert node.live() == ("aaa1", "id,name")
    record = node.layout.drills(NEW)[OLD]
    assert (record["verdict"], record["set"], record["recovery_s"]) == ("passed", name, found["recovery_s"])
    assert node.layout.drill_file(NEW).stat().st_mode & 0o777 == 0o640
    assert [entry.name for entry in node.layout.releases.iterdir()].count(f"{NEW}.drill.json") == 1
    assert node.layout.staged() == [NEW, OLD], "the record is not taken for a release"
    assert drill_text.for_plan({NEW: {OLD: record}}, "backend", NEW, OLD).startswith("backend: drilled 20")
    ops = [(entry["op"], entry["outcome"], entry["release"]) for entry in Journal.of(node.state).read()[seq:]]
    assert ops == [("drill", "started", NEW), ("drill", "ok", NEW)], "the migrations of a copy are none of the journal's"
    assert Journal.of(node.state).read()[-1]["detail"]["verdict"] == "passed"
    page = drill_text.page(found)
    assert "PASSED" in page
    assert "1 table: rows and contents as before" in page
    (node.layout.release(NEW) / "release.json").write_text(json.dumps({"tree_hash": "another"}))
    assert node.layout.drills(NEW) == {}, "a drill of another tree with this name does not count"


def test_a_downgrade_that_loses_is_told_by_table_and_column(node: Node) -> None:
    node.brings(
        "op.drop_column('workflows', 'name')\nop.execute('DELETE FROM workflows WHERE id > 4')",
        "op.add_column('workflows', sa.Column('name', sa.Text, nullable=False, server_default='?'))\n"
        "op.alter_column('workflows', 'name', server_default=None)",
    )
    node.save()
    found = node.drill()
    assert found["verdict"] == "loses"
    assert found["lost"] == ["public.workflows: 1 of 5 rows are gone"]
    assert (found["differences"][0]["before"], found["differences"][0]["after"]) == (5, 4)
    node.clean()
    assert node.live() == ("aaa1", "id,name")
    assert node.layout.drills(NEW)[OLD]["verdict"] == "loses"


def test_values_that_do_not_come_back_are_lost(node: Node) -> None:
    node.brings(
        "op.drop_column('workflows', 'name')",
        "op.add_column('workflows', sa.Column('name', sa.Text, nullable=False, server_default='?'))\n"
        "op.alter_column('workflows', 'name', server_default=None)",
    )
    node.save()
    found = node.drill()
    assert (found["verdict"], found["lost"]) == ("loses", ["public.workflows: column name: its values are others than before"])


def test_what_the_newer_release_wrote_is_lost_where_the_set_has_it(node: Node) -> None:
    node.brings(UP, DOWN)
    node.migrate(NEW)
    node.stage.sql("UPDATE workflows SET owner = 'me' WHERE id < 3; INSERT INTO visits VALUES (1), (2), (3)")
    node.save()
    found = node.drill()
    assert found["verdict"] == "loses"
    assert found["lost"] == [
        "public.visits (written by the newer release): 3 of 3 rows are gone",
        "public.workflows (written by the newer release): column owner: 2 of 2 values are gone",
    ]
    assert found["goes"] == ["table visits (3 rows)", "column workflows.owner (2 rows hold something there)"]
    assert set(found["seconds"]) == {"restore", "prepare", "upgrade", "downgrade", "all"}
    assert node.live() == ("bbb2", "id,name,owner")
    node.clean()


def test_an_older_set_is_brought_up_first(node: Node) -> None:
    node.save()
    for tag in (OLD, NEW):
        Release(node.layout.release(tag)).add(
            "abb1", "aaa1", "op.add_column('workflows', sa.Column('title', sa.Text))", "op.drop_column('workflows', 'title')"
        )
    node.brings(UP, DOWN, below="abb1")
    found = node.drill()
    assert (found["verdict"], found["steps"]["prepare"]) == ("passed", f"aaa1 → abb1, by the code of {OLD}")


def test_a_step_that_does_nothing_cannot_be_taken_back(node: Node) -> None:
    node.brings("op.execute(\"UPDATE workflows SET name = upper(name)\")", "pass")
    node.save()
    found = node.drill()
    assert found["verdict"] == "irreversible"
    assert "bbb2" in found["why"]
    assert "downgrade() does nothing" in found["why"]
    assert found["recovery_s"] == found["seconds"]["restore"]
    assert "IRREVERSIBLE" in drill_text.page(found)
    assert "by restoring its database" in drill_text.page(found)
    node.clean()


@pytest.mark.parametrize(
    ("up", "down", "said"),
    [
        ("op.execute('SELECT nonsense')", DOWN, "upgrade with the code of v2.0.0"),
        (UP, "op.execute('SELECT nonsense')", "downgrade with the code of v2.0.0"),
        (UP, "op.drop_table('visits')\nop.execute('SELECT 1')", "new: column public.workflows.owner"),
    ],
    ids=["up fails", "down fails", "something stays"],
)
def test_a_way_that_does_not_work_has_failed(node: Node, up: str, down: str, said: str) -> None:
    node.brings(up, down)
    node.save()
    found = node.drill()
    assert found["verdict"] == "failed"
    assert said in found["why"]
    assert found["recovery_s"] is None
    node.clean()
    assert node.live() == ("aaa1", "id,name")


def test_releases_with_the_same_schema_have_nothing_to_drill(node: Node) -> None:
    found = node.drill()
    assert (found["verdict"], found["changed"]) == ("unneeded", False)
    assert "level app" in found["msg"]
    node.clean()


def test_a_broken_set_is_refused(node: Node) -> None:
    node.brings(UP, DOWN)
    name = node.save()
    dump = next((node.state / "backups" / name / "postgres" / "app" / "dump").glob("*.dat*"))
    dump.write_bytes(b"garbage")
    node.refused("unverifiable", name, "was changed", "backup.yml")
    node.refused("no_set", "no verified backup set", "backup.yml")


def test_refusals_before_anything(node: Node) -> None:
    node.brings(UP, DOWN)
    node.refused("no_set", "Make one: backup.yml")
    name = node.save()
    node.refused("not_staged", "v9.9.9 is not staged", f"staged: {NEW}, {OLD}", older="v9.9.9")
    node.refused("same_release", "Name two releases", older=NEW)
    node.refused("space", "no room", min_free=1 << 60)
    node.refused("input", "There is no backup set", set="20200101T000000Z-daily")
    lease = lock.Lock(node.state).acquire("other-run", {"actor": "somebody"})
    node.refused("busy", "another run changes this node", "somebody")
    assert lease.lease["run"] == "other-run"
    lock.Lock(node.state).release("other-run")
    with node.stage.session() as session:
        assert migration_locks.try_once(session, node.stage.database)
        node.refused("busy", "a migration of")
    ini = node.layout.release(OLD) / "alembic.ini"
    ini.unlink()
    node.refused("no_migrations", "has no migrations", "level=app")
    assert name in [entry["name"] for entry in backup_set.listed(node.state)]


def test_code_that_would_go_elsewhere_is_stopped(node: Node) -> None:
    """An env.py with an address of its own must never reach the live database."""
    node.brings(UP, DOWN)
    node.save()
    for tag in (OLD, NEW):
        path = node.layout.release(tag) / "migrations" / "env.py"
        path.write_text(path.read_text().replace('os.environ["DATABASE_URL"]', repr(node.stage.url())))
    node.refused("release_code", f"env.py connects to the database {node.stage.database}")
    assert node.live() == ("aaa1", "id,name")


def test_somebody_elses_database_is_left_alone(node: Node) -> None:
    node.brings(UP, DOWN)
    node.save()
    other = f"{node.stage.database}__drill"
    node.stage.cluster.admin(f"CREATE DATABASE {other}")
    node.stage.cluster.admin("CREATE TABLE precious (id int)", other)
    with pytest.raises(DrillError, match="no drill made"):
        node.drill()
    assert node.databases() == [node.stage.database, other]
    node.stage.cluster.admin("DROP TABLE precious", other)
    assert node.drill()["verdict"] == "passed", "an empty one without a note is of a drill that died at once"
    node.clean()


def test_an_encrypted_set_needs_its_identity(node: Node) -> None:
    node.brings(UP, DOWN)
    identity = subprocess.run(["age-keygen"], capture_output=True, text=True, check=True).stdout
    recipient = next(line for line in identity.splitlines() if "public key" in line).split()[-1]
    path = node.state / "backup.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "encrypt": {"recipient": recipient}}))
    node.save()
    node.refused("input", "it is encrypted for", "Give the key")
    assert node.drill(identity=identity)["verdict"] == "passed"
    node.clean()


KILLED = """
import sys
from pathlib import Path
from ansible_collections.phasegate.aistack.plugins.module_utils.drill import run as drill
drill.run(drill.Request("backend", user=None, root=Path(sys.argv[1]), state_dir=Path(sys.argv[2]), min_free=1024, run="killed"))
"""


def test_killed_and_run_again(node: Node) -> None:
    node.brings(UP + "\nop.execute('SELECT pg_sleep(30)')", DOWN)
    node.save()
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(node.root), str(node.state)], env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    )
    end = time.monotonic() + 60
    scratch = f"{node.stage.database}__drill"
    asleep = f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{scratch}' AND query LIKE '%pg_sleep(30)%' AND state = 'active'"
    while node.stage.sql(asleep) == "0" and time.monotonic() < end:
        assert process.poll() is None
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert scratch in node.databases()
    node.brings(UP, DOWN)
    found = node.drill()
    assert found["verdict"] == "passed"
    node.clean()
    told = [(entry["run"], entry["outcome"]) for entry in Journal.of(node.state).read() if entry["op"] == "drill"]
    assert told == [("killed", "started"), ("killed", "failed"), ("run-1", "started"), ("run-1", "ok")]


def test_the_module(node: Node, capsys: pytest.CaptureFixture[str]) -> None:
    node.brings(UP, DOWN)
    node.save()

    def door(**arguments: Any) -> dict[str, Any]:
        given = {"component": "backend", "user": "", "root": str(node.root), "state_dir": str(node.state), "min_free_bytes": 1024}
        capsys.readouterr()
        with patch_module_args({**given, **arguments}), pytest.raises(SystemExit):
            module.main()
        text = capsys.readouterr().out
        assert PASSWORD not in text
        assert QUOTED not in text
        answer: dict[str, Any] = json.loads(text)
        return answer

    assert door(_ansible_check_mode=True)["changed"]
    assert node.layout.drills(NEW) == {}
    assert door(**{"from": NEW, "to": OLD})["verdict"] == "passed"
    failed = door(to="v9")
    assert (failed["failed"], failed["code"]) == (True, "not_staged")


IN_AN_IMAGE = """#!/bin/sh
case "$1" in
run) ;;
*) exit 0 ;;
esac
printf '%%s\\n' "$*" >> %(said)s
while :; do
    case "$1" in
%(images)s
    esac
    shift
done
shift
exec %(python)s "$@"
"""


def test_through_the_images(node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Releases that are images have nothing in their trees; the first of them brought no migration, and has no Alembic at all."""
    node.brings(UP, DOWN)
    node.migrate(NEW)
    name = node.save()
    digests, folders = {OLD: f"sha256:{'1' * 64}", NEW: f"sha256:{'2' * 64}"}, {}
    for tag, digest in digests.items():
        tree, folders[tag] = node.layout.release(tag), tmp_path / tag
        manifest = json.loads((tree / "release.json").read_text())
        shutil.move(tree, folders[tag])
        tree.mkdir()
        (tree / "release.json").write_text(json.dumps({**manifest, "images": {"backend": {"reference": "", "digest": digest}}}))
    docker, said = tmp_path / "docker", tmp_path / "said"
    images = "\n".join(f"    {digest}) cd {folders[tag]}; break ;;" for tag, digest in digests.items())
    docker.write_text(IN_AN_IMAGE % {"said": said, "images": images, "python": node.stage.python})
    docker.chmod(0o755)
    monkeypatch.setattr(code_place, "Docker", lambda: SimpleNamespace(digest=lambda digest: digest))
    monkeypatch.setattr(code_place, "InImage", partial(InImage, docker=str(docker)))

    found = node.drill()
    assert (found["verdict"], found["set"], found["from"], found["to"]) == ("passed", name, NEW, OLD)
    assert set(found["seconds"]) == {"restore", "prepare", "upgrade", "downgrade", "all"}
    assert node.live() == ("bbb2", "id,name,owner")
    commands = said.read_text()
    assert digests[OLD] in commands, "it told where its schema ends"
    for secret in (PASSWORD, QUOTED, "__drill"):
        assert secret not in commands
    assert node.layout.drills(NEW)[OLD]["verdict"] == "passed"
    node.clean()

    tree = node.layout.release(OLD)
    manifest = json.loads((tree / "release.json").read_text())
    (tree / "release.json").write_text(json.dumps({**manifest, "alembic_heads": [], "alembic_asked": True}))
    shutil.rmtree(folders[OLD])
    found = node.drill()
    assert found["steps"]["downgrade"] == f"bbb2 → no revision, by the code of {NEW}"
    assert (found["verdict"], found["lost"]) == ("loses", ["public.workflows (written by the newer release): 5 of 5 rows are gone"])
    assert node.live() == ("bbb2", "id,name,owner")
    node.clean()
