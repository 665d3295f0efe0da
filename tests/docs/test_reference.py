# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/reference.md is what the tables say, and the tables say what roles and modules take."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from ansible_collections.phasegate.aistack.plugins.module_utils.backup.options import BACKUP
from ansible_collections.phasegate.aistack.plugins.module_utils.core.schema import Option
from ansible_collections.phasegate.aistack.plugins.module_utils.environment.schema import ENTRY
from ansible_collections.phasegate.aistack.plugins.module_utils.gate.call import SETTINGS
from ansible_collections.phasegate.aistack.plugins.module_utils.migration.policy import DECISIONS, Policy
from ansible_collections.phasegate.aistack.plugins.module_utils.release import environments
from ansible_collections.phasegate.aistack.plugins.module_utils.stack import description

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reference", ROOT / "docs" / "reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    before = list(sys.path)
    spec.loader.exec_module(module)
    sys.path[:] = before
    return module


def test_the_page_is_fresh(reference: ModuleType) -> None:
    assert (ROOT / "docs" / "reference.md").read_text(encoding="utf-8") == reference.page(), "make reference prints it again"


def test_the_page_has_every_key_and_every_option(reference: ModuleType) -> None:
    page = reference.page()
    assert "`aistack_components.<name>.migrations.policy`" in page
    assert [name for name in ("min_healthy_time", "env_file", "graceful_timeout", "url_variable") if f"`{name}`" not in page] == []
    assert [name for name in reference.REGISTRY if f"### `{name}`" not in page] == []


def tables(option: Option, where: str) -> Iterator[tuple[str, Mapping[str, Option]]]:
    for nested in (option, option.items):
        if nested is not None:
            for keys in (nested.keys or {}, *nested.variants.values()):
                yield where, keys
                for name, below in keys.items():
                    yield from tables(below, f"{where}.{name}")


def test_every_key_is_explained() -> None:
    every = [("", description.VARIABLES), *(one for name, option in description.VARIABLES.items() for one in tables(option, name))]
    assert [f"{where}.{name}" for where, keys in every for name, option in keys.items() if not option.help] == []
    needed = [option for name, option in description.VARIABLES.items() if option.required]
    assert all(option.example for option in needed)


def specs(role: str) -> dict[str, Any]:
    text = (ROOT / "roles" / role / "meta" / "argument_specs.yml").read_text(encoding="utf-8")
    options: dict[str, Any] = yaml.safe_load(text)["argument_specs"]["main"]["options"]
    return options


def test_tables_and_those_who_read_them_know_the_same_keys() -> None:
    fronted = specs("edge")["edge_frontends"]["options"]
    assert set(description.EDGE) == set(fronted) - {"name", "port", "servers", "assets", "pool", "alive", "alpn"}
    saved = specs("backup")["backup_description"]["options"]
    assert set(BACKUP.keys or {}) == set(saved)
    for kind in ("postgres", "redis", "buckets", "sqlite"):
        entry = (BACKUP.keys or {})[kind].items
        assert entry is not None
        assert set(entry.keys or {}) == set(saved[kind]["options"])
    assert set(description.GATE_SETTINGS) == set(SETTINGS)
    assert set(description.POLICY) == set(Policy.__dataclass_fields__)
    assert description.DECISIONS == DECISIONS
    assert set(ENTRY) == set(environments.OPTIONS["schema"]["options"])
    defaults = Policy()
    assert {name: option.default for name, option in description.POLICY.items() if option.default is not None} == {
        name: getattr(defaults, name) for name, option in description.POLICY.items() if option.default is not None
    }
