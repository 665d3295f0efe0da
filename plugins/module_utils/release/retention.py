# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What goes from a node that has newer releases: old ones, and the configurations, with their secrets, that nothing goes back to.

Which releases stay is said by :func:`.store.prunable`. A configuration stays where something points at it, where a release that stays
was last live with it, and where the level config may be asked for it.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.core import proc
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.chain import Record
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.file import Journal
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.state import derive, interrupted
from ansible_collections.phasegate.aistack.plugins.module_utils.release import image_store, store as releases, tree, way_back
from ansible_collections.phasegate.aistack.plugins.module_utils.release.store import Layout


def pruned(
    layout: Layout, state_dir: str, keep: int, keep_releases: Collection[str], run: str, actor: str, check: bool
) -> dict[str, object]:
    """Remove what is not needed of a component, and the configurations of all that run its trees; the module's result."""
    journal = Journal.of(state_dir)
    state = releases.state_of(layout, journal, run)
    exempt = [*keep_releases, *releases.shared_exemptions(layout, journal)]
    removed, kept = releases.prunable(layout, state, keep, exempt)
    staged = [tag for tag in layout.staged() if tag not in removed]
    records = journal.read()
    old = {
        users.configs / name: f"{users.component}/{name}"
        for users in releases.users_of(layout)
        for name in old_configs(users, records, Path(state_dir), keep, run, staged)
    }
    left = [] if check or not (removed or old) else _remove(layout, journal, removed, old, run, actor)
    told = {"warnings": [f"{layout.component}: an image stays that no release needs any more: {line}" for line in left]} if left else {}
    return {"changed": bool(removed or old), "removed": removed, "kept": kept, "removed_configs": list(old.values()), **told}


def _remove(layout: Layout, journal: Journal, tags: Sequence[str], configs: Mapping[Path, str], run: str, actor: str) -> list[str]:
    """Do it; the images that stay, with why."""
    manifests = {tag: layout.manifest(tag) or {} for tag in layout.staged()}
    detail = {"remove": list(tags), **({"configs": list(configs.values())} if configs else {})}
    with journal.operation("prune", layout.component, run=run, actor=actor, detail=detail) as operation:
        gone: list[str] = []
        operation.detail["removed"] = gone
        for tag in tags:
            layout.remove(tag)
            tree.remove(layout.drill_file(tag))
            gone.append(tag)
        for path in configs:
            tree.remove(path)
        staying = [manifest for tag, manifest in manifests.items() if tag not in tags]
        left = image_store.forget([manifests.get(tag, {}) for tag in tags], staying)
        if left:
            operation.detail["images_left"] = left
    return left


def old_configs(
    layout: Layout, records: Sequence[Record], state_dir: Path, keep: int, run: str, staged: Collection[str]
) -> list[str]:
    """Configurations that may go, and what dead processes left of others.

    Args:
        layout: the component whose configurations they are.
        records: the journal.
        keep: how many the live release can go back to besides the live one, at least one; once more as many where secrets are all that
            the newest of them differ in.
        run: what this run replaced stays, since it may yet be taken back.
        staged: the releases that stay.
    """
    folder = layout.configs
    try:
        names = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir())
    except OSError:
        return []
    there = [name for name in names if not name.startswith(".")]
    needed = {described["config"] for described in layout.slots().values() if described}
    needed |= _named_by_records(records, layout.component, run)
    state = derive(records, layout.component, staged=staged)
    history: dict[str, dict[str, None]] = {}  # the last one first
    for item in reversed(state.activations):
        if item.outcome == "ok" and item.release and item.config in there:
            history.setdefault(item.release, {})[str(item.config)] = None
    needed |= {next(iter(configs)) for tag, configs in history.items() if tag in staged}
    needed |= _to_choose_from(layout, list(history.get(state.live.release, {})) if state.live else [], max(1, keep))
    texts = _texts(state_dir, layout.component)
    return [name for name in there if name not in needed and not any(name in text for text in texts)] + [
        name for name in names if name.startswith(".") and _left_behind(name)
    ]


def _to_choose_from(layout: Layout, configs: Sequence[str], keep: int) -> set[str]:
    """What level config offers to the live release: the newest by name, and the newest that differ in more than secrets."""
    serves = layout.live()
    live = serves["config"] if serves else None
    earlier = [name for name in configs if name != live]
    found, ways = set(earlier[:keep]), {live}
    for name in earlier:
        leads_to = way_back.observe(layout.root, layout.component, name).config
        if leads_to not in ways and len(ways) <= keep:
            ways.add(leads_to)
            found.add(name)
    return found


def _named_by_records(records: Sequence[Record], component: str, run: str) -> set[str]:
    """What this run or something that was interrupted names, and what was configured last: it may not be live yet."""
    open_details = [item.detail for item in interrupted(records)]
    mine = [record.get("detail") or {} for record in records if run and record.get("run") == run]
    last = [record.get("detail") or {} for record in records if (record.get("op"), record.get("component")) == ("configure", component)]
    return set(_configs_in([*open_details, *mine, *last[-1:]]))


def _configs_in(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, entry in value.items():
            if key in ("config", "of") and isinstance(entry, str):
                yield entry
            else:
                yield from _configs_in(entry)
    elif isinstance(value, (list, tuple)):
        for entry in value:
            yield from _configs_in(entry)


def _texts(state_dir: Path, component: str) -> list[str]:
    """Files of the node's state that may name a configuration: what an unconfirmed run returns to, gates, the description."""
    files = [*(state_dir / "confirm").glob("*"), *(state_dir / folder / f"{component}.json" for folder in ("gates", "components"))]
    found = []
    for path in files:
        try:
            found.append(path.read_text(encoding="utf-8", errors="replace"))
        except FileNotFoundError:  # confirmed meanwhile, or never written
            continue
    return found


def _left_behind(name: str) -> bool:
    """Whether a hidden folder is what a process that is dead had not finished to write, or to remove."""
    number = name.rpartition("-")[2]
    return name.startswith((".staging-", ".removing-")) and number.isdigit() and not proc.alive(int(number), None)
