# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node says of its stack, read by the real exporter and the real Prometheus; a queue in the real Redis."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.phasegate.aistack.plugins.filter.monitoring import alert_rules
from ansible_collections.phasegate.aistack.plugins.module_utils.clients.context import Context
from ansible_collections.phasegate.aistack.plugins.module_utils.clients.redis import Connection
from ansible_collections.phasegate.aistack.plugins.module_utils.clients.systemd import UnitState
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.file import Journal
from ansible_collections.phasegate.aistack.plugins.module_utils.node import figures
from ansible_collections.phasegate.aistack.plugins.module_utils.slots import component_file

from .conftest import World, free_ports, wait

BROKER = "s3cret-of-the-broker"


class Running:
    """systemd of a node on which every unit runs."""

    def show(self, *units: str) -> list[UnitState]:
        return [UnitState(unit, "loaded", "active", enabled=True, main_pid=7) for unit in units]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[int]:
    """The port of a Redis in which three tasks wait for C(celery), and one for a queue that no worker has."""
    assert shutil.which("redis-server"), "redis-server is needed: tests/tools/host-packages.sh"
    (port,) = free_ports(1)
    settings = f"port {port}\nbind 127.0.0.1\nrequirepass {BROKER}\nsave ''\ndir {tmp_path}\n"
    with subprocess.Popen(["redis-server", "-"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        assert process.stdin
        process.stdin.write(settings.encode())
        process.stdin.close()
        try:
            assert wait(lambda: filled(port))
            yield port
        finally:
            process.terminate()


def filled(port: int) -> bool:
    try:
        connection = Connection("127.0.0.1", port, Context())
    except OSError:
        return False
    connection.command("AUTH", BROKER)
    connection.command("LPUSH", "celery", "a", "b", "c")
    connection.command("LPUSH", "video", "a")
    connection.command("SADD", "_kombu.binding.video", "x")
    connection.close()
    return True


@pytest.fixture
def asked(tmp_path: Path, broker: int) -> figures.Asked:
    """A node with a worker that has one release."""
    state, home = tmp_path / "state", tmp_path / "opt" / "worker"
    for path in (home / "releases/v1", home / "config/c1", home / "slots/blue"):
        path.mkdir(parents=True)
    (home / "config/c1/env").write_text(f'CELERY_BROKER_URL="redis://:{BROKER}@127.0.0.1:{broker}/0"\n')
    (home / "slots/blue/release").symlink_to("../../releases/v1")
    (home / "slots/blue/config").symlink_to("../../config/c1")
    (home / "slots/live").symlink_to("blue")
    described: Any = {
        "format": component_file.FORMAT, "component": "worker", "source": "api", "application": "shop", "root": str(tmp_path / "opt"),
        "unit": "aistack-worker@{slot}.service", "instances": 2,
    }
    component_file.save(described, state)
    live = {"slot": "blue", "config": "c1", "previous": None}
    Journal.of(state).append({"op": "activate", "component": "worker", "release": "v1", "outcome": "ok", "detail": live})
    return figures.Asked("shop", state, {"worker": ["celery"]})


def write(world: World, asked: figures.Asked) -> str:
    systemd: Any = Running()
    return figures.write(asked, world.figures / "aistack-shop.prom", systemd)


def test_a_node_says_what_is_live_and_what_waits(world: World, asked: figures.Asked) -> None:
    assert BROKER not in write(world, asked)
    here = 'stack="shop",component="worker",node="localhost"'
    for query, value in (
        (f'aistack_live_release_info{{{here},release="v1",slot="blue"}}', 1),
        (f'aistack_queue_length{{{here},application="shop",queue="celery"}}', 3),
        (f'aistack_queue_length{{{here},queue="video"}}', 1),
        (f'aistack_queue_workers{{{here},queue="celery"}}', 2),
        (f"aistack_broker_answers{{{here}}}", 1),
        ("node_textfile_scrape_error", 0),
    ):
        assert wait(lambda asked=query, value=value: world.probe(prometheus=None, query=asked, value=value).ok), query
    assert world.alerts().get("JournalBroken") is None
    book = asked.state_dir / "journal.jsonl"
    book.write_text(book.read_text().replace('"slot":"blue"', '"slot":"green"'))
    (world.figures / "aistack-shop.prom").unlink()  # a chain that held is believed for a while
    write(world, asked)
    assert wait(lambda: world.alerts().get("JournalBroken") == "pending"), world.alerts()
    (world.figures / "aistack-shop.prom").unlink()
    assert wait(lambda: "JournalBroken" not in world.alerts())


def test_each_alert_about_it_has_a_case_that_fires_and_one_that_does_not(tmp_path: Path) -> None:
    components = {
        "api": {"role": "backend", "hosts": "all", "application": "shop", "migrations": {}}, "db": {"role": "postgres", "hosts": "all"},
        "worker": {"role": "worker", "hosts": "all", "release_from": "api"}, "exporters": {"role": "exporters", "hosts": "all"},
    }
    made: Any = alert_rules(components, {"all": ["one"]}, "shop", bounds={"drill_days": 7, "queue_length": 10})
    names = {rule["alert"] for group in made["rules"]["groups"] for rule in group["rules"]}
    assert {"JournalBroken", "DrillOverdue", "LockHeldLong", "QueueGrows", "QueueWithoutWorker", "ReplicationBehind"} <= names
    assert (len(made["cases"]["tests"]), made["untested"]) == (2 * len(names), [])
    for name, text in (("rules.yml", made["rules"]), ("cases.yml", made["cases"])):
        (tmp_path / name).write_text(yaml.safe_dump(text), encoding="utf-8")
    done = subprocess.run(["promtool", "test", "rules", "cases.yml"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
