# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``meta/verbs.yml`` and the playbooks say the same, and every remedy that a message names is one."""

from __future__ import annotations

import argparse
import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.cli.playbook import PlaybookCLI
from ansible.vars.reserved import get_reserved_names
from jinja2 import meta
from jinja2.nativetypes import NativeEnvironment

from ansible_collections.phasegate.aistack.plugins.module_utils.backup import command as backup_command
from ansible_collections.phasegate.aistack.plugins.module_utils.cli import main as cli
from ansible_collections.phasegate.aistack.plugins.module_utils.stack import verbs
from ansible_collections.phasegate.aistack.plugins.plugin_utils.verb_table import read_verbs

ROOT = Path(__file__).resolve().parents[3]
VERBS = read_verbs()
PLAYBOOKS = sorted(path.name for path in (ROOT / "playbooks").glob("*.yml"))
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir() if path.is_dir())
BARE = {"when", "that", "failed_when", "changed_when", "until"}
"""Keys whose text is an expression without braces."""

MAGIC = {"groups", "group_names", "hostvars", "inventory_hostname", "item", "lookup", "now", "omit"}
KEYS = {"playbook", "help", "check_mode", "lock", "limit", "unknown", "statuses", "parameters"}
PARAMETER_KEYS = {"name", "was", "help", "type", "minimum", "choices", "default", "required", "consent"}
TYPES = {"str", "bool", "int", "float", "list", "path", "name", "line"}


class Everything(dict[str, Any]):
    """A table of filters or tests in which every name is."""

    def __contains__(self, _name: object) -> bool:
        return True

    def __missing__(self, _name: str) -> Any:
        return lambda *_arguments: None

    def get(self, _name: str, _default: Any = None) -> Any:
        """Likewise."""
        return lambda *_arguments: None


ENVIRONMENT = NativeEnvironment()
ENVIRONMENT.filters = Everything()
ENVIRONMENT.tests = Everything()


def names(node: Any, used: set[str], made: set[str], bare: bool = False) -> None:
    """Add the variables that templates below ``node`` read to ``used``, and those that it defines to ``made``."""
    if isinstance(node, str):
        text = node if "{{" in node or "{%" in node else f"{{{{ {node} }}}}" if bare else ""
        used |= meta.find_undeclared_variables(ENVIRONMENT.parse(text))
    elif isinstance(node, list):
        for entry in node:
            names(entry, used, made, bare)
    elif isinstance(node, dict):
        for key, value in node.items():
            if key == "vars" or str(key).endswith("set_fact"):
                made |= set(value)
            if key in ("register", "loop_var"):
                made.add(value)
            names(value, used, made, key in BARE)


def books(playbook: str) -> list[Path]:
    """A playbook, the task files that it includes, and the playbooks that it imports with theirs."""
    found: list[Path] = []
    wanted = [ROOT / "playbooks" / playbook]
    while wanted:
        path = wanted.pop()
        if path not in found:
            found.append(path)
            text = re.sub(r"^ *#.*$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
            wanted += [ROOT / "playbooks" / name for name in re.findall(r"tasks/\w+\.yml", text)]
            wanted += [ROOT / "playbooks" / name for name in re.findall(r"import_playbook: (\w+\.yml)", text)]
    return found


def read_by(playbook: str) -> tuple[set[str], set[str]]:
    """The variables that a playbook takes from outside, and those of them that no inventory, role or program has."""
    used: set[str] = set()
    made: set[str] = set()
    for path in books(playbook):
        names(yaml.safe_load(path.read_text(encoding="utf-8")), used, made)
    others = ("__", "aistack_", "ansible_", *(f"{role}_" for role in ROLES))
    return used, {name for name in used - made - MAGIC if not name.startswith(others)}


def test_every_playbook_is_a_verb() -> None:
    assert sorted(verb["playbook"] for verb in VERBS.values()) == PLAYBOOKS
    assert [name for name, verb in VERBS.items() if verb["playbook"] != f"{name}.yml"] == []


@pytest.mark.parametrize("name", VERBS)
def test_a_verb_is_described(name: str) -> None:
    verb = VERBS[name]
    assert set(verb) - KEYS == set()
    assert KEYS - {"unknown"} - set(verb) == set()
    assert isinstance(verb["check_mode"], bool)
    assert isinstance(verb["lock"], bool)
    assert verb["limit"] in ("refused", "told", "none")
    assert [set(entry) for entry in verb["statuses"]] == [{"status", "meaning"}] * 2
    assert [entry["status"] for entry in verb["statuses"]] == [0, 2], "a failure of a host is 2, whatever a playbook does"
    assert all(entry["meaning"] for entry in verb["statuses"])
    for parameter in verb["parameters"]:
        assert set(parameter) - PARAMETER_KEYS == set(), parameter
        assert parameter["name"] not in get_reserved_names(), "Ansible warns of it, above everything else"
        assert parameter["help"]
        assert "default" in parameter
        assert parameter.get("type", "str") in TYPES, parameter
        if parameter["default"] is not None:
            assert verbs.value_problem(parameter, parameter["default"]) == ""
    said = verbs.parameters(verb)
    assert len(said) == len(verb["parameters"])
    assert ("break_lock" in said) == verb["lock"]
    assert ("partial" in said) == (verb["limit"] == "refused")


@pytest.mark.parametrize("name", VERBS)
def test_a_verb_knows_what_its_playbook_reads_and_no_more(name: str) -> None:
    used, outside = read_by(VERBS[name]["playbook"])
    said = set(verbs.parameters(VERBS[name]))
    assert outside - said == set(), "read, and not in meta/verbs.yml"
    # read by the action `stack`, by what takes the lock, and by all of phase.yml
    elsewhere = {"partial", "break_lock", "aistack_phase"}
    if name == "migrate":  # the playbook is a door to its role, which reads them
        specs = yaml.safe_load((ROOT / "roles" / "migrate" / "meta" / "argument_specs.yml").read_text(encoding="utf-8"))
        elsewhere |= set(specs["argument_specs"]["main"]["options"])
    if name == "rollback":  # the same role takes the schema back, and reads it by its own name
        elsewhere.add("migrate_allow_base")
    assert said - used - elsewhere == set(), "in meta/verbs.yml, and read nowhere"


@pytest.mark.parametrize("name", VERBS)
def test_an_empty_answer_of_a_form_is_as_none(name: str) -> None:
    """A form of AWX gives an empty text for what was not filled in, and so no playbook may ask merely whether it is defined."""
    free = [key for key, found in verbs.parameters(VERBS[name]).items() if found["default"] is None and not found.get("required")]
    text = "\n".join(path.read_text(encoding="utf-8") for path in books(VERBS[name]["playbook"]))
    text = re.sub(r"^ *#.*$", "", text, flags=re.MULTILINE)
    asked = {key for key in free for found in re.findall(rf"(?<![\w.])({key}) is (?:not )?defined", text) if found}
    assert asked <= {"confirm"}, "which only says whether somebody at a terminal is asked"


@pytest.mark.parametrize("name", VERBS)
def test_a_verb_takes_the_lock_as_it_says(name: str) -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in books(VERBS[name]["playbook"]))
    assert ("state: locked" in text) == VERBS[name]["lock"]


# A way back is held up by no other stack; and what goes is not let in first.
LETS_NOBODY_IN = {"remove", "restore", "rollback"}


@pytest.mark.parametrize("name", [name for name, verb in VERBS.items() if verb["lock"]])
def test_who_takes_the_lock_is_let_in_beside_other_stacks(name: str) -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in books(VERBS[name]["playbook"]))
    locks = re.findall(r"journal:\s*(?:\{state: locked.*\}|\n +state: locked(?:\n +.*)*?(?=\n *\n))", text)
    let_in = [lock for lock in locks if "stack: {name: " in lock]  # its claims are the action's to work out
    assert locks
    assert let_in == ([] if name in LETS_NOBODY_IN else locks)


@pytest.mark.parametrize("playbook", PLAYBOOKS)
def test_a_playbook_asks_first_whether_it_is_understood(playbook: str) -> None:
    """The first task of the first play is `stack`, once, with the verb; and the order of no play is the operator's configuration's."""
    plays = yaml.safe_load((ROOT / "playbooks" / playbook).read_text(encoding="utf-8"))
    first = plays[0]["tasks"][0]
    assert first["run_once"] is True
    assert playbook.removesuffix(".yml") in first["phasegate.aistack.stack"]["verb"]


@pytest.mark.parametrize("playbook", PLAYBOOKS)
def test_what_is_for_people_is_a_page(playbook: str) -> None:
    """A callback shows of `debug` one line of JSON, our own apart."""
    text = "".join(path.read_text(encoding="utf-8") for path in books(playbook))
    assert not re.search(r"\bdebug:", text)


@pytest.mark.parametrize("playbook", [name for name in PLAYBOOKS if VERBS[name.removesuffix(".yml")]["limit"] != "none"])
def test_a_play_without_nodes_is_refused(playbook: str) -> None:
    """A play whose group has no hosts would end with status 0, before its first task could refuse that."""
    plays = yaml.safe_load((ROOT / "playbooks" / playbook).read_text(encoding="utf-8"))
    own = [play["hosts"] for play in plays if "hosts" in play]
    phases = ", phases=true" if playbook == "site.yml" else ""  # which names them where tags are listed
    assert set(own) == {f"{{{{ groups | phasegate.aistack.nodes(aistack_hosts | default('aistack'){phases}) }}}}"}


@pytest.mark.parametrize("playbook", PLAYBOOKS)
def test_the_order_of_a_play_is_not_that_of_somebodys_configuration(playbook: str) -> None:
    plays = yaml.safe_load((ROOT / "playbooks" / playbook).read_text(encoding="utf-8"))
    own = [play for play in plays if not any(key.endswith("import_playbook") for key in play)]
    assert [play["name"] for play in own if play.get("strategy") != "ansible.builtin.linear"] == []


# --- ways out ---

def documentation(tree: ast.Module) -> Iterator[ast.AST]:
    """Nodes of docstrings and of the documentation of modules: they are written for readers, not told to anybody."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield node.value
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in ("DOCUMENTATION", "EXAMPLES", "RETURN"):
            yield node.value


def python_texts(path: Path) -> Iterator[str]:
    """The texts of a Python file that it may tell; what is filled in stands as ``{}``."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    silent = set(map(id, documentation(tree)))
    for node in ast.walk(tree):
        if id(node) in silent:
            continue
        if isinstance(node, ast.JoinedStr):
            silent |= set(map(id, node.values))
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def yaml_texts(node: Any) -> Iterator[str]:
    """The texts of a YAML file's values; what is filled in stands as ``{}``."""
    if isinstance(node, dict):
        for value in node.values():
            yield from yaml_texts(value)
    elif isinstance(node, list):
        for value in node:
            yield from yaml_texts(value)
    elif isinstance(node, str):
        yield re.sub(r"\{\{.*?\}\}", "{}", " ".join(node.split()))


def texts() -> list[tuple[str, str]]:
    """(place, text) for every text that the collection may tell somebody."""
    found: list[tuple[str, str]] = []
    for path in sorted((ROOT / "plugins").rglob("*.py")):
        found += [(str(path.relative_to(ROOT)), text) for text in python_texts(path)]
    for folder in ("playbooks", "roles", "meta/diagnoses"):
        for path in sorted((ROOT / folder).rglob("*.yml")):
            if "argument_specs" not in path.name:
                loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
                found += [(str(path.relative_to(ROOT)), text) for text in yaml_texts(loaded)]
    return found


TEXTS = texts()
COMMAND_LINE = re.compile(r"\b([a-z_]+)\.yml((?: (?:-e \S+|--[a-z-]+))*)|phasegate\.aistack\.([a-z_]+)((?: (?:-e \S+|--[a-z-]+))+)")
EXTRA = re.compile(r"-e \W?([a-z_]+)=")
SWITCH = re.compile(r"(?:\b(?:say|with|add|it out:|it out) |\()`?(--[a-z][a-z-]+)")
SAID = re.compile(r"(?<![\w/=-])([a-z]+(?:_[a-z]+)*)=(?:true|false|NAME|TAG|[a-z]+ed)\b")


def role_variables() -> set[str]:
    """Every variable of every role."""
    found: set[str] = set()
    for role in ROLES:
        described = yaml.safe_load((ROOT / "roles" / role / "meta" / "argument_specs.yml").read_text(encoding="utf-8"))
        found |= {name for entry in described["argument_specs"].values() for name in entry.get("options", {})}
    return found


def options(parser: argparse.ArgumentParser) -> set[str]:
    """Every option of a command and of its verbs."""
    found: set[str] = set()
    for action in parser._actions:
        found |= set(action.option_strings)
        if isinstance(action, argparse._SubParsersAction):
            for verb in action.choices.values():
                found |= options(verb)
    return found


def every_option() -> set[str]:
    """The options of the node's command and of ansible-playbook."""
    playbook = PlaybookCLI(["ansible-playbook"])
    playbook.init_parser()
    return options(cli.parser()) | options(backup_command.command_line()) | options(playbook.parser)


OPTIONS = every_option()
ROLE_VARIABLES = role_variables()


def wrong_ways(text: str) -> list[str]:
    """What a text tells somebody to type and nobody understands."""
    found: list[str] = []
    known = {name for verb in VERBS.values() for name in verbs.parameters(verb)} | ROLE_VARIABLES | {"aistack_hosts"}  # the heads of plays
    for playbook, words, short, more in COMMAND_LINE.findall(text):
        verb = VERBS.get(playbook or short)
        if verb is None:
            # `tasks/x.yml` and files of roles are no command
            found += [f"no playbook {playbook or short}"] if (words or more) and not re.search(rf"[/{{}}\w]{playbook}\.yml", text) else []
            continue
        unknown = set(EXTRA.findall(words + more)) - set(verbs.parameters(verb)) - ROLE_VARIABLES
        found += [f"{verb['playbook']} does not know {name}" for name in sorted(unknown)]
    found += [f"nobody knows -e {name}" for name in EXTRA.findall(text) if name not in known]
    found += [f"nobody knows {name}=" for name in SAID.findall(text) if name not in known]
    found += [f"no option {option}" for option in SWITCH.findall(text) if option not in OPTIONS]
    return found


def test_every_remedy_is_one() -> None:
    told = [(place, text, wrong_ways(text)) for place, text in TEXTS if re.search(r"\.yml|-e |--|=true|=false|phasegate", text)]
    assert len(told) > 50
    assert [f"{place}: {'; '.join(wrong)}: {text[:120]}" for place, text, wrong in told if wrong] == []


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("run deploy.yml -e release=TAG -e allow_bad=true", []),
        ("run rollback.yml -e level=app --check", []),
        ("run deplay.yml -e release=TAG", ["no playbook deplay"]),
        ("deploy.yml -e level=app", ["deploy.yml does not know level"]),
        ("say -e alow_bad=true", ["nobody knows -e alow_bad", "nobody knows alow_bad="]),
        ("free space with state=pruned", ["nobody knows state="]),
        ("name the set (sett=NAME)", ["nobody knows sett="]),
        ("run again with brake_lock=true", ["nobody knows brake_lock="]),
        ("or say --allow-worse", ["no option --allow-worse"]),
        ("or say --allow-bad", []),
        ("leave it out with --limit", []),
        ("ansible-playbook phasegate.aistack.rollback -e levle=app", ["rollback.yml does not know levle", "nobody knows -e levle"]),
    ],
)
def test_a_way_that_leads_nowhere_is_found(text: str, wrong: list[str]) -> None:
    assert wrong_ways(text) == wrong
