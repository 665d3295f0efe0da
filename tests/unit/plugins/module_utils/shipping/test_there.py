# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is sent again is what a store (a stand-in of VictoriaLogs' paths) does not have; and by whose clock a line is sent."""

from __future__ import annotations

import http.server
import json
import threading
import time
from collections.abc import Callable, Iterator
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qs

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.shipping import there as there_file
from ansible_collections.phasegate.aistack.plugins.module_utils.shipping.lines import WRONG, Line, body, set_right
from ansible_collections.phasegate.aistack.plugins.module_utils.shipping.store import Away, Store
from ansible_collections.phasegate.aistack.plugins.module_utils.shipping.there import FLUSH, PUSH, QUERY, There
from ansible_collections.phasegate.aistack.tests.unit.plugins.module_utils import listening

LINES = [Line(f"s=a;i={number};b=1", 1000 + number, f"line {number}", component="api") for number in range(1, 6)]


class StandIn(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.has: list[Any] = []
        self.status, self.late, self.ahead, self.slow = 200, 0.0, 0.0, QUERY
        self.asked: list[tuple[str, dict[str, str]]] = []
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def store(self, path: str = PUSH, **more: Any) -> Store:
        one = Store(f"http://127.0.0.1:{self.server_port}{path}?x=1", {"Authorization": "Basic eA=="}, **more)
        one.connect()
        return one


class Handler(listening.Kept):
    server: StandIn

    def date_time_string(self, timestamp: float | None = None) -> str:
        return formatdate(time.time() + self.server.ahead, usegmt=True)

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.server.asked.append((self.path, {name: values[0] for name, values in form.items()}))
        asked = self.path.endswith(QUERY)
        time.sleep(self.server.late if self.path.endswith(self.server.slow) else 0)
        text = "".join(json.dumps({"id": name}) + "\n" for name in self.server.has).encode() if asked else b""
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


@pytest.fixture
def server() -> Iterator[StandIn]:
    one = StandIn()
    yield one
    one.shutdown()
    one.server_close()


Ask = Callable[[Store], There]


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def of(told: list[str]) -> Ask:
    return lambda store: There(store, "shop", 'no"de', told.append)


def texts(lines: list[Line]) -> str:
    return " ".join(line.text.partition(" ")[2] for line in lines)


def test_what_it_has_is_left_out_and_only_what_may_be_there_is_asked_for(server: StandIn, of: Ask, told: list[str]) -> None:
    server.has = ["a-1", "a-3", "b-4"]
    there = of(server.store())
    assert there.missing(LINES) == LINES, "nobody doubts yet"
    assert server.asked == []
    there.doubt(1003)
    assert texts(there.missing(LINES)) == "2 4 5"
    assert server.asked == [
        (FLUSH, {}), (QUERY, {"query": '{stack="shop",node="no\\"de"} | fields id', "start": "1001000", "end": "1004000"}),
    ]
    assert there.missing(LINES[3:]) == LINES[3:], "these were said later"
    assert len(server.asked) == 2
    assert told == []


def test_behind_a_path_and_of_another_store(server: StandIn, of: Ask) -> None:
    there = of(server.store(f"/logs{PUSH}"))
    there.doubt(9999)
    assert server.asked == [(f"/logs{FLUSH}", {})]
    loki = of(server.store("/loki/api/v1/push"))
    loki.doubt(9999)
    assert loki.missing(LINES) == LINES
    assert len(server.asked) == 1


@pytest.mark.parametrize("why", ["status", "text", "length"])
def test_one_that_does_not_say_gets_all_of_it_and_that_is_said_once(
    server: StandIn, of: Ask, told: list[str], monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    server.has = [line.id for line in LINES]
    if why == "status":
        server.status = 401
    elif why == "text":
        server.has = [[]]
    else:
        monkeypatch.setattr(there_file, "LONGEST", 20)
    there = of(server.store())
    there.doubt(9999)
    for _turn in range(2):
        assert there.missing(LINES) == LINES
    assert len(told) == 1
    assert f"http://127.0.0.1:{server.server_port} does not say which lines it has" in told[0]
    assert told[0].endswith("some may be there twice")


@pytest.mark.parametrize("question", [QUERY, FLUSH])
def test_a_store_that_is_lost_over_the_question_is_not_asked_it_again_and_again(server: StandIn, of: Ask, question: str) -> None:
    server.slow, server.late, server.has = question, 3, ["a-1"]
    store = server.store(timeout=1)  # for answers that do come, on a machine that has more to do
    there = of(store)

    def ask() -> None:
        there.doubt(9999)
        there.missing(LINES)

    with pytest.raises(Away):
        ask()
    store.connect()
    there.doubt(9999)
    assert there.missing(LINES) == LINES
    server.late = 0
    store.connect()
    there.doubt(9999)
    assert texts(there.missing(LINES)) == "2 3 4 5", "the next time it is"


@pytest.mark.parametrize(("ahead", "date"), [(3600.0, True), (-90.0, True), (0.0, False)])
def test_by_how_much_the_clocks_differ(server: StandIn, monkeypatch: pytest.MonkeyPatch, ahead: float, date: bool) -> None:
    server.ahead = -ahead
    if not date:
        monkeypatch.setattr(Handler, "date_time_string", lambda _handler: "today")
    store = server.store()
    store.push()
    assert abs(store.ahead - ahead) < 2


NOW = 1_800_000_000_000_000
DAY = 24 * WRONG


@pytest.mark.parametrize(
    ("time", "ahead", "sent"),
    [
        (NOW - 5, 0, NOW - 5),
        (NOW - 30 * DAY, 0, NOW - 30 * DAY),  # it waited long
        (NOW - 5, WRONG // 2, NOW - 5),
        (NOW - 5, 7 * DAY, NOW - 5 - 7 * DAY),  # the clock is ahead …
        (NOW - 6 * DAY, 7 * DAY, NOW - 7 * DAY),  # … and jumped again meanwhile
        (NOW - 8 * DAY, 7 * DAY, NOW - 8 * DAY),  # said before it jumped
        (NOW - 5, -9000 * DAY, NOW - 5 + 9000 * DAY),  # a clock that has no battery
        (NOW + 7 * DAY, 0, NOW),  # it was ahead, and is right again
        (NOW + WRONG // 2, 0, NOW + WRONG // 2),
    ],
)
def test_the_time_that_a_line_is_sent_with(time: int, ahead: int, sent: int) -> None:
    line = set_right(Line("c", time, "x", component="api"), NOW, ahead)
    assert (line.time, line.said) == (sent, 0 if sent == time else time)
    (value,) = json.loads(body([line], "shop", "one", lambda _line: ""))["streams"][0]["values"]
    assert value[0] == str(sent * 1000)
    assert ("said_at" in value[2]) is (sent != time)


def test_the_time_of_the_journal_is_beside_it() -> None:
    line = set_right(Line("c", 1_000_001, "x", component="api"), 1_000_001, -DAY)
    (value,) = json.loads(body([line], "shop", "one", lambda _line: ""))["streams"][0]["values"]
    assert value[2]["said_at"] == "1970-01-01T00:00:01.000001Z"
