# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The restore step of a planned rollback, on this machine alone: a stand-in of the node's command has the plan, set and data are real."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
COMMAND = """#!{python}
import json, pathlib, sys
folder = pathlib.Path({folder!r})
with open(folder / "called", "a") as stream:
    stream.write(" ".join(sys.argv[1:]) + "\\n")
print((folder / ("plan.json" if "plan" in sys.argv else "back.json")).read_text())
"""


@dataclass
class Place:
    """A node in a folder: one SQLite database with one row in the set and two more since."""

    folder: Path
    name: str = ""

    def play(self, book: str, *arguments: str) -> tuple[int, str]:
        """Exit status of a playbook, and what it said on one line."""
        # as an operator sees it, whatever runs these tests
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "MOLECULE_"))}
        done = subprocess.run(
            [str(ROOT / ".venv/bin/ansible-playbook"), "-i", str(self.folder / "hosts.json"), book, *arguments],
            cwd=ROOT, text=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=300, check=False,
            env={**clean, "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}", "ANSIBLE_NOCOLOR": "1"},
        )
        return done.returncode, " ".join((done.stdout + done.stderr).split())

    def back(self, *arguments: str) -> tuple[int, str]:
        """The rollback, by the name of the target."""
        documents = str(self.folder / "documents")
        common = ["-e", "level=system", "-e", "drain=false", "-e", "confirm=v1", "-e", f"documents={documents}"]
        return self.play("playbooks/rollback.yml", *common, *arguments)

    def rows(self) -> int:
        with sqlite3.connect(self.folder / "shop.db") as database:
            return int(database.execute("select count(*) from orders").fetchone()[0])

    def called(self) -> list[str]:
        """What the node's command was asked for."""
        return [line.split()[2] for line in (self.folder / "called").read_text().splitlines()]

    def sets(self) -> list[str]:
        return sorted(path.name for path in (self.folder / "state/backups").iterdir() if not path.name.startswith("."))

    def describe(self, *more: dict[str, str]) -> None:
        """What the node has to save."""
        described = {"stack": "tiny", "sqlite": [{"name": "shop", "path": str(self.folder / "shop.db")}, *more]}
        (self.folder / "state/backup.json").write_text(json.dumps(described))

    def plan(self) -> dict[str, Any]:
        restore = {"set": self.name, "made": "2026", "what": ["sqlite:shop"], "parts": ["sqlite shop"], "expected_s": 3}
        switch = {"release": "v1", "config": "c", "from": {"release": "v2", "config": "c"}, "strategy": "bluegreen", "expected_s": 1}
        return {
            "level": "system", "application": "tiny", "from": "v2", "to": "v1", "allowed": True, "refusals": [], "warnings": [],
            "unverified": [], "losses": ["everything: what was written since"], "objective_s": 3600, "expected_s": 4, "descriptions": {},
            "candidates": [{"node": "node-1", "component": "api", "present": "v2", "tags": ["v2", "v1"]}],
            "steps": [
                {"do": "backup", "component": None, "detail": {}}, {"do": "restore", "component": None, "detail": restore},
                {"do": "switch", "component": "api", "detail": switch},
            ],
        }


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A set is there, and two rows more than in it: made once, for :func:`place`."""
    tmp_path = tmp_path_factory.mktemp("made") / "node"
    tmp_path.mkdir()
    place = Place(tmp_path)
    for name in ("bin", "state", "opt"):
        (tmp_path / name).mkdir()
    components = {
        "toolchain": {"role": "toolchain", "hosts": "aistack"},
        "api": {
            "role": "backend", "hosts": "aistack", "application": "tiny", "lock": "requirements.lock",
            "options": {"app": "main:app"}, "gate": [{"name": "a file", "file": str(tmp_path / "state/backup.json")}],
        },
    }
    variables = {
        "aistack_name": "tiny", "aistack_root": str(tmp_path / "opt"), "aistack_state": str(tmp_path / "state"),
        "aistack_address": "127.0.0.1", "aistack_ports": {"api": 8080, "api_blue": 18080, "api_green": 18081},
        "aistack_applications": {"tiny": {"repo": "/none.git", "release": "v1"}}, "aistack_components": components,
        "aistack_phases": {"phase0": {"title": "Ground", "components": ["toolchain"]},
                           "phase1": {"title": "Service", "requires": ["phase0"], "components": ["api"]}},
        "ansible_connection": "local", "ansible_python_interpreter": sys.executable,
    }
    hosts = {"all": {"vars": variables, "children": {"aistack": {"hosts": {"node-1": {}}}}}}
    (tmp_path / "hosts.json").write_text(json.dumps(hosts))
    place.describe()
    with sqlite3.connect(tmp_path / "shop.db") as database:
        database.execute("create table orders (id integer)")
        database.execute("insert into orders values (1)")
    rc, said = place.play("playbooks/backup.yml")
    assert rc == 0, said
    (place.name,) = place.sets()
    with sqlite3.connect(tmp_path / "shop.db") as database:
        database.executemany("insert into orders values (?)", [(2,), (3,)])
    command = tmp_path / "bin/aistack"
    command.write_text(COMMAND.format(python=sys.executable, folder=str(tmp_path)))
    command.chmod(0o755)
    (tmp_path / "plan.json").write_text(json.dumps(place.plan()))
    went = {"outcome": "ok", "changed": True, "components": [{"component": "api", "outcome": "ok", "seconds": 1}]}
    (tmp_path / "back.json").write_text(json.dumps(went))
    subprocess.run(["cp", "--archive", str(place.folder), f"{place.folder}.kept"], check=True)
    return place


@pytest.fixture
def place(made: Place) -> Place:
    """The place as it was made, whatever another test did to it: at the same path, which the set and the inventory name."""
    shutil.rmtree(made.folder)
    subprocess.run(["cp", "--archive", f"{made.folder}.kept", str(made.folder)], check=True)
    return Place(made.folder, made.name)


PRICE = "table orders has 3 rows now, 1 in the set"


@pytest.mark.parametrize("accepted", [[], ["-e", "accept_set=another"]], ids=["not accepted", "another accepted"])
def test_the_price_is_shown_and_the_set_has_to_be_accepted_by_name(place: Place, accepted: list[str]) -> None:
    rc, said = place.back(*accepted)
    assert rc != 0
    for part in (PRICE, f"-e accept_set={place.name}", "Nothing that serves was changed"):
        assert part in said
    assert (place.rows(), place.called(), place.sets()) == (3, ["plan"], [place.name])
    assert not (place.folder / "state/journal.jsonl").read_text().count('"op":"restore"')


def test_it_is_put_back_between_the_backup_and_the_switch(place: Place) -> None:
    rc, said = place.back("-e", f"accept_set={place.name}")
    assert rc == 0, said
    assert said.index("Save what is replaced") < said.index("Put the set back") < said.index("Go back")
    assert place.rows() == 1
    assert place.called() == ["plan", "plan", "rollback", "status"]
    (saved,) = [name for name in place.sets() if name.endswith("-rollback")]
    (plan,), (post,) = ([*place.folder.glob(f"documents/{kind}-*.md")] for kind in ("rollback", "post-mortem"))
    assert PRICE in plan.read_text()
    told = json.loads(plan.with_suffix(".json").read_text())
    assert (told["format"], told["facts"]["to"], told["plan"]["nodes"]["node-1"]["from"]) == (1, "v1", "v2")
    assert [step["do"] for step in told["plan"]["nodes"]["node-1"]["steps"]] == ["backup", "restore", "switch"]
    assert PRICE in str(told["plan"]["data_loss"])
    written = post.read_text()
    for part in (PRICE, "| Level | system (whole system) |", "within the objective of 3600 s", "sqlite:shop: ", f"the backup set {saved}"):
        assert part in written
    assert not (place.folder / "state/lock.json").exists()


def test_a_node_that_does_not_go_back_is_written_down_and_told(place: Place) -> None:
    told = place.folder / "told"
    receiver = {"kind": "command", "name": "pager", "command": ["sh", "-c", f"cat >> {told}; echo >> {told}"]}
    row = {"component": "api", "outcome": "failed", "seconds": 1, "message": "its gate failed"}
    (place.folder / "back.json").write_text(json.dumps({"outcome": "failed", "components": [row]}))
    command = place.folder / "bin/aistack"
    command.write_text(command.read_text() + "sys.exit('plan' not in sys.argv)\n")
    rc, _said = place.back("-e", f"accept_set={place.name}", "-e", json.dumps({"aistack_notices": [receiver], "owner": "ann"}))
    assert rc != 0
    (plan,) = place.folder.glob("documents/rollback-*.md")
    for part in ("- [x] Notified: pager", "- [x] Approved: by ann, by the name of the target"):
        assert part in plan.read_text(), plan.read_text()
    (post,) = place.folder.glob("documents/post-mortem-*.md")
    written = post.read_text()
    for part in (
        "| Notified | pager |", "| Approved | by ann, by the name of the target |", "NOT complete: node-1: Go back",
        "api on node-1 is not back (its gate failed)", PRICE, "run the same command again",
    ):
        assert part in written, written
    began, ended = (json.loads(line) for line in told.read_text().splitlines())
    assert (began["event"], ended["event"]) == ("rollback_started", "rollback_failed")
    assert ended["facts"]["error"].startswith("node-1: Go back")
    assert not (place.folder / "state/lock.json").exists()


def test_a_node_that_changes_after_the_consent_is_left_alone(place: Place) -> None:
    other = {**place.plan(), "from": "v3"}
    other["steps"][-1]["detail"]["from"]["release"] = "v3"
    (place.folder / "other.json").write_text(json.dumps(other))
    command = place.folder / "bin/aistack"
    # somebody deploys between the plan and the lock
    command.write_text(command.read_text() + "(folder / 'plan.json').write_text((folder / 'other.json').read_text())\n")
    rc, said = place.back("-e", f"accept_set={place.name}")
    assert rc != 0
    for part in ("node-1 has changed since the plan was shown", "from v3 to v1", "read the new plan"):
        assert part in said, said
    assert (place.rows(), place.called(), place.sets()) == (3, ["plan", "plan", "status"], [place.name])
    assert not (place.folder / "state/lock.json").exists()


def test_what_a_run_that_was_interrupted_ended_meanwhile_is_not_done_again(place: Place) -> None:
    ended = {**place.plan(), "allowed": False, "steps": [], "refusals": [{"code": "already_there", "reason": "", "remedy": ""}]}
    (place.folder / "other.json").write_text(json.dumps(ended))
    (place.folder / "back.json").write_text(json.dumps({"outcome": "refused", "components": [], "plan": ended}))
    command = place.folder / "bin/aistack"
    later = "(folder / 'plan.json').write_text((folder / 'other.json').read_text())\n"
    command.write_text(command.read_text() + later + "sys.exit(2 if 'rollback' in sys.argv else 0)\n")
    rc, said = place.back("-e", f"accept_set={place.name}")
    assert rc == 0, said
    assert "everything is back at v1" in said
    assert (place.rows(), place.called()) == (3, ["plan", "plan", "rollback", "status"]), "the other run has put the set back"


def test_where_what_is_cannot_be_saved_nothing_is_replaced(place: Place) -> None:
    torn = place.folder / "torn.db"
    torn.write_bytes(b"no database" * 100)
    place.describe({"name": "torn", "path": str(torn)})
    rc, said = place.back("-e", f"accept_set={place.name}")
    assert rc != 0
    for part in ("torn", "No data was touched", "run the same command again"):
        assert part in said
    assert (place.rows(), place.called(), place.sets()) == (3, ["plan", "plan", "status"], [place.name])
    assert not (place.folder / "state/lock.json").exists()
    (post,) = place.folder.glob("documents/post-mortem-*.md")
    assert "NOT complete" in post.read_text()
    assert "api on node-1" not in post.read_text(), "nobody asked it to go back"


def test_a_set_that_cannot_be_verified_is_refused_before_the_consent(place: Place) -> None:
    (saved,) = [path for path in (place.folder / "state/backups" / place.name / "sqlite").iterdir() if path.is_file()]
    with open(saved, "r+b") as stream:
        stream.seek(100)
        stream.write(b"x")
    rc, said = place.back("-e", f"accept_set={place.name}")
    assert rc != 0
    for part in ("Nothing was restored", "SHA-256", place.name):
        assert part in said
    assert "Take the lock" not in said
    assert (place.rows(), place.called()) == (3, ["plan"])


def test_a_set_that_is_gone_here_comes_back_from_its_copy(place: Place) -> None:
    (place.folder / "elsewhere").mkdir()
    config = place.folder / "state/backup.rclone.conf"
    config.write_text(f"[offsite]\ntype = alias\nremote = {place.folder / 'elsewhere'}\n")
    config.chmod(0o600)
    hosts = json.loads((place.folder / "hosts.json").read_text())
    hosts["all"]["vars"]["backup_copy"] = {"remote": "offsite", "path": "sets"}
    (place.folder / "hosts.json").write_text(json.dumps(hosts))
    described = json.loads((place.folder / "state/backup.json").read_text())
    (place.folder / "state/backup.json").write_text(json.dumps({**described, "copy": {"remote": "offsite", "path": "sets"}}))
    rc, said = place.play("playbooks/backup.yml")
    assert rc == 0, said
    name = place.sets()[-1]
    shutil.rmtree(place.folder / "state/backups")
    with sqlite3.connect(place.folder / "shop.db") as database:
        database.execute("delete from orders")
    words = ["-e", f"set={name}", "-e", f"confirm={name}"]
    rc, said = place.play("playbooks/restore.yml", *words)
    assert rc != 0
    assert f"No node has a backup set {name}" in said
    rc, said = place.play("playbooks/restore.yml", *words, "-e", "from_copy=true")
    assert rc == 0, said
    assert place.rows() == 3


PYTHON = """#!{python}
import json, sys
asked = json.load(sys.stdin)
task = dict(worker="worker-blue@node-1", state="active", id="1", name="shop.nap", seconds=2.0, due_in=None, later=False)
seen = dict(workers={{"worker-blue@node-1": []}}, tasks=[] if asked["until"] and {ends} else [task], settings={{}})
seen["settled"] = not seen["tasks"]
with open({called!r}, "a") as stream:
    stream.write("the worker " + ("drains" if asked["until"] else "asked") + "\\n")
print("aistack-drain-answer:" + json.dumps(seen))
"""


@pytest.mark.parametrize("choice", ["tell", "refuse", "wait"])
def test_tasks_that_a_rollback_would_end_are_told_before_anything_is_done(place: Place, choice: str) -> None:
    slot = place.folder / "opt/worker/slots/blue"
    for folder in (slot / "config", slot / "release/.venv/bin"):
        folder.mkdir(parents=True)
    (slot.parent / "live").symlink_to("blue")
    (slot / "slot.env").write_text("")
    (slot / "config/env").write_text("")
    python = slot / "release/.venv/bin/python"
    python.write_text(PYTHON.format(python=sys.executable, ends=choice != "wait", called=str(place.folder / "called")))
    python.chmod(0o755)
    hosts = json.loads((place.folder / "hosts.json").read_text())
    described = hosts["all"]["vars"]
    described["aistack_components"]["worker"] = {
        "role": "phasegate.aistack.worker", "hosts": "aistack", "release_from": "api", "slots": {"long_tasks": choice}, "gate": [],
    }
    described["aistack_phases"]["phase1"]["components"].append("worker")
    (place.folder / "hosts.json").write_text(json.dumps(hosts))
    rc, said = place.back("-e", f"accept_set={place.name}", "-e", "drain=true", "-e", "drain_timeout=1")
    warned = "1 task may not end within the 30 s that stopping the worker leaves (stop_timeout), and would then be killed and lost"
    assert warned in said
    if choice == "refuse":
        assert rc != 0
        assert "Refused, and nothing was changed." in said
        assert "-e drain=false" in said
        assert (place.rows(), place.called(), place.sets()) == (3, ["plan", "plan", "asked", "status"], [place.name])
        return
    if choice == "wait":  # what does not end in time holds the rollback: nothing is switched, and the worker takes tasks again
        assert rc != 0
        assert "shop.nap" in said
        assert "Failed on node-1" in said
        assert "rollback" not in place.called()
        assert place.called()[-1] == "status", "what is live now is said"
        assert place.rows() == 3
        assert not list((place.folder / "state/drained").glob("*.json")), "nothing of it is left stopped"
        return
    assert rc == 0, said
    assert place.called() == ["plan", "plan", "asked", "asked", "drains", "rollback", "status"], "told before anything was done"


def test_after_a_rollback_what_another_host_asks_is_judged_by_the_live_release(place: Place) -> None:
    slot = place.folder / "opt/api/slots/blue"
    slot.mkdir(parents=True)
    (slot.parent / "live").symlink_to("blue")
    (slot / "slot.env").write_text("")
    (slot / "release").symlink_to("../../releases/v1")
    page = place.folder / "page"
    page.write_text("old")
    asked = {"name": "page", "type": "file", "target": str(page), "component": "api", "from": "aistack", "severity": "critical"}
    elsewhere = {"v1": [{**asked, "contains": "old"}], "v2": [{**asked, "contains": "new"}]}
    (place.folder / "state/gates").mkdir()
    (place.folder / "state/gates/api.json").write_text(json.dumps({"v1": {}, "v2": {}, ":elsewhere": elsewhere}))
    hosts = json.loads((place.folder / "hosts.json").read_text())
    today = {"name": "page", "file": str(page), "contains": "new", "from": "aistack"}
    hosts["all"]["vars"]["aistack_components"]["api"]["gate"].append(today)
    (place.folder / "hosts.json").write_text(json.dumps(hosts))
    rc, said = place.play("playbooks/healthcheck.yml", "-e", "only=api")
    assert rc == 0, said
    assert "api: v1 is live, and passes the gate that it was activated with. The inventory's gate of today says: page: " in said
    assert "is the gate of v2: deploy that release" in said
