# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a phase costs the controller, by the number of hosts: phase.yml where nothing is to be done, on hosts that answer from a file.

The nodes are not there (C(connection_plugins/from_file.py)): what is measured is templates, variables of hosts, inputs of receipts, forks.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from figures import Figures, PartError
from onlab import BIN, ROOT

COUNTS = (1, 10, 40, 100)
LIMIT_S = 20.0
"""Seconds of a phase of the last count."""
BEND = 1.25
"""What a host may cost at most between the last two counts, as a multiple of what one costs between the first and the one before the last:
with 1 the time is a straight line, and what the machine does besides weighs on both."""
RELEASE = "v1.0.0"
ROW = {"type": "command", "verdict": "pass", "severity": "critical", "attempts": 1, "expected": "0", "got": "0", "latency_ms": 1.0}


def components() -> dict[str, Any]:
    """As many as a small stack has, on every host: an edge, an application of two, and what they stand on."""
    def gate(name: str, *more: Mapping[str, Any]) -> list[Any]:
        return [{"name": f"{name} runs", "unit": f"{name}.service"}, {"name": f"{name} answers", "command": ["true"]}, *more]

    front = {"name": "from outside", "command": ["true"], "from": "aistack"}
    application = {"application": "shop", "slots": {"warm": 300}, "after": ["edge"]}
    return {
        "toolchain": {"role": "toolchain", "hosts": "aistack"},
        "backup": {"role": "backup", "hosts": "aistack", "gate": gate("backup")},
        "redis": {"role": "redis", "hosts": "aistack", "gate": gate("redis")},
        "edge": {"role": "edge", "hosts": "aistack", "gate": gate("edge")},
        "api": {"role": "backend", "hosts": "aistack", "path": "api", "lock": "requirements.lock", "port": "api", "env": "api",
                "options": {"app": "main:app"}, "gate": gate("api", front), **application},
        "worker": {"role": "worker", "hosts": "aistack", "release_from": "api", "after": ["redis", "edge"], "gate": gate("worker"),
                   "options": {"app": "main:app"}},
    }


def inventory(folder: Path, count: int) -> dict[str, Any]:
    """A stack on *count* hosts."""
    variables = {
        "aistack_name": "shop", "aistack_root": "/opt/aistack", "aistack_state": "/var/lib/aistack", "aistack_components": components(),
        "aistack_ports": {"redis": 6379, "api": 8000, "api_blue": 18000, "api_green": 18001},
        "aistack_applications": {"shop": {"repo": str(folder / "repo"), "release": RELEASE}},
        "aistack_urls": {"api": "http://{{ aistack_address }}:{{ aistack_ports.api }}"},
        "aistack_env": {"api": {"schema": [{"name": "URL", "type": "url", "required": True}], "values": {"URL": "{{ aistack_urls.api }}"}}},
        "aistack_phases": {
            "phase0": {"title": "Ground", "components": ["toolchain", "backup", "redis"]},
            "phase1": {"title": "The application", "requires": ["phase0"], "components": ["edge", "api", "worker"],
                       "acceptance": ["answers"]},
        },
        "aistack_acceptance": {"answers": {"command": ["true"], "from": "aistack"}},
        "ansible_connection": "from_file", "ansible_python_interpreter": "/usr/bin/python3", "bench_answers": str(folder / "answers.json"),
    }
    hosts = {f"node-{number}": {"aistack_address": f"192.0.2.{number}"} for number in range(1, count + 1)}
    return {"all": {"vars": variables, "children": {"aistack": {"hosts": hosts}}}}


def answers() -> dict[str, Any]:
    """What every host says: everything is there, and nothing has changed."""
    fresh = {"fresh": True, "why": "nothing has changed", "inputs": "0", "known": True}
    live = {"release": RELEASE, "slot": "blue", "config": "0"}
    released = {"releases": {RELEASE: {}}, "states": {RELEASE: "live"}, "marks": {}, "reasons": {}, "live": live, "slots": {}}
    return {
        "receipt": {"changed": False, "components": dict.fromkeys(components(), fresh)},
        "release_info": {"changed": False, "components": {"api": released, "worker": released}},
        "gate": ROW,
    }


def prepare(folder: Path) -> None:
    """The answers, and the repository that the description names, whose release is looked for."""
    (folder / "answers.json").write_text(json.dumps(answers()), encoding="utf-8")
    (folder / "repo" / "api").mkdir(parents=True)
    for name, text in (("main.py", ""), ("requirements.lock", "")):
        (folder / "repo" / "api" / name).write_text(text, encoding="utf-8")
    who = ["-c", "user.name=bench", "-c", "user.email=bench@example.com"]
    for words in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", "x"], ["tag", RELEASE]):
        subprocess.run(["git", *who, *words], cwd=folder / "repo", check=True, capture_output=True)


def environment(folder: Path) -> dict[str, str]:
    """Of a run: this checkout's settings, and folders of its own."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "MOLECULE_"))}
    return {
        **clean, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_CONNECTION_PLUGINS": str(Path(__file__).parent / "connection_plugins"),
        "ANSIBLE_HOME": str(folder / "ansible"), "ANSIBLE_LOCAL_TEMP": str(folder / "tmp"), "HOME": str(folder),
        "ANSIBLE_STDOUT_CALLBACK": "default", "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
    }


def processor_s() -> float:
    """Processor seconds of all processes that this one has waited for: steadier than the clock where other things run beside."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def play(folder: Path, count: int) -> tuple[float, float]:
    """Wall seconds and processor seconds of a phase with *count* hosts. Raises PartError where it did not go through, or anything was to
    be done.
    """
    hosts = folder / f"hosts-{count}.json"
    hosts.write_text(json.dumps(inventory(folder, count)), encoding="utf-8")
    command = [str(BIN / "ansible-playbook"), "-i", str(hosts), "phasegate.aistack.phase", "-e", "aistack_phase=phase1"]
    began, used = time.monotonic(), processor_s()
    done = subprocess.run(command, cwd=ROOT, env=environment(folder), capture_output=True, text=True, timeout=900, check=False,
                          stdin=subprocess.DEVNULL)
    seconds, used = time.monotonic() - began, processor_s() - used
    ended = "TASK [Remember what was proven]" in done.stdout and "converge.yml" not in done.stdout
    if done.returncode or done.stdout.count("changed=0 ") != count or not ended:
        raise PartError(f"a phase on {count} hosts ended with {done.returncode}:\n{done.stdout[-3000:]}\n{done.stderr[-2000:]}")
    return seconds, used


def bend(seconds: Mapping[int, float]) -> float:
    """How much more a host costs among many than among few; 1 where the time is a straight line."""
    few, some, many = COUNTS[0], COUNTS[-2], COUNTS[-1]
    early = (seconds[some] - seconds[few]) / (some - few)
    late = (seconds[many] - seconds[some]) / (many - some)
    return late / early


def measure(figures: Figures) -> None:
    """The least of three for few hosts, of two for many: what else runs here makes it only slower."""
    found: dict[int, float] = {}
    with tempfile.TemporaryDirectory(prefix="aistack-bench-") as name:
        folder = Path(name)
        prepare(folder)
        play(folder, 1)  # what Python compiles once is there
        for count in COUNTS:
            samples = [play(folder, count) for _ in range(3 if count < COUNTS[-2] else 2)]
            walls, found[count] = [wall for wall, _used in samples], min(used for _wall, used in samples)
            what = f"phase.yml on {count} host{'s' if count > 1 else ''}, nothing to do: the controller's work"
            figures.add(what, min(walls), "s", LIMIT_S if count == COUNTS[-1] else None, walls)
            figures.add("  … of a processor", found[count], "s", None, [used for _wall, used in samples])
    figures.add("  … what a host costs among many, over what one costs among few", bend(found), "times", BEND, list(found.values()))


if __name__ == "__main__":  # one count, by hand: what is left in the folder can be played again
    place = Path(sys.argv[1])
    if not place.is_dir():
        place.mkdir()
        prepare(place)
    print("{:.1f} s, of a processor {:.1f} s".format(*play(place, int(sys.argv[2]))))
