#!/usr/bin/env python3
# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the execution environment on an image of Debian's packages, without a registry, and run verbs from it.

The context is what ansible-builder writes from execution-environment.yml; podman builds it. Package sources are this machine's own: its
certificates and its pip.conf are lent to the build, and are no part of the image. The image stays: localhost/phasegate-ee.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "lab"))

from nodes import images, settings  # noqa: E402  (the path has to be set first)
from nodes.podman import configure, environment  # noqa: E402  (likewise)

WORK = ROOT / "build" / "ee"
BASE, IMAGE = "localhost/phasegate-ee-base:latest", "localhost/phasegate-ee:latest"
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
ON_DEBIAN = """\
ARG NODE
FROM $NODE
RUN apt-get -qq update \\
 && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends python3-venv \\
 && python3 -m venv /opt/ansible
"""
STACK = {
    "ansible_connection": "local",
    "ansible_python_interpreter": "/opt/ansible/bin/python3",
    "aistack_name": "shop",
    "aistack_root": "/opt/shop",
    "aistack_state": "/var/lib/shop",
    "aistack_phases": {"phase3": {"components": ["tools"]}},
    "aistack_components": {
        "tools": {"role": "toolchain", "hosts": "aistack", "gate": [{"name": "there", "command": ["test", "-d", "/runner"]}]}
    },
}
"""A stack whose one node is the container itself."""
VERBS = {
    "phasegate.aistack.healthcheck": "the one component that was asked passes",
    "phasegate.aistack.site --tags phase3 --check": "Record the phase and give the lock back",
}
"""What is run from the image, and what it has to say."""


def run(*command: str) -> str:
    """Run a command; end with what it said where it fails."""
    done = subprocess.run(command, cwd=ROOT, env=environment(), text=True, capture_output=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        sys.exit(
            f"{done.stdout[-6000:]}{done.stderr[-3000:]}\nexecution environment: exit status {done.returncode} from: {' '.join(command)}"
        )
    return done.stdout + done.stderr


def build(tag: str, containerfile: Path, context: Path, *words: str) -> None:
    """Build an image, and say how long it took."""
    started = time.monotonic()
    lent = ["--volume", f"{CERTIFICATES}:{CERTIFICATES}:ro", "--env", f"PIP_CERT={CERTIFICATES}"]
    if Path("/etc/pip.conf").exists():
        lent += ["--volume", "/etc/pip.conf:/etc/pip.conf:ro"]
    label = ["--label", f"{settings.LABEL}=image"]  # make clean takes it away
    run("podman", "build", "--network", "host", *lent, *label, *words, "--tag", tag, "--file", str(containerfile), str(context))
    print(f"execution environment: {tag} after {time.monotonic() - started:.0f} s", flush=True)


def main() -> None:
    """Base, context, image, verbs."""
    archives = list((ROOT / "build" / "dist").glob("phasegate-aistack-*.tar.gz"))
    if len(archives) != 1:
        sys.exit("execution environment: there has to be one archive in build/dist: make artefact")
    shutil.rmtree(WORK, ignore_errors=True)  # not there the first time; what cannot go makes mkdir fail
    (WORK / "base").mkdir(parents=True)
    shutil.copy(archives[0], WORK / "phasegate-aistack.tar.gz")
    configure()
    node = next(node for node in settings.NODES if node.suite == "trixie")
    images.ensure((node,))
    (WORK / "base" / "Containerfile").write_text(ON_DEBIAN, encoding="utf-8")
    build(BASE, WORK / "base" / "Containerfile", WORK / "base", "--build-arg", f"NODE={images.tag(node)}")
    context = WORK / "context"
    run(str(ROOT / ".venv/builder/bin/ansible-builder"), "create", "--context", str(context), "--output-filename", "Containerfile")
    build(IMAGE, context / "Containerfile", context)
    (WORK / "hosts.json").write_text(json.dumps({"aistack": {"hosts": {"node": None}, "vars": STACK}}), encoding="utf-8")
    for verb, wanted in VERBS.items():
        started = time.monotonic()
        inside = ["ansible-playbook", "-i", "/runner/hosts.json", *verb.split()]
        lent = ["--network", "none", "--volume", f"{WORK}/hosts.json:/runner/hosts.json:ro"]
        said = run("podman", "run", "--rm", *lent, IMAGE, *inside)
        if wanted not in said:
            sys.exit(f"{said[-6000:]}\nexecution environment: {verb} did not say: {wanted}")
        print(f"execution environment: {verb} after {time.monotonic() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main()
