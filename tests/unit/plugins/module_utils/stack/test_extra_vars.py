# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Extra variables as they were typed."""

from __future__ import annotations

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.stack.extra_vars import again, whole


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        (["command=python -m app.seed"], "python -m app.seed"),
        (["component=api", b"command=python -m x --y=1 a=b"], "python -m x --y=1 a=b"),
        (["command='python -m app.seed'"], "python -m app.seed"),
        (["command=sh -c 'a; b' 'c'"], "sh -c 'a; b' 'c'"),
        (["command=a", "command=b c"], "b c"),
        (['{"command": "ls -l"}', "@file.yml", "other=command=x"], None),
    ],
)
def test_all_that_stands_behind_the_name(entries: list[str], said: str | None) -> None:
    assert whole(entries, "command") == said


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["-i", "inventories/shop", "phasegate.aistack.rollback"], "-i inventories/shop phasegate.aistack.rollback -e confirm=v1"),
        (["r.yml", "-e", "to=v1 reason='looks slow'"], "r.yml -e to=v1 -e \"reason='looks slow'\" -e confirm=v1"),
        (["r.yml", "-eto=v0", "--extra-vars=to=v1", "-e", "confirm=no"], "r.yml -e to=v1 -e confirm=v1"),
        (["r.yml", "-e", "@own file.yml", "-e", '{"to": "v1", "again": true}'],
         "r.yml -e '@own file.yml' -e to=v1 -e again=true -e confirm=v1"),
        (["r.yml", "-e", "db_password=hunter2", "-e", '{"key": "s3cr3t", "to": ["v1"]}', "-e", "{x"],
         "r.yml -e db_password=… -e key=… -e to=… -e … -e confirm=v1"),
        (["r.yml", "-e", "it's"], "r.yml -e … -e confirm=v1"),
        (["r.yml", "-e", "reason=\"it's $5\""], "r.yml -e '{\"reason\": \"it'\"'\"'s $5\"}' -e confirm=v1"),
    ],
)
def test_the_same_command_once_more(typed: list[str], said: str) -> None:
    """What a person can paste; of values that are nobody's word, which may be secrets, the names alone."""
    command = again(["/usr/bin/ansible-playbook", *typed], {"confirm": "v1"}, {"to", "reason", "again", "confirm"})
    assert command == f"ansible-playbook {said}"
