# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every command that a guide shows is one: verbs with their parameters, the node's command, targets of make. Each page has its place."""

from __future__ import annotations

import argparse
import re
import runpy
import shlex
from pathlib import Path

import pytest
import yaml

from ansible_collections.phasegate.aistack.plugins.module_utils.cli import main as cli
from ansible_collections.phasegate.aistack.plugins.module_utils.stack import verbs
from ansible_collections.phasegate.aistack.plugins.plugin_utils.verb_table import read_verbs

ROOT = Path(__file__).resolve().parents[2]
VERBS = read_verbs()
PAGES = [ROOT / "README.md", ROOT / "docs/site/index.md", *sorted((ROOT / "docs").glob("guide-*.md"))]
VARIABLES = {
    name
    for path in (ROOT / "roles").glob("*/meta/argument_specs.yml")
    for spec in yaml.safe_load(path.read_text(encoding="utf-8"))["argument_specs"].values()
    for name in spec.get("options", {})
}
SWITCHES = {"--check", "--diff", "--limit", "-l", "--tags", "--skip-tags", "--ask-vault-pass", "-i", "-v", "--list-tags", "--list-tasks"}
TARGETS = {
    name
    for path in (ROOT / "Makefile", *(ROOT / "make").glob("*.mk"))
    for name in re.findall(r"(?m)^([a-z][\w-]*):", path.read_text(encoding="utf-8"))
}


def node_verbs() -> dict[str, set[str]]:
    """Verb of the node's command to its options; those of `aistack backup` are the command's own."""
    groups = [action for action in cli.parser()._actions if isinstance(action, argparse._SubParsersAction)]
    return {name: {option for action in found._actions for option in action.option_strings} for name, found in groups[0].choices.items()}


NODE = node_verbs()
BACKUP = (ROOT / "plugins/module_utils/backup/command.py").read_text(encoding="utf-8")


def commands(text: str) -> list[str]:
    """The lines of code blocks, without comments and with what a backslash continues, and code in sentences that is a command."""
    found = re.findall(r"(?ms)^(?:\d+\. | *)```(\w*)\n(.*?)^ *```$", text)
    blocks = [body for language, body in found if language in ("", "bash", "console")]
    lines = [line.strip() for block in blocks for line in re.sub(r"\\\n", " ", block).splitlines()]
    told = re.sub(r"(?ms)^ *```.*?^ *```$", "", text)
    lines += [" ".join(code.split()) for code in re.findall(r"`((?:ansible-playbook|aistack|make) [^`]+)`", told)]
    return [re.sub(r"\s+#.*$", "", line) for line in lines]


def problems(line: str) -> list[str]:
    """What of a command nobody understands."""
    if "…" in line or "<" in line or not re.match(r"(?:ansible-playbook|aistack|make) ", line):
        return []  # shortened, or with a place that the reader fills in; or somebody else's command
    words = shlex.split(line)
    if words[:1] == ["make"]:
        return [f"make knows no {word}" for word in words[1:] if "=" not in word and word not in TARGETS]
    if words[:1] == ["aistack"]:
        known = NODE.get(words[1], set()) | (set(re.findall(r'"(--[a-z-]+)"', BACKUP)) if words[1] == "backup" else set())
        if words[1] not in NODE:
            return [f"aistack knows no {words[1]}"]
        return [f"aistack {words[1]} knows no {word}" for word in words[2:] if word.startswith("--") and word not in known]
    if words[:1] != ["ansible-playbook"]:
        return []
    name = next((word.removeprefix("phasegate.aistack.") for word in words if word.startswith("phasegate.aistack.")), "")
    name = name or ("site" if "site.yml" in words else "")
    if name not in VERBS:
        return [f"no verb {name}"] if name else []
    known = verbs.parameters(VERBS[name])
    found = []
    given = [words[at + 1] for at, word in enumerate(words[:-1]) if word == "-e" and not words[at + 1].startswith("@")]
    for word in given:
        key, _, value = word.partition("=")
        if key not in known:
            found += [] if key in VARIABLES or key.startswith("aistack_") else [f"{name} knows no {key}"]
        elif verbs.value_problem(known[key], value):
            found.append(f"{name}: {key}: {verbs.value_problem(known[key], value)}")
    said = {word.partition("=")[0] for word in given}
    found += [f"{name} needs {key}" for key, parameter in known.items() if parameter.get("required") and key not in said]
    return found + [f"unknown option {word}" for word in words[1:] if word.startswith("-") and word not in SWITCHES | {"-e"}]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_is_one(page: Path) -> None:
    told = [(line, problems(line)) for line in commands(page.read_text(encoding="utf-8"))]
    assert [f"{line}: {'; '.join(found)}" for line, found in told if found] == []


def test_there_are_commands() -> None:
    lines = [line for page in PAGES for line in commands(page.read_text(encoding="utf-8"))]
    used = {match for line in lines for match in re.findall(r"phasegate\.aistack\.(\w+)", line)}
    assert set(VERBS) - used - {"phase"} == set(), "verbs that no guide shows"
    assert len([line for line in lines if line.startswith("aistack ")]) >= 5


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("ansible-playbook phasegate.aistack.deploy -e release=v1 -e confirm_within=60 --check", []),
        ("ansible-playbook phasegate.aistack.deploi", ["no verb deploi"]),
        ("ansible-playbook phasegate.aistack.deploy -e level=app", ["deploy knows no level"]),
        ("ansible-playbook phasegate.aistack.logs", ["logs needs component"]),
        ("ansible-playbook phasegate.aistack.plan --chek", ["unknown option --chek"]),
        ("aistack status", []),
        ("aistack journal --prove", ["aistack journal knows no --prove"]),
        ("aistack statuses", ["aistack knows no statuses"]),
        ("make demmo", ["make knows no demmo"]),
    ],
)
def test_a_wrong_command_is_found(line: str, said: list[str]) -> None:
    assert problems(line) == said


def test_a_wrong_value_is_found() -> None:
    assert problems("ansible-playbook phasegate.aistack.report -e format=pdf") != []
    assert problems("ansible-playbook phasegate.aistack.report -e format=html") == []


def test_every_page_has_one_place_in_the_navigation() -> None:
    groups = runpy.run_path(str(ROOT / "docs/site/build.py"))["GROUPS"]
    placed = [name for names in groups.values() for name in names]
    assert len(placed) == len(set(placed))
    there = {path.stem.lower() for path in [*(ROOT / "docs").glob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]}
    assert there - set(placed) == set(), "docs/site/build.py, GROUPS"
    assert set(placed) - there == {"playbooks", "collections/phasegate/aistack/index"}


def test_pictures_are_small_and_there() -> None:
    for page in PAGES:
        for name in re.findall(r"!\[[^\]]+\]\((?:docs/|\.\./)?(pictures/[^)]+)\)", page.read_text(encoding="utf-8")):
            assert (ROOT / "docs" / name).stat().st_size < 200_000, name
