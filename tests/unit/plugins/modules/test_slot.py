# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the module keeps on the node, so that it can go back by itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.core.kept_instances import instances_of
from ansible_collections.phasegate.aistack.plugins.module_utils.slots import component_file
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.contract import Terminated
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.node import EdgeSpec, Spec
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.options import numbers_of
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.scaling import EndedBehind
from ansible_collections.phasegate.aistack.plugins.modules import slot

Call = Callable[..., dict[str, Any]]


def arguments(tmp_path: Path, **given: Any) -> dict[str, Any]:
    return {
        "component": "backend", "state": "restarted", "root": str(tmp_path / "root"), "state_dir": str(tmp_path / "state"),
        "ports": {"blue": 18000, "green": 18001, "public": 8000}, "edge": {"address": "10.0.0.1"}, "warm": 300,
        "description": {"application": "shop", "order": 7, "database": {}}, **given,
    }


def test_the_description_is_kept_before_anything_moves(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "state" / "components" / "backend.json"
    predicted = call("slot", check=True, **arguments(tmp_path))
    assert (predicted["changed"], predicted["described"]) == (True, True)
    assert not path.exists()
    call("slot", **arguments(tmp_path))  # fails: nothing is live here
    assert json.loads(path.read_text()) == {
        "format": 1, "component": "backend", "source": "backend", "application": "shop", "order": 7, "root": str(tmp_path / "root"),
        "unit": "aistack-backend@{slot}.service", "strategy": "bluegreen", "ports": {"blue": 18000, "green": 18001, "public": 8000},
        "edge": {"socket": "/run/haproxy/admin.sock", "backend": "backend", "state_file": "/var/lib/haproxy/server-state",
                 "address": "10.0.0.1"},
        "drain_timeout": 60.0, "stop_timeout": 30.0, "warm": 300, "database": {"url_variable": "DATABASE_URL"},
        "instances": 1, "instances_said": 1,
    }
    assert path.stat().st_mode & 0o777 == 0o644
    again = call("slot", check=True, **arguments(tmp_path))
    assert (again["changed"], again["described"]) == (False, False)
    assert call("slot", check=True, **arguments(tmp_path, warm=60))["described"]


def test_nothing_is_kept_where_nothing_is_said(call: Call, tmp_path: Path) -> None:
    for given in ({"description": None}, {"state": "stopped"}):
        assert call("slot", check=True, **arguments(tmp_path, **given))["described"] is False


def test_a_description_leads_back_to_the_same_slots(tmp_path: Path) -> None:
    spec = Spec("worker", tmp_path / "opt", tmp_path / "state", unit="w-%s.service", ports={"blue": 1}, edge=EdgeSpec("s", "b", "f", "a"))
    described = component_file.describe(spec, {"source": "backend", "order": 3})
    assert (described["source"], described["database"], described["unit"]) == ("backend", None, "w-{slot}.service")
    back = component_file.spec_of(described, tmp_path / "state")
    assert back.unit_of("blue") == spec.unit_of("blue")
    assert (back.edge, back.ports, back.warm, back.root) == (spec.edge, spec.ports, spec.warm, spec.root)


def worker(tmp_path: Path, **given: Any) -> dict[str, Any]:
    return arguments(tmp_path, component="worker", ports={}, edge=None, warm=0, **given)


def test_the_number_of_instances_is_the_inventorys_until_another_was_set(call: Call, tmp_path: Path) -> None:
    def kept() -> tuple[int | None, int | None]:
        return instances_of(tmp_path / "state", "worker")

    assert kept() == (None, None)
    call("slot", **worker(tmp_path, instances=2))  # fails: nothing is live here
    assert kept() == (2, 2)
    component_file.set_instances(tmp_path / "state", "worker", 4, 2)
    call("slot", **worker(tmp_path, instances=2))
    assert kept() == (4, 2)
    call("slot", **worker(tmp_path, instances=3))
    assert kept() == (4, 2), "another number is brought about behind a switch that went well"


@pytest.mark.parametrize("given", [{"strategy": "recreate"}, {"ports": {"blue": 18000, "green": 18001, "public": 8000}}])
def test_a_number_of_before_ends_where_one_process_alone_may_run(call: Call, tmp_path: Path, given: dict[str, Any]) -> None:
    call("slot", **worker(tmp_path, instances=2))
    component_file.set_instances(tmp_path / "state", "worker", 4, 2)
    call("slot", **{**worker(tmp_path), **given})
    assert instances_of(tmp_path / "state", "worker") == (1, 1)


@pytest.mark.parametrize(
    ("said", "state", "starts", "wanted"),
    [(2, "active", 2, 2), (2, "restarted", 2, 2), (6, "active", 4, 6), (4, "active", 4, 4), (2, "reverted", 4, 2), (2, "scaled", 4, 2)],
)
def test_a_lower_number_is_started_at_once_and_a_higher_one_behind_the_switch(
    tmp_path: Path, said: int, state: str, starts: int, wanted: int
) -> None:
    description = component_file.describe(Spec("worker", tmp_path, tmp_path, instances=4), {"instances_said": 4})
    component_file.save(description, tmp_path)
    params = {"component": "worker", "state": state, "state_dir": tmp_path, "ports": {}, "strategy": "bluegreen", "instances": said,
              "description": {}}
    found = numbers_of(params)
    assert (found.starts, found.wanted, found.said) == (starts, wanted, said)
    assert (found.kept, found.kept_said) == (4, 4), "until they are had"


def test_a_file_of_a_version_before_knows_of_one_instance(tmp_path: Path) -> None:
    path = component_file.path_of(tmp_path, "worker")
    path.parent.mkdir()
    path.write_text('{"format": 1, "component": "worker", "root": "/opt", "unit": "w@{slot}.service"}')
    assert instances_of(tmp_path, "worker") == (1, None)
    assert component_file.spec_of(component_file.load_all(tmp_path)[0]["worker"], tmp_path).instances == 1
    component_file.set_instances(tmp_path, "worker", 4, 2)
    described = component_file.load_all(tmp_path)[0]["worker"]
    assert (described["unit"], component_file.spec_of(described, tmp_path).instances) == ("w@{slot}.service", 4)


def test_numbers_that_make_no_sense_are_refused(call: Call, tmp_path: Path) -> None:
    failed = call("slot", **arguments(tmp_path, instances=2))
    assert failed["msg"].startswith("instances: backend has a port, and one process per slot")
    assert "expected 1 to 64" in call("slot", **worker(tmp_path, instances=65))["msg"]
    assert "scale_to" in call("slot", **worker(tmp_path, state="scaled"))["msg"]
    failed = call("slot", **worker(tmp_path, state="scaled", scale_to=0))
    assert failed["msg"].startswith("worker: 0 instances would leave nobody to do its work")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (Terminated("ended by signal 15"), "worker: ended by signal 15; what was begun has been taken back. Run the same again"),
        (EndedBehind("ended by signal 15 behind the switch, which stays: v2 is live in green"),
         "worker: ended by signal 15 behind the switch, which stays: v2 is live in green; run the same again, which finishes it"),
    ],
)
def test_a_signal_is_said_by_what_it_left(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Terminated, said: str
) -> None:
    def ended(_module: object) -> None:
        raise error

    monkeypatch.setattr(slot, "run", ended)
    assert call("slot", **worker(tmp_path))["msg"] == said
