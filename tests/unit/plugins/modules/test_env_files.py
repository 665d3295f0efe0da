# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The environments of components in one call: all of them or none; what is secret stays in the files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.basic import AnsibleModule

from ansible_collections.phasegate.aistack.plugins.module_utils.environment.file import NAMES, read_env, secrets_beside
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.file import Journal

Call = Callable[..., dict[str, Any]]
KEY = {"name": "SECRET_KEY", "secret": True, "required": True, "default": "defau1tdefau1t"}
API = {"component": "api", "schema": [KEY, {"name": "PORT", "type": "port"}], "values": {"SECRET_KEY": 'hun"ter\\2\n', "PORT": 8000}}
WEB = {"component": "web", "schema": [{"name": "URL", "type": "dsn"}], "values": {"URL": "postgresql://app:s3cr3tpw@h/db"}}
SECRETS = ("ter\\2", "ter\\\\2", "ter\\\\\\\\2", "s3cr3tpw", "defau1t")


def arguments(tmp_path: Path, *components: dict[str, Any]) -> dict[str, Any]:
    return {"components": list(components), "root": str(tmp_path / "root"), "state_dir": str(tmp_path / "state"), "run": "r1"}


def test_check_run_check_run(call: Call, tmp_path: Path) -> None:
    predicted = call("env_files", check=True, diff=True, **arguments(tmp_path, API, WEB))
    assert [(row["component"], row["changed"]) for row in predicted["results"]] == [("api", True), ("web", True)]
    assert [one["before_header"] for one in predicted["diff"]] == [f"{name}: environment of the live slot" for name in ("api", "web")]
    assert not (tmp_path / "root").exists()
    assert not (tmp_path / "state").exists()
    done = call("env_files", **arguments(tmp_path, API, WEB))
    assert (done["changed"], done["results"]) == (True, predicted["results"])
    assert [read_env(row["path"]) for row in done["results"]] == [{**API["values"], "PORT": "8000"}, WEB["values"]]
    told = [(record["op"], record["component"], record["outcome"]) for record in Journal.of(tmp_path / "state").read()]
    assert told == [("configure", name, outcome) for name in ("api", "web") for outcome in ("started", "ok")]
    again = call("env_files", diff=True, **arguments(tmp_path, API, WEB))
    assert (again["changed"], [row["changed"] for row in again["results"]], "diff" in again) == (False, [False, False], False)
    records = Journal.of(tmp_path / "state").read()
    assert {record["run"] for record in records} == {"r1"}
    assert records[1]["detail"]["config"] == done["results"][0]["config"]


def test_only_what_differs_is_written(call: Call, tmp_path: Path) -> None:
    call("env_files", **arguments(tmp_path, API, WEB))
    other = {**WEB, "values": {"URL": "postgresql://app@h/db"}}
    changed = call("env_files", diff=True, **arguments(tmp_path, API, other))
    assert [row["changed"] for row in changed["results"]] == [False, True]
    assert [one["before_header"] for one in changed["diff"]] == ["web: environment of the live slot"]


def test_all_of_them_or_none(call: Call, tmp_path: Path) -> None:
    wrong = [{**API, "values": {"PORT": 0}}, {**WEB, "component": "../web"}, {**WEB, "component": "feed"}]
    refused = call("env_files", **arguments(tmp_path, *wrong))
    assert [bool(row.get("failed")) for row in refused["results"]] == [True, True, False]
    assert "The environment of api is not as its schema demands" in refused["results"][0]["msg"]
    assert [problem["name"] for problem in refused["results"][0]["problems"]] == ["PORT"]
    assert "Not a component's name: ../web" in refused["results"][1]["msg"]
    assert refused["msg"] == "\n".join(row["msg"] for row in refused["results"][:2])
    assert not (tmp_path / "root").exists()


def test_no_secret_leaves_the_module(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    logged: list[str] = []
    monkeypatch.setattr(AnsibleModule, "log", lambda _module, msg, log_args=None: logged.append(f"{msg} {log_args}"))
    texts = [call("env_files", diff=True, check=check, **arguments(tmp_path, API, WEB))["text"] for check in (True, False, False)]
    texts.append(call("env_files", **arguments(tmp_path, {**API, "values": {**API["values"], "PORT": "many"}}))["text"])
    assert any("components=NOT_LOGGING_PARAMETER" in text for text in logged), logged
    for text in [*texts, *logged, (tmp_path / "state" / "journal.jsonl").read_text()]:
        for secret in SECRETS:
            assert secret not in text


def test_names_are_not_blotted_out(call: Call, tmp_path: Path) -> None:
    """The components are declared secret as a whole; of them only what is one is hidden."""
    call("env_files", **arguments(tmp_path, API, WEB))
    answer = call("env_files", **arguments(tmp_path, API, WEB))
    assert "****" not in str(answer["results"])
    assert answer["results"][0]["path"].startswith(f"{tmp_path}/root/api/config/")
    assert answer["invocation"]["module_args"]["components"][0]["component"] == "api"


def of(tmp_path: Path, **given: Any) -> dict[str, Any]:
    """What is asked of one component, some of it otherwise."""
    return arguments(tmp_path, {**API, **given})


def test_the_names_of_secrets_are_kept_beside_it(call: Call, tmp_path: Path) -> None:
    (done,) = call("env_files", **of(tmp_path))["results"]
    beside = Path(done["path"]).with_name(NAMES)
    assert beside.stat().st_mode & 0o777 == 0o600
    assert secrets_beside(done["path"]) == {"SECRET_KEY"}
    assert not any(secret in beside.read_text() for secret in SECRETS)
    beside.unlink()  # written by the version before
    assert call("env_files", check=True, **of(tmp_path))["changed"] is True
    assert call("env_files", **of(tmp_path))["results"][0]["config"] == done["config"]
    assert call("env_files", **of(tmp_path))["changed"] is False
    assert secrets_beside(done["path"])


def test_plain_values_do_not_blot_out_the_answer(call: Call, tmp_path: Path) -> None:
    schema = [{"name": f"V{number}"} for number in range(10)]
    (answer,) = call("env_files", **of(tmp_path, schema=schema, values={f"V{number}": str(number) for number in range(10)}))["results"]
    assert answer["config"] in answer["path"]
    assert len(answer["config"]) == 16
    assert "*" not in answer["config"] + answer["path"]


def test_the_diff_is_against_the_live_slot_and_masked(call: Call, tmp_path: Path) -> None:
    schema = [*API["schema"], *WEB["schema"]]
    values = {**API["values"], **WEB["values"]}
    first = call("env_files", **of(tmp_path, schema=schema, values=values))["results"][0]
    slots = tmp_path / "root" / "api" / "slots"
    (slots / "blue").mkdir(parents=True)
    (slots / "blue" / "config").symlink_to(f"../../config/{first['config']}")
    (slots / "live").symlink_to("blue")
    other = {**values, "SECRET_KEY": "another-secret", "PORT": 8001}
    (diff,) = call("env_files", check=True, diff=True, **of(tmp_path, schema=schema, values=other))["diff"]
    assert "PORT=8000\n" in diff["before"]
    assert "SECRET_KEY=****\n" in diff["before"]
    assert "PORT=8001\n" in diff["after"]
    assert "SECRET_KEY=**** (changed)\n" in diff["after"]
    assert "URL=postgresql://app:****@h/db\n" in diff["after"]


def test_every_problem_at_once(call: Call, tmp_path: Path) -> None:
    schema = [{**KEY, "min_length": 8, "forbidden": ["CHANGEME"]}, {"name": "PORT", "type": "port"}, {"name": "DEBUG", "type": "bool"},
              *WEB["schema"]]
    values = {"SECRET_KEY": "changeme", "PORT": "eighty", "URL": "hunter2hunter2", "DEBG": "s3cr3tpw"}
    answer = call("env_files", **of(tmp_path, schema=schema, values=values))
    assert [problem["name"] for problem in answer["results"][0]["problems"]] == ["DEBG", "SECRET_KEY", "PORT", "URL"]
    for part in ("did you mean DEBUG?", "forbidden default 'changeme'", "from 1 to 65535", "type dsn", "4 problems"):
        assert part in answer["msg"]
    assert "hunter2" not in answer["text"]
    assert "s3cr3tpw" not in answer["text"], "a mistyped name may be a secret's"


def test_the_schema_version_is_part_of_the_name(call: Call, tmp_path: Path) -> None:
    answers = [call("env_files", check=True, **of(tmp_path, schema_version=version)) for version in (None, "1", "2")]
    assert len({answer["results"][0]["config"] for answer in answers}) == 3


@pytest.mark.parametrize("name", ["../x", "Backend", ""])
def test_a_component_that_would_leave_the_folder(call: Call, tmp_path: Path, name: str) -> None:
    assert "Not a component's name" in call("env_files", **of(tmp_path, component=name))["msg"]


def test_an_owner_that_is_not_there(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    answer = call("env_files", **of(tmp_path, owner="no-such-user"))
    assert answer["failed"]
    assert "no such user" in answer["msg"]
    assert call("env_files", check=True, **of(tmp_path, owner="no-such-user"))["changed"] is True
