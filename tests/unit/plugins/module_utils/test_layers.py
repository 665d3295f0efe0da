# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How the core is built: floors that know nothing of those above them, files without input and output, and no Ansible."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils import core

CORE = Path(core.__file__).parents[1]
PACKAGE = "ansible_collections.phasegate.aistack.plugins.module_utils"

FLOORS = (
    "core", "environment", "clients", "postgres", "alembic", "journal", "release", "edge", "backup", "rotation", "probes", "gate",
    "monitoring", "migration", "slots", "diagnosis", "shipping", "rollout", "report", "drill", "rollback", "notice", "stack", "init",
    "node", "cli",
)
"""The folders of the core from the ground up: a file imports of its own folder and of those before it. So there is no circle of folders."""

PURE = {
    "core": "caller expect http_login instances levels masking names probe_spec schema service_user substitute",
    "environment": "check database_url dsn fetching placeholders rotation schema todays_secrets",
    "clients": "unit_text",
    "postgres": "fingerprint foreign_keys names row_compare settings table_swap version_table",
    "journal": "begun chain events keep once state words",
    "release": "artefact_key artefact_settings content git_words image lock_file place provenance tag_version tree_names unit_access "
    "uv_text yarn_text",
    "edge": "config pool rules",
    "backup": "options plan",
    "rotation": "scram",
    "gate": "default proof series text trigger verdict watch_text window",
    "monitoring": "asked dashboards description figures logs own_rules rules settings superset_assets targets trigger_rules "
    "usual_rules watching_rules",
    "migration": "data_loss history policy revision_graph schema_path sql_statements text",
    "slots": "app_log compose plan prepared",
    "diagnosis": "causes rules sections",
    "shipping": "events lines releases",
    "rollout": "compatible plan risk strategy",
    "report": "junit plan_page refusals run_story run_text text verify",
    "drill": "plan text",
    "rollback": "baseline begun contract decision facts live_text node_answer plan postmortem schema_steps state system_steps text todo",
    "notice": "messages",
    "stack": "check description extra_vars hosts instances release_tasks server_clients verbs",
    "init": "detect detect_env detect_image detect_made detect_project environment inventory",
    "node": "claims text",
}
"""Files that plan, parse, judge and word: folder to names. They are tested without a file system, a network or a process."""

INPUT_OUTPUT = {"os", "pathlib", "socket", "subprocess", "tempfile"}


def imported(path: Path) -> Iterator[tuple[str, int]]:
    """Every dotted name that a file imports, wherever in it, and the line."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((f"{'.' * node.level}{node.module or ''}.{alias.name}", node.lineno) for alias in node.names)


def breaches(folder: Path, floors: tuple[str, ...], pure: Mapping[str, str]) -> list[str]:
    """What is built otherwise below *folder*, one line each."""
    found = [f"{name}: no such folder" for name in floors if not (folder / name).is_dir()]
    without = {f"{place}/{name}.py" for place, names in pure.items() for name in names.split()}
    found += [f"{name}: no such file" for name in sorted(without) if not (folder / name).is_file()]
    for path in sorted(folder.rglob("*.py")):
        name = path.relative_to(folder).as_posix()
        place = name.partition("/")[0]
        if place not in floors:
            found += [f"{name}: {place} is no floor"] if name != "__init__.py" else []
            continue
        for what, line in imported(path):
            if what.startswith("."):
                found.append(f"{name}:{line}: {what} is not a whole name")
            elif what.partition(".")[0] == "ansible":
                found.append(f"{name}:{line}: Ansible ({what})")
            elif what.startswith(f"{PACKAGE}."):
                other = what[len(PACKAGE) + 1 :].partition(".")[0]
                if other not in floors:
                    found.append(f"{name}:{line}: {other} is no floor")
                elif floors.index(other) > floors.index(place):
                    found.append(f"{name}:{line}: {place} knows {other}, which stands on it")
            elif name in without and what.partition(".")[0] in INPUT_OUTPUT:
                found.append(f"{name}:{line}: {what}, in a file without input and output")
    return found


def test_the_core_is_built_so() -> None:
    assert breaches(CORE, FLOORS, PURE) == []


@pytest.mark.parametrize(
    ("file", "line", "said"),
    [
        ("low/plan.py", f"from {PACKAGE}.high import run", "low/plan.py:1: low knows high, which stands on it"),
        ("low/plan.py", f"def late():\n    from {PACKAGE}.high.run import go", "low/plan.py:2: low knows high, which stands on it"),
        ("low/plan.py", f"import {PACKAGE}.high.run", "low/plan.py:1: low knows high, which stands on it"),
        ("low/plan.py", f"from {PACKAGE} import high", "low/plan.py:1: low knows high, which stands on it"),
        ("low/plan.py", "from pathlib import Path", "low/plan.py:1: pathlib.Path, in a file without input and output"),
        ("low/plan.py", "import os.path", "low/plan.py:1: os.path, in a file without input and output"),
        ("low/plan.py", "from ..high import run", "low/plan.py:1: ..high.run is not a whole name"),
        ("high/run.py", "from ansible.module_utils import basic", "high/run.py:1: Ansible (ansible.module_utils.basic)"),
        ("high/run.py", f"from {PACKAGE} import other", "high/run.py:1: other is no floor"),
        ("other/more.py", "", "other/more.py: other is no floor"),
        ("flat.py", "", "flat.py: flat.py is no floor"),
        ("high/run.py", f"import os\nfrom {PACKAGE}.low import plan", None),
    ],
)
def test_a_breach_is_seen(tmp_path: Path, file: str, line: str, said: str | None) -> None:
    for name in ("__init__.py", "low/__init__.py", "low/plan.py", "high/run.py", file):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    (tmp_path / file).write_text(line)
    assert breaches(tmp_path, ("low", "high"), {"low": "plan"}) == ([said] if said else [])


def test_what_is_listed_is_there(tmp_path: Path) -> None:
    (tmp_path / "low").mkdir()
    assert breaches(tmp_path, ("low", "high"), {"low": "plan"}) == ["high: no such folder", "low/plan.py: no such file"]


CONTRACTS = {
    "journal/chain.py": ("Entry", "Record"),
    "release/store.py": ("Manifest", "LiveLinks"),
    "slots/component_file.py": ("Description",),
    "rollback/contract.py": ("Answer", "Component", "Decision", "Outcome", "Plan", "View"),
}
"""Where the types of what everything passes along live. Nowhere else is a name of theirs given to something else."""


def untyped(folder: Path) -> list[str]:
    """Names of contracts that stand for any mapping, and contracts that are not where they belong."""
    found: list[str] = []
    for path in sorted(folder.rglob("*.py")):
        name = path.relative_to(folder).as_posix()
        body = ast.parse(path.read_text(encoding="utf-8")).body
        own = {node.name for node in body if isinstance(node, ast.ClassDef) and node.bases}
        found += [f"{name}: {wanted} is no type" for wanted in CONTRACTS.get(name, ()) if wanted not in own]
        for node in body:
            if isinstance(node, ast.Assign) and ast.unparse(node.value) in ("dict[str, Any]", "Mapping[str, Any]"):
                names = [target.id for target in node.targets if isinstance(target, ast.Name)]
                found += [f"{name}: {one} is any mapping" for one in names if any(one in known for known in CONTRACTS.values())]
    return found


def test_contracts_have_types() -> None:
    assert untyped(CORE) == []


def test_a_contract_without_a_type_is_seen(tmp_path: Path) -> None:
    (tmp_path / "journal").mkdir()
    (tmp_path / "journal" / "chain.py").write_text("class Entry(TypedDict): ...\nRecord = dict[str, Any]\n")
    assert untyped(tmp_path) == ["journal/chain.py: Record is no type", "journal/chain.py: Record is any mapping"]
