# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What counts as sent: only what a store (a stand-in) has answered for some time ago, over a connection that still works."""

from __future__ import annotations

import http.server
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.journal import archive, keep
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.file import Journal
from ansible_collections.phasegate.aistack.plugins.module_utils.shipping import reader, ship
from ansible_collections.phasegate.aistack.plugins.module_utils.shipping.lines import Line
from ansible_collections.phasegate.aistack.plugins.module_utils.shipping.position import Position
from ansible_collections.phasegate.aistack.plugins.module_utils.shipping.ship import Settings, SettingsError, Shipper
from ansible_collections.phasegate.aistack.plugins.module_utils.shipping.store import Away, NotNow, Refused, Store
from ansible_collections.phasegate.aistack.tests.unit.plugins.module_utils import listening

SECRET = "s3cret-of-the-shop"


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class StandIn(http.server.ThreadingHTTPServer):
    """A store that answers as it is told, and keeps what was pushed."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.statuses: list[int] = []
        self.refuses = ""
        self.ends = False
        self.patience: float | None = None
        self.says = b"words"
        self.pushed: list[tuple[str, str]] = []
        self.times: list[int] = []
        self.streams: list[dict[str, Any]] = []
        self.asked: list[dict[str, str]] = []
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/push?x=1"


class Handler(listening.Kept):
    server: StandIn

    def setup(self) -> None:
        self.timeout = self.server.patience  # for a connection on which nobody says anything, as a server written in Go has one
        super().setup()

    def do_POST(self) -> None:
        text = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.asked.append({"path": self.path, **dict(self.headers)})
        status = self.server.statuses.pop(0) if self.server.statuses else 204
        if self.server.refuses and self.server.refuses in text:
            status = 400
        if status == 204:
            streams = json.loads(text)["streams"]
            values = [(one["stream"], value) for one in streams for value in one["values"]]
            self.server.times += [int(value[0]) for _labels, value in values]
            self.server.pushed += [(labels.get("component", ""), value[1]) for labels, value in values]
            self.server.streams += streams
        self.send_response(status)
        self.send_header("Content-Length", "0" if status == 204 else str(len(self.server.says)))
        if self.server.ends:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(b"" if status == 204 else self.server.says)
        self.close_connection = self.server.ends


@pytest.fixture
def store() -> Iterator[StandIn]:
    server = StandIn()
    yield server
    server.shutdown()
    server.server_close()


def test_a_new_position_begins_now_and_is_kept(tmp_path: Path) -> None:
    position = Position(tmp_path / "position", 10)
    assert (position.cursor, abs(position.since - time.time()) < 5) == ("", True)
    again = Position(tmp_path / "position", 10)
    assert again.since == position.since
    assert (tmp_path / "position").stat().st_mode & 0o777 == 0o600


def test_a_position_that_says_nothing_begins_at_the_beginning(tmp_path: Path) -> None:
    (tmp_path / "position").write_text("{")
    assert (Position(tmp_path / "position", 10).cursor, Position(tmp_path / "position", 10).since) == ("", 0.0)


def test_what_was_answered_counts_when_it_was_confirmed_later(tmp_path: Path) -> None:
    clock = Clock()
    position = Position(tmp_path / "position", 10, clock)
    for cursor in ("a", "b"):
        position.answered(cursor, 1)
        clock.now += 4
    assert not position.due
    position.confirmed()
    assert position.cursor == ""
    clock.now += 3  # a is 11 s old, b 7 s
    assert position.due
    position.confirmed()
    assert (position.cursor, Position(tmp_path / "position", 10).cursor) == ("a", "a")
    assert not position.due
    position.back()
    clock.now += 60
    position.confirmed()
    assert position.cursor == "a", "b was taken back"


def test_a_store_that_ends_a_connection_is_not_away_after_a_pause(store: StandIn) -> None:
    store.ends, store.patience = True, 0.05
    one = Store(store.url)
    one.connect()
    for _turn in range(3):
        one.push()
        time.sleep(0.2)
    one.close()
    with pytest.raises(Away):
        one.push()


def test_a_push_and_its_login(store: StandIn) -> None:
    one = Store(store.url, {"Authorization": "Basic eA=="})
    one.connect()
    one.push(b'{"streams":[{"stream":{"component":"api"},"values":[["1","hello",{}]]}]}')
    one.push()
    assert store.pushed == [("api", "hello")]
    assert {(asked["path"], asked["Authorization"]) for asked in store.asked} == {("/push?x=1", "Basic eA==")}
    assert one.place == f"http://127.0.0.1:{store.server_port}"


@pytest.mark.parametrize(
    ("status", "raised"),
    [(400, Refused), (413, Refused), (422, Refused), (401, NotNow), (403, NotNow), (404, NotNow), (429, NotNow), (302, NotNow),
     (500, Away), (503, Away)],
)
def test_what_an_answer_means(store: StandIn, status: int, raised: type[Exception]) -> None:
    one = Store(store.url)
    one.connect()
    store.statuses = [status]
    with pytest.raises(raised, match=rf"status {status}: words"):
        one.push(b'{"streams":[1]}')


@pytest.mark.parametrize(
    ("says", "raised", "words"),
    [
        (b"Client sent an HTTP request to an HTTPS server.\n", Away, "it speaks TLS: log_shipper_url has to begin with https"),
        (b"no line: Client sent an HTTP request to an HTTPS server", Refused, "status 400: no line"),
    ],
)
def test_a_store_that_speaks_tls_by_now_refuses_no_line(store: StandIn, says: bytes, raised: type[Exception], words: str) -> None:
    one = Store(store.url)
    one.connect()
    store.statuses, store.says = [400], says
    with pytest.raises(raised, match=words):
        one.push(b'{"streams":[1]}')


def test_a_store_that_ends_a_connection_in_peace_gets_a_new_one(store: StandIn) -> None:
    one = Store(store.url)
    one.connect()
    store.ends = True
    one.push()
    one.push()
    assert len(store.asked) == 2


def test_a_connection_that_broke_means_away(store: StandIn) -> None:
    one = Store(store.url)
    one.connect()
    one.push()
    store.shutdown()
    store.server_close()
    assert one._connection
    one._connection.sock.shutdown(socket.SHUT_RDWR)
    with pytest.raises(Away):
        one.push()
    with pytest.raises(Away, match="the connection was lost"):
        one.push()
    with pytest.raises(Away, match="refused"):
        one.connect()


class Script:
    """journalctl in the test's place: C(portions), each of texts, once; then nothing more comes."""

    starts: list[str]
    said: list[list[str]]

    def __init__(self, position: Position, _folder: str = "") -> None:
        self.starts.append(position.cursor)
        begin = int(position.cursor.partition("i=")[2].partition(";")[0] or "0", 16)
        texts = [text for portion in self.said for text in portion]
        self.left = [[self.entry(number, text) for number, text in enumerate(texts, 1) if number > begin]]

    @staticmethod
    def entry(number: int, text: str) -> bytes:
        return json.dumps({"__CURSOR": f"s=a;i={number:x};b=1", "__REALTIME_TIMESTAMP": str(number), "MESSAGE": text,
                           "_SYSTEMD_UNIT": "api.service"}).encode()

    def __enter__(self) -> Script:
        return self

    def __exit__(self, *_error: object) -> None:
        pass

    def portion(self, _wait: float) -> list[bytes]:
        time.sleep(0.01)
        return self.left.pop(0) if self.left else []


@dataclass
class Running:
    """A shipper with what it has said, and journalctl's stand-in."""

    shipper: Shipper
    told: list[str]
    script: type[Script]
    thread: threading.Thread

    @property
    def cursor(self) -> str:
        return self.shipper.position.cursor


Ship = Callable[..., Running]


@pytest.fixture
def shipper(tmp_path: Path, store: StandIn, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ship]:
    """Start one that sends what the texts say; it is stopped at the end."""
    running: list[Running] = []
    monkeypatch.setattr(ship, "PAUSE", 0.02)
    config = tmp_path / "root/api/config/1"
    config.mkdir(parents=True)
    (config / "env").write_text(f'API_TOKEN="{SECRET}"\n')
    (tmp_path / "state").mkdir()

    def start(*texts: str, clock: Callable[[], float] = time.monotonic, **more: Any) -> Running:
        script = type("Told", (Script,), {"starts": [], "said": [list(texts)]})
        monkeypatch.setattr(ship, "Reader", script)
        settings = Settings(**{"stack": "shop", "node": "one", "url": store.url, "units": {"api.service": "api"},
                               "position": str(tmp_path / "position"), "root": str(tmp_path / "root"), "state_dir": str(tmp_path / "state"),
                               **more})
        told: list[str] = []
        one = Shipper(settings, told.append, clock)
        running.append(Running(one, told, script, threading.Thread(target=one.run, daemon=True)))
        running[-1].thread.start()
        return running[-1]

    yield start
    for one in running:
        one.shipper.stopped.set()
        one.thread.join(5)
        assert not one.thread.is_alive()


def wait(what: Callable[[], Any]) -> Any:
    ends = time.monotonic() + 20
    while not (found := what()) and time.monotonic() < ends:
        time.sleep(0.01)
    return found


def test_what_is_sent_is_masked(store: StandIn, shipper: Ship, tmp_path: Path) -> None:
    (tmp_path / "state/credentials").mkdir()
    (tmp_path / "state/credentials/redis_shop").write_text("of-the-broker\n")
    shipper("hello", f"token is {SECRET}", "postgresql://app:hunter22@db/x", "AUTH of-the-broker")
    assert wait(lambda: len(store.pushed) == 4)
    assert [text for _component, text in store.pushed] == [
        "hello", "token is ****[API_TOKEN]", "postgresql://app:****@db/x", "AUTH ****",
    ]


def test_a_configuration_that_comes_is_known_before_its_lines(store: StandIn, shipper: Ship, tmp_path: Path) -> None:
    """The node's journal says so first; what was read before is not asked for again each time."""
    one = shipper()
    assert wait(lambda: one.script.starts)
    config = tmp_path / "root/api/config/2"
    config.mkdir()
    (config / "env").write_text('API_TOKEN="n3w-token-of-the-shop"\n')
    Journal.of(tmp_path / "state").append({"op": "configure", "component": "api", "outcome": "ok"})
    known = one.shipper.known
    assert wait(lambda: known.secrets.mask("n3w-token-of-the-shop") == "****[API_TOKEN]")
    assert known.secrets.mask(SECRET) == "****[API_TOKEN]", "the former one as well"


def test_nothing_is_sent_while_a_secret_cannot_be_read(store: StandIn, shipper: Ship, tmp_path: Path) -> None:
    env = tmp_path / "root/api/config/1/env"
    env.rename(tmp_path / "env")
    env.symlink_to(env)  # it is there, and nobody can read it
    one = shipper(SECRET)
    assert wait(lambda: any("nothing is sent" in text for text in one.told))
    assert store.pushed == []
    (tmp_path / "env").replace(env)
    assert wait(lambda: store.pushed == [("api", "****[API_TOKEN]")])


def test_a_line_that_is_refused_is_named_and_the_others_arrive(store: StandIn, shipper: Ship) -> None:
    store.refuses = "bad one"
    one = shipper("a", "b", "bad one", "d", "e")
    assert wait(lambda: [text for _component, text in store.pushed] == ["a", "b", "d", "e"]), store.pushed
    said = wait(lambda: [text for text in one.told if "is refused" in text])
    assert said == [f"a line of api (a-3) is refused by http://127.0.0.1:{store.server_port} and left out: status 400: words"]


def test_a_store_without_room_gets_the_same_lines_later(store: StandIn, shipper: Ship) -> None:
    store.statuses = [429, 429, 401]
    one = shipper("a", "b")
    assert wait(lambda: len(store.pushed) == 2)
    assert store.pushed == [("api", "a"), ("api", "b")], "once"
    assert wait(lambda: len(one.told) == 4)
    told = [text.partition(" ")[2] for text in one.told]
    full = "there may be no room on the disk of the store (victorialogs_keep_free), which wants some made"
    login = "it does not take the password (log_shipper_password): put it right and run site.yml"
    assert told[1:] == [
        f"takes nothing (status 429: words); {full}; it is tried again", f"takes nothing (status 401: words); {login}; it is tried again",
        "takes lines again",
    ]


def test_a_store_that_was_away_gets_what_is_not_settled_again(store: StandIn, shipper: Ship) -> None:
    store.statuses = [204, 503]
    clock = Clock()
    one = shipper("a", "b", clock=clock)
    assert wait(lambda: len(store.pushed) == 2)
    assert one.cursor == ""
    assert wait(lambda: one.shipper.position._answered)
    clock.now += 11  # it is asked whether it is still there, and it is not
    assert wait(lambda: len(store.pushed) == 4)
    assert one.script.starts == ["", ""]
    assert wait(lambda: one.shipper.position._answered)
    clock.now += 11
    assert wait(lambda: one.cursor == "s=a;i=2;b=1")
    said = "is away (status 503: words); what it has answered for in the last 10 s and then does not have is sent again"
    assert any(said in text for text in one.told)


def test_lines_of_others_settle_nothing(store: StandIn, shipper: Ship, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only an answer does: a store may have gone since, and nobody has asked it."""
    entry = Script.entry
    monkeypatch.setattr(Script, "entry", staticmethod(lambda number, text: entry(number, text).replace(b"api.service", b"ssh.service")))
    clock = Clock()
    one = shipper("a", "b", clock=clock)
    assert wait(lambda: one.script.starts == [""])
    store.statuses = [503]
    assert wait(lambda: one.shipper.position._answered)
    clock.now += 11
    assert wait(lambda: len(one.script.starts) == 2), "it was asked, and was away"
    assert one.cursor == ""
    assert wait(lambda: one.shipper.position._answered)
    clock.now += 11
    assert wait(lambda: one.cursor == "s=a;i=2;b=1")
    assert store.pushed == []


def test_a_start_goes_on_from_what_is_settled(store: StandIn, shipper: Ship, tmp_path: Path) -> None:
    (tmp_path / "position").write_text('{"cursor": "s=a;i=1;b=1", "since": 0}')
    shipper("a", "b", "c")
    assert wait(lambda: store.pushed == [("api", "b"), ("api", "c")])


def happen(tmp_path: Path, *ops: str, **more: Any) -> None:
    journal = Journal.of(tmp_path / "state")
    for op in ops:
        fields: Any = {"op": op, "component": "api", "release": "v2", "outcome": "ok", "run": "r", "actor": "ann", **more}
        journal.append(fields)


def test_what_happened_is_sent_as_an_event(store: StandIn, shipper: Ship, tmp_path: Path) -> None:
    """What was before the first start is not; a beginning is none; nor is what is secret said."""
    happen(tmp_path, "drill")
    one = shipper("a")
    assert wait(lambda: store.pushed == [("api", "a")])
    happen(tmp_path, "stage")
    happen(tmp_path, "activate", outcome="failed", detail={"error": f"no {SECRET}"})
    happen(tmp_path, "rollback", component=None, release="v1")
    assert wait(lambda: len(store.pushed) == 3), store.pushed
    failed, went = store.streams[1:]
    assert failed["stream"] == {"stack": "shop", "node": "one", "component": "api", "release": "v2", "event": "deployment"}
    (value,) = failed["values"]
    assert value[1] == "deployment api v2 failed: no ****[API_TOKEN] (run r by ann)"
    record = Journal.of(tmp_path / "state").read()[2]
    assert value[2] == {"id": f"{record['hash'][:16]}-3", "level": "error", "process": "aistack", "outcome": "failed", "run": "r",
                        "actor": "ann"}
    assert went["stream"] == {"stack": "shop", "node": "one", "release": "v1", "event": "rollback"}
    assert abs(int(value[0]) / 1e9 - time.time()) < 60
    assert one.told[1:] == []


def test_events_settle_as_lines_do(store: StandIn, shipper: Ship, tmp_path: Path) -> None:
    """Those that are not settled are sent again where the store was away, with the same id; a start goes on behind those that are."""
    clock = Clock()
    one = shipper(clock=clock)
    assert wait(lambda: one.script.starts)
    happen(tmp_path, "activate")
    assert wait(lambda: len(store.pushed) == 1)
    assert wait(lambda: one.shipper.position._answered)
    store.statuses = [503]
    clock.now += 11
    assert wait(lambda: len(store.pushed) == 2), "it was away, and may have lost it"
    first, again = (stream["values"][0][2]["id"] for stream in store.streams)
    assert first == again
    assert one.shipper.position.record == 0
    assert wait(lambda: one.shipper.position._answered)
    clock.now += 11
    assert wait(lambda: one.shipper.position.record == 1)
    one.shipper.stopped.set()
    one.thread.join(5)
    happen(tmp_path, "revert")
    shipper()
    assert wait(lambda: len(store.pushed) == 3)
    assert store.streams[2]["stream"]["event"] == "rollback"


def test_events_of_before_the_power_went_are_sent_after_it(store: StandIn, shipper: Ship, tmp_path: Path) -> None:
    """Nothing but the files is left: the position of an earlier version, too, which knew of no events and sends none of before."""
    happen(tmp_path, "activate")
    (tmp_path / "position").write_text('{"cursor": "", "since": 5.0, "record": 0}')
    shipper()
    assert wait(lambda: len(store.pushed) == 1)
    (tmp_path / "position").write_text('{"cursor": "", "since": 5.0}')
    assert Position(tmp_path / "position", 1, newest=lambda: 7).record == 7
    (tmp_path / "position").write_text("{")
    assert Position(tmp_path / "position", 1, newest=lambda: 7).record == 0


def test_events_of_an_archived_part_are_sent_and_those_of_another_journal(
    store: StandIn, shipper: Ship, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "ROTATE_AT", 4)
    monkeypatch.setattr(archive, "TRY_EVERY", 1)
    monkeypatch.setattr(keep, "kept", lambda _records: [])
    happen(tmp_path, "activate", "revert", "stage", "stage", "backup")  # the fifth archives those before it
    assert (tmp_path / "state/journal.jsonl.1.gz").exists()
    (tmp_path / "position").write_text('{"cursor": "", "since": 0, "record": 1}')
    one = shipper()
    assert wait(lambda: [stream["stream"]["event"] for stream in store.streams] == ["rollback", "backup"]), store.streams
    one.shipper.stopped.set()
    one.thread.join(5)
    for path in (tmp_path / "state").glob("journal.jsonl*"):
        path.unlink()
    (tmp_path / "position").write_text('{"cursor": "", "since": 0, "record": 99}')
    happen(tmp_path, "drill", detail={"verdict": "passed"})
    shipper()
    assert wait(lambda: len(store.streams) == 3)
    assert store.streams[2]["stream"]["event"] == "drill"


def test_lines_that_the_journal_lost_are_counted(store: StandIn, shipper: Ship, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "position").write_text('{"cursor": "s=a;i=1;b=1", "since": 0}')
    entry = Script.entry
    monkeypatch.setattr(Script, "entry", staticmethod(lambda number, text: entry(number + 7, text)))
    one = shipper("a", "b")
    assert wait(lambda: len(store.pushed) == 1)
    assert any(text.startswith("7 entries were gone from the journal") for text in one.told)


def test_it_says_how_far_it_is(store: StandIn, shipper: Ship) -> None:
    clock = Clock()
    one = shipper("a", "b", clock=clock)
    assert wait(lambda: len(store.pushed) == 2)
    clock.now += 31
    assert wait(lambda: "sent 2 lines in 31 s" in one.told)


def test_an_entry_that_cannot_be_read_stops_nothing(store: StandIn, shipper: Ship, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = Script.entry
    monkeypatch.setattr(Script, "entry", staticmethod(lambda number, text: b"{" if text == "broken" else entry(number, text)))
    one = shipper("a", "broken", "c")
    assert wait(lambda: [text for _component, text in store.pushed] == ["a", "c"])
    assert any("cannot be read and is left out" in text for text in one.told)


def test_a_clock_that_is_wrong_is_said_once(store: StandIn, shipper: Ship, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store's is two days behind; lines get its time, since it would drop them without a word."""
    monkeypatch.setattr(Handler, "date_time_string", lambda _handler, _moment=None: formatdate(time.time() - 172800, usegmt=True))
    entry = Script.entry
    monkeypatch.setattr(Script, "entry", staticmethod(lambda number, text: entry(time.time_ns() // 1000, text)))
    one = shipper("a")
    assert wait(lambda: len(store.pushed) == 1)
    for text in ("b", "c"):  # from the first answer on it is known
        one.shipper._send([Line("s=a;i=9;b=1", time.time_ns() // 1000, text, component="api")])
    told = [text for text in one.told if "clock" in text]
    assert len(told) == 1
    assert told[0].startswith(f"the clock of this node is 48.0 hours ahead of that of http://127.0.0.1:{store.server_port}: ")
    assert [round((time.time() - sent / 1e9) / 3600) for sent in store.times] == [0, 48, 48]


def test_settings_that_make_no_sense_are_said(tmp_path: Path) -> None:
    places = {"stack": "s", "root": "/r", "state_dir": "/s"}
    with pytest.raises(SettingsError, match=r"No such file.*expected what the role log_shipper writes"):
        Settings.read(str(tmp_path / "none"), **places)
    (tmp_path / "file").write_text('{"node": "one", "colour": "red"}')
    with pytest.raises(SettingsError, match="colour"):
        Settings.read(str(tmp_path / "file"), **places)
    wrong = Settings("s", "n", "http://x", {}, str(tmp_path / "position"), "/r", "/s", username="reader", password_file="/none")
    with pytest.raises(SettingsError, match="expected the password of reader"):
        Shipper(wrong, print, time.monotonic)
    wrong = Settings("s", "n", "https://x", {}, str(tmp_path / "position"), "/r", "/s", ca_file="/none")
    with pytest.raises(SettingsError, match="/none: No such file or directory; expected CA certificates there"):
        Shipper(wrong, print, time.monotonic)


@pytest.mark.parametrize("whole", [True, False])
def test_portions_are_of_whole_entries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: bool) -> None:
    """A program in journalctl's place writes two entries in three pieces, and ends."""
    program = tmp_path / "journalctl"
    pause = "" if whole else "sleep 0.3;"
    program.write_text(f"#!/bin/sh\nprintf '1\\n2'; {pause} printf '2'; printf '\\n'; exit 3\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    found: list[bytes] = []
    with reader.Reader(Position(tmp_path / "position", 1)) as one:
        while len(found) < 2:
            found += one.portion(1)
        with pytest.raises(reader.Ended, match="exit status 3"):
            one.portion(1)
    assert found == [b"1", b"22"]


@pytest.mark.parametrize("folder", ["", "/journals"])
def test_what_journalctl_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str) -> None:
    """Without --merge it leaves out what an earlier boot said; with it, others' journals are in sight."""
    program = tmp_path / "journalctl"
    program.write_text(f"#!/bin/sh\necho \"$*\" > {tmp_path}/said.new; mv {tmp_path}/said.new {tmp_path}/said; echo x; exec sleep 9\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    (tmp_path / "position").write_text('{"cursor": "s=a;i=1", "since": 5}')
    with reader.Reader(Position(tmp_path / "position", 1), folder) as one:
        assert wait(lambda: one.portion(0.1)) == [b"x"]
    words = (tmp_path / "said").read_text().split()
    assert {"--follow", "--merge", "--no-tail", "--all", "--after-cursor=s=a;i=1"} <= set(words)
    assert ("--directory=/journals" in words) is bool(folder)
    assert any(word.startswith("_MACHINE_ID=") for word in words) is (not folder and Path("/etc/machine-id").exists())
