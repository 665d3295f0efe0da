# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The configuration that a component goes back to is made on the node, once."""

from __future__ import annotations

import json
import os
from collections.abc import Collection
from pathlib import Path

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.environment import file as env_file
from ansible_collections.phasegate.aistack.plugins.module_utils.release import way_back
from ansible_collections.phasegate.aistack.plugins.module_utils.release.content import Content


class Place:
    """The configurations of one component, one of them live."""

    def __init__(self, root: Path) -> None:
        self.root, self.folder = root, root / "web" / "config"

    def write(self, secrets: Collection[str] | None = ("SMTP_PW",), version: str = "s1", **values: str) -> str:
        content = env_file.render_env(values)
        config = env_file.locate(self.root, "web", content, version, secrets)
        env_file.write_config(config, content)
        return config.hash

    def live(self, config: str) -> None:
        slots = self.root / "web" / "slots"
        (slots / "blue").mkdir(parents=True, exist_ok=True)
        for link, goal in ((slots / "blue" / "config", f"../../config/{config}"), (slots / "live", "blue")):
            link.unlink(missing_ok=True)
            link.symlink_to(goal)

    def env(self, config: str) -> dict[str, str]:
        return env_file.read_env(self.folder / config / "env")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_made_once_as_a_deployment_would_have_made_it(place: Place) -> None:
    then, now = place.write(SMTP_PW="old", LEVEL="debug"), place.write(SMTP_PW="new", LEVEL="info", version="s2")
    place.live(now)
    before = sorted(os.listdir(place.folder))
    seen = way_back.observe(place.root, "web", then)
    assert sorted(os.listdir(place.folder)) == before, "looking writes nothing"
    made = way_back.make(place.root, "web", then)
    assert made.config == seen.config
    assert made.config not in (then, now)
    assert (made.today, made.kept) == (("SMTP_PW",), ())
    assert place.env(made.config) == {"SMTP_PW": "new", "LEVEL": "debug"}
    files = {path.name: path.stat().st_mode & 0o777 for path in (place.folder / made.config).iterdir()}
    assert files == {"env": 0o600, env_file.NAMES: 0o600}
    assert "new" not in (place.folder / made.config / env_file.NAMES).read_text()
    assert place.write(SMTP_PW="new", LEVEL="debug") == made.config
    stamp = (place.folder / made.config / "env").stat().st_mtime_ns
    assert way_back.make(place.root, "web", then).config == made.config
    place.live(made.config)
    assert way_back.make(place.root, "web", then).config == made.config, "asked again when it is live: a way back that was interrupted"
    assert (place.folder / made.config / "env").stat().st_mtime_ns == stamp
    assert len(os.listdir(place.folder)) == 3


def test_nothing_is_made_where_no_secret_changed(place: Place) -> None:
    then, now = place.write(SMTP_PW="same", LEVEL="debug"), place.write(SMTP_PW="same", LEVEL="info")
    assert way_back.make(place.root, "web", then) == way_back.WayBack(then, {}), "nothing is live"
    place.live(now)
    assert way_back.make(place.root, "web", then).config == then
    assert way_back.make(place.root, "web", now).config == now
    assert sorted(os.listdir(place.folder)) == sorted([then, now])


def test_where_secrets_are_all_that_differs_it_is_what_is_live(place: Place) -> None:
    then, now = place.write(SMTP_PW="old", secrets=None), place.write(SMTP_PW="new", version="s2")
    place.live(now)
    assert way_back.make(place.root, "web", then).config == now
    assert len(os.listdir(place.folder)) == 2


def test_a_configuration_of_the_version_before_has_no_names_beside_it(place: Place) -> None:
    then = place.write(None, SMTP_PASSWORD="old", GREETING="hello", LEVEL="debug")
    for secrets, greeting in ((None, "hello"), (("SMTP_PASSWORD", "GREETING", "FRESH"), "bye")):
        place.live(place.write(secrets, SMTP_PASSWORD="new", GREETING="bye", FRESH="f", LEVEL="info"))
        made = way_back.make(place.root, "web", then).config
        assert place.env(made) == {"SMTP_PASSWORD": "new", "GREETING": greeting, "LEVEL": "debug"}
        names = env_file.declared_beside(place.folder / made / "env")
        assert (names.secrets if names else None) == ({"SMTP_PASSWORD", "GREETING"} if secrets else None)


def test_a_secret_that_today_does_not_have_keeps_its_value_and_is_told(place: Place) -> None:
    then = place.write(("SMTP_PW", "GONE"), SMTP_PW="old", GONE="g")
    place.live(place.write(SMTP_PW="new"))
    found = way_back.observe(place.root, "web", then)
    assert found.kept == ("GONE",)
    assert found.values == {"SMTP_PW": "new", "GONE": "g"}


def test_what_cannot_be_compared_goes_back_as_it_was_and_says_so(place: Place) -> None:
    then, now = place.write(SMTP_PW="old"), place.write(SMTP_PW="new")
    place.live(now)
    (place.folder / now / "env").unlink()
    found = way_back.make(place.root, "web", then)
    assert found.config == then
    assert "could not be compared" in found.problem
    assert "old" not in found.problem


def test_what_is_not_there_is_left_to_whoever_needs_it(place: Place) -> None:
    place.live(place.write(SMTP_PW="new"))
    assert way_back.content(place.root, "web", None) is None
    gone = {"release": "v1", "config": "c0", "slot": "blue"}
    assert way_back.content(place.root, "web", gone, write=True) == Content("v1", "c0")


@pytest.mark.parametrize("text", ["no json", "[]", "{}", '{"schema_version": 1}', '{"schema_version": "s", "secrets": 3}'])
def test_names_that_cannot_be_read_are_none(place: Place, text: str) -> None:
    config = place.write(SMTP_PW="old")
    path = place.folder / config / "env"
    (place.folder / config / env_file.NAMES).write_text(text)
    assert env_file.declared_beside(path) is None
    assert env_file.secrets_beside(path) == frozenset()
    assert place.write(SMTP_PW="old") == config
    assert env_file.secrets_beside(path) == {"SMTP_PW"}, "the next deployment writes them again"
    assert json.loads((place.folder / config / env_file.NAMES).read_text())["schema_version"] == "s1"
