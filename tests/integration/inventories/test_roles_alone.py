# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A role of a data service by itself, in a play of five lines: its defaults need no stack, and are those that its documentation names."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest
import yaml

from .test_inventories import ROOT

PYTHON = "ansible_python_interpreter=/usr/bin/python3"
ROLES = ["alertmanager", "backup", "comfyui", "edge", "exporters", "grafana", "jaeger", "log_shipper", "loki", "minio", "ollama",
         "postgres", "prometheus", "redis", "superset", "toolchain", "victorialogs"]


def yaml_of(role: str, path: str) -> Any:
    return yaml.safe_load((ROOT / "roles" / role / path).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Every default of these roles as a play without any variable of a stack sees it."""
    folder = tmp_path_factory.mktemp("alone")
    names = [name for role in ROLES for name in yaml_of(role, "defaults/main.yml")]
    files = [str(ROOT / "roles" / role / part / "main.yml") for role in ROLES for part in ("defaults", "vars")]
    tasks = [{"ansible.builtin.copy": {"content": "{{ __all | to_json }}", "dest": str(folder / "all.json"), "mode": "0600"},
              "vars": {"__all": {name: f"{{{{ {name} }}}}" for name in names}}}]
    play = [{"hosts": "localhost", "connection": "local", "gather_facts": False, "vars_files": files, "tasks": tasks}]
    (folder / "play.yml").write_text(yaml.safe_dump(play), encoding="utf-8")
    done = subprocess.run(
        [str(ROOT / ".venv/bin/ansible-playbook"), "-i", "localhost,", "-e", PYTHON, str(folder / "play.yml")],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads((folder / "all.json").read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize("role", ROLES)
def test_defaults_are_there_and_as_documented(role: str, filled: dict[str, Any]) -> None:
    options = yaml_of(role, "meta/argument_specs.yml")["argument_specs"]["main"]["options"]
    documented = {name: option["default"] for name, option in options.items() if "default" in option and name in filled}
    assert documented
    assert {name: (filled[name], value) for name, value in documented.items() if filled[name] != value} == {}
    follow = [name for name, value in yaml_of(role, "defaults/main.yml").items() if "aistack_" in str(value)]
    own = [name for name in follow if name in filled and options[name].get("type") in ("path", "int") and "default" not in options[name]]
    assert own == [], "follows from a stack, and its documentation says nothing of the default without one"
