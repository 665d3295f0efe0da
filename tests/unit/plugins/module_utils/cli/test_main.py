# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command aistack: as one file that runs on its own, and each of its verbs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.cli import main as cli
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.lock import Lock
from ansible_collections.phasegate.aistack.plugins.module_utils.node import figures as node_figures, install as node_install, zipapp
from ansible_collections.phasegate.aistack.plugins.module_utils.rollback import run as rollback, view as rollback_view
from ansible_collections.phasegate.aistack.tests.unit.plugins.module_utils.rollback.fleet import AllUnits, Fleet


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The installed file, as a node gets it."""
    folder = tmp_path_factory.mktemp("node")
    members = zipapp.sources(Path(zipapp.__file__).parents[1])
    (folder / "sources.zip").write_bytes(zipapp.pack(members))
    installed = folder / "bin" / "aistack"
    wanted = (folder / "etc", sys.executable, zipapp.digest(members), str(folder / "sources.zip"))
    node_install.ensure(node_install.Wanted("none", "/nonexistent", "/nonexistent", installed, *wanted))
    return installed


def register(folder: Path, name: str = "shop", state: Path | None = None) -> Path:
    registry = folder / "etc"
    registry.mkdir(exist_ok=True)
    entry = {"name": name, "root": str(folder / "opt"), "state_dir": str(state or folder / "state")}
    (registry / f"{name}.json").write_text(json.dumps(entry))
    return registry


def run(command: Path, registry: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run it as the first line of the file says, far from this checkout."""
    line = command.open("rb").readline().decode().removeprefix("#!").split()
    environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "PYTHONPATH": "/nonexistent"}
    words = [*line, str(command), "--registry", str(registry), *arguments]
    return subprocess.run(words, capture_output=True, text=True, cwd="/", env=environment, check=False)


# -- the file


def test_it_runs_alone_in_an_empty_place(command: Path, tmp_path: Path) -> None:
    assert command.open("rb").readline() == f"#!{sys.executable} -IS\n".encode()
    bare = run(command, tmp_path / "etc", "status")
    assert (bare.returncode, bare.stdout) == (2, "")
    assert f"no stack is registered in {tmp_path / 'etc'}" in bare.stderr
    assert "Traceback" not in bare.stderr
    registry = register(tmp_path)
    (tmp_path / "state").mkdir()
    status = run(command, registry, "status")
    assert (status.returncode, status.stderr) == (0, "")
    assert "Nothing was released here yet" in status.stdout
    plan = run(command, registry, "plan", "--json")
    assert plan.returncode == 2
    assert [refusal["code"] for refusal in json.loads(plan.stdout)["refusals"]] == ["no_component"]
    assert plan.stdout.count("\n") == 1
    assert run(command, registry, "rollback").returncode == 2
    assert "has no records" in run(command, registry, "journal").stdout
    assert run(command, registry, "confirm", "r1").returncode == 0
    assert run(command, registry, "revert", "--run", "r1", "--json").returncode == 0
    unknown = run(command, registry, "resume", "shop")
    assert (unknown.returncode, "no component shop was released on this node; there are none" in unknown.stderr) == (2, True)
    assert run(command, registry, "frobnicate").returncode == 2
    for wrong in (["rollback", "--level", "schema"], ["rollback", "--level", "galaxy"], ["confirm"], []):
        assert run(command, registry, *wrong).returncode == 2
    help_text = run(command, registry, "rollback", "--help").stdout
    assert all(word in help_text for word in ("--to", "--level", "--dry-run", "--best-effort", "--allow-bad", "--reason", "--force-lock"))


def test_it_needs_no_ansible(command: Path) -> None:
    script = (
        f"import sys; sys.path.insert(0, {str(command)!r});"
        "from ansible_collections.phasegate.aistack.plugins.module_utils.cli import main as cli;"
        "from ansible_collections.phasegate.aistack.plugins.module_utils.rollback import deadman, run as rollback;"
        "from ansible_collections.phasegate.aistack.plugins.module_utils.node import status as node_status;"
        "from ansible_collections.phasegate.aistack.plugins.module_utils.slots import gate as slot_gate;"
        "print([name for name in sys.modules if name == 'ansible' or name.startswith('ansible.')])"
    )
    done = subprocess.run([sys.executable, "-IS", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_what_is_not_needed_is_not_loaded(command: Path, tmp_path: Path) -> None:
    script = (
        f"import sys; sys.path.insert(0, {str(command)!r});"
        "from ansible_collections.phasegate.aistack.plugins.module_utils.cli import main as cli;"
        f"cli.main(['--registry', {str(register(tmp_path))!r}, 'status']);"
        "print([name for name in sys.modules if '.probes' in name or name.endswith(('.gate.engine', '.migrate', 'http.client'))])"
    )
    (tmp_path / "state").mkdir()
    done = subprocess.run([sys.executable, "-IS", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_packed_sources_are_the_same_whenever_they_are_packed(tmp_path: Path) -> None:
    folder = Path(zipapp.__file__).parents[1]
    members = zipapp.sources(folder)
    assert not [name for name in members if "__pycache__" in name or not name.endswith(".py")]
    time.sleep(0.01)
    shuffled = dict(reversed(list(zipapp.sources(folder).items())))
    assert zipapp.pack(members) == zipapp.pack(shuffled)
    assert zipapp.digest(members) == zipapp.digest(shuffled)
    (tmp_path / "a.zip").write_bytes(zipapp.pack(members))
    assert zipapp.unpack(tmp_path / "a.zip") == members
    assert zipapp.digest({**members, "__main__.py": b""}) != zipapp.digest(members)


def test_code_compiled_for_another_python_is_passed_over(command: Path, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    members = zipapp.unpack(command)
    assert any(name.endswith("/cli/main.pyc") for name in members)
    strange = {name: b"\0\0\0\0" + raw[4:] if name.endswith(".pyc") else raw for name, raw in members.items()}
    other = tmp_path / "aistack"
    other.write_bytes(f"#!{sys.executable} -IS\n".encode() + zipapp.pack(strange))
    assert run(other, register(tmp_path), "status").returncode == 0


def test_a_damaged_archive_is_refused(tmp_path: Path) -> None:
    members = zipapp.sources(Path(zipapp.__file__).parents[1])
    (tmp_path / "a.zip").write_bytes(zipapp.pack({**members, "__main__.py": b"import os\n"}))
    with pytest.raises(ValueError, match="arrived damaged"):
        zipapp.program(tmp_path / "a.zip", zipapp.digest(members), sys.executable)
    (tmp_path / "b.zip").write_bytes(b"no archive")
    with pytest.raises(ValueError, match="not a zip file"):
        zipapp.unpack(tmp_path / "b.zip")


# -- the verbs


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fleet:
    fleet = Fleet(tmp_path, warm=300)
    for number in (1, 2, 3):
        fleet.deploy(number)
    register(tmp_path)
    systemd: Any = AllUnits(fleet)
    monkeypatch.setattr(rollback_view, "observe", partial(rollback_view.observe, systemd=systemd))
    monkeypatch.setattr(rollback, "Tools", lambda say: fleet.tools())
    monkeypatch.setattr(signal, "signal", lambda *given: None)  # what the command does to its own process stays out of this one
    return fleet


def call(fleet: Fleet, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    capsys.readouterr()
    code = cli.main(["--registry", str(fleet.root / "etc"), *arguments])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_rollback_and_what_is_said(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _err = call(fleet, capsys, "rollback", "--dry-run")
    assert code == 0
    assert out.startswith("Rollback of shop, level app: v3 → v2\n")
    assert "1. beat: v3 → v2, config c3 → c2; stops, then starts again\n     environment: ~LEVEL" in out
    assert "3. web: v3 → v2, config c3 → c2; its slot is warm" in out
    assert "--to v1" in out
    assert fleet.live() == dict.fromkeys(fleet.names, "v3")
    code, out, _err = call(fleet, capsys, "rollback", "--reason", "5xx")
    assert code == 0
    assert out.startswith("Done in ")
    assert "web went back" in out
    assert fleet.live() == dict.fromkeys(fleet.names, "v2")
    assert fleet.records("rollback")[-1]["detail"]["reason"] == "5xx"
    code, out, _err = call(fleet, capsys, "rollback", "--to", "v2", "--json")
    assert (code, json.loads(out)["changed"]) == (0, False)
    assert [refusal["code"] for refusal in json.loads(out)["plan"]["refusals"]] == ["already_there"]
    code, out, _err = call(fleet, capsys, "rollback", "--to", "v2")
    assert (code, out) == (0, "Every component of shop is at the release v2 already; nothing was to be done.\n")
    code, out, _err = call(fleet, capsys, "rollback", "--to", "v3")
    assert code == 2
    assert out.splitlines()[1] == "Refused; nothing is touched."
    assert "fix: going forward is a deployment" in out


def test_a_rollback_that_fails(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    fleet.gate.fails = {("web", "v2")}
    code, out, _err = call(fleet, capsys, "rollback")
    assert code == 1
    assert out.startswith("Failed after ")
    assert "web did NOT go back" in out
    assert "boo" in out, "the end of its log"
    code, out, _err = call(fleet, capsys, "rollback", "--best-effort", "--json")
    assert (code, json.loads(out)["outcome"]) == (1, "partial")


def test_a_level_that_does_not_exist(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    before = len(fleet.journal.read())
    for verb in ("rollback", "plan"):
        with pytest.raises(SystemExit) as ended:
            cli.main(["--registry", str(register(fleet.root)), verb, "--level", "galaxy"])
        assert ended.value.code == 2
        said = capsys.readouterr().err
        assert "'galaxy'" in said
        assert "'app', 'config'" in said or "app, config" in said
    assert len(fleet.journal.read()) == before


def test_whose_database_another_host_moves(capsys: pytest.CaptureFixture[str]) -> None:
    given = cli.parser().parse_args(["plan", "--level", "schema", "--elsewhere", "api=b1", "--elsewhere", "flow=b2"])
    assert cli._rollback_request(given).elsewhere == {"api": "b1", "flow": "b2"}
    assert cli._rollback_request(cli.parser().parse_args(["rollback"])).elsewhere == {}
    with pytest.raises(SystemExit):
        cli.parser().parse_args(["plan", "--elsewhere", "api"])
    assert "expected COMPONENT=HOST, got 'api'" in capsys.readouterr().err


def test_locked(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    Lock(fleet.state).acquire("deploy-9", {"actor": "eve", "controller": "ctl"}, 300)
    code, out, err = call(fleet, capsys, "rollback")
    assert (code, out) == (2, "")
    assert "eve on ctl, run deploy-9" in err
    code, out, _err = call(fleet, capsys, "rollback", "--json")
    assert (code, json.loads(out)["outcome"]) == (2, "refused")
    assert call(fleet, capsys, "rollback", "--force-lock")[0] == 0


def test_plan_in_one_line_with_what_the_controller_needs(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _err = call(fleet, capsys, "plan", "--json", "--best-effort")
    answer = json.loads(out)
    assert (code, out.count("\n")) == (0, 1)
    assert [entry["component"] for entry in answer["candidates"]] == fleet.names
    assert all(entry["tags"] == ["v3", "v2", "v1"] for entry in answer["candidates"])
    assert (answer["resumes"], answer["last_rollback"]) == (None, None)
    assert call(fleet, capsys, "plan", "--level", "system")[0] == 2
    for level, why in (("system", "backup_missing"), ("app", "set_and_level")):
        code, out, _err = call(fleet, capsys, "plan", "--level", level, "--set", "20200101T000000Z-typo", "--json")
        assert (code, [refusal["code"] for refusal in json.loads(out)["refusals"]]) == (2, [why])
    call(fleet, capsys, "rollback")
    answer = json.loads(call(fleet, capsys, "plan", "--json")[1])
    assert (answer["to"], answer["last_rollback"]["to"], answer["last_rollback"]["outcome"]) == ("v1", "v2", "ok")


def test_plan_finishes_what_was_begun(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    detail = {"level": "app", "application": "shop"}
    fleet.journal.append({"op": "rollback", "release": "v1", "run": "rb-0", "outcome": "started", "detail": detail})
    code, out, _err = call(fleet, capsys, "plan")
    assert code == 0
    assert "This finishes what run rb-0 began and did not end." in out
    assert "v3 → v1" in out


def test_status(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    fleet.journal.append({"op": "stage", "component": "web", "release": "v4", "run": "r4", "outcome": "started"})
    (fleet.state / "confirm").mkdir()
    waiting = {"run": "deploy-3", "expires": "2026-01-31T12:00:00Z", "returns": {"web": {"release": "v2"}}}
    (fleet.state / "confirm" / "deploy-3.json").write_text(json.dumps(waiting))
    Lock(fleet.state).acquire("deploy-3", {"actor": "eve"}, 300)
    code, out, _err = call(fleet, capsys, "status")
    assert code == 0
    assert "shop would go back to v2: aistack --stack shop rollback" in out
    assert "run deploy-3 until 2026-01-31 12:00:00, else web to v2. Keep it: aistack --stack shop confirm deploy-3" in " ".join(out.split())
    assert "by eve, run deploy-3" in out
    assert "- stage web v4, run r4" in out
    assert "web: `show servers state` at the admin socket /s" in out
    answer = json.loads(call(fleet, capsys, "status", "--json")[1])
    assert answer["applications"]["shop"]["components"][0]["live"]["release"] == "v3"
    assert "hunter2" not in json.dumps(answer)


def test_figures(fleet: Fleet, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = {"systemd": AllUnits(fleet)}
    monkeypatch.setattr(node_figures, "observe_node", lambda *given, **more: rollback_view.observe(*given, **{**more, **seen}))
    code, out, _err = call(fleet, capsys, "figures")
    assert (code, 'aistack_journal_intact{stack="shop"} 1' in out.splitlines()) == (0, True)
    place = tmp_path / "page" / "shop.prom"
    code, out, _err = call(fleet, capsys, "figures", "--to", str(place), "--worker", "worker=celery,mail")
    assert (code, out) == (0, f"{place}\n")
    assert 'aistack_queue_workers{stack="shop",component="worker",application="shop",queue="mail"} 1' in place.read_text().splitlines()
    with pytest.raises(SystemExit):
        call(fleet, capsys, "figures", "--worker", "worker")
    assert "expected COMPONENT=QUEUE,QUEUE, got 'worker'" in capsys.readouterr().err


def test_journal(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _err = call(fleet, capsys, "journal", "--lines", "2", "--verify")
    assert code == 0
    assert len(out.splitlines()) == 6
    assert out.splitlines()[-1] == "The chain of all 27 records holds."
    assert len(json.loads(call(fleet, capsys, "journal", "--json", "--lines", "0")[1])["records"]) == 27
    book = fleet.state / "journal.jsonl"
    book.write_text(book.read_text().replace('"actor":"ann"', '"actor":"eve"', 1))
    code, out, _err = call(fleet, capsys, "journal", "--verify")
    assert code == 1
    assert "BROKEN" in out


def test_revert_and_confirm(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(fleet, capsys, "revert", "--run", "deploy-3", "--unless-confirmed")[1].startswith("Run deploy-3 was confirmed")
    code, out, _err = call(fleet, capsys, "revert", "--run", "deploy-3", "--json")
    assert (code, json.loads(out)["outcome"]) == (0, "ok")
    assert fleet.live() == dict.fromkeys(fleet.names, "v2")
    assert "activated nothing here" in call(fleet, capsys, "revert", "--run", "deploy-3")[1]
    code, _out, err = call(fleet, capsys, "confirm", "deploy-3")
    assert code == 2
    assert "too late" in err
    assert call(fleet, capsys, "confirm", "../x")[0] == 2
    fleet.gate.fails = {("web", "v1")}
    assert call(fleet, capsys, "revert", "--run", "deploy-2")[0] == 0, "v2 went back to; nothing of deploy-2 is live by its own doing"


def test_which_stack(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    register(fleet.root, "blog", fleet.root / "blog")
    code, _out, err = call(fleet, capsys, "status")
    assert code == 2
    assert "say --stack with one of blog, shop" in err
    assert call(fleet, capsys, "--stack", "shop", "status")[0] == 0
    assert call(fleet, capsys, "status", "--stack", "shop")[0] == 0
    assert "no stack shoop" in call(fleet, capsys, "--stack", "shoop", "status")[2]
    (fleet.root / "etc" / "blog.json").write_text("{torn")
    assert "does not say where a stack is" in call(fleet, capsys, "--stack", "shop", "status")[2]


def test_backup_reads_its_own_words(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    registry = str(register(fleet.state.parent, state=fleet.state))
    assert cli.main(["--registry", registry, "--json", "backup", "--list"]) == 0
    assert json.loads(capsys.readouterr().out)["sets"] == []
    assert cli.main(["--registry", registry, "backup", "--verify", "newest"]) == 1
    assert "set" in capsys.readouterr().err


def test_the_controller_asks_probes_through_it(command: Path, tmp_path: Path) -> None:
    stamp = zipapp.stamp_of(command)["source"]
    line = command.open("rb").readline().decode().removeprefix("#!").split()
    asked = json.dumps({"probes": [{"name": "here", "file": str(tmp_path)}], "deadline": "0"})

    def ask(source: str) -> subprocess.CompletedProcess[str]:
        words = [*line, str(command), "gate", "--source", source]
        return subprocess.run(words, input=asked, capture_output=True, text=True, cwd="/", check=False)

    answer = ask(stamp)
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout)["verdict"] == "pass"
    assert (ask("0" * 64).returncode, ask("0" * 64).stdout) == (3, ""), "other code than the controller's does not answer for it"


def test_without_systemd_nothing_moves(command: Path, fleet: Fleet) -> None:
    done = run(command, fleet.root / "etc", "rollback", "--json")
    answer = json.loads(done.stdout)
    assert (done.returncode, answer["outcome"]) == (1, "failed"), "there is no systemd and no edge where tests run"
    assert all(row["outcome"] == "failed" for row in answer["components"])
    assert fleet.live() == dict.fromkeys(fleet.names, "v3")
    assert Lock(fleet.state).current() is None


def test_a_lost_terminal_does_not_end_it_and_a_signal_ends_it_in_order(command: Path) -> None:
    script = (
        f"import os, signal, sys; sys.path.insert(0, {str(command)!r});"
        "from ansible_collections.phasegate.aistack.plugins.module_utils.cli import main as cli;"
        "stop = cli._stop();"
        "os.kill(os.getpid(), signal.SIGHUP); print(stop.is_set());"
        "os.kill(os.getpid(), signal.SIGTERM); print(stop.is_set())"
    )
    done = subprocess.run([sys.executable, "-IS", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


def test_nobody_listens_and_the_exit_status_still_tells(command: Path, fleet: Fleet) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    line = command.open("rb").readline().decode().removeprefix("#!").split()
    done = subprocess.run(
        [*line, str(command), "--registry", str(fleet.root / "etc"), "status"], stdout=writer, stderr=subprocess.PIPE, check=False
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")
