# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lines as the journal has them and as a store gets them: whose they are, in which release, and what tells them apart."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.shipping import lines
from ansible_collections.phasegate.aistack.plugins.module_utils.shipping.lines import Line, Units, parse
from ansible_collections.phasegate.aistack.plugins.module_utils.shipping.releases import Releases

# as `journalctl --all --output=json` of systemd 252 printed it
CURSOR = "s=900ba359f5774489a405fe66160d8ec7;i=30d40;b=0123456789abcdef0123456789abcdef;m=1313084;t=66174e8b11787;x=96a388103a86da2"
ID = "900ba359f5774489a405fe66160d8ec7-30d40"
UNITS = Units({"aistack-api@*.service": "api", "postgresql*.service": "db"})


def entry(**fields: Any) -> bytes:
    usual = {"__CURSOR": CURSOR, "__REALTIME_TIMESTAMP": "1796004608284551", "MESSAGE": "GET /", "PRIORITY": "6",
             "SYSLOG_IDENTIFIER": "uvicorn", "_PID": "4711", "_SYSTEMD_UNIT": "aistack-api@blue.service"}
    return json.dumps({name: value for name, value in {**usual, **fields}.items() if value != "-"}).encode()


def test_a_line_is_of_its_component_and_slot() -> None:
    line = parse(entry(), UNITS)
    assert line == Line(CURSOR, 1796004608284551, "GET /", "info", "aistack-api@blue.service", "api", "blue", "uvicorn")
    assert line.id == ID


@pytest.mark.parametrize(
    ("fields", "component", "slot"),
    [
        ({"_SYSTEMD_UNIT": "aistack-api@green-2.service"}, "api", "green"),
        ({"_SYSTEMD_UNIT": "postgresql@15-main.service"}, "db", ""),
        ({"_SYSTEMD_UNIT": "ssh.service"}, "", ""),
        ({"_SYSTEMD_UNIT": "-"}, "", ""),
        ({"_SYSTEMD_UNIT": "init.scope", "_PID": "1", "UNIT": "aistack-api@blue.service"}, "api", "blue"),  # Main process exited
        ({"_SYSTEMD_UNIT": "ssh.service", "UNIT": "aistack-api@blue.service"}, "", ""),  # whoever says so of itself
        ({"_SYSTEMD_UNIT": "systemd-coredump@1.service", "COREDUMP_UNIT": "aistack-api@blue.service"}, "api", "blue"),
        ({"_SYSTEMD_UNIT": "ssh.service", "COREDUMP_UNIT": "aistack-api@blue.service"}, "", ""),
        ({"_SYSTEMD_UNIT": "-", "OBJECT_SYSTEMD_UNIT": "aistack-api@blue.service"}, "api", "blue"),
    ],
)
def test_whose_a_line_is(fields: dict[str, str], component: str, slot: str) -> None:
    line = parse(entry(**fields), UNITS)
    assert (line.component, line.slot) == (component, slot)


def test_the_rest_of_the_node_has_a_name_where_it_is_sent() -> None:
    everything = Units({"aistack-api@*.service": "api"}, "node")
    assert everything.of("ssh.service") == ("node", "")
    assert everything.of("other@blue.service") == ("node", ""), "a slot of nobody's"
    assert everything.of("") == ("node", "")
    assert everything.of("aistack-api@blue.service") == ("api", "blue")


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ("한국어", "한국어"),
        ([27, 91, 51, 49, 109, 69], "\x1b[31mE"),  # with colours it is bytes
        ([255, 65], "\ufffdA"),
        (["first", "second"], "second"),
        ([[65], [66]], "B"),
        (None, ""),
        ("-", ""),
        ("", ""),
    ],
)
def test_what_a_line_says(message: Any, text: str) -> None:
    assert parse(entry(MESSAGE=message), UNITS).text == text


def test_a_line_is_not_longer_than_stores_take() -> None:
    text = parse(entry(MESSAGE="x" * (lines.LONGEST + 5)), UNITS).text
    assert text == "x" * lines.LONGEST + "… (5 more characters)"


@pytest.mark.parametrize("raw", [b"<html>", b"[]", b'{"MESSAGE": "no cursor"}', b'{"__CURSOR": "c", "__REALTIME_TIMESTAMP": "soon"}'])
def test_what_is_no_entry_is_refused(raw: bytes) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        parse(raw, UNITS)


def test_what_is_pushed() -> None:
    sent = [parse(entry(), UNITS), parse(entry(MESSAGE="", PRIORITY="-", SYSLOG_IDENTIFIER="-"), UNITS),
            parse(entry(_SYSTEMD_UNIT="postgresql.service", PRIORITY="3"), UNITS)]
    pushed = json.loads(lines.body(sent, "shop", "one", lambda line: "v2" if line.slot else ""))["streams"]
    moment = "1796004608284551000"
    more = {"id": ID, "unit": "aistack-api@blue.service"}
    assert pushed == [
        {"stream": {"stack": "shop", "node": "one", "component": "api", "slot": "blue", "release": "v2"},
         "values": [[moment, "GET /", {**more, "level": "info", "process": "uvicorn"}], [moment, " ", more]]},
        {"stream": {"stack": "shop", "node": "one", "component": "db"},
         "values": [[moment, "GET /", {"id": ID, "unit": "postgresql.service", "level": "error", "process": "uvicorn"}]]},
    ]


@pytest.mark.parametrize(
    ("before", "first", "lost"),
    [("s=a;i=ff;b=1", "s=a;i=100;b=1", 0), ("s=a;i=ff;b=1", "s=a;i=10f;b=1", 15), ("s=a;i=ff;b=1", "s=b;i=1;b=2", 0),
     ("s=a;i=ff;b=1", "s=a;i=1;b=1", 0), ("", "s=a;i=5;b=1", 0)],
)
def test_entries_that_the_journal_no_longer_has_are_counted(before: str, first: str, lost: int) -> None:
    assert lines.gone(before, first) == lost


def record(time: str, op: str, release: str | None, slot: str | None, component: str = "api") -> Any:
    return {"time": f"2026-11-30T12:{time}Z", "op": op, "component": component, "release": release, "outcome": "started",
            "detail": {"slot": slot} if slot else {}}


def test_a_release_is_that_of_the_moment() -> None:
    held = Releases([record("00:00.000", "activate", "v1", "blue"), record("05:00.500", "prepare", "v2", "green"),
                     record("06:00.000", "retire", "v1", "blue"), record("07:00.000", "prepare", "v3", "blue"),
                     record("08:00.000", "revert", None, "blue"), record("08:30.000", "mark", "v3", None)])

    def at(slot: str, minute: int, component: str = "api") -> str:
        return held.at(component, slot, 1796040000_000000 + minute * 60_000_000)

    assert [at("blue", minute) for minute in (-1, 0, 6, 7, 9)] == ["", "v1", "v1", "v3", "v3"]
    assert [at("green", minute) for minute in (5, 6)] == ["", "v2"], "five minutes and half a second"
    assert at("blue", 6, "worker") == ""
    assert Releases().at("api", "blue", 1) == ""
