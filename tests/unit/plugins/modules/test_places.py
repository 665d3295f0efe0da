# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where things lie on a node is an option of every module there; its default and its words are written once."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.phasegate.aistack.plugins.module_utils.core.caller import CALLER
from ansible_collections.phasegate.aistack.plugins.module_utils.core.places import PLACES

PLUGINS = Path(__file__).resolve().parents[4] / "plugins"


def documented(path: Path) -> dict[str, Any]:
    text = path.read_text(encoding="utf-8")
    found = re.search(r'DOCUMENTATION = r"""\n(.*?)"""', text, re.S)
    assert found is not None, path
    read: dict[str, Any] = yaml.safe_load(found.group(1))
    return read


def test_no_other_file_says_where_things_lie() -> None:
    written = re.compile(r'"default": "/(opt|var/lib)/aistack"|"/(opt|var/lib)/aistack"\)?$|default: /(opt|var/lib)/aistack$', re.M)
    found = {path.relative_to(PLUGINS).as_posix() for path in PLUGINS.rglob("*.py") if written.search(path.read_text(encoding="utf-8"))}
    assert found == {"module_utils/core/places.py", "doc_fragments/places.py"}


@pytest.mark.parametrize(("name", "options"), [("places", PLACES), ("caller", CALLER)])
def test_the_words_and_the_options_are_the_same(name: str, options: dict[str, Any]) -> None:
    said = documented(PLUGINS / f"doc_fragments/{name}.py")["options"]
    assert {key: {part: value for part, value in one.items() if part != "description"} for key, one in said.items()} == options


@pytest.mark.parametrize("name", ["places", "caller"])
def test_who_has_the_options_says_so(name: str) -> None:
    having = [path for path in sorted((PLUGINS / "modules").glob("*.py")) if f"**{name.upper()}" in path.read_text(encoding="utf-8")]
    assert len(having) > 3
    for path in having:
        assert f"phasegate.aistack.{name}" in documented(path)["extends_documentation_fragment"], path
