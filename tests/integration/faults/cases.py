# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Steps times faults: what is broken at which step of which operation, and what is done then."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

from ..refusals.conftest import ROOT
from ..rollback.conftest import AFTER, BEFORE, bring, config, keep, with_setting
from .world import World

FIRST = "v4.0.0"
MIGRATES = "v4.17.0"
"""A good release with an additive migration more than BEFORE and AFTER."""


@dataclass(frozen=True)
class Case:
    """One row of the table.

    Attributes:
        step: a part of a task's name; empty: the fault is there from the beginning.
        fault: C(controller), or a key of C(world.FAULTS).
        after: seconds into the step.
        recover: C(again) runs the same again; C(back) takes the stack back by emergency_rollback.yml.
        quick: part of C(make test).
    """

    operation: str
    step: str
    fault: str = "controller"
    after: float = 0.4
    recover: str = "again"
    quick: bool = False

    @property
    def name(self) -> str:
        """The case for people and for pytest."""
        return f"{self.operation}, {self.step}, {self.fault}"


@dataclass(frozen=True)
class Operation:
    """What is run: the releases that serve before it and when it has been carried out; what else is true then.

    C(stands_still): while it works nobody is served, so that nobody is either where its controller dies, until it is run again.
    """

    playbook: str
    arguments: list[str]
    origin: dict[str, str]
    goal: dict[str, str]
    proof: Callable[[World], bool] = lambda world: True
    stands_still: bool = False


def _both(release: str) -> dict[str, str]:
    return {"backend": release, "frontend": release}


def _head(world: World) -> str:
    return world.sql("select version_num from alembic_version")


def _plain(world: World) -> str:
    """Have BEFORE or AFTER live on the schema that both were made for; returns which."""
    live = world.answering()
    if live["backend"] not in (BEFORE, AFTER) or live["frontend"] != live["backend"] or _head(world) not in ("0002",):
        bring(world, BEFORE)
        if _head(world) == "0017":
            back = {"state": "downgraded", "target": "0002", "component": "backend", "release": MIGRATES, "root": "/opt/aistack",
                    "state_dir": "/var/lib/aistack", "env_file": "/opt/aistack/backend/slots/live/config/env",
                    "accept_loss": ["workflows.author"]}
            world.module("backend-1", "alembic", back)
        return BEFORE
    return live["backend"]


def deployment(world: World) -> Operation:
    """From one of two good releases to the other; both are staged."""
    live = _plain(world)
    other = AFTER if live == BEFORE else BEFORE
    return Operation("deploy", ["-e", f"release={other}", "-e", "allow_bad=true"], _both(live), _both(other))


def staging(world: World) -> Operation:
    """The same, and the other release is not there yet: it is built."""
    operation = deployment(world)
    operation.arguments.extend(["-e", '{"aistack_artefacts": false}'])
    release = operation.goal["backend"]
    for node, component in (("backend-1", "backend"), ("web-1", "frontend")):
        world.on(node, f"for slot in blue green; do [ $(readlink /opt/aistack/{component}/slots/live) = $slot ] || "
                       f"systemctl stop aistack-{component}@$slot; done; rm -rf /opt/aistack/{component}/releases/{release}")
    return operation


def migration(world: World) -> Operation:
    """To a release that brings a migration."""
    live = _plain(world)
    return Operation("deploy", ["-e", f"release={MIGRATES}", "-e", "allow_bad=true"], _both(live), _both(MIGRATES))


def restore(world: World) -> Operation:
    """The database from a set that was made a moment ago."""
    live = _both(_plain(world))
    world.plant()
    made = world.play("backup", "-e", "prune=false")
    assert made.rc == 0, made.text
    sets = json.loads(world.on("backend-1", "aistack backup --list --json"))["sets"]
    name = next(entry["name"] for entry in sets if entry["verdict"] == "verified" and entry["name"].endswith("-manual"))
    arguments = ["-e", f"set={name}", "-e", f"confirm={name}", "-e", "what=postgres:sparklio", "-e", "terminate=true"]
    return Operation("restore", [*arguments, "--limit", "backend-1"], live, live)


def _deployed(world: World) -> None:
    """AFTER is live, and BEFORE is what it came from."""
    _plain(world)
    plan = json.loads(world.on("backend-1", "aistack plan --json", check=False))
    if set(world.serving().values()) != {AFTER} or plan["to"] != BEFORE:
        bring(world, BEFORE)
        bring(world, AFTER)


def rollback_app(world: World) -> Operation:
    """Planned, level app."""
    _deployed(world)
    arguments = ["-e", f"to={BEFORE}", "-e", f"confirm={BEFORE}", "-e", "documents=.ansible/faults"]
    return Operation("rollback", arguments, _both(AFTER), _both(BEFORE))


def emergency(world: World) -> Operation:
    """The one command that asks nothing."""
    _deployed(world)
    return Operation("emergency_rollback", ["-e", f"to={BEFORE}"], _both(AFTER), _both(BEFORE))


def rollback_schema(world: World) -> Operation:
    """Planned, level schema: a downgrade by the code of the newer release."""
    _plain(world)
    bring(world, BEFORE)
    keep(world, FIRST)
    arguments = ["-e", "level=schema", "-e", f"to={FIRST}", "-e", f"confirm={FIRST}", "-e", "accept_loss=agent_logs.model",
                 "-e", "drain_timeout=20"]
    return Operation("rollback", [*arguments, "-e", "documents=.ansible/faults"], _both(BEFORE), _both(FIRST), stands_still=True)


def rollback_config(world: World) -> Operation:
    """Planned, level config: the backend's environment alone."""
    release = _plain(world)
    before = config(world, "backend-1", "backend")
    folder = ROOT / ".ansible" / "faults"
    folder.mkdir(parents=True, exist_ok=True)
    setting = with_setting(folder, "LAB_NOTE", f"changed-{world.journal()[-1]['seq']}")
    done = world.play("deploy", "-e", f"release={release}", "-e", "allow_bad=true", "-e", "backup=false", *setting)
    assert done.rc == 0, done.text
    arguments = ["-e", "level=config", "-e", f"to={before}", "-e", f"confirm={before}", "-e", "documents=.ansible/faults"]

    def proof(world: World) -> bool:
        return config(world, "backend-1", "backend") == config(world, "backend-1", "worker") == before

    return Operation("rollback", arguments, _both(release), _both(release), proof)


def rollback_system(world: World) -> Operation:
    """Planned, level system: every component, and the data from the set of the target's time."""
    _plain(world)
    bring(world, BEFORE)
    world.plant()
    made = world.play("deploy", "-e", f"release={AFTER}", "-e", "allow_bad=true")  # with the set that it makes of the time of BEFORE
    assert made.rc == 0, made.text
    plan = json.loads(world.on("backend-1", f"aistack plan --json --level system --to {BEFORE}"))
    name = next(step["detail"]["set"] for step in plan["steps"] if step["do"] == "restore")
    arguments = ["-e", "level=system", "-e", f"to={BEFORE}", "-e", f"confirm={BEFORE}", "-e", f"set={name}", "-e", f"accept_set={name}"]
    arguments += ["-e", "drain_timeout=20", "-e", "documents=.ansible/faults"]
    return Operation("rollback", arguments, _both(AFTER), _both(BEFORE), stands_still=True)


OPERATIONS: dict[str, Callable[[World], Operation]] = {
    "deployment": deployment,
    "staging": staging,
    "migration": migration,
    "restore": restore,
    "rollback, level app": rollback_app,
    "rollback, level config": rollback_config,
    "rollback, level schema": rollback_schema,
    "rollback, level system": rollback_system,
    "emergency rollback": emergency,
}

CASES = [
    # the controller dies, at every step that changes something
    Case("deployment", "(1/5) Take the lock"),
    Case("deployment", "Install the aistack command"),
    Case("deployment", "(1/5) Save what a deployment could damage"),
    Case("staging", "sparklio: stage"),
    Case("staging", "sparklio: stage", after=2.0),
    Case("deployment", "sparklio: environment"),
    Case("migration", "backend: database to"),
    Case("migration", "backend: record that", after=0.0),
    Case("deployment", "sparklio: units of the slots"),
    Case("deployment", "sparklio: start and prove", after=2.0),
    Case("deployment", "backend: activate", quick=True),
    Case("deployment", "backend: activate", after=2.0, recover="back"),
    Case("deployment", "worker: activate"),
    Case("deployment", "beat: activate", recover="back"),
    Case("deployment", "frontend: activate"),
    Case("deployment", "(5/5) Accept", recover="back"),
    Case("deployment", "sparklio: prune old releases", after=0.0),
    Case("deployment", "(5/5) Record and give the lock back", after=0.0),
    Case("restore", "Take the lock", after=0.2),
    Case("restore", "(2/2) Put it back"),
    Case("restore", "(2/2) Put it back", after=1.5),
    Case("restore", "Give the lock back", after=0.0),
    Case("rollback, level app", "(3/5) Take the lock"),
    Case("rollback, level app", "(3/5) Write down what begins", after=0.0),
    Case("rollback, level app", "(3/5) Save what is"),
    Case("rollback, level app", "Go back", quick=True),
    Case("rollback, level app", "Go back", after=2.0),
    Case("rollback, level app", "(5/5) Every gate", after=0.1),
    Case("rollback, level app", "(5/5) Record and give the lock back", after=0.0),
    Case("rollback, level schema", "No new requests", after=0.3),
    Case("rollback, level schema", "Drain the queues"),
    Case("rollback, level schema", "Stop what writes"),
    Case("rollback, level schema", "backend: database to", after=0.8),
    Case("rollback, level schema", "Go back", after=1.0),
    Case("rollback, level schema", "Requests go on", after=0.0),
    Case("rollback, level schema", "The queues go on", after=0.0),
    Case("rollback, level config", "Go back", after=0.6),
    Case("rollback, level config", "Go back", after=2.0),
    Case("rollback, level system", "Stop what writes"),
    Case("rollback, level system", "Put the set back", after=1.0),
    Case("rollback, level system", "Go back", after=1.0),
    Case("emergency rollback", "What each node can go back to", after=0.1),
    Case("emergency rollback", "Go back"),
    Case("emergency rollback", "Go back", after=1.5),
    # the world breaks
    Case("staging", "sparklio: stage", "node", after=1.0),
    Case("staging", "sparklio: stage", "disk for releases", after=0.0),
    Case("staging", "sparklio: stage", "network to the node", after=0.0),
    Case("deployment", "(1/5) Save what a deployment could damage", "disk for sets", after=0.0),
    Case("migration", "backend: database to", "database", after=0.3),
    Case("migration", "backend: database to", "node", after=0.3),
    Case("migration", "backend: database to", "network to the database", after=0.0),
    Case("deployment", "backend: activate", "database", after=0.0),
    Case("deployment", "backend: activate", "broker", after=0.0),
    Case("deployment", "backend: activate", "node", after=1.0),
    Case("deployment", "backend: activate", "node in the shift", after=0.05),
    Case("deployment", "backend: activate", "node with a slow database", after=1.0),
    Case("deployment", "backend: activate", "network to the database", after=0.0),
    Case("deployment", "backend: activate", "network to the node", after=0.0),
    Case("deployment", "", "clock"),
    Case("restore", "(2/2) Put it back", "corrupt set", after=0.0),
    Case("restore", "(2/2) Put it back", "database", after=0.6),
    Case("restore", "(2/2) Put it back", "node", after=0.6),
    Case("rollback, level app", "Go back", "broker", after=0.0),
    Case("rollback, level app", "Go back", "node", after=1.0),
    Case("rollback, level schema", "backend: database to", "database", after=0.3),
    Case("rollback, level schema", "backend: database to", "node", after=0.5),
    Case("rollback, level system", "Put the set back", "database", after=1.0),
    Case("emergency rollback", "Go back", "database", after=0.0),
    Case("emergency rollback", "Go back", "network to the node", after=0.5),
]
