# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.haproxy import (
    EdgeError,
    Load,
    ask,
    parse_info,
    parse_old_workers,
    parse_servers_state,
    parse_stat,
    stat_rows,
    word,
)

CAPTURED = Path(__file__).parents[3] / "fixtures/haproxy"


def captured(what: str, version: str) -> str:
    return (CAPTURED / f"{what}-{version}.txt").read_text()


@pytest.mark.parametrize("version", ["2.6", "3.0"])
def test_both_answers_have_the_same_words(version: str) -> None:
    rows = stat_rows(captured("show-stat", version))
    servers = parse_servers_state(captured("show-servers-state", version))
    assert [word(rows[server.backend, server.name]["status"]) for server in servers] == [server.state for server in servers]


@pytest.mark.parametrize(
    ("status", "state"),
    [("UP", "ready"), ("UP 1/3", "ready"), ("no check", "ready"), ("MAINT (via web/blue)", "maint"), ("DRAIN", "drain"),
     ("NOLB", "drain"), ("DOWN 1/2", "down"), ("NEW", "new")],
)
def test_words_of_the_status(status: str, state: str) -> None:
    assert word(status) == state


def test_an_answer_that_comes_in_drops_is_not_waited_for_beyond_its_time(tmp_path: Path) -> None:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "s"))
    listener.listen()

    def drip() -> None:
        client, _address = listener.accept()
        with client:
            try:
                while True:
                    client.sendall(b"x")
                    time.sleep(0.05)
            except OSError:
                return

    thread = threading.Thread(target=drip, daemon=True)
    thread.start()
    began = time.monotonic()
    with pytest.raises(OSError, match="timed out"):
        ask(str(tmp_path / "s"), "show stat", 0.3)
    assert time.monotonic() - began < 10
    thread.join(10)
    listener.close()


@pytest.mark.parametrize(("version", "expected"), [("2.6", ["maint", "maint"]), ("3.0", ["maint", "ready"])])
def test_servers_state_as_captured(version: str, expected: list[str]) -> None:
    servers = parse_servers_state(captured("show-servers-state", version))
    assert [(server.backend, server.name, server.port) for server in servers] == [("probe", "blue", 28001), ("probe", "green", 28002)]
    assert [server.state for server in servers] == expected


# Lines of 2.6.12: srv_op_state and srv_admin_state after `set server`. 4 (configured as disabled) stays after `ready`.
@pytest.mark.parametrize(
    ("operational", "admin", "state"),
    [(2, 4, "ready"), (2, 0, "ready"), (0, 4, "down"), (0, 5, "maint"), (0, 12, "drain"), (2, 8, "drain"), (3, 0, "drain")],
)
def test_words_of_the_state(operational: int, admin: int, state: str) -> None:
    head = captured("show-servers-state", "2.6").splitlines()[:2]
    line = f"3 web 1 blue 127.0.0.1 {operational} {admin} 1 1 0 8 2 0 6 0 0 0 - 28001 - 0 0 - - 0"
    assert parse_servers_state("\n".join([*head, line]))[0].state == state


@pytest.mark.parametrize("version", ["2.6", "3.0"])
def test_stat_as_captured(version: str) -> None:
    loads = parse_stat(captured("show-stat", version))
    assert loads[("probe", "blue")] == Load(0, "MAINT")
    assert loads[("probe", "green")].status == {"2.6": "MAINT", "3.0": "UP"}[version]


@pytest.mark.parametrize("text", ["", "2\n# be_id\n", "Unknown command\n", "1\n# be_name srv_name\nweb blue\n"])
def test_another_form_is_an_error(text: str) -> None:
    with pytest.raises(EdgeError):
        parse_servers_state(text)


def test_stat_in_another_form_is_an_error() -> None:
    with pytest.raises(EdgeError, match="not known here"):
        parse_stat("Permission denied\n")


@pytest.mark.parametrize("version", ["2.6", "3.0"])
def test_a_sections_own_row(version: str) -> None:
    row = stat_rows(captured("show-stat", version))[("probe", "BACKEND")]
    assert {"hrsp_5xx", "req_tot", "rtime"} <= set(row)


def test_which_process_answers() -> None:
    assert parse_info("Name: HAProxy\nPid: 4711\nUptime: 0d 0h01m05s\nUptime_sec: 65\n\n") == ("4711", 65.0)
    for text in ("Permission denied\n", "Pid: 1\n", "Pid: 1\nUptime_sec: long\n"):
        with pytest.raises(EdgeError, match="not known here"):
            parse_info(text)


PROCESSES = """\
#<PID>          <type>          <reloads>       <uptime>        <version>
353             master          1 [failed: 0]   0d00h00m02s     2.6.12-1+deb12u4
# workers
368             worker          0               0d00h00m00s     2.6.12-1+deb12u4
# old workers
355             worker          1               0d00h00m02s     2.6.12-1+deb12u4
# programs

"""


def test_processes_from_before_a_reload() -> None:
    """As captured from 2.6."""
    assert parse_old_workers(PROCESSES) == [355]
    assert parse_old_workers(PROCESSES.replace("# old workers\n355", "# programs\n355")) == []
    with pytest.raises(EdgeError, match="show proc"):
        parse_old_workers("Unknown command\n")
