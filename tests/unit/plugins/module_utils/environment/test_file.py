# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import random
import shlex
import subprocess
from pathlib import Path

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.environment import file as env_file

AWKWARD = {
    "PLAIN": "value",
    "EMPTY": "",
    "SPACES": "  two words  ",
    "HASH": "#no; comment",
    "QUOTES": "it's \"quoted\"",
    "DOLLAR": "$HOME ${HOME} $(id) `id`",
    "BACKSLASH": "a\\b\\\\c\\",
    "BACKSLASH_N": "a\\nb",
    "LINES": "first\nsecond\n  third",
    "TAB": "a\tb",
    "EQUALS": "a=b=c",
    "PERCENT": "%i %% %n",
    "EMOJI": "größer ☂",
    "DSN": "postgresql://u:p%40ss$word@h/db?x=1&y=2",
    "JSON": '{"a": ["b\\"", 1]}',
}


def test_round_trip() -> None:
    assert env_file.parse_env(env_file.render_env(AWKWARD)) == AWKWARD


def test_random_values_round_trip() -> None:
    dice = random.Random(7)
    alphabet = "ab \t\n\"'\\`$#;=%{}()é"
    for _round in range(500):
        values = {f"V{number}": "".join(dice.choices(alphabet, k=dice.randrange(12))) for number in range(4)}
        assert env_file.parse_env(env_file.render_env(values)) == values


def test_a_shell_reads_the_same(tmp_path: Path) -> None:
    path = tmp_path / "env"
    path.write_text(env_file.render_env(AWKWARD), encoding="utf-8")
    for name, value in AWKWARD.items():
        script = f'. {shlex.quote(str(path))}; printf %s "${name}"'
        said = subprocess.run(["sh", "-c", script], capture_output=True, check=True, env={"PATH": os.environ["PATH"]})
        assert said.stdout.decode() == value, name


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("A=1\nB = 2 \n", {"A": "1", "B": "2"}),
        ("# A=1\n; B=2\n\nC=3", {"C": "3"}),
        ("A='single $x \\ y'", {"A": "single $x \\ y"}),
        ('A="x\\"y\\$z\\q"', {"A": 'x"y$z\\q'}),
        ("A=a\\\nb", {"A": "ab"}),
        ('A="a\\\nb"', {"A": "ab"}),
        ("A=x\\ y\\#z", {"A": "x y#z"}),
        ("A=one'two'\"three\"", {"A": "one'two'\"three\""}),
        ("A='one'\"two\" three", {"A": "onetwothree"}),
        ("A=1\nA=2\n", {"A": "2"}),
        ("A=x # not a comment\n", {"A": "x # not a comment"}),
        ("no assignment\nA=1\n", {"A": "1"}),
        ("A=1\r\nB=2\r\n", {"A": "1", "B": "2"}),
        ("# goes on \\\nA=1\nB=2\n", {"A": "1", "B": "2"}),
        ('A="open', {"A": "open"}),
        ("A=", {"A": ""}),
        ("", {}),
    ],
)
def test_what_systemd_reads(text: str, values: dict[str, str]) -> None:
    assert env_file.parse_env(text) == values


def test_a_configuration_is_closed_and_named_by_its_content(tmp_path: Path) -> None:
    content = env_file.render_env({"A": "1"})
    config = env_file.locate(tmp_path, "backend", content, "s1")
    assert not config.present
    env_file.write_config(config, content)
    assert config.path == tmp_path / "backend" / "config" / config.hash / "env"
    assert config.path.stat().st_mode & 0o777 == 0o600
    assert config.path.parent.stat().st_mode & 0o777 == 0o750
    assert env_file.locate(tmp_path, "backend", content, "s1").present
    assert env_file.locate(tmp_path, "backend", content, "s2").hash != config.hash
    assert env_file.locate(tmp_path, "backend", content + "B=2\n", "s1").hash != config.hash
    assert os.listdir(tmp_path / "backend" / "config") == [config.hash]


@pytest.mark.parametrize("damage", ["content", "mode", "missing"])
def test_a_configuration_that_was_tampered_with_is_put_right(tmp_path: Path, damage: str) -> None:
    content = env_file.render_env({"A": "1"})
    config = env_file.locate(tmp_path, "backend", content, "s")
    env_file.write_config(config, content)
    if damage == "content":
        config.path.write_text("A=2\n")
    elif damage == "mode":
        config.path.chmod(0o644)
    else:
        config.path.unlink()
    assert not env_file.locate(tmp_path, "backend", content, "s").present
    env_file.write_config(config, content)
    assert env_file.locate(tmp_path, "backend", content, "s").present
    assert os.listdir(tmp_path / "backend" / "config") == [config.hash]


def test_live_environment(tmp_path: Path) -> None:
    assert env_file.live_env(tmp_path, "backend") == {}
    content = env_file.render_env({"A": "1"})
    config = env_file.locate(tmp_path, "backend", content, "s")
    env_file.write_config(config, content)
    slots = tmp_path / "backend" / "slots"
    (slots / "blue").mkdir(parents=True)
    (slots / "blue" / "config").symlink_to(f"../../config/{config.hash}")
    (slots / "live").symlink_to("blue")
    assert env_file.live_env(tmp_path, "backend") == {"A": "1"}
