# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The gate module."""

from __future__ import annotations

import socket

import pytest

from ansible_collections.phasegate.aistack.plugins.modules.gate import argument_spec

EVERYWHERE = {"name": "open", "tcp": "127.0.0.1:1"}


@pytest.fixture
def listening():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


def test_pass(call, listening):
    answer = call("gate", probes=[{"name": "open", "tcp": listening}])
    assert not answer["changed"]
    assert answer["verdict"] == "pass"
    assert answer["summary"].startswith("1 probe: 1 passed")


def test_fail_is_enforced_and_says_why(call):
    answer = call("gate", probes=[EVERYWHERE], deadline=0)
    assert answer["failed"]
    assert answer["verdict"] == "fail"
    assert "expected  a connection" in answer["msg"]
    assert "got       connection refused (127.0.0.1:1)" in answer["msg"]


def test_fail_is_only_returned_where_asked(call):
    answer = call("gate", probes=[EVERYWHERE], deadline=0, enforce=False)
    assert not answer.get("failed")
    assert (answer["verdict"], answer["enforced"]) == ("fail", False)


def test_check_mode_enforces_nothing_asks_once_and_writes_nothing(call, tmp_path):
    probes = [EVERYWHERE, {"name": "post", "http": "http://127.0.0.1:1/", "data": {}}]
    answer = call("gate", check=True, probes=probes, deadline=60, state_dir=str(tmp_path))
    assert not answer.get("failed")
    assert [probe["verdict"] for probe in answer["probes"]] == ["fail", "skipped"]
    assert answer["probes"][0]["attempts"] == 1
    assert "nothing is enforced" in answer["msg"]
    assert not list(tmp_path.iterdir())


def test_a_command_that_changes_something_is_passed_over_in_check_mode_and_never_passes(call, tmp_path):
    seed = {"name": "seed", "command": ["touch", str(tmp_path / "seeded")], "changes": True}
    answer = call("gate", check=True, probes=[seed, {"name": "look", "command": ["true"]}])
    assert [(row["verdict"], row["got"]) for row in answer["probes"]] == [
        ("skipped", "not asked: it would change something"), ("pass", "rc = 0"),
    ]
    assert "1 passed, 1 skipped" in answer["summary"]
    assert not (tmp_path / "seeded").exists()
    assert call("gate", probes=[seed])["verdict"] == "pass"
    assert (tmp_path / "seeded").exists()


def test_every_problem_is_named_before_anything_is_asked(call):
    answer = call("gate", probes=[{"name": "a", "htp": "x"}, {"name": "b", "tcp": "h:1", "prot": 3}])
    assert answer["failed"]
    assert len(answer["problems"]) == 2
    assert "probes[1] (b): unknown key 'prot' (did you mean port?)" in answer["problems"]


def test_settings_are_checked(call):
    assert "successes: 0 is too small" in call("gate", probes=[EVERYWHERE], successes=0)["msg"]


def test_live_slot_and_public_port(call, tmp_path, listening):
    slot = tmp_path / "backend" / "slots" / "blue"
    slot.mkdir(parents=True)
    (slot / "slot.env").write_text("AISTACK_PORT=1\n")
    (slot.parent / "live").symlink_to("blue")
    probe = {"name": "open", "tcp": "127.0.0.1:${port}", "component": "backend"}
    given = {"probes": [probe], "root": str(tmp_path), "deadline": 0, "enforce": False}
    assert call("gate", **given)["verdict"] == "fail"
    public = int(listening.split(":")[1])
    answer = call("gate", **given, ports={"backend": public})
    assert answer["verdict"] == "pass"
    assert answer["contexts"]["backend"] == {"slot": "blue", "port": public, "unit": "aistack-backend@blue.service"}
    assert call("gate", **given, contexts={"backend": {"port": public}})["verdict"] == "pass"


def test_bare_node_is_an_error_that_says_so(call, tmp_path):
    answer = call("gate", probes=[{"name": "a", "tcp": "h:${port}", "component": "backend"}], root=str(tmp_path), deadline=0)
    assert answer["verdict"] == "error"
    assert "nothing is live" in answer["msg"]


def test_what_a_node_goes_back_by_is_left_alone(call, tmp_path, listening):
    kept = tmp_path / "gates" / "backend.json"
    kept.parent.mkdir()
    kept.write_text('{"v1": {"probes": []}}')
    probe = {"name": "open", "tcp": listening, "component": "backend"}
    answer = call("gate", probes=[probe], state_dir=str(tmp_path), contexts={"backend": {}})
    assert (answer["verdict"], answer["changed"]) == ("pass", False)
    assert kept.read_text() == '{"v1": {"probes": []}}'
    assert "Unsupported parameters" in call("gate", probes=[probe], save="backend", state_dir=str(tmp_path))["msg"]


def test_secrets_do_not_get_out(call, tmp_path):
    (tmp_path / "pw").write_text("hunter22\n")
    probe = {"name": "a", "http": "http://127.0.0.1:1/", "username": "u", "password_file": str(tmp_path / "pw")}
    assert "hunter22" not in call("gate", probes=[probe], deadline=0, enforce=False)["text"]


def test_slices_are_handed_on(call):
    given = {"probes": [EVERYWHERE], "deadline": 4, "interval": 0.1, "enforce": False, "slice": 0.6}
    first = call("gate", **given)
    assert first["verdict"] == "waiting"
    second = call("gate", **{**given, "slice": 30}, resume=first["state"])
    assert second["verdict"] == "fail"
    assert second["probes"][0]["attempts"] > first["probes"][0]["attempts"]


def test_settings_and_documentation_agree():
    assert set(argument_spec()) >= {"probes", "contexts", "ports", "root", "state_dir", "slice", "resume"}
