# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tasks of a release: one-off work that is described at an application and belongs to each of its deployments. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.core.schema import Option, nearest

POINTS = {
    "before_migration": "run once the release is staged, before its migrations",
    "after_migration": "run behind its migrations, before anything is switched",
    "after_activation": "run when all components of the release are live, before it is accepted",
}
"""When tasks run, in order."""

TASK = Option(
    "dict", "a task",
    keys={
        "name": Option("str", "what it is called; by it the journal knows whether it was done for a release", required=True),
        "component": Option("str", "the component whose tree, environment, user and sandbox it takes, on the first of its hosts",
                            required=True),
        "command": Option("list", "the program and its arguments; {python}, {release_path} and {tools} are filled in", required=True,
                          items=Option("text|number", "a word"), expected='a list such as ["{python}", -m, app.seed], read by no shell'),
        "timeout": Option("number", "seconds that it may take", minimum=1, default=600),
        "always": Option("bool", "run it in every deployment, also where it was done for this release", default=False),
    },
)
OPTION = Option("dict", "commands that run once for each release, when it is deployed", keys={
    point: Option("list", help, items=TASK, expected="a list of tasks", label="name") for point, help in POINTS.items()
})


OF_A_NODE = ("{python}", "{release_path}", "{tools}")
"""What is filled in."""


def _listed(application: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each task of an application with where it stands."""
    described = application.get("release_tasks") or {}
    for point in POINTS:
        for index, task in enumerate(described.get(point) or []):
            yield f"{point}[{index}]", task


def _component_problem(task: Mapping[str, Any], application: str, components: Mapping[str, Any]) -> str:
    """What is wrong with the component that a task names; empty where nothing is."""
    name = str(task.get("component"))
    component = components.get(name)
    own = [
        other for other, value in components.items()
        if (components.get(value.get("release_from")) or value).get("application") == application
    ]
    if component is None:
        return f"unknown component '{name}'{nearest(name, own)}"
    if name not in own:
        return f"'{name}' runs no release of '{application}'; expected one of {', '.join(own) or 'its components, of which there are none'}"
    source = components.get(component.get("release_from")) or component
    kind = source.get("kind", "python")
    if kind == "static":
        return f"'{name}' is files that nginx serves (kind static): it has no environment to run a command in; name another component"
    named = [word for word in OF_A_NODE if any(word in str(part) for part in task.get("command", ()))]
    if kind != "python" and "{python}" in named:
        return f"'{name}' is of kind {kind} and has no " + "{python} of its own; name the program, such as node, in its command"
    if kind == "image" and named:
        return f"'{name}' is of kind image, and {named[0]} lies on the node, where its container does not see it; name a path in the image"
    return ""


def problems(applications: Mapping[str, Any], components: Mapping[str, Any]) -> list[str]:
    """Faults of what tasks refer to, one line each; their own form is checked by the table."""
    found: list[str] = []
    for name, application in applications.items():
        seen: dict[tuple[str, str], str] = {}
        for place, task in _listed(application or {}):
            where = f"aistack_applications.{name}.release_tasks.{place} ({task.get('name')})"
            wrong = _component_problem(task, name, components) if task.get("component") else ""
            found += [f"{where}.component: {wrong}"] if wrong else []
            known = (place.partition("[")[0], str(task.get("name")))
            if known in seen:
                found.append(f"{where}.name: {seen[known]} is called so as well; the journal tells tasks apart by their names")
            seen.setdefault(known, place)
    return found
