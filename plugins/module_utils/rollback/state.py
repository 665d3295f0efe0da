# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a view says about each component: what is present, where it can go back to, and why it cannot go elsewhere. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ansible_collections.phasegate.aistack.plugins.module_utils.journal.state import CANARY
from ansible_collections.phasegate.aistack.plugins.module_utils.release.content import Content
from ansible_collections.phasegate.aistack.plugins.module_utils.release.image import images_of

if TYPE_CHECKING:
    from ansible_collections.phasegate.aistack.plugins.module_utils.release.store import LiveLinks
    from ansible_collections.phasegate.aistack.plugins.module_utils.rollback.contract import (
        Candidate,
        Changes,
        Component,
        Cut,
        JournalLive,
        Refusal,
        View,
    )


TREE_GONE = "not_here"
"""The refusal of a release whose tree retention removed."""


@dataclass(frozen=True)
class Problem:
    """Why something must not be done, and what to do instead; ``component`` where it concerns one alone."""

    code: str
    reason: str
    remedy: str
    component: str | None = None

    def as_dict(self) -> Refusal:
        """Plain data."""
        return {"code": self.code, "reason": self.reason, "remedy": self.remedy, "component": self.component}


@dataclass(frozen=True)
class Target:
    """What a component is to run; ``here`` where it does so already.

    ``of`` is the config of then, where ``config`` is that one with the secrets of today; ``today`` names those that differ.
    """

    release: str
    config: str
    here: bool = False
    warnings: tuple[str, ...] = ()
    of: str = ""
    today: tuple[str, ...] = ()


def application_of(view: View, wanted: str | None) -> tuple[str | None, list[Problem]]:
    """The application that is meant: the one named, or the only one there is."""
    known = sorted({entry["description"].get("application") or "" for entry in view.get("components", {}).values()} - {""})
    if not view.get("components"):
        reason = f"no component is described on {view.get('node') or 'this node'}"
        return None, [
            Problem("no_component", reason, "deploy once with this version of the collection; it writes the descriptions")
        ]
    if wanted is not None and wanted not in known:
        reason = f"no component here belongs to an application {wanted}"
        return None, [Problem("unknown_application", reason, f"known here: {', '.join(known) or 'none'}")]
    if wanted is None and len(known) > 1:
        return None, [
            Problem("which_application", f"there are {len(known)} applications here", f"name one of {', '.join(known)}")
        ]
    return wanted or (known[0] if known else None), []


def members(view: View, application: str | None) -> list[tuple[str, Component]]:
    """The components of *application* (None: all) in dependency order."""
    found = [
        (name, entry)
        for name, entry in view.get("components", {}).items()
        if application is None or entry["description"].get("application") == application
    ]
    return sorted(found, key=lambda item: (item[1]["description"].get("order") or 0, item[0]))


def _content(found: LiveLinks | JournalLive | Cut | None) -> Content | None:
    return Content(str(found["release"]), str(found.get("config") or "")) if found and found.get("release") else None


def attempted(component: Component) -> Content | None:
    """What a switch that was interrupted was about to make live; None where none was, or where it only repeated what is live."""
    interrupted = component.get("interrupted")
    if not interrupted or interrupted.get("op") not in ("activate", CANARY):
        return None
    before = _content(component.get("journal_live"))
    content = _content(interrupted)
    return content if content != before else None


def beside_itself(component: Component) -> Content | None:
    """What is live, where the same release has a share of its requests in another configuration; None elsewhere."""
    interrupted = component.get("interrupted")
    tried, before = attempted(component), _content(component.get("journal_live"))
    if interrupted is None or interrupted.get("op") != CANARY or tried is None or before is None:
        return None
    return before if tried.release == before.release else None


def elsewhere(entry: Candidate) -> set[str]:
    """The releases of a candidate that it is not at as a whole."""
    return set(entry["tags"]) - (set() if entry.get("beside") else {entry["present"]})


def present(component: Component) -> Content | None:
    """What the component is at: what an interrupted switch was about to make live, else what is live; None where nothing is."""
    return attempted(component) or _content(component.get("live"))


def require_live(component: Component) -> Content:
    """:func:`present` where it is known that there is something."""
    found = present(component)
    if found is None:
        raise LookupError("nothing is live")
    return found


def options(component: Component) -> list[str]:
    """The releases that the component can be at after going back, the newest first, the present one included where it is good."""
    here, bad = require_live(component).release, component.get("bad") or {}
    staged = component.get("staged") or []
    tags: list[str] = []
    before = _content(component.get("journal_live"))
    if attempted(component) is not None and before is not None:
        tags.append(before.release)
    tags += list(component.get("candidates") or [])
    if (component.get("marks") or {}).get(here) == "good":
        tags.insert(0, here)
    good = component.get("marks") or {}
    return [tag for tag in dict.fromkeys(tags) if tag in staged and tag not in bad and good.get(tag) == "good"]


def _earlier(component: Component, tag: str) -> bool:
    """Whether *tag* was live before what is present."""
    before = _content(component.get("journal_live"))
    if attempted(component) is not None and before is not None and before.release == tag:
        return True
    anchor = component.get("anchor") or 0
    return any(record["release"] == tag and (not anchor or record["seq"] < anchor) for record in component.get("history") or [])


def _laid_down(component: Component, tag: str) -> bool:
    """Whether the tree of *tag* was not built here, but laid down."""
    return bool(((component.get("manifests") or {}).get(tag) or {}).get("artefact"))


def configs_of(component: Component, release: str) -> list[str]:
    """The configs that *release* was live with and that are still here, the last one first."""
    there = component.get("configs") or []
    used = [record.get("config") for record in reversed(component.get("history") or []) if record["release"] == release]
    return [config for config in dict.fromkeys(used) if config in there]


def release_target(name: str, component: Component, tag: str, allow_bad: bool = False) -> Target | Problem:
    """Where the component goes for the release *tag*, or why it must not."""
    now = require_live(component)
    good = options(component)
    behind = [known for known in good if known != now.release]
    choice = (
        f"choose one of {', '.join(behind)}"
        if behind
        else "there is no release here to go back to; fix what is wrong and deploy it"
    )
    deploy = f"deploy it: deploy.yml -e release={tag}"
    remedy = f"choose one of {', '.join(behind)}, or {deploy}" if behind else deploy
    own = beside_itself(component)
    if own is not None and own.release == tag:
        return Target(tag, own.config)
    if now.release == tag:  # a switch that was interrupted on its way there has to be finished
        return Target(tag, now.config, here=component.get("interrupted") is None)

    def refuse(code: str, reason: str, remedy: str) -> Problem:
        return Problem(code, f"{name}: {reason}", remedy, name)

    was_live = any(record["release"] == tag for record in component.get("history") or [])
    staged = tag in (component.get("staged") or [])
    if not was_live and not staged:
        return refuse("never_deployed", f"{tag} was never deployed here", remedy)
    if not staged:
        if images_of((component.get("manifests") or {}).get(now.release)):  # Docker alone keeps those
            return refuse(TREE_GONE, f"{tag} was live here once, but it went with its image", remedy)
        return refuse(TREE_GONE, f"{tag} was live here once, but its tree is gone", f"{remedy}; rollback.yml -e to={tag} lays it down from "
                      "what is kept of it")
    reason = (component.get("bad") or {}).get(tag)
    if not was_live or not _earlier(component, tag):
        how = (
            f"is newer than {now.release}: it was live only after it"
            if was_live
            else f"is newer than {now.release}: it has not been live yet"
        )
        extra = " -e allow_bad=true" if reason is not None else ""
        back = f"; to go back, {choice}" if behind else ""
        return refuse("newer", f"{tag} {how}", f"going forward is a deployment: deploy.yml -e release={tag}{extra}{back}")
    if reason is not None and not allow_bad:
        way = f"{choice}, or say --allow-bad if {tag} is not to blame"
        return refuse("bad", f"{tag} is marked bad ({reason or 'no reason given'})", way)
    configs = configs_of(component, tag)
    warnings = []
    if not configs and _laid_down(component, tag):  # retention takes both; the tree was brought back
        configs = [now.config]
        warnings.append(f"no config that {tag} was live with is here any more: it gets that of {now.release}, {now.config}")
    if not configs:
        return refuse("config_gone", f"no config that {tag} was live with is here any more", remedy)
    if reason is not None:
        warnings.append(f"{tag} is marked bad ({reason or 'no reason given'}) and was asked for all the same")
    elif tag not in good:
        warnings.append(f"{tag} was live here, but never marked good")
    return with_todays_secrets(component, Target(tag, configs[0], warnings=tuple(warnings)))


def with_todays_secrets(component: Component, target: Target) -> Target:
    """*target*, with the values of today for what its config keeps secret."""
    found = (component.get("way_back") or {}).get(target.config)
    if not found:
        return target
    warnings = [*target.warnings, *([found["problem"]] if found["problem"] else [])]
    if found["kept"]:
        names = ", ".join(found["kept"])
        warnings.append(f"{names}: secret, and not part of the environment of today, so that {target.release} has the value of then again")
    of = target.config if found["config"] != target.config else ""
    here = target.here or (target.release, found["config"]) == _pair(require_live(component))
    return replace(target, config=found["config"], here=here, warnings=tuple(warnings), of=of, today=tuple(found["today"]))


def _pair(content: Content) -> tuple[str, str]:
    return content.release, content.config


def _as_of_today(component: Component, config: str) -> str:
    """The config that a way back to *config* leads to, unless it is asked for by its own name."""
    found = (component.get("way_back") or {}).get(config)
    return found["config"] if found else config


def no_target(lists: Sequence[Candidate]) -> list[Problem]:
    """Why there is no release that all can go back to."""
    stuck = [entry for entry in lists if not elsewhere(entry)]
    if stuck:
        return [
            Problem(
                "no_previous_good",
                f"{entry['component']}: no release here was good before {entry['present']}",
                "fix what is wrong and deploy it under a new tag, or name a release (--to) that this component has had",
                entry["component"],
            )
            for entry in stuck
        ]
    told = "; ".join(
        f"{entry['component']} to {', '.join(tag for tag in entry['tags'] if tag != entry['present'])}" for entry in lists
    )
    return [
        Problem("no_common_target", f"no release is one that all can go back to: {told}", "name one (--to) with --best-effort")
    ]


def _previous_config(component: Component) -> tuple[str | None, int, str]:
    """The config that the present release was live with before the present one; when that changed (number of the record), in which run.

    Configs that differ in secrets alone are one: those of then are not taken back unless asked for by name.
    """
    now = require_live(component)
    history = component.get("history") or []
    changed, run = 0, ""
    for record in reversed(history):
        if record["release"] != now.release or _as_of_today(component, str(record.get("config"))) != now.config:
            break
        changed, run = int(record["seq"]), str(record.get("run") or "")
    if not changed:  # the last switch was interrupted, or the journal does not know it
        interrupted = component.get("interrupted")
        changed, run = (interrupted["seq"], interrupted["run"]) if interrupted else (0, "")
    earlier = [config for config in configs_of(component, now.release) if now.config not in (config, _as_of_today(component, config))]
    return (earlier[0] if earlier else None), changed, run


def config_change(components: Sequence[tuple[str, Component]]) -> str:
    """The run that last changed a config here; empty where none is known."""
    changes = [change for change in (_previous_config(entry) for _name, entry in components) if change[0]]
    return max(changes, key=lambda change: change[1])[2] if changes else ""


def config_targets(
    components: Sequence[tuple[str, Component]], to: str | None, exact: Mapping[str, str] | None = None
) -> tuple[dict[str, Target], list[Problem]]:
    """The config of each component that moves; those in *exact* to that one, if all of these are still here.

    Asked for by hash: the components that have had it, secrets of then included. By release: what each had with it. Not asked: what the
    last run that changed a config replaced. Both with the secrets of today.
    """
    if exact and all(exact[name] in (entry.get("configs") or []) for name, entry in components if name in exact):
        return {name: _config_target(entry, exact[name]) for name, entry in components if name in exact}, []
    if to is None:
        changes = {name: _previous_config(entry) for name, entry in components}
        changes = {name: change for name, change in changes.items() if change[0]}
        if not changes:
            releases = ", ".join(sorted({require_live(entry).release for _name, entry in components}))
            reason = f"{releases} was live here with one config only"
            return {}, [
                Problem(
                    "no_previous_config", reason, "go back to the release before: level app; or name a config or a release (--to)"
                )
            ]
        newest = max(changes, key=lambda name: changes[name][1])
        run = changes[newest][2]
        chosen = {name: change[0] for name, change in changes.items() if name == newest or (run and change[2] == run)}
        return {
            name: with_todays_secrets(entry, _config_target(entry, str(chosen[name]))) for name, entry in components if chosen.get(name)
        }, []
    targets: dict[str, Target] = {}
    for name, entry in components:
        known = [record.get("config") for record in entry.get("history") or []]
        configs = configs_of(entry, to)
        of = [config for config in configs_of(entry, require_live(entry).release) if to != config and _as_of_today(entry, config) == to]
        if to in known and to in (entry.get("configs") or []):
            targets[name] = _as_asked(entry, _config_target(entry, to))
        elif configs or of:  # of: what a way back was about to make when it was interrupted
            targets[name] = with_todays_secrets(entry, _config_target(entry, (configs or of)[0]))
    if targets:
        return targets, []
    reason = f"{to} is neither a config that was live here and still exists, nor a release that was live here with one"
    return {}, [Problem("never_deployed", reason, "aistack status --json lists releases and configs")]


def _as_asked(component: Component, target: Target) -> Target:
    """*target*, a config asked for by its name; tells which secrets of then come back."""
    found = (component.get("way_back") or {}).get(target.config)
    if not found or not found["today"]:
        return target
    beware = f"{', '.join(found['today'])}: secret, and changed since; asked for by its name, {target.config} brings the value of then back"
    return replace(target, warnings=(*target.warnings, beware))


def _config_target(component: Component, config: str) -> Target:
    now = require_live(component)
    proven = config in configs_of(component, now.release)
    warnings = () if proven else (f"{now.release} was never live with the config {config}",)
    return Target(now.release, config, now.config == config, warnings)


def environment_changes(component: Component, before: str, after: str) -> Changes:
    """Names of the variables that differ between two configs; values are never told."""
    known = component.get("env") or {}
    old, new = known.get(before), known.get(after)
    if before == after or old is None or new is None:
        return {"added": [], "removed": [], "changed": []}
    return {
        "added": sorted(set(new) - set(old)),
        "removed": sorted(set(old) - set(new)),
        "changed": sorted(name for name in set(old) & set(new) if old[name] != new[name]),
    }
