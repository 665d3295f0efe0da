# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lab consists of: nodes, addresses, sizes, packages, folders."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LAB = os.environ.get("AISTACK_LAB", "")
"""Number of a further lab of this checkout, beside the first: nodes, addresses and folder are its own; inventories/lab reads it as well."""
SHARED = ROOT / ".lab"
STATE = SHARED / LAB
SSH = STATE / "ssh"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "phasegate-lab"

PREFIX = f"phasegate{LAB}"
LABEL = "io.phasegate.lab"  # on everything that the lab makes; its value is the checkout that made it
NETWORK = "phasegate"
SUBNET = "10.89.77.0/24"  # inventories/lab/hosts.yml carries the same addresses
USER = "ops"

SUITES = {"12": "bookworm", "13": "trixie"}

# what a freshly installed server has, and no more: the roles bring the rest
PACKAGES = [
    "systemd",
    "systemd-sysv",
    "dbus",
    "openssh-server",
    "sudo",
    "python3",
    "python3-apt",
    "iproute2",
    "iputils-ping",
    "nftables",
    "procps",
    "ca-certificates",
    "curl",
    "less",
]
# MinIO and Ollama are built from Go's module proxy; the last three are headers that Ollama's module leaves out
BUILDER_PACKAGES = [
    "golang-go",
    "g++",
    "git",
    "libc6-dev",
    "libminiaudio-dev",
    "nlohmann-json3-dev",
    "libstb-dev",
    "make",
    "pkg-config",
]


def address(number: int) -> str:
    """Return a node's address: those of a further lab lie twenty higher."""
    return f"10.89.77.{number + 20 * int(LAB or 0)}"


@dataclass(frozen=True)
class Node:
    """One node: a name, a Debian release, an address, a limit of memory in MiB, further packages in its image.

    ``runs_containers``: it may start containers of its own, which takes more rights on this machine than the others have.
    """

    name: str
    debian: str
    address: str
    memory: int
    packages: tuple[str, ...] = ()
    runs_containers: bool = False

    @property
    def container(self) -> str:
        """The container's name."""
        return f"{PREFIX}-{self.name}"

    @property
    def suite(self) -> str:
        """Debian's code name."""
        return SUITES[self.debian]


# together below 4 GiB; a page cache that fills a limit is given back by the kernel
NODES = (
    Node("backend-1", "12", address(11), 1792),
    Node("gpu-1", "13", address(12), 960),
    Node("web-1", "13", address(13), 1280),
)
BUILDER = Node("builder-1", "13", address(14), 6144, tuple(BUILDER_PACKAGES))
CONTAINERS = (
    Node("docker-1", "13", address(15), 2048, runs_containers=True),
    Node("docker-2", "13", address(16), 2048, runs_containers=True),
)
STACKS = {"demo": NODES, "containers": CONTAINERS}
"""What `lab up --stack` has running: the three nodes of the demo, or those of another stack."""
ALL = (*NODES, BUILDER, *CONTAINERS)


class LabError(Exception):
    """Something that a person has to be told: what happened, expected, got, what to do; one line each."""

    def __init__(self, *lines: str) -> None:
        super().__init__("\n  ".join(lines))
