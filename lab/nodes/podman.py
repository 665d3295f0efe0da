# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""podman with a configuration of the lab's own, and lines of progress for people."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

from nodes import settings
from nodes.settings import LabError

STARTED = time.monotonic()
CONFIGURATION = settings.SHARED / "containers.conf"
OPEN_FILES = 20000


def say(message: str) -> None:
    """Print a line with the seconds since the start."""
    sys.stdout.write(f"lab {time.monotonic() - STARTED:6.1f} s  {message}\n")
    sys.stdout.flush()


def unified_cgroups() -> bool:
    """Tell whether this machine runs cgroup v2 alone (and not v1, or both side by side)."""
    return Path("/sys/fs/cgroup/cgroup.controllers").exists()


def write_atomically(path: Path, content: str, mode: int = 0o644) -> None:
    """Replace `path` by rename, so that nobody reads half of it; create its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as handle:
        handle.write(content)
    part.rename(path)


def configure() -> None:
    """Write the configuration that every podman call of the lab uses; the machine's own is neither read nor changed."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    files = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    # runc, because crun refuses hybrid cgroups; cgroupfs, because systemd need not be what runs this machine
    runtime = 'runtime = "runc"\n' if shutil.which("runc", path=os.environ["PATH"] + ":/usr/sbin") else ""
    text = (
        "# written by lab/bin/lab\n"
        "[containers]\n"
        f'default_ulimits = ["nofile={files}:{files}", "nproc=20000:20000"]\n'
        "log_size_max = 1048576\n"
        'log_driver = "k8s-file"\n'
        "[engine]\n"
        'cgroup_manager = "cgroupfs"\n'
        'events_logger = "file"\n' + runtime
    )
    if not CONFIGURATION.exists() or CONFIGURATION.read_text(encoding="utf-8") != text:
        write_atomically(CONFIGURATION, text)


def environment() -> dict[str, str]:
    """Return the environment for podman."""
    return {**os.environ, "CONTAINERS_CONF": str(CONFIGURATION), "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"}


def available() -> bool:
    """Tell whether podman is installed."""
    return shutil.which("podman") is not None


def podman(*arguments: str, stdin: bytes | None = None, timeout: float = 300) -> str:
    """Run podman and return what it printed; raise LabError with its own words where it fails."""
    command = ["podman", *arguments]
    try:
        done = subprocess.run(
            command, input=stdin or b"", capture_output=True, env=environment(), timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise LabError(
            f"`podman {arguments[0]}` did not end within {timeout:.0f} s.",
            f"command: {' '.join(command)}",
            "to do: repeat the command; if it hangs again, `make clean` removes the lab's containers",
        ) from error
    if done.returncode:
        raise LabError(
            f"`podman {arguments[0]}` failed with exit status {done.returncode}.",
            f"command: {' '.join(command)}",
            f"got: {done.stderr.decode(errors='replace').strip() or done.stdout.decode(errors='replace').strip()}",
        )
    return done.stdout.decode(errors="replace")
