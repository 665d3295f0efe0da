# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[3] / "tests" / "tools" / "run_all.py"
PYTEST = """\
tests/unit/test_a.py::test_one FAILED
E   ERROR in a captured line
ERROR    app:main.py:3 a line of the program's log
fatal: [backend-1]: FAILED! => {"msg": "of a playbook that was meant to fail"}
=========================== short test summary info ============================
\x1b[31mFAILED\x1b[0m tests/unit/test_a.py::test_one[some thing] - assert 1 == 2
ERROR tests/unit/test_b.py::test_two - OSError: no space
ERROR tests/unit/test_c.py - ImportError: none
1 failed, 2 errors in 0.10s
make: *** [make/quality.mk:33: unit] Error 1
"""


@pytest.fixture
def script(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    spec = importlib.util.spec_from_file_location("run_all", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "run_all", module)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "LOGS", tmp_path)
    return module


def job(script, name, text, result="failed", note="exit status 2"):
    made = script.Job(name, [name], result=result, note=note)
    if text is not None:
        made.log.write_text(text, encoding="utf-8")
    return made


def test_failed_tests_are_named_and_nothing_else(script):
    assert script.what_failed([job(script, "unit", PYTEST)]).splitlines() == [
        "==== what failed",
        "unit: failed (exit status 2); unit.log",
        "    FAILED tests/unit/test_a.py::test_one[some thing] - assert 1 == 2",
        "    ERROR tests/unit/test_b.py::test_two - OSError: no space",
        "    ERROR tests/unit/test_c.py - ImportError: none",
    ]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("a.py:1: note: x\nplugins/a.py:3: error: no [misc]\nFound 1 error in 1 file\n", ["plugins/a.py:3: error: no [misc]"]),
        ("ERROR: plugins/a.py:1:1: missing\nmore\n", ["ERROR: plugins/a.py:1:1: missing"]),
        ("ok: [a]\nfatal: [backend-1]: FAILED! =>\n  msg: x\n", ["fatal: [backend-1]: FAILED! =>"]),
        ('Timeout!\n  File "b.py", line 3 in wait\n  File "test_a.py", line 7 in test_one\n', ['  File "test_a.py", line 7 in test_one']),
        ("1\n2\n3\n\n4\n5\n6\n", ["2", "3", "4", "5", "6"]),
    ],
    ids=["mypy", "ansible-test", "playbook", "a test that hung", "only its last lines"],
)
def test_other_tools(script, text, named):
    assert script.failures(job(script, "one", text)) == named


def test_no_more_than_twenty_and_no_endless_line(script):
    text = "".join(f"FAILED tests/test_a.py::test_{number} - {'x' * 500}\n" for number in range(23))
    lines = script.what_failed([job(script, "unit", text)]).splitlines()
    assert len(lines) == 2 + 20 + 1
    assert lines[-1].strip() == "... and 3 more"
    assert max(map(len, lines)) < 250


def test_a_job_that_did_not_run_and_one_that_passed(script):
    done = [job(script, "ruff", "FAILED tests/a.py::b", "passed", ""), job(script, "scenario-tiny", None, "not run", "needs lab-ready")]
    assert script.what_failed(done).splitlines()[1:] == ["scenario-tiny: not run (needs lab-ready); scenario-tiny.log"]
    assert script.what_failed(done[:1]) == ""


def test_the_table_names_the_first_failures_below_their_job(script):
    others = job(script, "ruff", "FAILED tests/a.py::b", "passed", ""), job(script, "tiny", None, "not run", "needs lab-ready")
    lines = script.table([others[0], job(script, "unit", PYTEST), others[1]]).splitlines()
    assert [line.split()[0] for line in lines] == ["job", "ruff", "unit", "FAILED", "ERROR", "ERROR", "tiny"]


def test_a_job_waits_for_what_it_needs_in_the_other_queue(script):
    ready, ruff = script.Job("lab-ready", [], lane="lab"), script.Job("ruff", [])
    runner = script.Runner([ready, ruff, script.Job("further", [], after=["lab-ready"])])
    further = runner.jobs["further"]
    assert not runner.waits(runner.jobs["ruff"])
    for result, waits in (("waiting", True), ("running", True), ("passed", False), ("failed", False)):
        runner.jobs["lab-ready"].result = result
        assert runner.waits(further) is waits


def test_a_queue_has_what_its_jobs_need_before_them(script):
    """A queue never waits for what stands behind it in the same one."""
    lanes = {job.name: job.lane for job in script.jobs()}
    before: list[str] = []
    for one in script.jobs():
        assert [name for name in one.after if lanes[name] == one.lane and name not in before] == []
        before.append(one.name)
