# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""file, command, disk, usage and process: what the node itself shows."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.core.probe_spec import ProbeError
from ansible_collections.phasegate.aistack.plugins.module_utils.probes import REGISTRY
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.process import command_line
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.spec import normalise
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.usage import cpu_times, memory_percent


def test_file(observe, tmp_path):
    path = tmp_path / "env"
    path.write_text("A=1\nSECRET=topsecret\n")
    path.chmod(0o600)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert observe(file=str(path), mode="0600", sha256=digest, contains="A=1", size={"ge": 5}).ok
    assert observe(file=str(path), mode="600").ok
    seen = observe(file=str(path), mode="0640")
    assert (seen.ok, seen.expected, seen.got) == (False, "mode = 0640", "mode = 0600")
    seen = observe(file=str(path), contains="B=2")
    assert not seen.ok
    assert "topsecret" not in str(seen), "contents are never shown"
    assert not observe(file=str(path), sha256="0" * 64).ok


def test_file_that_is_not_there(observe, tmp_path):
    assert observe(file=str(tmp_path / "no"), exists=False).ok
    seen = observe(file=str(tmp_path / "no"))
    assert not seen.ok
    assert seen.got.endswith("no is not there")
    assert not observe(file=str(tmp_path), exists=False).ok


def test_link(observe, tmp_path):
    (tmp_path / "v1").mkdir()
    (tmp_path / "live").symlink_to("v1")
    assert observe(file=str(tmp_path / "live"), link="v1").ok
    assert not observe(file=str(tmp_path / "live"), link="v2").ok


def test_a_command_that_changes_something_says_so():
    def changes(**more):
        spec = normalise({"name": "seed", "command": ["true"], **more}, None)
        return REGISTRY["command"](spec).changes

    assert (changes(), changes(changes=False), changes(changes=True)) == (False, False, True)
    with pytest.raises(ProbeError, match="changes: must be true or false"):
        changes(changes="yes")


def test_command(observe):
    python = sys.executable
    assert observe(command=[python, "-c", "print('yes')"], stdout="yes").ok
    seen = observe(command=[python, "-c", "import sys; print('no', file=sys.stderr); sys.exit(3)"])
    assert (seen.ok, seen.got, seen.detail) == (False, "rc = 3", "no")
    assert observe(command=[python, "-c", "print(41 + 1)"], stdout={"ge": 42}).ok
    assert observe(command=[python, "-c", "import os; print(os.environ['A'])"], environment={"A": "b"}, stdout="b").ok


@pytest.mark.parametrize(
    ("said", "rule", "good"),
    [
        ("Python 3.11.2", {"ge": "3.11"}, True),
        ("Python 3.9.2", {"ge": "3.11"}, False),
        ("v20.19.2", {"ge": "20.9", "lt": "21"}, True),
        ("v18.20.4", {"ge": 20}, False),
        ("Docker version 26.1.5+dfsg1, build a72d7cd", {"ge": "24"}, True),
        ("3.10", "3.10.0", True),
        ("no number", {"ge": "1"}, False),
    ],
)
def test_versions_are_compared_by_number(observe, said, rule, good):
    seen = observe(command=["echo", said], version=rule)
    assert seen.ok is good
    assert not seen.error


def test_version_pattern(observe):
    assert observe(command=["echo", "tool 9 for api 3.2"], version="3.2", pattern=r"api (\S+)").ok


def test_missing_program_cannot_be_judged(observe):
    seen = observe(command=["no-such-program"])
    assert seen.error
    assert "no-such-program is not there" in seen.got


def test_command_that_hangs_is_ended_with_its_children(observe, tmp_path):
    script = f"sleep 60 & echo $! > {tmp_path}/pid; sleep 60"
    began = time.monotonic()
    seen = observe(command=["sh", "-c", script], timeout=0.5)
    assert time.monotonic() - began < 20
    assert "no answer within 0.5 s" in seen.got
    pid = int((tmp_path / "pid").read_text())
    end = time.monotonic() + 2
    while time.monotonic() < end and command_line(str(pid)):
        time.sleep(0.02)
    assert command_line(str(pid)) == ""


@pytest.mark.parametrize(("end", "timeout"), [("exit 0", 30), ("sleep 300", 3)])
def test_a_daemon_that_a_command_leaves_behind_holds_nobody_up(observe, tmp_path, end, timeout):
    script = f"setsid sleep 300 & echo $! > {tmp_path}/pid; {end}"
    began = time.monotonic()
    seen = observe(command=["sh", "-c", script], timeout=timeout)
    assert time.monotonic() - began < 25
    assert seen.ok == (end == "exit 0")
    waited = time.monotonic() + 10
    while time.monotonic() < waited and command_line((tmp_path / "pid").read_text().strip()):
        time.sleep(0.02)
    assert command_line((tmp_path / "pid").read_text().strip()) == ""


def test_usage(observe):
    assert observe(usage="memory", percent={"gt": 0}).ok
    assert observe(usage="swap", percent=100).ok
    seen = observe(usage="cpu", percent={"gt": 100}, over=0.05)
    assert (seen.ok, seen.expected) == (False, "cpu > 100")
    assert seen.got.startswith("cpu = ")


def test_usage_is_reckoned_as_top_does():
    assert cpu_times("cpu  10 0 10 70 10 0 0 0 0 0\ncpu0 1 1 1 1\n") == (20, 100)
    text = "MemTotal: 1000 kB\nMemAvailable: 250 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n"
    assert (memory_percent(text, "memory"), memory_percent(text, "swap")) == (75.0, 0.0)


def test_disk(observe, tmp_path):
    assert observe(disk=str(tmp_path), free_bytes=1).ok
    assert observe(disk=str(tmp_path / "not" / "yet"), free_gib=0.000001).ok
    seen = observe(disk=str(tmp_path), free_gib=10**9)
    assert not seen.ok
    assert seen.expected.startswith("free_gib >= ")
    assert observe(disk=str(tmp_path), free_percent={"le": 100}).ok


def test_process(observe):
    mark = f"aistack-test-{os.getpid()}"
    assert observe(process=mark, count=0).ok
    children = [subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", mark]) for _one in range(2)]
    try:
        time.sleep(0.1)
        assert observe(process=mark).ok
        assert observe(process=f"{mark}$", count=2).ok
        seen = observe(process=mark, count=1)
        assert (seen.ok, seen.expected, seen.got) == (False, "processes = 1", "processes = 2")
        assert str(children[0].pid) in seen.detail
        assert observe(process=mark, user="nobody", count=0).ok
        assert observe(process=mark, user="no-such-user").error
    finally:
        for child in children:
            child.kill()
            child.wait()


def test_who_asks_does_not_count():
    """The pattern stands on the command line of the one who asks, and of the shell that started it."""
    code = (
        "from ansible_collections.phasegate.aistack.plugins.module_utils.clients.context import Context; "
        "from ansible_collections.phasegate.aistack.plugins.module_utils.probes.process import Process; "
        "print(Process({'target': 'unique-mark-4711'}).run(Context()).got)"
    )
    shell = f'{sys.executable} -c "$CODE" unique-mark-4711; true'
    done = subprocess.run(
        ["sh", "-c", shell], env={"PYTHONPATH": os.pathsep.join(sys.path), "CODE": code}, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "processes = 0"
