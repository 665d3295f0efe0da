# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The configuration that a component goes back to, on a node without its controller: that of then, with the secrets that are live.

Everything that goes back asks here: the plan, which writes nothing, and who carries it out. The same question has the same answer
until something else becomes live, so that a way back that was interrupted finds the configuration that it has made.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from ansible_collections.phasegate.aistack.plugins.module_utils.core.places import Home
from ansible_collections.phasegate.aistack.plugins.module_utils.environment import file as env_file
from ansible_collections.phasegate.aistack.plugins.module_utils.environment.todays_secrets import merge
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.state import Served
from ansible_collections.phasegate.aistack.plugins.module_utils.release.content import Content
from ansible_collections.phasegate.aistack.plugins.module_utils.release.store import Layout, LiveLinks


@dataclass(frozen=True)
class WayBack:
    """Where a way back to a configuration leads.

    Attributes:
        config: hash of the configuration that is to be live; that of then where no secret has changed.
        values: its variables; empty where it is that of then.
        today: names of the secrets that have another value than then.
        kept: names of the secrets that have their value of then, because what is live does not have them.
        problem: why secrets of then come back, where they could not be compared.
    """

    config: str
    values: dict[str, str]
    today: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    problem: str = ""
    made: env_file.Config | None = None


def observe(root: str | os.PathLike[str], component: str, config: str) -> WayBack:
    """Where a way back to *config* leads now; nothing is written."""
    layout = Layout(root, component)
    serves = layout.live()
    live = serves["config"] if serves else None
    if not live or live == config:
        return WayBack(config, {})
    then, now = (layout.env(name) for name in (config, live))
    try:
        before, today = env_file.read_env(then), env_file.read_env(now)
    except (OSError, ValueError) as problem:
        return WayBack(config, {}, problem=f"the secrets of {config} and of {live}, which is live, could not be compared: {problem}")
    declared, declared_now = env_file.declared_beside(then), env_file.declared_beside(now)
    merged = merge(before, today, declared.secrets if declared else None, declared_now.secrets if declared_now else None)
    if merged.values == before:
        return WayBack(config, {}, kept=merged.kept)
    if merged.values == today:
        return WayBack(str(live), {}, merged.today, merged.kept)
    names = declared.secrets if declared else declared_now.secrets & set(before) if declared_now else None
    version = declared.schema_version if declared else ""
    made = env_file.locate(root, component, env_file.render_env(merged.values), version, names)
    return WayBack(made.hash, merged.values, merged.today, merged.kept, made=made)


def make(root: str | os.PathLike[str], component: str, config: str) -> WayBack:
    """The same, and have that configuration on disk, owned as the one of then. Raises OSError."""
    found = observe(root, component, config)
    if found.made is not None and not found.made.present:
        owner = Home(root, component).env(config).stat()
        env_file.write_config(
            found.made, env_file.render_env(found.values), (owner.st_uid, owner.st_gid) if os.geteuid() == 0 else None
        )
    return found


def content(root: str | os.PathLike[str], component: str, then: Served | LiveLinks | None, write: bool = False) -> Content | None:
    """What a slot runs that goes back to *then* (None for nothing). Raises OSError where it is to *write*."""
    if not then:
        return None
    config = str(then["config"])
    missing = not Home(root, component).env(config).exists()  # said by whoever needs it
    return Content(str(then["release"]), config if missing else (make if write else observe)(root, component, config).config)
