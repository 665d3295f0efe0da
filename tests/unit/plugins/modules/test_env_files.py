# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The environments of several components in one call: as each would be by itself, all of them or none."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.basic import AnsibleModule

from ansible_collections.phasegate.aistack.plugins.module_utils.environment.file import read_env
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.file import Journal
from ansible_collections.phasegate.aistack.plugins.modules import env_file, env_files

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
    alone = call("env_file", **{key: value for key, value in arguments(tmp_path).items() if key != "components"}, **API)
    assert (alone["changed"], alone["config"], alone["path"]) == (False, done["results"][0]["config"], done["results"][0]["path"])


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


def test_documentation_says_the_same_of_one_and_of_several() -> None:
    one = env_file.DOCUMENTATION.partition("options:\n")[2].partition("extends_documentation_fragment:")[0]
    assert "  component:\n" in one
    assert textwrap.indent(one, "    ") in env_files.DOCUMENTATION
