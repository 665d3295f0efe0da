# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.environment.file import NAMES, read_env, secrets_beside
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.file import Journal

Call = Callable[..., dict[str, Any]]

SCHEMA = [
    {"name": "SECRET_KEY", "secret": True, "required": True, "min_length": 8, "forbidden": ["CHANGEME"]},
    {"name": "PORT", "type": "port", "default": 8000},
    {"name": "DEBUG", "type": "bool"},
    {"name": "DATABASE_URL", "type": "dsn"},
]
VALUES = {"SECRET_KEY": "hunter2hunter2", "DEBUG": False, "DATABASE_URL": "postgresql://app:s3cr3tpw@h/db"}


def arguments(tmp_path: Path, **given: Any) -> dict[str, Any]:
    base = {"component": "backend", "root": str(tmp_path / "root"), "state_dir": str(tmp_path / "state"), "schema": SCHEMA, "run": "r1"}
    return {**base, "values": VALUES, **given}


def test_check_run_check_run(call: Call, tmp_path: Path) -> None:
    predicted = call("env_file", check=True, diff=True, **arguments(tmp_path))
    assert predicted["changed"] is True
    assert not (tmp_path / "root").exists()
    assert not (tmp_path / "state").exists()
    done = call("env_file", **arguments(tmp_path))
    assert (done["changed"], done["config"], done["path"]) == (True, predicted["config"], predicted["path"])
    assert call("env_file", check=True, **arguments(tmp_path))["changed"] is False
    again = call("env_file", diff=True, **arguments(tmp_path))
    assert again["changed"] is False
    assert "diff" not in again
    assert read_env(done["path"]) == {**VALUES, "PORT": "8000", "DEBUG": "false"}
    records = Journal.of(tmp_path / "state").read()
    told = [(record["op"], record["outcome"], record["run"]) for record in records]
    assert told == [("configure", "started", "r1"), ("configure", "ok", "r1")]
    assert records[1]["detail"]["config"] == done["config"]


def test_the_names_of_secrets_are_kept_beside_it(call: Call, tmp_path: Path) -> None:
    done = call("env_file", **arguments(tmp_path))
    beside = Path(done["path"]).with_name(NAMES)
    assert beside.stat().st_mode & 0o777 == 0o600
    assert secrets_beside(done["path"]) == {entry["name"] for entry in SCHEMA if entry.get("secret")}
    assert not any(secret in beside.read_text() for secret in ("hunter2", "s3cr3tpw"))
    beside.unlink()  # written by the version before
    assert call("env_file", check=True, **arguments(tmp_path))["changed"] is True
    assert call("env_file", **arguments(tmp_path))["config"] == done["config"]
    assert call("env_file", **arguments(tmp_path))["changed"] is False
    assert secrets_beside(done["path"])


def test_no_secret_leaves_the_module(call: Call, tmp_path: Path) -> None:
    texts = [call("env_file", diff=True, check=check, **arguments(tmp_path))["text"] for check in (True, False, False)]
    texts.append((tmp_path / "state" / "journal.jsonl").read_text())
    for text in texts:
        for secret in ("hunter2", "s3cr3tpw"):
            assert secret not in text


def test_plain_values_do_not_blot_out_the_answer(call: Call, tmp_path: Path) -> None:
    schema = [{"name": f"V{number}"} for number in range(10)]
    answer = call("env_file", **arguments(tmp_path, schema=schema, values={f"V{number}": str(number) for number in range(10)}))
    assert answer["config"] in answer["path"]
    assert len(answer["config"]) == 16
    assert "*" not in answer["config"] + answer["path"]


def test_the_diff_is_against_the_live_slot_and_masked(call: Call, tmp_path: Path) -> None:
    first = call("env_file", **arguments(tmp_path))
    slots = tmp_path / "root" / "backend" / "slots"
    (slots / "blue").mkdir(parents=True)
    (slots / "blue" / "config").symlink_to(f"../../config/{first['config']}")
    (slots / "live").symlink_to("blue")
    changed = {**VALUES, "SECRET_KEY": "another-secret", "PORT": 8001}
    diff = call("env_file", check=True, diff=True, **arguments(tmp_path, values=changed))["diff"]
    assert "PORT=8000\n" in diff["before"]
    assert "SECRET_KEY=****\n" in diff["before"]
    assert "PORT=8001\n" in diff["after"]
    assert "SECRET_KEY=**** (changed)\n" in diff["after"]
    assert "DATABASE_URL=postgresql://app:****@h/db\n" in diff["after"]


def test_every_problem_at_once_and_nothing_written(call: Call, tmp_path: Path) -> None:
    values = {"SECRET_KEY": "changeme", "PORT": "eighty", "DATABASE_URL": "hunter2hunter2", "DEBG": "s3cr3tpw"}
    answer = call("env_file", **arguments(tmp_path, values=values))
    assert answer["failed"]
    assert [problem["name"] for problem in answer["problems"]] == ["DEBG", "SECRET_KEY", "PORT", "DATABASE_URL"]
    for part in ("did you mean DEBUG?", "forbidden default 'changeme'", "from 1 to 65535", "type dsn", "4 problems"):
        assert part in answer["msg"]
    assert "hunter2" not in answer["text"]
    assert "s3cr3tpw" not in answer["text"], "a mistyped name may be a secret's"
    assert not (tmp_path / "root").exists()


def test_the_schema_version_is_part_of_the_name(call: Call, tmp_path: Path) -> None:
    names = {call("env_file", check=True, **arguments(tmp_path, schema_version=version))["config"] for version in (None, "1", "2")}
    assert len(names) == 3


@pytest.mark.parametrize("name", ["../x", "Backend", ""])
def test_a_component_that_would_leave_the_folder(call: Call, tmp_path: Path, name: str) -> None:
    assert "Not a component's name" in call("env_file", **arguments(tmp_path, component=name))["msg"]


def test_an_owner_that_is_not_there(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    answer = call("env_file", **arguments(tmp_path, owner="no-such-user"))
    assert answer["failed"]
    assert "no such user" in answer["msg"]
    assert call("env_file", check=True, **arguments(tmp_path, owner="no-such-user"))["changed"] is True
