# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Backup sets: what was saved comes back, what is damaged is refused, and nothing is lost unseen."""

from __future__ import annotations

import json

from ..refusals.conftest import Lab
from .conftest import BEFORE, bring


def newest(lab: Lab) -> str:
    found = json.loads(lab.on("backend-1", "aistack backup --list --json"))["sets"]
    return str(next(entry["name"] for entry in found if entry["verdict"] == "verified" and "manual" in entry["name"]))


def rows(lab: Lab, query: str) -> str:
    return lab.on("backend-1", f"cd /; runuser -u postgres -- psql -XAtq sparklio -c \"{query}\"").strip()


def test_what_was_saved_comes_back(lab: Lab) -> None:
    bring(lab, BEFORE)
    count = rows(lab, "select count(*) from workflows")
    assert int(count) > 0
    made = lab.play("backup")
    assert made.rc == 0, made.text
    made.says("verified")
    name = newest(lab)
    rows(lab, "delete from workflow_edges; delete from workflow_nodes; delete from workflows")
    shown = lab.play("restore", "-e", f"set={name}", "-e", "what=postgres:sparklio", "--limit", "backend-1")
    assert shown.rc != 0
    shown.says(f"-e confirm={name}", "Nothing that serves was changed")
    assert rows(lab, "select count(*) from workflows") == "0"
    put = lab.play("restore", "-e", f"set={name}", "-e", f"confirm={name}", "-e", "what=postgres:sparklio", "-e", "terminate=true",
                   "--limit", "backend-1")
    assert put.rc == 0, put.text
    assert rows(lab, "select count(*) from workflows") == count
    assert "__replaced_" in rows(lab, "select string_agg(datname, ' ') from pg_database"), "what was replaced is kept"
    health = lab.play("healthcheck")
    assert health.rc == 0, health.text


def test_a_damaged_set_is_refused(lab: Lab) -> None:
    name = newest(lab)
    folder = f"/var/lib/aistack/backups/{name}"
    lab.on("backend-1", f"f=$(find {folder}/postgres -type f -name '*.gz' | head -n 1); printf x >> $f")
    said = lab.play("restore", "-e", f"set={name}", "-e", f"confirm={name}", "-e", "what=postgres:sparklio", "--limit", "backend-1")
    assert said.rc != 0
    said.says(name, "SHA-256")
    lab.on("backend-1", f"rm -rf {folder}")


def test_a_set_that_is_not_there(lab: Lab) -> None:
    said = lab.play("restore", "-e", "set=20200101T000000Z-daily")
    assert said.rc != 0
    said.says("No node has a backup set 20200101T000000Z-daily", "Nothing was restored")
