# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A command gets its secrets; what it says is shown without them."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.core import proc

Call = Callable[..., dict[str, Any]]
SECRET = {"HTTPS_PROXY": "http://deploy:Pr0xyS3cret@proxy:3128"}


def test_it_runs_once(call: Call, tmp_path: Path) -> None:
    given = {"argv": ["/bin/sh", "-c", 'cat; echo "$HTTPS_PROXY" > "$0"', str(tmp_path / "made")], "stdin": "a $HOME b\n"}
    given.update(creates=str(tmp_path / "made"), secret_environment=SECRET)
    assert call("fetching_command", check=True, **given)["changed"] is True
    assert not (tmp_path / "made").exists()
    answer = call("fetching_command", **given)
    assert (answer["changed"], answer["stdout"]) == (True, "a $HOME b")
    assert (tmp_path / "made").read_text(encoding="utf-8").strip() == SECRET["HTTPS_PROXY"]
    assert call("fetching_command", **given)["changed"] is False


def test_a_failure_says_what_it_said_but_no_secret(call: Call) -> None:
    argv = ["/bin/sh", "-c", 'echo "refused by $HTTPS_PROXY as Pr0xyS3cret" >&2; exit 3']
    answer = call("fetching_command", argv=argv, secret_environment=SECRET)
    assert answer["rc"] == 3
    assert "ended with 3" in answer["msg"]
    assert "refused by" in answer["msg"]
    assert "Pr0xyS3cret" not in answer["stderr"] + answer["msg"]


def test_what_takes_too_long_is_ended_with_all_that_it_started(call: Call, tmp_path: Path) -> None:
    script = f"echo begins with $HTTPS_PROXY; sleep 300 & echo $! > {tmp_path}/pid; wait"
    answer = call("fetching_command", argv=["/bin/sh", "-c", script], timeout=4, secret_environment=SECRET)
    assert answer["failed"]
    assert "did not end within 4 s and was ended. It said:\nbegins with http" in answer["msg"]
    assert "Pr0xyS3cret" not in answer["msg"]
    sleeping, until = int((tmp_path / "pid").read_text(encoding="utf-8")), time.monotonic() + 10
    while proc.alive(sleeping, None) and time.monotonic() < until:  # a kill is sent at once, and on a busy machine carried out later
        time.sleep(0.05)
    assert not proc.alive(sleeping, None)


def test_a_command_that_is_not_there(call: Call) -> None:
    assert "/no/such could not be started: No such file or directory" in call("fetching_command", argv=["/no/such"])["msg"]
