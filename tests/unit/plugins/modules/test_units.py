# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The units of several components, with a systemctl that says what a file says."""

from __future__ import annotations

import getpass
import grp
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Call = Callable[..., dict[str, Any]]
SYSTEMCTL = """#!/bin/sh
echo "$*" >> {0}/asked
case $1 in show) cat {0}/says; exit $(cat {0}/rc) ;; esac
"""
WHO = {"user": getpass.getuser(), "group": grp.getgrgid(os.getgid()).gr_name}


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a systemd; C(asked) is what it was asked, C(says) what it answers."""
    for name, text in (("systemctl", SYSTEMCTL.format(tmp_path)), ("runuser", "#!/bin/sh\n")):
        (tmp_path / "bin" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    for name, text in (("asked", ""), ("says", "no\n\nno\n"), ("rc", "0")):
        (tmp_path / name).write_text(text)
    (tmp_path / "units").mkdir()
    return tmp_path


def arguments(host: Path, **texts: str) -> dict[str, Any]:
    components = [{"component": name, "unit": text, **WHO} for name, text in texts.items()]
    return {"components": components, "units": str(host / "units"), "root": str(host), "state_dir": str(host / "state")}


def units(host: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted((host / "units").iterdir())}


def asked(host: Path) -> list[str]:
    lines = (host / "asked").read_text().splitlines()
    (host / "asked").write_text("")
    return lines


def test_units_of_all_in_one_call(call: Call, host: Path) -> None:
    given = arguments(host, api="a\n", worker="w\n")
    predicted = call("units", check=True, diff=True, **given)
    assert (predicted["changed"], predicted["written"], units(host), asked(host)) == (True, ["api", "worker"], {}, [])
    assert [one["after"] for one in predicted["diff"]] == ["a\n", "w\n"]
    done = call("units", diff=True, **given)
    assert {key: done[key] for key in ("changed", "written", "made", "reloaded", "diff")} == {
        key: predicted[key] for key in ("changed", "written", "made", "reloaded", "diff")}
    assert units(host) == {"aistack-api@.service": "a\n", "aistack-worker@.service": "w\n"}
    assert asked(host) == ["show --property=NeedDaemonReload --value -- aistack-api@*.service aistack-worker@*.service"]
    again = call("units", diff=True, **given)
    assert (again["changed"], again["written"], "diff" in again) == (False, [], False)
    one = call("units", diff=True, **arguments(host, api="a\n", worker="other\n"))
    assert (one["changed"], one["written"], [found["before"] for found in one["diff"]]) == (True, ["worker"], ["w\n"])


def test_systemd_reads_them_where_a_slot_holds_an_older_one(call: Call, host: Path) -> None:
    """Also where nothing is written now: the run that wrote it was killed."""
    given = arguments(host, api="a\n")
    call("units", **given)
    asked(host)
    (host / "says").write_text("no\n\nyes\n")
    again = call("units", **given)
    assert (again["changed"], again["reloaded"], again["written"]) == (True, True, [])
    assert [line.split()[0] for line in asked(host)] == ["show", "daemon-reload"]
    (host / "rc").write_text("1")
    assert call("units", **given)["reloaded"] is False, "a host whose systemd does not answer"


def test_folders_come_first(call: Call, host: Path) -> None:
    """What cannot be written to is said before a unit is written that would need it."""
    given = arguments(host, api="a\n", worker="w\n")
    given["components"][0]["folders"] = [str(host / "uploads")]
    (host / "link").symlink_to("x")
    given["components"][1]["folders"] = [str(host / "link")]
    refused = call("units", **given)
    assert "which worker is to write to (writable, cache), is a link or a file" in refused["msg"]
    assert units(host) == {}
    (host / "link").unlink()
    assert call("units", **given)["made"] == [str(host / "link")]


def test_a_component_that_would_leave_the_folder(call: Call, host: Path) -> None:
    assert "Not a component's name: ../x; expected" in call("units", **arguments(host, **{"../x": "a\n"}))["msg"]
