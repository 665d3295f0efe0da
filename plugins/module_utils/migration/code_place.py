# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where the code lies that migrates: in the tree of a release with its interpreter, or in the release's image."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from ansible_collections.phasegate.aistack.plugins.module_utils.alembic import config as alembic_config
from ansible_collections.phasegate.aistack.plugins.module_utils.alembic.runner import InImage, InTree, Runner
from ansible_collections.phasegate.aistack.plugins.module_utils.clients.docker import Docker, DockerError
from ansible_collections.phasegate.aistack.plugins.module_utils.core import proc
from ansible_collections.phasegate.aistack.plugins.module_utils.core.places import IMAGES_OWN, container_file
from ansible_collections.phasegate.aistack.plugins.module_utils.release import image
from ansible_collections.phasegate.aistack.plugins.module_utils.release.store import read_manifest

if TYPE_CHECKING:
    from ansible_collections.phasegate.aistack.plugins.module_utils.migration.plan import Request

CERTIFICATES = "ca.pem"
"""Below the root: whom clients of this stack trust, by whose path an address may name it."""


def digest_of(tree: Path) -> str:
    """The digest of the image that the release in *tree* is; empty where it is a tree, or none that was staged."""
    try:
        images = image.images_of(read_manifest(tree))
    except (OSError, ValueError):  # what is no manifest names no image; what is missing is said by who needs it
        return ""
    return next((entry["digest"] for entry in images.values()), "")


def missing(request: Request, docker: Docker | None = None) -> str:
    """What of the release's code is not on this node, in words; empty where it can be run."""
    whose = f"release {request.release} of {request.component}"
    if not request.tree.is_dir():
        return f"{whose} is not staged: {request.tree} does not exist"
    digest = request.digest
    if digest:
        try:
            there = (docker or Docker()).digest(digest)
        except DockerError as problem:
            return f"whether the image of {whose} is there is not known: {problem}"
        gone = f"the image of {whose} is not on this node any more ({digest}): somebody removed it (docker image prune?)"
        return "" if there else f"{gone}; remove {request.tree} and deploy the release again, which makes it anew"
    if not os.access(request.interpreter, os.X_OK):
        return f"{whose} has no interpreter: {request.interpreter} cannot be run"
    return ""


def unconfigured(request: Request) -> str:
    """Why Alembic finds no configuration, in words; what an image has, its own Alembic tells when it is asked."""
    return "" if request.digest else alembic_config.missing(request.tree, request.ini)


def words(request: Request) -> str:
    """The place, for people who look there."""
    return f"the image of {request.release}" if request.digest else str(request.tree)


def staged(request: Request) -> str:
    """What there is of a release that is staged, for people."""
    return "its image, which is here" if request.digest else "the staged tree"


def runner(request: Request) -> Runner:
    """What runs the code. Raises LookupError where this host has no such user."""
    digest = request.digest
    if not digest:
        return InTree(request.interpreter, str(request.tree), request.user, request.wrapper)
    if request.made_up:  # a plan with made-up values speaks to nobody
        return InImage(digest)
    certificates = os.path.join(request.root, CERTIFICATES)
    return InImage(digest, _user(request), "host", [certificates] if os.path.isfile(certificates) else [])


def _user(request: Request) -> str:
    """``uid:gid`` of the component's user; empty where its containers run as the user of the image."""
    try:
        described = json.loads(container_file(request.node_state or request.state_dir, request.component).read_text(encoding="utf-8"))
        own = described.get("user") == IMAGES_OWN
    except (OSError, ValueError, AttributeError):  # nothing was converged here yet: the default is the component's user
        own = False
    if own or not request.user:
        return ""
    who = proc.account(request.user)
    return f"{who.uid}:{who.gid}"
