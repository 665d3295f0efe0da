# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A command beside a component, with stand-ins for systemd's programs that run what they are told."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.cli import main as cli
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.file import Journal
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.lock import Lock
from ansible_collections.phasegate.aistack.plugins.module_utils.node import one_off
from ansible_collections.phasegate.aistack.plugins.module_utils.slots import component_file

SYSTEMD_RUN = '#!/bin/sh\nprintf "%s\\n" "$@" > "$0.words"\nwhile [ "$1" != -- ]; do shift; done\nshift\nexec "$@"\n'
SYSTEMCTL = '#!/bin/sh\n[ "$1" = cat ] && printf "[Service]\\nUser=shop\\nWorkingDirectory=/slots/%%i\\nRestart=always\\n"\n'
JOURNALCTL = '#!/bin/sh\necho "$*"\necho "login with hush-hush"\n'


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A node with one component, live in blue."""
    state, home = tmp_path / "state", tmp_path / "root" / "api"
    (state / "components").mkdir(parents=True)
    described = {"format": 1, "component": "api", "root": str(tmp_path / "root"), "unit": "aistack-api@{slot}.service"}
    (state / "components" / "api.json").write_text(json.dumps(described), encoding="utf-8")
    (home / "releases" / "v1" / ".venv" / "bin").mkdir(parents=True)
    (home / "config" / "h").mkdir(parents=True)
    (home / "config" / "h" / "env").write_text('SECRET_KEY="hush-hush"\n', encoding="utf-8")
    (home / "slots" / "blue").mkdir(parents=True)
    (home / "slots" / "blue" / "release").symlink_to("../../releases/v1")
    (home / "slots" / "blue" / "config").symlink_to("../../config/h")
    (home / "slots" / "live").symlink_to("blue")
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in (("systemd-run", SYSTEMD_RUN), ("systemctl", SYSTEMCTL), ("journalctl", JOURNALCTL)):
        (programs / name).write_text(text, encoding="utf-8")
        (programs / name).chmod(0o755)
    tool = home / "releases" / "v1" / ".venv" / "bin" / "tool"
    tool.write_text("#!/bin/sh\necho of the release\n", encoding="utf-8")
    tool.chmod(0o755)
    registry = tmp_path / "etc"
    registry.mkdir()
    entry = {"name": "shop", "root": str(tmp_path / "root"), "state_dir": str(state)}
    (registry / "shop.json").write_text(json.dumps(entry), encoding="utf-8")
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setattr(signal, "signal", lambda *given: None)
    return state


def run(state: Path, *words: str, timeout: float = 0) -> tuple[dict[str, object], list[str]]:
    lines: list[str] = []
    return one_off.run(state, "api", one_off.OneOff(words, "run-1", "me", timeout), lines.append), lines


def records(state: Path) -> list[tuple[str, str, object]]:
    return [(record["op"], record["outcome"], record["detail"].get("rc")) for record in Journal.of(state).read()]


def test_its_output_is_masked_and_the_journal_has_it(state: Path) -> None:
    answer, lines = run(state, "sh", "-c", "echo hush-hush; echo more >&2; echo hush-hush")
    assert (answer["rc"], answer["release"], answer["slot"]) == (0, "v1", "blue")
    assert lines == ["****[SECRET_KEY]", "more", "****[SECRET_KEY]"]
    assert records(state) == [("run", "started", None), ("run", "ok", 0)]
    assert "hush" not in (state / "journal.jsonl").read_text(encoding="utf-8")


def test_the_process_has_the_settings_of_the_slots_unit(state: Path, tmp_path: Path) -> None:
    run(state, "sh", "-c", "true", timeout=60)
    words = (tmp_path / "bin" / "systemd-run.words").read_text(encoding="utf-8").splitlines()
    settings = [words[place + 1] for place, word in enumerate(words) if word == "--property"]
    assert settings[:2] == ["User=shop", "WorkingDirectory=/slots/blue"]
    assert "RuntimeMaxSec=60" in settings
    assert not any(setting.startswith("Restart") for setting in settings)
    assert not any("hush" in word for word in words)


def test_beside_containers_it_is_a_container_of_its_own(state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (state / "containers").mkdir()
    (state / "containers" / "api.json").write_text("{}", encoding="utf-8")
    place = tmp_path / "compose.json"
    monkeypatch.setattr(one_off.container, "file_of", lambda component, slot: place)
    with pytest.raises(one_off.Refused, match="the slot blue of api does not run"):
        run(state, "true")
    place.write_text(json.dumps({"name": "x", "services": {"api": {}}}), encoding="utf-8")
    found = one_off.Live("api", "blue", "v1", "aistack-api@blue.service", tmp_path, tmp_path, tmp_path)
    words = one_off.beside_containers(found, ["sh", "-c", "id"], "aistack-run-api-7.service", 60, False, place)
    assert words[-3:] == ["sh", "-c", "id"]
    shown = " ".join(words)
    assert f"docker compose --ansi never --progress quiet --project-name aistack-run-api-7 --file {place} run --rm" in shown
    assert "--no-TTY api sh" in shown
    assert "RuntimeMaxSec=60" in words
    (after,) = [word for word in words if word.startswith("ExecStopPost=-")]
    assert after.endswith("down --timeout 0")


def test_a_program_of_the_release_comes_first(state: Path) -> None:
    assert run(state, "tool")[1] == ["of the release"]


def test_how_it_ended_is_told(state: Path) -> None:
    answer, _lines = run(state, "sh", "-c", "exit 7")
    assert (answer["rc"], answer["error"], answer["late"]) == (7, "exit status 7", False)
    assert records(state)[-1] == ("run", "failed", 7)
    answer, _lines = run(state, "sh", "-c", "sleep 0.2; exit 1", timeout=0.1)
    assert (answer["rc"], answer["late"]) == (one_off.LATE, True)


def test_what_cannot_be_run_is_refused_and_nothing_is_noted(state: Path, tmp_path: Path) -> None:
    with pytest.raises(one_off.Refused, match="no program nope in the release"):
        run(state, "nope")
    with pytest.raises(one_off.Refused, match="no component web was released on this node; there are api"):
        one_off.live(state, "web")
    (tmp_path / "root/api/slots/live").unlink()
    with pytest.raises(one_off.Refused, match="nothing is live of api"):
        run(state, "true")
    assert not (state / "journal.jsonl").exists()


def test_it_waits_for_no_run_that_changes_the_node(state: Path) -> None:
    Lock(state).acquire("other-run", {"actor": "somebody"})
    with pytest.raises(one_off.Refused, match="this node is being changed by"):
        run(state, "true")


def test_the_command_line(state: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    given = ["--registry", str(tmp_path / "etc")]
    assert cli.main([*given, "run", "api", "--timeout", "60", "--", "sh", "-c", "echo --json; exit 3"]) == 3
    assert capfd.readouterr().out == "--json\n"
    assert cli.main([*given, "--json", "run", "api", "--line", "sh -c 'echo two words'"]) == 0
    assert json.loads(capfd.readouterr().out)["output"] == ["two words"]
    assert cli.main([*given, "run", "api"]) == cli.REFUSED
    assert "aistack run api -- python -m app.seed" in capfd.readouterr().err
    assert cli.main([*given, "run", "api", "--", "echo", "backup"]) == 0, "a word of the command is no verb"
    assert capfd.readouterr().out == "backup\n"


def test_the_log_of_both_slots_masked(state: Path) -> None:
    text = one_off.log(state, "api", [], 5, "10 min ago")
    assert text.splitlines()[1] == "login with ****[SECRET_KEY]"
    assert text.startswith("--no-pager --quiet --output=short-iso --lines=5 --since=10 min ago")
    assert "--unit=aistack-api@blue.service --unit=aistack-api@green.service" in text
    assert "--unit=redis.service" in one_off.log(state, "redis", ["redis.service"], 5, "")


def test_the_log_of_every_instance(state: Path) -> None:
    component_file.set_instances(state, "api", 2, 2)
    text = one_off.log(state, "api", [], 5, "")
    assert all(f"--unit=aistack-api@{name}.service" in text for name in ("blue", "blue-2", "green", "green-2"))
