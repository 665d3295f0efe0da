# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a slot of containers is started by: its compose file, written from what the slot is, before its unit starts it."""

from __future__ import annotations

import json
import os
import pwd
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.docker import Docker, DockerError
from ansible_collections.phasegate.aistack.plugins.module_utils.core.durable import write_file
from ansible_collections.phasegate.aistack.plugins.module_utils.core.instances import place_of
from ansible_collections.phasegate.aistack.plugins.module_utils.core.names import COMPONENT_NAME
from ansible_collections.phasegate.aistack.plugins.module_utils.core.places import IMAGES_OWN, container_file
from ansible_collections.phasegate.aistack.plugins.module_utils.environment.file import read_env
from ansible_collections.phasegate.aistack.plugins.module_utils.release import image
from ansible_collections.phasegate.aistack.plugins.module_utils.release.store import Layout
from ansible_collections.phasegate.aistack.plugins.module_utils.slots import compose


class ContainerError(Exception):
    """The slot cannot be started; the text says why and what to do."""


def file_of(component: str, slot: str) -> Path:
    """The compose file of a slot."""
    return Path(compose.FOLDER.format(component=component, slot=slot)) / compose.FILE


def account(name: str) -> str:
    """``uid:gid`` of a user of this host. Raises ContainerError."""
    try:
        entry = pwd.getpwnam(name)
    except KeyError as missing:
        raise ContainerError(f"this host has no user {name}, whom the container is to run as; run site.yml, which makes it") from missing
    return f"{entry.pw_uid}:{entry.pw_gid}"


def document(root: str, state_dir: Path, component: str, slot: str, docker: Docker, who: Callable[[str], str] = account) -> dict[str, Any]:
    """The compose file of a slot, or of one of its instances, as a mapping.

    Raises:
        ContainerError: something of the slot is not there, or its image is not the one that was staged.
    """
    instance = slot
    try:
        slot, place = place_of(instance)
    except ValueError as error:
        raise ContainerError(f"{component}@{error}") from error
    if not COMPONENT_NAME.fullmatch(component):
        raise ContainerError(f"{component}@{instance} is no slot of a component: nothing is called {component}")
    layout = Layout(root, component)
    try:
        environment = read_env(layout.slots_dir / slot / "config" / "env")
        given = read_env(layout.slots_dir / slot / "slot.env")
    except (OSError, ValueError) as error:
        raise ContainerError(f"slot {slot} of {component} cannot be read: {error}; deploy {component} again") from error
    port = given.get("AISTACK_PORT", "")
    if port and place > 1:
        raise ContainerError(f"{component}@{instance}: slot {slot} listens on port {port}, which one container alone can have")
    release = given.get("AISTACK_RELEASE", "")
    what = _What(component, slot, release, int(port) if port else None, environment, instance if place > 1 else "")
    return _document(layout, state_dir, what, docker, who)


@dataclass(frozen=True)
class _What:
    """What a container is: whose, in which slot (empty: none), of which release, at which port, with which variables; behind the first one
    of the slot, which ``instance``."""

    component: str
    slot: str
    release: str
    port: int | None
    environment: Mapping[str, str]
    instance: str = ""


def _document(layout: Layout, state_dir: Path, what: _What, docker: Docker, who: Callable[[str], str]) -> dict[str, Any]:
    component, release = what.component, what.release
    try:
        container = json.loads(container_file(state_dir, component).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ContainerError(f"how containers of {component} are run cannot be read: {error}; deploy {component} again") from error
    images = image.images_of(layout.manifest(release))
    if not images:
        raise ContainerError(f"the release {release} of {component} names no image ({layout.release(release)}); deploy it again")
    entry = next(iter(images.values()))
    try:
        there = docker.digest(entry["digest"])
    except DockerError as error:
        raise ContainerError(f"Docker does not answer: {error}") from error
    if there != entry["digest"]:
        raise ContainerError(
            f"the image {entry['reference']} of {component} {release} is not on this node any more (digest {entry['digest']}): "
            "somebody removed it (docker image prune?). Remove the release's folder and deploy it again, or go to another release"
        )
    user = str(container.get("user") or "")
    return compose.document(
        compose.Slot(
            stack=str(container.get("stack") or ""),
            component=component,
            slot=what.slot,
            release=release,
            image=entry["digest"],
            port=what.port,
            environment=what.environment,
            user="" if user == IMAGES_OWN or not user else who(user),
            instance=what.instance,
        ),
        container,
    )


def write(root: str, state_dir: Path, component: str, slot: str, docker: Docker | None = None, path: Path | None = None) -> Path:
    """Write the compose file of a slot, for root alone; its path.

    Raises:
        ContainerError: see :func:`document`.
    """
    made = document(root, state_dir, component, slot, docker or Docker())
    return _written(made, path or file_of(component, slot))


def write_of_release(root: str, state_dir: Path, component: str, release: str, env_file: Path, path: Path) -> Path:
    """Write a compose file for a container of a release that is in no slot, with the environment in *env_file*; its path.

    Raises:
        ContainerError: see :func:`document`.
    """
    try:
        environment = read_env(env_file)
    except (OSError, ValueError) as error:
        raise ContainerError(f"the environment of {component} {release} cannot be read: {error}; deploy {component} again") from error
    what = _What(component, "", release, None, environment)
    return _written(_document(Layout(root, component), state_dir, what, Docker(), account), path)


def _written(made: Mapping[str, Any], path: Path) -> Path:
    path.parent.mkdir(mode=0o700, exist_ok=True)
    os.chmod(path.parent, 0o700)
    write_file(path, json.dumps(made, indent=1, sort_keys=True) + "\n", 0o600, lasting=False)
    return path
