# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node tells the planner about itself, also where parts of it are gone."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.systemd import Systemd
from ansible_collections.phasegate.aistack.plugins.module_utils.core.proc import Ended
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.psql import DatabaseError
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.version_table import VersionTable
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.plan import RollbackRequest, plan
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.view import backup_sets, current_heads, observe
from ansible_collections.phasegate.aistack.plugins.module_utils.slots import component_file
from ansible_collections.phasegate.aistack.tests.unit.plugins.module_utils.rollback.fleet import AllUnits, Fleet


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    fleet = Fleet(tmp_path, warm=300)
    fleet.deploy(1)
    fleet.deploy(2)
    return fleet


def view_of(fleet: Fleet, **given: Any) -> dict[str, Any]:
    systemd: Any = AllUnits(fleet)
    view = observe(fleet.state, "shop", systemd=systemd, **given)
    json.dumps(view)
    return view


def test_what_is_there(fleet: Fleet) -> None:
    web = view_of(fleet)["components"]["web"]
    assert web["live"] == {"slot": "green", "release": "v2", "config": "c2"}
    assert web["slots"] == {
        "blue": {"release": "v1", "config": "c1", "running": True, "pid": 101, "idle": []},
        "green": {"release": "v2", "config": "c2", "running": True, "pid": 102, "idle": []},
    }
    assert view_of(fleet)["components"]["worker"]["slots"]["blue"]["running"] is False
    assert web["staged"] == ["v3", "v2", "v1"]
    assert web["configs"] == ["c1", "c2", "c3"]
    assert web["manifests"]["v2"]["commit"] == "2" * 40
    assert web["candidates"] == ["v1"]
    assert web["database"] is None
    assert sorted(web["env"]) == ["c1", "c2"], "configs that nothing uses are not read"


def test_a_slot_runs_while_any_of_its_instances_does(fleet: Fleet) -> None:
    component_file.set_instances(fleet.state, "worker", 3, 2)
    live = view_of(fleet)["components"]["worker"]["live"]["slot"]
    machine = fleet.systemd("worker").machine
    machine.change("more", lambda state: state.update({f"{live}-3": {"running": True, "enabled": True}}))
    slots = view_of(fleet)["components"]["worker"]["slots"]
    assert (slots[live]["running"], slots[live]["idle"]) == (True, [f"{live}-2"])
    machine.change("less", lambda state: state[live].update(running=False))
    assert view_of(fleet)["components"]["worker"]["slots"][live]["idle"] == [live, f"{live}-2"]


def test_values_of_the_environment_are_told_apart_and_not_told(fleet: Fleet) -> None:
    view = view_of(fleet)
    assert "hunter2" not in json.dumps(view)
    env = view["components"]["web"]["env"]
    assert env["c1"]["TOKEN"] == env["c2"]["TOKEN"]
    assert env["c1"]["LEVEL"] != env["c2"]["LEVEL"]
    assert view_of(fleet)["components"]["web"]["env"] != env, "the digest of a secret must not be looked up later"
    assert plan(view, RollbackRequest())["steps"][-1]["detail"]["environment"] == {"added": [], "removed": [], "changed": ["LEVEL"]}


def test_a_description_that_cannot_be_used_is_said(fleet: Fleet) -> None:
    path = component_file.path_of(fleet.state, "web")
    path.write_text("{torn")
    path.with_name("worker.json").write_text('{"format": 9, "component": "worker"}')
    path.with_name("beat.json.old").write_text("{}")
    view = view_of(fleet)
    assert list(view["components"]) == ["beat"]
    assert "web.json cannot be read" in view["problems"][0]
    assert "worker.json is no description of worker in format 1" in view["problems"][1]
    assert any("web.json" in text for text in plan(view, RollbackRequest())["warnings"])


@pytest.mark.parametrize(
    ("format_", "gone", "more"),
    [
        (0, ("source", "order", "strategy", "ports", "drain_timeout", "stop_timeout", "warm", "database"), {}),
        (None, ("source",), {}),
        (2, (), {"replicas": 3, "edge_of": {"name": "front"}}),
    ],
)
def test_a_node_with_the_descriptions_of_another_version_is_not_left_out(
    fleet: Fleet, format_: int | None, gone: tuple[str, ...], more: dict[str, Any]
) -> None:
    """What is missing has its default, what nobody knows here is left alone; it goes back, and that is said."""
    for path in sorted(component_file.path_of(fleet.state, "web").parent.glob("*.json")):
        kept = {key: value for key, value in json.loads(path.read_text()).items() if key not in gone}
        kept.update({"format": format_, **more})
        if format_ is None:
            del kept["format"]
        path.write_text(json.dumps(kept))
    view = view_of(fleet)
    assert sorted(view["components"]) == ["beat", "web", "worker"]
    assert f"has format {format_}, this version writes 1" in view["problems"][0]
    made = plan(view, RollbackRequest())
    assert made["allowed"], made["refusals"]
    assert sorted(step["component"] for step in made["steps"]) == ["beat", "web", "worker"]
    assert any(f"has format {format_}" in text for text in made["warnings"])
    spec = component_file.spec_of(view["components"]["web"]["description"], fleet.state)
    assert spec.unit_of("blue") == fleet.spec("web").unit_of("blue")


@pytest.mark.parametrize(
    "wrong",
    [
        {"root": None}, {"root": 7}, {"unit": "web.service"}, {"strategy": "canary"}, {"edge": {"socket": "/run/x"}}, {"edge": "here"},
        {"ports": {"blue": "18001"}}, {"ports": [1]}, {"drain_timeout": "soon"}, {"drain_timeout": None}, {"database": "postgres"},
        {"database": {"url_variable": 7}}, {"application": 7}, {"component": "worker"},
    ],
)
def test_a_description_of_another_version_that_no_slot_can_be_driven_by_is_said(fleet: Fleet, wrong: dict[str, Any]) -> None:
    path = component_file.path_of(fleet.state, "web")
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 2, **wrong}))
    view = view_of(fleet)
    assert "web" not in view["components"]
    assert "is no description of web in format 1; the component is left out" in view["problems"][0]


def test_a_node_without_systemd_still_answers(fleet: Fleet) -> None:
    view = observe(fleet.state, systemd=Systemd(lambda cmd, timeout: Ended(1, "", "System has not been booted")))
    assert "System has not been booted" in view["problems"][0]
    assert plan(view, RollbackRequest())["to"] == "v1"


def test_a_bare_node() -> None:
    assert observe("/nonexistent/state")["components"] == {}


def described_database(fleet: Fleet, url: str) -> None:
    component_file.save(component_file.describe(fleet.spec("web"), {"application": "shop", "database": {}}), fleet.state)
    (fleet.root / "opt/web/config/c2/env").write_text(f'DATABASE_URL="{url}"\n')


def test_a_database_that_is_away_is_told_with_the_reason_and_the_journals_word(fleet: Fleet) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    described_database(fleet, f"postgresql://app:hunter2@127.0.0.1:{port}/app")
    found = view_of(fleet)["components"]["web"]["database"]
    assert (found["heads"], found["from"]) == (None, "nobody")
    assert found["why"]
    assert "hunter2" not in found["why"]
    detail = {"state": "upgraded", "from": [], "to": ["aa"], "steps": ["aa"], "phase": "expand"}
    fleet.journal.append({"op": "migrate", "component": "web", "release": "v2", "outcome": "ok", "detail": detail})
    assert view_of(fleet)["components"]["web"]["database"] == {**found, "heads": ["aa"], "from": "journal"}


def test_an_address_that_is_none(fleet: Fleet) -> None:
    described_database(fleet, "mysql://x")
    assert "tells no address" in view_of(fleet)["components"]["web"]["database"]["why"]


class Session:
    def __init__(self, tables: list[str], heads: list[str]) -> None:
        self.tables, self.heads, self.asked = tables, heads, []

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *what: object) -> None:
        self.asked.append("closed")

    def query(self, sql: str, timeout: float) -> list[str]:
        self.asked.append(sql)
        return self.tables if "pg_class" in sql else self.heads


def test_heads_are_read_from_the_table_wherever_it_is() -> None:
    session = Session(["app.alembic_version"], ["bb", "aa"])

    def connect(user: str | None) -> Session:
        if user:
            raise LookupError(user)
        return session

    assert current_heads(connect, VersionTable()) == ["bb", "aa"]
    assert "FROM app.alembic_version" in session.asked[1]
    assert session.asked[-1] == "closed"
    assert current_heads(lambda user: Session([], []), VersionTable()) == []
    with pytest.raises(DatabaseError, match="2 tables"):
        current_heads(lambda user: Session(["a", "b"], []), VersionTable())
    with pytest.raises(DatabaseError, match="cannot be read"):
        current_heads(lambda user: Session(["a"], ["aa"]), VersionTable(problem="it cannot be read"))


def test_backup_sets_of_both_forms(tmp_path: Path) -> None:
    def write(name: str, manifest: Any, **files: str) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "manifest.json").write_text(manifest if isinstance(manifest, str) else json.dumps(manifest))
        for file, content in files.items():
            (folder / file).write_text(content)
        return folder

    old = {"format": 1, "component": "web", "made": "2026-01-01", "from": "aa_bb", "to": "cc", "file": "dump", "bytes": 4, "seconds": 1}
    write("20260101T000000Z-web-aa_bb-cc", old, dump="1234")
    write("20260102T000000Z-web-base-aa", {**old, "from": "base"}, dump="12")
    new = {
        "format": 2, "made": "2026-01-03", "verdict": "verified", "heads": {"web": ["cc"]}, "live": {"web": {"release": "v2"}},
        "parts": [{"kind": "postgres", "name": "app", "path": "db"}], "files": {"db": {"sha256": "x", "bytes": 3}}, "seconds": 9,
    }
    write("20260103T000000Z-deploy", new, db="123")
    owned = {"kind": "postgres", "name": "app", "path": "db", "facts": {"component": "web"}}
    write("20260104T000000Z-deploy", {**new, "stack": "shop", "left_out": ["a bucket"], "parts": [owned]})
    write("20260105T000000Z-deploy", "{torn")
    write(".partial-20260106T000000Z-deploy", new, db="123")
    sets = backup_sets(tmp_path)
    assert [entry["name"][:8] for entry in sets] == ["20260101", "20260102", "20260103", "20260104", "20260105"]
    assert (sets[0]["heads"], sets[0]["verdict"], "problem" in sets[0]) == ({"web": ["aa", "bb"]}, "verified", False)
    assert (sets[1]["heads"], sets[1]["problem"]) == ({"web": []}, "dump has 2 bytes, expected 4")
    assert (sets[2]["parts"], sets[2]["live"], "problem" in sets[2]) == ([{"kind": "postgres", "name": "app"}], new["live"], False)
    assert [entry.get("format") for entry in sets] == [1, 1, 2, 2, None]
    assert (sets[2]["stack"], sets[2]["left_out"]) == ("", [])
    assert (sets[3]["stack"], sets[3]["left_out"]) == ("shop", ["a bucket"])
    assert sets[3]["parts"] == [{"kind": "postgres", "name": "app", "component": "web"}]
    assert "db: No such file" in sets[3]["problem"]
    assert "manifest cannot be read" in sets[4]["problem"]
    assert backup_sets(tmp_path / "none") == []


def test_in_an_emergency_a_database_that_is_down_is_said_and_nothing_is_refused(fleet: Fleet) -> None:
    """The port is real, and nobody listens there."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    for config in ("c1", "c2"):
        with (fleet.root / "opt" / "web" / "config" / config / "env").open("a") as env:
            env.write(f'DATABASE_URL="postgresql://app:hunter2@127.0.0.1:{port}/shop"\n')
    described = component_file.describe(fleet.spec("web"), {"application": "shop", "order": 0, "database": {}})
    component_file.save({**described, "database": {"url_variable": "DATABASE_URL"}}, fleet.state)
    view = view_of(fleet)
    assert (view["components"]["web"]["database"]["heads"], view["components"]["web"]["database"]["from"]) == (None, "nobody")
    made = plan(view, RollbackRequest(best_effort=True))
    assert (made["allowed"], made["to"], made["refusals"]) == (True, "v1", [])
    assert len(made["unverified"]) == 1
    assert "web: whether v1 runs on the present schema: " in made["unverified"][0]
    assert "hunter2" not in json.dumps(made)
    assert [refusal["code"] for refusal in plan(view, RollbackRequest("schema", best_effort=True))["refusals"]] == ["database_away"]
