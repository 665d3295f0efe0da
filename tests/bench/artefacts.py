# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One build for many nodes, and the trees of one host side by side. The nodes are stand-ins: folders of this machine, asked by Ansible."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from figures import Figures
from onlab import ROOT

sys.path.insert(0, str(ROOT / "tests/integration/artefacts"))

NODES = (5, 10, 20)
WAITING = "import time; time.sleep(6)"
"""A build that waits for others, as one that fetches does; what it computes cannot be had twice of the same cores."""
BOOK = """
- hosts: all
  gather_facts: false
  tasks:
    - ansible.builtin.set_fact: {began: "{{ now().timestamp() }}"}
    - phasegate.aistack.releases:
        components: "{{ trees }}"
        shared: "{{ shared }}"
        at_once: "{{ at_once }}"
        root: "{{ folder }}"
        state_dir: "{{ folder }}/state"
    - ansible.builtin.copy: {content: "{{ now().timestamp() - began }}", dest: "{{ folder }}.took", mode: "0600"}
"""


def measure(figures: Figures) -> None:
    """Everything of this part."""
    with tempfile.TemporaryDirectory(prefix="aistack-bench-") as folder:
        many(figures, Path(folder) / "many")
        beside(figures, Path(folder) / "beside")


def many(figures: Figures, folder: Path) -> None:
    """One build; the same release on 5, 10 and 20 nodes that have nothing to build with."""
    from world import World

    folder.mkdir()
    world = World(folder)
    began = time.monotonic()
    world.stage(["builder"])
    built = time.monotonic() - began
    took: dict[int, float] = {}
    for count in NODES:
        names = [f"of-{count}-{number}" for number in range(count)]
        began = time.monotonic()
        answers = world.stage(names, "bare", [f"--forks={count}"])
        took[count] = time.monotonic() - began
        wrong = [name for name, answer in answers.items() if answer.get("artefact", {}).get("from") != "builder" or not world.runs(name)]
        figures.add(f"{count} nodes get it: nodes that did not", len(wrong), f"of {count}", 0)
        figures.add(f"  ... wall time, all of {count} on this machine", took[count], "s", None, [built, took[count]])
    figures.add("builds of one release for 36 nodes", world.tested(), "builds", 1)
    first, last = NODES[0], NODES[-1]
    figures.add(f"time for {last} nodes over that for {first}", took[last] / took[first], "times", last / first, list(took.values()))


def beside(figures: Figures, folder: Path) -> None:
    """Two trees of one host, one after the other and side by side, in turns."""
    from world import World, play

    folder.mkdir()
    world = World(folder)
    shared: dict[str, Any] = {
        "release": "v1", "repo": str(world.repo), "path": "api", "mirror_dir": str(folder / "mirrors"), "lock": "requirements.lock",
        "python": world.python, "min_free_bytes": 0, "group": "", "build_user": world.user, "test_user": world.user, "artefacts": False,
        "environment": world.fetching, "tools": str(folder / "tools"), "build": [["{python}", "-c", WAITING]],
    }
    common = {"trees": [{"component": "api"}, {"component": "jobs"}], "shared": shared}
    samples: dict[int, list[float]] = {1: [], 4: []}
    for turn in range(2):
        for at_once, found in samples.items():
            node = f"node-{turn}-{at_once}"
            play(world, BOOK, {node: {"folder": str(folder / node)}}, {**common, "at_once": at_once})
            found.append(float((folder / f"{node}.took").read_text()))
    apart, together = (min(found) for found in samples.values())
    figures.add("two trees of a host side by side, over one after the other", 100 * together / apart, "%", 60, [*samples[1], *samples[4]])
    print(json.dumps({"one after the other": samples[1], "side by side": samples[4]}))
