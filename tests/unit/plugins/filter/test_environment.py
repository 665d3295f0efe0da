# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files of servers' environments hold what the inventory says, whatever characters are in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible.plugins.filter.core import to_bool
from jinja2 import Environment

from ansible_collections.phasegate.aistack.plugins.filter.environment import env_quote, env_schemes
from ansible_collections.phasegate.aistack.plugins.module_utils.environment.file import parse_env

ROLES = Path(__file__).resolve().parents[4] / "roles"
ODD = ['ab"cd', "ends in \\", "two\nINJECTED=1", "$HOME `id` \\$x", "plain", "with space ", "#; '",
       "Zm9vYmFy/K58+n91UW5==", 'pa"ss\\word-12chars']


@pytest.mark.parametrize("value", ODD)
@pytest.mark.parametrize(
    ("role", "variables", "names"),
    [
        (
            "minio",
            {"minio_root_user": "root", "minio_data": "/data", "minio_open_metrics": False},
            {"MINIO_ROOT_PASSWORD": "minio_root_password", "X": "minio_environment"},
        ),
        ("ollama", {}, {"X": "__ollama_environment"}),
        ("comfyui", {}, {"HOME": "comfyui_data", "X": "comfyui_environment"}),
    ],
)
def test_what_systemd_reads_is_what_was_meant(role: str, variables: dict[str, Any], names: dict[str, str], value: str) -> None:
    given = {**variables, **{variable: {"X": value} if name == "X" else value for name, variable in names.items()}}
    text = (ROLES / role / "templates" / f"{role}.env.j2").read_text(encoding="utf-8")
    jinja = Environment(trim_blocks=True, autoescape=False)  # as Ansible's module template has it
    jinja.filters["phasegate.aistack.env_quote"] = env_quote
    jinja.filters["bool"] = to_bool
    read = parse_env(jinja.from_string(text).render(given))
    assert {name: read.get(name) for name in names} == dict.fromkeys(names, value)
    assert "INJECTED" not in read


def test_a_schema_is_given_with_the_schemes_of_addresses_and_nothing_else_of_them() -> None:
    schema = [{"name": "BUS", "type": "dsn", "secret": True}, {"name": "KEY", "secret": True}, {"name": "LATER", "type": "dsn"}]
    found = env_schemes({"schema": schema, "values": {"BUS": "amqp://app:hunter2@mq.example/app", "KEY": "https://hunter2"}})
    assert found == [{**schema[0], "scheme": "amqp"}, schema[1], schema[2]]
    assert [entry["name"] for entry in env_schemes({"values": {"A": 1}})] == ["A"]
    assert env_schemes(None) == []


@pytest.mark.parametrize("path", ["vars/main.yml", "tasks/migrate.yml"])
def test_plans_and_tests_know_the_schemes(path: str) -> None:
    text = (ROLES / "release" / path).read_text(encoding="utf-8")
    assert 'env_schema: "{{ release_env | phasegate.aistack.env_schemes }}"' in text
