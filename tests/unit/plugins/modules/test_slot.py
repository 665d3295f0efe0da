# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the module keeps on the node, so that it can go back by itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.slots import component_file
from ansible_collections.phasegate.aistack.plugins.module_utils.slots.node import EdgeSpec, Spec

Call = Callable[..., dict[str, Any]]


def arguments(tmp_path: Path, **given: Any) -> dict[str, Any]:
    return {
        "component": "backend", "state": "restarted", "root": str(tmp_path / "root"), "state_dir": str(tmp_path / "state"),
        "ports": {"blue": 18000, "green": 18001, "public": 8000}, "edge": {"address": "10.0.0.1"}, "warm": 300,
        "description": {"application": "shop", "order": 7, "database": {}}, **given,
    }  # fmt: skip


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
    }  # fmt: skip
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
