# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a node says of its stack to Prometheus; nothing of it is secret, and a part that is broken hides no other."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.diagnosis import servers
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.lock import Lock
from ansible_collections.phasegate.aistack.plugins.module_utils.node import figures
from ansible_collections.phasegate.aistack.plugins.module_utils.node.figures import Asked
from ansible_collections.phasegate.aistack.plugins.module_utils.slots import component_file
from ansible_collections.phasegate.aistack.tests.unit.plugins.module_utils.rollback.fleet import AllUnits, Fleet

NOW = time.time()


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    """Three components, deployed twice."""
    made = Fleet(tmp_path)
    made.deploy(1)
    made.deploy(2)
    return made


def page(fleet: Fleet, former: str = "", now: float = NOW, **workers: list[str]) -> dict[str, float]:
    """Series without the label of the stack, to value."""
    systemd: Any = AllUnits(fleet)
    text = figures.observe(Asked("shop", fleet.state, workers, former, now), systemd)
    assert "hunter2" not in text
    found = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            series, value = line.rsplit(" ", 1)
            assert 'stack="shop"' in series
            found[re.sub(r'stack="shop",?', "", series).replace("{}", "")] = float(value)
    return found


def test_what_is_live_and_since_when(fleet: Fleet) -> None:
    seen = page(fleet)
    assert seen["aistack_figures_written_seconds"] == pytest.approx(NOW, abs=0.01)
    assert seen['aistack_live_release_info{component="web",release="v2",slot="green",config="c2"}'] == 1
    assert abs(seen['aistack_live_release_since_seconds{component="web",release="v2"}'] - NOW) < 3600
    assert not any("v1" in series for series in seen if "event" not in series), seen
    fleet.journal.mark("web", "v1", "bad", "leaks", "r", "ann")
    fleet.journal.mark("web", "v0", "bad", "long gone", "r", "ann")
    assert [series for series in page(fleet) if "bad" in series] == ['aistack_release_bad{component="web",release="v1"}']


def test_the_lock_and_who_has_none(fleet: Fleet) -> None:
    assert (page(fleet)["aistack_lock_held"], "aistack_lock_since_seconds" in page(fleet)) == (0, False)
    Lock(fleet.state).acquire("deploy-3", {"actor": "eve"}, 300)
    seen = page(fleet)
    assert (seen["aistack_lock_held"], abs(seen["aistack_lock_since_seconds"] - NOW) < 3600) == (1, True)


def test_a_chain_that_held_is_believed_for_a_while_and_one_that_did_not_is_not(fleet: Fleet) -> None:
    systemd: Any = AllUnits(fleet)
    whole = figures.observe(Asked("shop", fleet.state, {}, "", NOW), systemd)
    book = fleet.state / "journal.jsonl"
    book.write_text(book.read_text().replace('"actor":"ann"', '"actor":"eve"', 1))
    assert page(fleet, whole, NOW + 60)["aistack_journal_intact"] == 1
    later = page(fleet, whole, NOW + figures.VERIFY_S + 1)
    assert (later["aistack_journal_intact"], later["aistack_journal_verified_seconds"]) == (0, pytest.approx(NOW + 901, abs=0.01))
    assert page(fleet, whole, NOW - 60)["aistack_journal_intact"] == 0, "the clock was set back"
    broken = figures.observe(Asked("shop", fleet.state, {}, "", NOW), systemd)
    book.write_text(book.read_text().replace('"actor":"eve"', '"actor":"ann"', 1))
    assert page(fleet, broken, NOW + 60)["aistack_journal_intact"] == 1, "at once"


def test_sets_and_the_last_of_each_kind(fleet: Fleet) -> None:
    assert not [series for series in page(fleet) if "backup" in series], "nobody said what to save"
    (fleet.state / "backup.json").write_text("{}")
    fleet.journal.append({"op": "rollback", "release": "v1", "outcome": "started"})
    fleet.journal.append({"op": "rollback", "release": "v1", "outcome": "failed"})
    seen = page(fleet)
    assert seen["aistack_backup_failed"] == 0
    assert not [series for series in seen if "backup_set" in series]
    last = [series for series in seen if series.startswith("aistack_last_operation")]
    assert sorted(last) == ['aistack_last_operation_seconds{operation="activate",outcome="ok"}',
                            'aistack_last_operation_seconds{operation="rollback",outcome="failed"}']


def test_events_stand_at_their_own_time(fleet: Fleet) -> None:
    """Two of the same kind between two pages are both there; those of long ago are not, nor more than fit."""
    (fleet.state / "journal.jsonl").unlink()
    (fleet.state / "journal.jsonl.last").unlink()
    fleet.journal.append({"op": "activate", "component": "web", "release": "v0", "outcome": "ok", "time": "2020-01-01T00:00:00.000Z"})
    for component in ("api", "web"):
        fleet.journal.append({"op": "activate", "component": component, "release": "v3", "outcome": "started"})
        fleet.journal.append({"op": "activate", "component": component, "release": "v3", "outcome": "ok"})
    fleet.journal.append({"op": "rollback", "release": "v2", "outcome": "failed"})

    def events(seen: dict[str, float]) -> list[str]:
        return [series.removeprefix("aistack_event_seconds") for series in seen if series.startswith("aistack_event")]

    seen = page(fleet, now=time.time())
    assert events(seen) == [
        '{event="deployment",outcome="ok",component="api",release="v3"}', '{event="deployment",outcome="ok",component="web",release="v3"}',
        '{event="rollback",outcome="failed",component="",release="v2"}',
    ]
    assert all(abs(value - time.time()) < 60 for series, value in seen.items() if series.startswith("aistack_event"))
    assert events(page(fleet, now=time.time() + figures.EVENTS_S + 60)) == []
    for number in range(figures.EVENTS + 5):
        fleet.journal.append({"op": "drill", "component": "api", "release": f"v{number}", "outcome": "failed"})
    many = events(page(fleet, now=time.time()))
    assert (len(many), any('"v4"' in one for one in many), any('"v104"' in one for one in many)) == (figures.EVENTS, False, True)


def test_drills_of_what_has_a_database(fleet: Fleet) -> None:
    assert not [series for series in page(fleet) if "drill" in series], "no component migrates anything"
    component_file.save(component_file.describe(fleet.spec("web"), {"application": "shop", "database": {}}), fleet.state)
    assert [series for series in page(fleet) if "drill" in series] == ['aistack_drill_wanted_since_seconds{component="web"}']
    for verdict, at in (("passed", "2026-01-02T00:00:00.000Z"), ("loses", "2026-01-03T00:00:00.000Z")):
        ended: Any = {"op": "drill", "component": "web", "release": "v2", "outcome": "ok", "time": at, "detail": {"verdict": verdict}}
        fleet.journal.append(ended)
    seen = page(fleet)
    assert seen['aistack_drill_passed_seconds{component="web"}'] == 1767312000
    assert seen['aistack_last_operation_seconds{operation="drill",outcome="failed"}'] == 1767398400, "it ended, and did not pass"


def test_queues_by_the_login_of_the_worker(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    env = fleet.root / "opt/worker/config/c2/env"
    env.write_text('CACHE_URL="redis://c/1"\nCELERY_RESULT_BACKEND="redis://r/1"\nMY_BROKER="redis://app:hunter2@b/0"\n')
    asked: list[str] = []

    def ask(server: servers.Named, env_file: str, wanted: servers.Wanted, _context: object) -> None:
        asked.append(server.variable)
        assert Path(env_file).samefile(env)
        assert (list(wanted.queues), wanted.broker) == (["celery", "mail"], True)
        server.seen, server.queues = {"state": state}, {"celery": 0, "mail": 7, "old": 1}

    monkeypatch.setattr(servers, "ask", ask)
    state = "answers"
    seen = page(fleet, worker=["celery", "mail"], elsewhere=["x"])
    whose = 'component="worker",application="shop"'
    assert {series: value for series, value in seen.items() if "queue" in series or "broker" in series} == {
        'aistack_broker_answers{component="worker"}': 1,
        f'aistack_queue_length{{{whose},queue="celery"}}': 0, f'aistack_queue_length{{{whose},queue="mail"}}': 7,
        f'aistack_queue_length{{{whose},queue="old"}}': 1,
        f'aistack_queue_workers{{{whose},queue="celery"}}': 1, f'aistack_queue_workers{{{whose},queue="mail"}}': 1,
    }
    assert asked == ["MY_BROKER"]
    state = "refused"
    seen = page(fleet, worker=["celery", "mail"])
    assert (seen['aistack_broker_answers{component="worker"}'], [series for series in seen if "length" in series]) == (0, [])
    env.unlink()
    assert page(fleet, worker=["celery", "mail"])["aistack_journal_intact"] == 1


def test_a_page_takes_the_place_of_the_one_before_and_everybody_may_read_it(fleet: Fleet, tmp_path: Path) -> None:
    path = tmp_path / "shop.prom"
    systemd: Any = AllUnits(fleet)
    first = figures.write(Asked("shop", fleet.state, now=NOW), path, systemd)
    assert (path.read_text(), path.stat().st_mode & 0o777) == (first, 0o644)
    path.write_bytes(b"\xff")
    figures.write(Asked("shop", fleet.state, now=NOW + 1), path, systemd)
    assert path.read_text() != first
    assert [one.name for one in tmp_path.glob("*.prom*")] == ["shop.prom"]


def test_a_node_without_anything_says_that_it_is_there(tmp_path: Path) -> None:
    text = figures.observe(Asked("shop", tmp_path, now=NOW))
    assert json.dumps(sorted({line.split("{")[0] for line in text.splitlines() if not line.startswith("#")})) == json.dumps(
        ["aistack_figures_written_seconds", "aistack_journal_intact", "aistack_journal_verified_seconds", "aistack_lock_held"])
