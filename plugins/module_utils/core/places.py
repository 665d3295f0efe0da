# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where things lie on a node, whichever stack they belong to."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

REGISTRY = "/etc/aistack"
ROOT = "/opt/aistack"
STATE = "/var/lib/aistack"

PLACES: dict[str, dict[str, Any]] = {"root": {"type": "path", "default": ROOT}, "state_dir": {"type": "path", "default": STATE}}
"""The two options that all modules have which work on a node (fragment C(places)), in Ansible's form."""

DESCRIPTIONS = "components"
"""Folder of what a node keeps of each component, below its state."""

IMAGES_OWN = "image"
"""Says of a component's user that it is the one that the image names."""


def container_file(state_dir: str | os.PathLike[str], component: str) -> Path:
    """Where the role says how a component's containers are run."""
    return Path(state_dir) / "containers" / f"{component}.json"


def description_file(state_dir: str | os.PathLike[str], component: str) -> Path:
    """Where a node keeps how a component is driven."""
    return Path(state_dir) / DESCRIPTIONS / f"{component}.json"


class Home:
    """The folders of one component, below the root. Nothing is looked at."""

    def __init__(self, root: str | os.PathLike[str], component: str) -> None:
        self.root = Path(root)
        self.component = component
        self.base = self.root / component
        self.releases = self.base / "releases"
        self.staging = self.base / "staging"
        self.configs = self.base / "config"
        self.slots_dir = self.base / "slots"
        self.live_link = self.slots_dir / "live"

    def release(self, tag: str) -> Path:
        """The folder of a release."""
        return self.releases / tag

    def env(self, config: str) -> Path:
        """The environment file of a configuration."""
        return self.configs / config / "env"

    @property
    def live_env(self) -> Path:
        """That which the live slot runs with."""
        return self.live_link / "config" / "env"
