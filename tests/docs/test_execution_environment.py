# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the collection needs stands in several files, for several programs: they say the same."""

from __future__ import annotations

import re
import sysconfig
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = Path(sysconfig.get_path("purelib"), "ansible_collections")
"""The collections of the package `ansible`: whatever is used by its full name is a part of one of them."""


def yaml_of(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def used() -> set[str]:
    """The collections of which a role, a playbook, a rulebook or a plugin names something, wherever in it."""
    known = [f"{path.parent.name}.{path.name}" for path in SHIPPED.glob("*/*") if path.is_dir()]
    pattern = re.compile(rf"\b({'|'.join(map(re.escape, known))})\.[a-z_0-9]+\b(?!\.(?:com|org|io)\b)")
    found: set[str] = set()
    for folder in ("roles", "playbooks", "extensions", "plugins"):
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in (".yml", ".py", ".j2") and path.is_file():
                found |= set(pattern.findall(re.sub(r"(?m)^\s*#.*$", "", path.read_text(encoding="utf-8"))))
    return found


def test_every_name_of_another_collection_belongs_to_a_dependency() -> None:
    """In filters, lookups and strings as well."""
    assert len(list(SHIPPED.glob("*/*"))) > 50
    assert used() - {"ansible.utils"} == set(yaml_of("galaxy.yml")["dependencies"]), "ansible.utils is a package of Ansible itself"


def test_a_checkout_is_told_the_same_as_galaxy() -> None:
    asked = {entry["name"]: entry["version"] for entry in yaml_of("requirements.yml")["collections"]}
    assert asked == yaml_of("galaxy.yml")["dependencies"]


def test_the_image_holds_what_is_tested_here() -> None:
    """The same Ansible, the same runner, and the package that brings the collections."""
    environment = yaml_of("execution-environment.yml")["dependencies"]
    pins = [environment["ansible_core"]["package_pip"], environment["ansible_runner"]["package_pip"], *environment["python"]]
    asked = (ROOT / "requirements" / "controller.in").read_text(encoding="utf-8").splitlines()
    assert len(pins) == 3
    assert [pin for pin in pins if pin not in asked] == []


def test_what_the_collection_asks_of_an_image_is_there() -> None:
    """For Debian's family and for Red Hat's: git, because releases are tags of a repository, and a client of SSH."""
    named = yaml_of("meta/execution-environment.yml")["dependencies"]
    lines = (ROOT / named["system"]).read_text(encoding="utf-8").splitlines()
    packages = [line.split() for line in lines if line and not line.startswith("#")]
    for family, wanted in (("dpkg", {"git", "openssh-client"}), ("rpm", {"git-core", "openssh-clients"})):
        assert {name for name, platform in packages if platform == f"[platform:{family}]"} == wanted
    assert "bindep.txt" not in yaml_of("galaxy.yml")["build_ignore"], "a part of the archive, in which ansible-builder looks for it"
