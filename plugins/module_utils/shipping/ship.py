# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sending what this node's units say, and the events of its own journal, to a store of logs: masked, labelled, and none of it lost while
the store is away.

The journals on disk are what waits, and their size is the bound: nothing is read before it can be sent. What is sent is what
C(aistack logs) would show.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.context import CannotJudge
from ansible_collections.phasegate.aistack.plugins.module_utils.core import http_login
from ansible_collections.phasegate.aistack.plugins.module_utils.diagnosis.components import learn_all
from ansible_collections.phasegate.aistack.plugins.module_utils.environment.secret_files import Secrets
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.chain import Record, split
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.file import Journal
from ansible_collections.phasegate.aistack.plugins.module_utils.shipping import events as event_text, lines as line_text
from ansible_collections.phasegate.aistack.plugins.module_utils.shipping.lines import Line, Units
from ansible_collections.phasegate.aistack.plugins.module_utils.shipping.position import Position
from ansible_collections.phasegate.aistack.plugins.module_utils.shipping.reader import Ended, Reader
from ansible_collections.phasegate.aistack.plugins.module_utils.shipping.releases import Releases
from ansible_collections.phasegate.aistack.plugins.module_utils.shipping.store import Away, NotNow, Refused, Store
from ansible_collections.phasegate.aistack.plugins.module_utils.shipping.there import There

PAUSE = 1.0
"""Seconds until a store that is away is asked again, and for which a portion is waited."""
PULSE = 30.0
"""Seconds after which it says how far it is: a node that says nothing for a minute is one whose lines do not arrive."""
AFRESH = 60.0
"""Seconds after which files of secrets are read again although the node's journal says nothing new."""


class Blind(Exception):
    """What is secret cannot be read, so that nothing may be sent."""


class SettingsError(Exception):
    """The settings cannot be used; says why."""


@dataclass(frozen=True)
class Settings:
    """What is sent where.

    Attributes:
        stack, node: labels.
        url: address to push to.
        units, rest: see :class:`Units`.
        position: file that keeps how far it has come.
        root, state_dir: of the stack.
        username, password_file: how the store is asked.
        settle: seconds in which a store may still lose what it took.
        journal: folder of journal files; empty for the system's.
    """

    stack: str
    node: str
    url: str
    units: Mapping[str, str]
    position: str
    root: str
    state_dir: str
    rest: str = ""
    username: str = ""
    password_file: str = ""
    ca_file: str = ""
    settle: float = 10.0
    journal: str = ""

    @classmethod
    def read(cls, path: str, **places: str) -> Settings:
        """Out of a file.

        Raises:
            SettingsError: it cannot be read, or says something else.
        """
        try:
            return cls(**{**json.loads(Path(path).read_text(encoding="utf-8")), **places})
        except (OSError, ValueError, TypeError) as error:
            raise SettingsError(f"{path}: {error}; expected what the role log_shipper writes. Run site.yml") from error


@dataclass
class Known:
    """What is secret on this node, which releases its slots had, and what happened, as new as the node's journal."""

    settings: Settings
    clock: Callable[[], float]
    secrets: Secrets = field(default_factory=Secrets)
    releases: Releases = field(default_factory=Releases)
    _seen: Any = None
    _at: float = 0.0
    _records: list[Record] = field(default_factory=list)

    def renew(self) -> None:
        """Look again where the journal has grown: a configuration is in it before anything runs with that.

        Raises:
            Blind: see there.
        """
        journal = Journal.of(self.settings.state_dir)
        try:
            there = os.stat(journal.path)
            seen = (there.st_mtime_ns, there.st_size, there.st_ino)
        except OSError:
            seen = (0, 0, 0)
        now = self.clock()
        if seen == self._seen and now - self._at < AFRESH:
            return
        unread = learn_all(self.settings.root, self.settings.state_dir, self.secrets)
        if unread:
            raise Blind(f"nothing is sent, since what is secret is not known: {'; '.join(unread)}")
        if seen != self._seen:
            with suppress(OSError, ValueError):  # the next record shows them again
                self._records = journal.read()
                self.releases = Releases(self._records)
        self._seen, self._at = seen, now

    def again(self) -> None:
        """Have all of it read again."""
        self._seen = None

    def events(self, number: int) -> tuple[list[Line], int]:
        """The events behind the record with that number, once for each time that the journal was read, and the number of the newest record.
        A journal with fewer records has taken the place of the one that the number is of: all of it is new.
        """
        records, self._records = self._records, []
        if not records:
            return [], number
        newest = int(records[-1]["seq"])
        number = number if number <= newest else 0
        _carried, chained = split(records)
        if number < int(chained[0]["seq"]) - 1:  # what is older is in archived parts
            chained = Journal.of(self.settings.state_dir).newest(0)
        return event_text.lines(record for record in chained if number < record["seq"] <= newest), newest

    def release(self, line: Line) -> str:
        """The release that said a line; empty where the component has none."""
        return self.releases.at(line.component, line.slot, line.said or line.time) if line.slot else ""


class Shipper:
    """Args:
        settings: what is sent where.
        say: gets a sentence for each thing that an operator has to know.
        clock: monotonic.
    """

    def __init__(self, settings: Settings, say: Callable[[str], None], clock: Callable[[], float]) -> None:
        self.settings, self.say = settings, say
        self.known = Known(settings, clock)
        self.units = Units(settings.units, settings.rest)
        self.position = Position(Path(settings.position), settings.settle, clock, self._newest)
        try:
            self.store = Store(settings.url, self._login(), settings.ca_file)
        except CannotJudge as error:
            raise SettingsError(f"{error}; expected CA certificates there") from error
        self.there = There(self.store, settings.stack, settings.node, say)
        self.stopped = threading.Event()
        self._trouble = ""
        self._clock_wrong = False
        self._clock, self._told, self._sent = clock, clock(), 0

    def _newest(self) -> int:
        records = Journal.of(self.settings.state_dir).read()
        return int(records[-1]["seq"]) if records else 0

    def _login(self) -> dict[str, str]:
        login = {"username": self.settings.username, "password_file": self.settings.password_file}
        try:
            return http_login.authorization(login, self.known.secrets.read)
        except OSError as error:
            raise SettingsError(f"{error.filename}: {error.strerror}; expected the password of {self.settings.username}") from error

    def run(self) -> None:
        """Send until :attr:`stopped` is set."""
        self.say(f"sends what {self.settings.node} says to {self.store.place}")
        while not self.stopped.is_set():
            try:
                self.store.connect()
                self.there.doubt(_now())
                with Reader(self.position, self.settings.journal) as reader:
                    self._send_all(reader)
            except Away as away:
                self.position.back()
                again = f"what it has answered for in the last {self.settings.settle:g} s and then does not have is sent again"
                self._troubled(f"{self.store.place} is away ({away}); {again}")
            except (Ended, Blind) as no:
                self.position.back()
                self._troubled(f"{no}")
            self.stopped.wait(PAUSE)
        self.store.close()

    def _send_all(self, reader: Reader) -> None:
        before = cursor = self.position.cursor
        number = self.position.record
        self.known.again()
        while not self.stopped.is_set():
            self._pulse()
            raw = reader.portion(PAUSE)
            self.known.renew()
            told, newest = self.known.events(number)
            if raw or newest != number:
                found = [self._parsed(one) for one in raw]
                read = [line for line in found if line is not None]
                lost = line_text.gone(before, read[0].cursor) if before and read else 0
                if lost:
                    self.say(f"{lost} entries were gone from the journal before they could be sent: give it more room (log_shipper_bytes)")
                before = "" if raw else before
                wanted = [*told, *(line for line in read if line.component)]
                self._send(wanted)
                cursor, number = read[-1].cursor if read else cursor, newest
                self.position.answered(cursor, number)
                if wanted:
                    self.position.confirmed()
                    continue
            if self.position.due:
                self._patiently(self.store.push)
                self.position.confirmed()

    def _pulse(self) -> None:
        passed = self._clock() - self._told
        if passed >= PULSE:
            self.say(f"sent {self._sent} lines in {passed:.0f} s")
            self._told, self._sent = self._clock(), 0

    def _parsed(self, raw: bytes) -> Line | None:
        try:
            return line_text.parse(raw, self.units)
        except (ValueError, KeyError, TypeError) as error:
            self.say(f"an entry of the journal cannot be read and is left out: {type(error).__name__}")
            return None

    def _send(self, lines: Sequence[Line]) -> None:
        """Send a portion; where it is refused, its halves, down to the line that is."""
        missing = self.there.missing(lines)
        if not missing:
            return
        masked = line_text.with_texts(missing, self.known.secrets.mask_all([line.text for line in missing]))
        now, ahead = _now(), round(self.store.ahead * 1_000_000)
        self._tell_clock(ahead)
        self._push([line_text.set_right(line, now, ahead) for line in masked])

    def _tell_clock(self, ahead: int) -> None:
        wrong = abs(ahead) > line_text.WRONG
        if wrong and not self._clock_wrong:
            how = "ahead of" if ahead > 0 else "behind"
            self.say(f"the clock of this node is {abs(ahead) / 3.6e9:.1f} hours {how} that of {self.store.place}: lines are sent with the"
                     " time of the store, and said_at is that of the node; set the clock that is wrong")
        self._clock_wrong = wrong

    def _push(self, lines: Sequence[Line]) -> None:
        made = line_text.body(lines, self.settings.stack, self.settings.node, self.known.release)
        try:
            self._patiently(lambda: self.store.push(made))
            self._sent += len(lines)
        except Refused as refused:
            if len(lines) == 1:
                whose = f"{lines[0].component or 'the node'} ({lines[0].id})"
                self.say(f"a line of {whose} is refused by {self.store.place} and left out: {refused}")
                return
            half = len(lines) // 2
            self._push(lines[:half])
            self._push(lines[half:])

    def _patiently(self, push: Callable[[], None]) -> None:
        """Push for as long as the store takes nothing."""
        while not self.stopped.is_set():
            try:
                push()
            except NotNow as no:
                self._troubled(f"{self.store.place} takes nothing ({no}); {no.todo}it is tried again")
                self.stopped.wait(PAUSE)
                continue
            if self._trouble:
                self._trouble = ""
                self.say(f"{self.store.place} takes lines again")
            return
        raise Away("stopped")

    def _troubled(self, text: str) -> None:
        if text != self._trouble and not self.stopped.is_set():
            self.say(text)
        self._trouble = text


def _now() -> int:
    """This node's clock, in microseconds since 1970."""
    return time.time_ns() // 1000


def ship(settings: Settings, say: Callable[[str], None], clock: Callable[[], float]) -> None:
    """Send until the process is told to end.

    Raises:
        SettingsError: the settings cannot be used.
    """
    one = Shipper(settings, say, clock)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: one.stopped.set())
    one.run()
