# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the controller keeps of components that are removed from their nodes: what can be built again goes, the rest is named."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.core.masking import without_credentials
from ansible_collections.phasegate.aistack.plugins.module_utils.core.names import COMPONENT_NAME
from ansible_collections.phasegate.aistack.plugins.module_utils.release.artefact_store import FOLDER, application_of
from ansible_collections.phasegate.aistack.plugins.module_utils.release.mirror import Source, SourceError


def on_controller(
    repos: Iterable[str], components: Iterable[str], artefacts: Any, secrets_dir: str = "", mirror_dir: str = "", whole: bool = False
) -> dict[str, list[str]]:
    """What is there, told apart.

    Args:
        repos: addresses of the stack's repositories.
        components: those that go.
        artefacts: ``aistack_artefacts``.
        secrets_dir: where the inventory has its secrets made, where it says so.
        mirror_dir: where repositories are kept, where not at the usual place.
        whole: whether the stack goes with them; what belongs to it alone is named then.

    Returns:
        C(remove), folders; C(stays), a sentence each, with the command that removes it.
    """
    addresses = list(dict.fromkeys(map(str, repos)))
    folder = Path(str((artefacts.get("folder") if isinstance(artefacts, Mapping) else None) or FOLDER)).expanduser()
    names = [name for name in components if COMPONENT_NAME.fullmatch(name)]
    built = [folder / application_of(repo) / name for repo in addresses for name in names]
    remove = [str(path) for path in dict.fromkeys(built) if path.is_dir() and not path.is_symlink()]
    stays = []
    for repo in addresses if whole else ():
        try:
            mirror = Source(repo, mirror_dir=mirror_dir).mirror
        except SourceError:  # nothing was ever fetched from an address like that
            continue
        if mirror.exists():
            stays.append(f"{mirror}: {without_credentials(repo)} as it was fetched, which other stacks may use (rm -rf '{mirror}')")
    store = str((artefacts.get("store") if isinstance(artefacts, Mapping) else None) or "").rstrip("/")
    for place in dict.fromkeys(f"{store}/{application_of(repo)}/{name}" for repo in addresses for name in names) if store else ():
        stays.append(f"{place}: what was built of it, which other controllers may use; the bucket's own rules remove it")
    secrets = Path(secrets_dir).expanduser() if whole and secrets_dir else None
    if secrets is not None and secrets.is_dir():
        stays.append(f"{secrets}: the stack's secrets, which backup sets may need (rm -r '{secrets}', when none does)")
    return {"remove": remove, "stays": stays}
