# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A repository as templates make them is deployed, filled with its first user, changed and taken back, by a description alone."""

from __future__ import annotations

import json
import re
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

PORT = 8600


@pytest.fixture(scope="module")
def url(lab: Any) -> str:
    return f"http://{lab.addresses['gpu-1']}:{PORT}"


def read(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return str(answer.read().decode())


@pytest.fixture
def visits(url: str) -> Iterator[list[str]]:
    """A user who asks again and again; what was not answered."""
    lost: list[str] = []
    over = threading.Event()

    def visit() -> None:
        while not over.is_set():
            try:
                read(f"{url}/api/v1/notes")
            except (OSError, urllib.error.URLError) as problem:
                lost.append(repr(problem))
            over.wait(0.02)

    user = threading.Thread(target=visit, daemon=True)
    user.start()
    yield lost
    over.set()
    user.join(60)


def test_it_serves_what_its_sibling_built(url: str) -> None:
    """The page is the frontend's, and its script is there under the name that its build gave it."""
    script = re.search(r'src="(/assets/app-[0-9a-f]{8}\.js)"', read(url))
    assert script
    assert "/api/v1/notes" in read(url + script[1])


def test_its_first_user_was_made_once(lab: Any, url: str) -> None:
    """The one-off work ran between the migration and the switch, is in the journal, and is not done again."""
    assert json.loads(read(f"{url}/api/v1/users")) == ["admin@example.com"]
    records = [json.loads(line) for line in lab.node("gpu-1").check_output("cat /var/lib/notes/journal.jsonl").splitlines()]
    tasks = [record for record in records if record["op"] == "task" and record["outcome"] == "ok"]
    assert len(tasks) == 1, tasks
    again = lab.play("site.yml").ended_well()
    assert again.changed["gpu-1"] == 0, again.output[-4000:]


def test_the_next_release_loses_no_request(lab: Any, url: str, visits: list[str]) -> None:
    lab.play("playbooks/deploy.yml", "-e", "release=v1.1.0").ended_well()
    assert "<h1>All notes</h1>" in read(url)
    assert visits == []


def test_one_off_work_that_fails_ends_the_deployment(lab: Any, url: str, visits: list[str]) -> None:
    """Nothing was switched, and its last words are there."""
    ran = lab.play("playbooks/deploy.yml", "-e", "release=v1.2.0").ended_badly()
    assert "no mail server" in ran.output, ran.output[-4000:]
    assert "v1.1.0" in lab.node("gpu-1").check_output("readlink -f /opt/notes/api/slots/live/release")
    assert visits == []


def test_and_back(lab: Any, url: str, visits: list[str]) -> None:
    lab.play("playbooks/rollback.yml", "-e", "to=v1.0.0", "-e", "confirm=v1.0.0").ended_well()
    assert "<h1>Notes</h1>" in read(url)
    assert json.loads(read(f"{url}/api/v1/users")) == ["admin@example.com"]
    assert visits == []


def test_no_secret_is_in_the_journal(lab: Any, root: Path) -> None:
    words = [path.read_text().strip() for path in (root / ".lab/secrets/notes").iterdir()]
    journal = lab.node("gpu-1").check_output("cat /var/lib/notes/journal.jsonl")
    assert len(words) == 3
    assert [word for word in words if word in journal] == []
