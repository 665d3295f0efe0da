# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A repository is somebody else's text: what an inventory takes over of it is data, and never a template or a line of its own."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from ansible_collections.phasegate.aistack.plugins.module_utils.init.detect import detect
from ansible_collections.phasegate.aistack.plugins.module_utils.init.inventory import Inventory, Place

EVIL = "{{lookup('pipe','id')}}"
SETTINGS = f"""
from typing import Literal
from fastapi import FastAPI
from pydantic_settings import BaseSettings
app = FastAPI()
class Settings(BaseSettings):
    stage: Literal["{EVIL}", "b"]
"""
FILES = {
    "main.py": SETTINGS, "requirements.lock": "", f"{EVIL}/tasks.py": "from celery import Celery\napp = Celery('x')\n",
    f"web-{EVIL}/package.json": '{"dependencies": {"next": "15"}}', f"web-{EVIL}/.env.example": f"NEXT_PUBLIC_API_URL=http://h:8000/{EVIL}\nB={EVIL}\n",
}  # fmt: skip


class Loader(yaml.SafeLoader):
    """What is marked as no template, as such."""


Loader.add_constructor("!unsafe", lambda _this, node: ("unsafe", node.value))


def texts(value: Any) -> list[str]:
    """All texts that would be filled in."""
    if isinstance(value, dict):
        return [text for key, one in value.items() for text in [str(key), *texts(one)]]
    return [text for one in value for text in texts(one)] if isinstance(value, list) else [value] if isinstance(value, str) else []


def test_nothing_of_it_is_filled_in() -> None:
    made = Inventory(detect(FILES), Place("shop", "/repo", "v1.0.0", "", "", False)).files()
    assert "lookup('pipe'" in "".join(made.values()), "it is there, as data"
    for path, content in made.items():
        assert [text for text in texts(yaml.load(content, Loader)) if "pipe" in text] == [], path


@pytest.mark.parametrize("path", ["api/v1", "", "a~b.c-d"])
def test_the_path_of_an_address_stays(path: str) -> None:
    files = {"main.py": SETTINGS, "web/package.json": '{"dependencies": {"next": "15"}}', "web/.env.example": f"NEXT_PUBLIC_API_URL=http://h:8000/{path}\n"}
    made = Inventory(detect(files), Place("shop", "/repo", "v1.0.0", "", "", False)).files()
    value = yaml.load(made["group_vars/all/env.yml"], Loader)["aistack_env"]["web"]["values"]["NEXT_PUBLIC_API_URL"]
    assert value == "http://{{ aistack_address }}:{{ aistack_ports.api }}" + (f"/{path}" if path else "")
