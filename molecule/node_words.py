# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A pytest plugin: a test that fails on the lab shows what the nodes themselves have to say.

Loaded by .config/molecule/config.yml for every scenario, wherever its tests lie.
"""

from __future__ import annotations

import subprocess
from collections.abc import Generator

import pytest
from nodes import settings

SHOWN = 3  # failed tests with which the nodes' words are shown; after that the reader has seen them
QUESTIONS = [
    ("failed units", "systemctl --failed --plain --no-legend"),
    ("service log", "journalctl --no-pager --quiet -n 40 -u 'aistack-*' -u haproxy -u redis-server -u 'postgresql*'"),
    ("warnings", "journalctl --no-pager --quiet --boot -p warning -n 20"),
    ("journal", "tail -n 12 /var/lib/aistack/journal.jsonl"),
]
COUNT: pytest.StashKey[int] = pytest.StashKey()


def nodes() -> dict[str, str]:
    """Names and addresses of the lab's nodes that run components."""
    return {node.name: node.address for node in settings.NODES}


def ask(address: str) -> str:
    """What one node says; why it says nothing, where it is down: that must not hide the failure itself."""
    script = "\n".join(f"echo '-- {title}'; {command} 2>&1" for title, command in QUESTIONS)
    options = [f"UserKnownHostsFile={settings.SSH / 'known_hosts'}", "GlobalKnownHostsFile=/dev/null", "IdentitiesOnly=yes"]
    options += ["BatchMode=yes", "ConnectTimeout=5"]
    command = ["ssh", "-i", str(settings.SSH / "id_ed25519"), *(part for option in options for part in ("-o", option))]
    try:
        ran = subprocess.run(
            [*command, f"ops@{address}", "sudo bash -s"],
            input=script,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"not reached: {error}"
    return ran.stdout.rstrip() or "(nothing)"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the nodes' own words to a failure: those of the node that the test is about, else of all."""
    report = yield
    if report.failed:
        shown = item.session.stash.get(COUNT, 0)
        item.session.stash[COUNT] = shown + 1
        if shown < SHOWN:
            known = nodes()
            about = getattr(getattr(item, "callspec", None), "params", {}).get("name")
            for name in [about] if about in known else known:
                report.sections.append((f"what {name} says", ask(known[name])))
    return report
