# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The repository is in order: what no linter looks at."""

from __future__ import annotations

import ast
import configparser
import html
import json
import re
import runpy
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.phasegate.aistack.plugins.module_utils.report.text import health_rows, health_text

ROOT = Path(__file__).resolve().parents[2]
SPDX = "SPDX-License-Identifier: GPL-3.0-or-later"
PLUGIN_HEADER = [
    "# Copyright (c) 2026 phasegate contributors",
    "# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)",
    f"# {SPDX}",
    "",
]
# Package sources come from the machine's configuration. Written in two pieces, so that this file is not a finding.
REGISTRIES = [
    host + domain
    for host, domain in [
        ("pypi", ".org"), ("files.pythonhosted", ".org"), ("registry.npmjs", ".org"), ("registry.yarnpkg", ".com"),
        ("proxy.golang", ".org"), ("sum.golang", ".org"), ("deb.debian", ".org"), ("ftp.debian", ".org"),
        ("security.debian", ".org"), ("archive.ubuntu", ".com"), ("docker", ".io"), ("quay", ".io"), ("ghcr", ".io"),
        ("galaxy.ansible", ".com"), ("mcr.microsoft", ".com"),
    ]
]
# A folder of one machine: the checkout itself, wherever it is, and a wheel folder that build machines like to have.
MACHINE = [f"{ROOT}/", "/opt/" + "wheels", "/home/" + "runner/"]
# The sample applications that the lab deploys are repositories of their own.
SAMPLES = ("lab/app/", "lab/tiny/", "lab/comfyui-standin/", "lab/containers/", "lab/fleet/", "lab/workspace/")
ROLES = sorted(path.parent.name for path in (ROOT / "roles").glob("*/meta"))
PLAYBOOKS = sorted(path.name for path in (ROOT / "playbooks").glob("*.yml"))
MODULES = sorted(path.stem for path in (ROOT / "plugins" / "modules").glob("*.py") if path.stem != "__init__")


def text_of(path: Path) -> str:
    """Return a file's text; binary files count as empty."""
    try:
        return (ROOT / path).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


def yaml_of(path: Path) -> Any:
    """Return what a YAML file holds."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def occurrences(files: list[Path], words: list[str]) -> list[str]:
    """Return `file:line: word` for every word found as a whole name."""
    pattern = re.compile(r"(?<![\w.-])(" + "|".join(re.escape(word) for word in words) + ")")
    found = []
    for path in files:
        for number, line in enumerate(text_of(path).splitlines(), start=1):
            found += [f"{path}:{number}: {word}" for word in pattern.findall(line)]
    return found


def test_there_is_something_to_look_at(files: list[Path]) -> None:
    """The other tests are not true for want of files."""
    assert len(files) > 50
    assert ROLES
    assert PLAYBOOKS
    assert MODULES


def test_no_registry_is_named(files: list[Path]) -> None:
    """Package sources are taken from the machine's own configuration. Debian's package of Docker has a registry's name."""
    package = Path("roles/docker/vars/main.yml")
    assert occurrences([path for path in files if path != package], REGISTRIES) == []
    assert len(occurrences([package], REGISTRIES)) == 1
    assert yaml_of(ROOT / package)["__docker_packages"][0] == "docker" + ".io"


def test_no_path_of_one_machine(files: list[Path]) -> None:
    """The repository works wherever it lies."""
    assert occurrences(files, MACHINE) == []


def test_words_are_found(tmp_path: Path) -> None:
    """The two tests above can fail, and do not mistake a longer name for a shorter one."""
    sample = tmp_path / "sample"
    sample.write_text(f"index: https://{REGISTRIES[0]}/simple\nhttps://my-{REGISTRIES[0]}\n", encoding="utf-8")
    assert [line.rpartition("sample")[2] for line in occurrences([sample], REGISTRIES)] == [f":1: {REGISTRIES[0]}"]


def test_every_source_file_names_its_licence(files: list[Path]) -> None:
    """Python and shell; empty files need none."""
    sources = [path for path in files if path.suffix in (".py", ".sh") and not str(path).startswith(SAMPLES)]
    assert [str(path) for path in sources if text_of(path).strip() and SPDX not in "\n".join(text_of(path).splitlines()[:8])] == []


def test_every_plugin_begins_with_the_same_header(files: list[Path]) -> None:
    """Copyright, licence, SPDX, then `from __future__ import annotations` as the first statement."""
    for path in (path for path in files if path.parts[0] == "plugins" and path.suffix == ".py" and text_of(path).strip()):
        lines = text_of(path).removeprefix("#!/usr/bin/python\n").splitlines()
        assert lines[:3] == PLUGIN_HEADER[:3], path
        first = next((line for line in re.sub(r'""".*?"""', "", "\n".join(lines[3:]), count=1, flags=re.DOTALL).splitlines() if line), "")
        assert first.startswith(("from __future__ import annotations", "#")), path


def test_tests_of_what_runs_on_nodes_need_no_controller(files: list[Path]) -> None:
    """ansible-test gives them `ansible.module_utils` only; an import of more is an error there, minutes later."""
    more = re.compile(r"^\s*(?:from|import) ansible\.(?!module_utils\b).*$", re.MULTILINE)
    tested = [path for path in files if str(path).startswith(("tests/unit/plugins/module_utils/", "tests/unit/plugins/modules/"))]
    assert len(tested) > 50
    assert [f"{path}: {line}" for path in tested for line in more.findall(text_of(path))] == []


def texts(value: Any) -> list[str]:
    """Every text in what a YAML file holds."""
    if isinstance(value, dict):
        return [text for part in value.values() for text in texts(part)]
    return [text for part in value for text in texts(part)] if isinstance(value, list) else [value] if isinstance(value, str) else []


def test_lines_are_joined_by_a_new_line(files: list[Path]) -> None:
    """In a block of YAML an expression's escape stays what it is, two characters; between double quotes YAML makes a new line of it."""
    tasks = [path for path in files if path.parts[0] in ("roles", "playbooks") and path.suffix == ".yml"]
    assert len(tasks) > 50
    two = re.compile(r"(?:join|split)\((?:'\\n'|\"\\n\")\)")
    assert [f"{path}: {found}" for path in tasks for text in texts(yaml_of(ROOT / path)) for found in two.findall(text)] == []


def test_lists_keep_their_order(files: list[Path]) -> None:
    """Filters that go through a set answer in another order in each run, of which no task may see more than what is in them."""
    orderless = re.compile(r"\|\s*(?:difference|intersect|union|symmetric_difference)\(")
    judged = re.compile(r"(?:[!=]= \[\]|\| length [!=<>]+ \d+)")
    found = []
    for path in files:
        if path.suffix in (".yml", ".j2") and path.parts[0] in ("roles", "playbooks", "molecule", "inventories"):
            lines = text_of(path).splitlines()
            found += [f"{path}:{number}" for number, line in enumerate(lines, 1) if orderless.search(line) and not judged.search(line)]
    assert found == [], "say select('in', …) or reject('in', …)"


def test_unit_tests_of_plugins_want_what_ansible_test_installs(files: list[Path]) -> None:
    """Its environment has pytest and what Ansible itself needs; a client of a service belongs into tests/integration."""
    had = {*sys.stdlib_module_names, "pytest", "yaml", "jinja2", "cryptography", "ansible", "ansible_collections"}
    found = []
    for path in files:
        if str(path).startswith("tests/unit/plugins/") and path.suffix == ".py":
            for node in ast.walk(ast.parse(text_of(path))):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                if isinstance(node, ast.ImportFrom) and not node.level:
                    names = [node.module or ""]
                found += [f"{path}: {name}" for name in names if name.split(".")[0] not in had]
    assert found == []


def test_files_are_about_one_thing(files: list[Path]) -> None:
    """Python below 500 lines, task files below 200: beyond that a file usually holds two ideas."""
    too_long = []
    for path in files:
        tasks = path.parts[0] in ("roles", "playbooks") and path.suffix == ".yml" and "tasks" in path.parts
        limit = 200 if tasks else 500 if path.parts[0] == "plugins" and path.suffix == ".py" else 0
        lines = text_of(path).count("\n")
        if limit and lines >= limit:
            too_long.append(f"{path}: {lines} lines, limit {limit}")
    assert too_long == []


@pytest.mark.parametrize("role", ROLES)
def test_role_is_documented(role: str) -> None:
    """A README, an argument specification, and both know what the defaults know."""
    folder = ROOT / "roles" / role
    assert (folder / "README.md").is_file()
    assert (folder / "meta" / "argument_specs.yml").is_file()
    specification = yaml_of(folder / "meta" / "argument_specs.yml")["argument_specs"]
    described = {name for entry in specification.values() for name in entry.get("options", {})}
    defaults = folder / "defaults" / "main.yml"
    given = set(yaml_of(defaults) or {}) if defaults.exists() else set()
    assert sorted(name for name in given - described if not name.startswith("__")) == []
    assert all(entry.get("short_description") for entry in specification.values())


@pytest.mark.parametrize("role", ROLES)
def test_what_may_be_left_out_has_no_default_that_is_refused(role: str) -> None:
    """A mapping that has to have some keys cannot be empty by default."""
    entries = yaml_of(ROOT / "roles" / role / "meta" / "argument_specs.yml")["argument_specs"].values()
    options = [(name, one) for entry in entries for name, one in entry.get("options", {}).items() if one.get("default") == {}]
    assert [name for name, one in options if any(part.get("required") for part in one.get("options", {}).values())] == []


@pytest.mark.parametrize("playbook", PLAYBOOKS)
def test_playbook_says_what_it_is_for(playbook: str) -> None:
    """It begins with a comment, which the documentation site shows."""
    lines = (ROOT / "playbooks" / playbook).read_text(encoding="utf-8").splitlines()
    assert lines[0] == "---"
    assert re.match(r"# \w.{20,}", lines[1]), f"playbooks/{playbook}:2 is no comment that says what it is for"


def test_python_locks_have_hashes_and_no_addresses(files: list[Path]) -> None:
    """Every pin of a requirements lock has a hash; nothing says where it is fetched."""
    locks = [path for path in files if path.suffix in (".txt", ".lock") and "--hash=sha256:" in text_of(path)]
    locks += [path for path in files if path.name.endswith(".lock") and path not in locks]
    assert locks
    for path in locks:
        text = text_of(path)
        assert "://" not in text, path
        assert not re.search(r"^\s*(-i|-f|--(extra-)?index-url|--find-links)\b", text, re.MULTILINE), path
        pins = re.split(r"^(?=[A-Za-z0-9])", text.replace("\\\n", " "), flags=re.MULTILINE)
        assert [pin.split()[0] for pin in pins if "==" in pin and "--hash=sha256:" not in pin] == [], path


def test_npm_locks_have_integrity_and_no_addresses(files: list[Path]) -> None:
    """`resolved` would name a registry."""
    for path in (path for path in files if path.name == "package-lock.json"):
        packages = json.loads(text_of(path))["packages"]
        assert [name for name, entry in packages.items() if "resolved" in entry and "://" in entry["resolved"]] == [], path
        bundled = ("link", "inBundle")
        fetched = {name: entry for name, entry in packages.items() if name and not any(key in entry for key in bundled)}
        lacking = [name for name, entry in fetched.items() if "integrity" not in entry]
        assert lacking == [], path


def test_the_action_group_is_complete() -> None:
    """Every member is a module, and every module that takes a state directory is a member."""
    members = set(yaml_of(ROOT / "meta" / "runtime.yml")["action_groups"]["aistack"])
    assert sorted(members - set(MODULES)) == []
    takes_state = {name for name in MODULES if re.search(r"^  state_dir:", text_of(Path(f"plugins/modules/{name}.py")), re.MULTILINE)}
    assert sorted(takes_state - members) == []


def test_links_in_the_guides_lead_somewhere(files: list[Path]) -> None:
    """Relative links of the Markdown files."""
    broken = []
    for path in (path for path in files if path.suffix == ".md"):
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text_of(path)):
            if "://" not in target and not target.startswith("mailto:") and not (ROOT / path.parent / target).exists():
                broken.append(f"{path}: {target}")
    assert broken == []


def test_the_packages_that_the_owner_named() -> None:
    """They are asked for by name and pinned with their hashes."""
    asked = (ROOT / "requirements" / "controller.in").read_text(encoding="utf-8").lower()
    pinned = (ROOT / "requirements" / "controller.txt").read_text(encoding="utf-8").lower()
    for name in ("ansible-core", "ansible-runner", "jinja2", "pyyaml", "psycopg2-binary", "requests", "molecule", "pytest-testinfra"):
        assert re.search(rf"^{name}\b", asked, re.MULTILINE), name
        assert re.search(rf"^{name}==\S+ \\\n\s+--hash=", pinned, re.MULTILINE), name


def test_the_top_level() -> None:
    """Where the owner looks first."""
    assert (ROOT / "galaxy.yml").is_file()
    assert [name for name in ("playbooks", "roles", "plugins", "inventories", "molecule", "tests") if not (ROOT / name).is_dir()] == []


def test_every_scenario_has_tests() -> None:
    """molecule passes over a scenario without tests with a warning."""
    scenarios = {path.parent.name: yaml_of(path) for path in (ROOT / "molecule").glob("*/molecule.yml")}
    assert scenarios
    for name, scenario in scenarios.items():
        given = scenario.get("verifier", {}).get("directory", f"molecule/{name}/tests")
        folder = ROOT / given.replace("${MOLECULE_PROJECT_DIRECTORY}/", "")
        assert list(folder.glob("test_*.py")), f"{name}: no tests in {folder}"


def test_the_picture_shows_what_there_is() -> None:
    """A component that is new, gone or called otherwise, or a page that looks otherwise: draw it again with make picture."""
    lines = [
        html.unescape(text).replace("\N{NO-BREAK SPACE}", " ").rstrip()
        for text in re.findall(r">([^<]+)</text>", (ROOT / "docs" / "pictures" / "health.svg").read_text(encoding="utf-8"))
    ]
    probes = [{"component": "postgres", "name": "a", "verdict": "pass", "latency_ms": 1}]
    page = health_text(health_rows({"backend-1": {"probes": probes}}, ["postgres"])).splitlines()
    heading = next(index for index, line in enumerate(lines) if line.split()[:2] == page[0].split()[:2])
    assert lines[heading].split() == page[0].split()
    shown = [line.split()[0] for line in lines[heading:] if re.search(r" (PASS|FAIL|ERROR) ", line)]
    described = yaml_of(ROOT / "inventories" / "lab" / "group_vars" / "all" / "components.yml")["aistack_components"]
    assert sorted(set(shown)) == sorted(described)
    assert f"all {len(described)} components pass" in lines


def test_the_page_of_verbs_is_as_they_are() -> None:
    """Else: make verbs."""
    printed = runpy.run_path(str(ROOT / "docs" / "site" / "verbs.py"))["page"]()
    assert (ROOT / "docs" / "verbs.md").read_text(encoding="utf-8") == printed


def test_the_guide_of_a_stack_is_what_init_writes() -> None:
    """Else: make guide-stack."""
    printed = runpy.run_path(str(ROOT / "docs" / "site" / "guide_stack.py"))["page"]()
    assert (ROOT / "docs" / "guide-stack.md").read_text(encoding="utf-8") == printed
    assert re.findall(r"@[A-Z]+@", printed) == []
    for role in ("postgres", "redis", "backend", "worker", "beat"):
        assert re.search(rf"role: {role}\b", printed), role


def test_what_roles_need_is_declared() -> None:
    """The collections of which roles and playbooks use something, in a version that is among those that are tested here."""
    used = set()
    for path in [*(ROOT / "roles").rglob("*.yml"), *(ROOT / "playbooks").rglob("*.yml")]:
        used |= set(re.findall(r"(?m)^\s*(?:- )?([a-z_]+\.[a-z_]+)\.[a-z_]+:", path.read_text(encoding="utf-8")))
    used -= {"ansible.builtin", "phasegate.aistack"}
    declared = yaml_of(ROOT / "galaxy.yml")["dependencies"]
    assert set(declared) == used
    for name, wanted in declared.items():
        manifest = Path(sysconfig.get_path("purelib"), "ansible_collections", *name.split("."), "MANIFEST.json")
        installed = json.loads(manifest.read_text(encoding="utf-8"))["collection_info"]["version"]
        least = re.fullmatch(r">=(\d+\.\d+\.\d+)", wanted)
        assert least, wanted
        assert [int(part) for part in least[1].split(".")] <= [int(part) for part in installed.split(".")]


def test_the_readme_tells_how_to_begin() -> None:
    """Its second section; an `ansible.cfg` of five lines, and playbooks that are there."""
    headings = re.findall(r"(?m)^## (.+)$", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert headings[1] == "For your own stack"
    section = (ROOT / "README.md").read_text(encoding="utf-8").split("## For your own stack")[1].split("\n## ")[0]
    config = re.search(r"```ini\n(.*?)```", section, re.DOTALL)
    assert config
    assert len(config[1].splitlines()) == 5
    parsed = configparser.ConfigParser()
    parsed.read_string(config[1])
    assert parsed["defaults"]["stdout_callback"] == "phasegate.aistack.phases"
    named = set(re.findall(r"phasegate\.aistack\.([a-z_]+)", section)) - {"phases"}
    assert {f"{name}.yml" for name in named} <= set(PLAYBOOKS)
    assert yaml.safe_load(re.search(r"```yaml\n(.*?)```", section, re.DOTALL)[1])["collections"]


def marks_of_long_tests() -> list[tuple[str, str]]:
    """Each use of the mark `whole`, by file and line, and what it says is proven beside it; empty where it says nothing."""
    found = []
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        said = {id(node.func): node for node in ast.walk(tree) if isinstance(node, ast.Call)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and ast.unparse(node) == "pytest.mark.whole":
                call = said.get(id(node))
                named = {word.arg: word.value for word in call.keywords} if call else {}
                value = named.get("beside")
                beside = str(value.value) if isinstance(value, ast.Constant) else ""
                found.append((f"{path.relative_to(ROOT)}:{node.lineno}", beside))
    return found


def test_what_make_test_leaves_out_names_what_proves_it_there() -> None:
    marks = marks_of_long_tests()
    assert marks
    assert [place for place, beside in marks if not (ROOT / (beside or "-")).is_file()] == []
