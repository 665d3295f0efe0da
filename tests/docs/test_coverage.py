# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/coverage.md tells the truth: every requirement has one line, and all that a line names exists and is run."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COLUMNS = ["ID", "need", "where", "test", "status"]
STATUS = re.compile(r"run|rendered|planned|emulated \(.+\)")
NAME = re.compile(r"`([^`]+)`")
# Where `make test` looks for tests; a test that nobody runs proves nothing.
RUN_BY_MAKE_TEST = re.compile(
    r"(tests/(unit|docs|integration/(alembic|artefacts|awx|backup|celery|diagnose|disk|edge|emergency|environment|faults|inventories|lease|locks|logs|monitoring|notices|postgres|refusals|restore_step|rollback|rollout|runner|seen|site|tls))/(.+/)?|molecule/(?P<scenario>[a-z_]+)/tests/)test_\w+\.py"
)
REAL = ("molecule/", "tests/integration/")


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    id: str
    need: str
    where: str
    test: str
    status: str

    @property
    def files(self) -> list[str]:
        """The paths that it names as doing the work."""
        return NAME.findall(self.where)

    @property
    def tests(self) -> list[str]:
        """The tests that it names."""
        return NAME.findall(self.test)


def read_rows(text: str) -> Iterator[Row]:
    """Yield the rows of every table with the five columns; a row with another number of cells is an error."""
    inside = False
    for number, line in enumerate(text.splitlines(), start=1):
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")] if line.startswith("|") else []
        if cells == COLUMNS:
            inside = True
        elif not cells:
            inside = False
        elif inside and not set("".join(cells)) <= set("-: "):
            assert len(cells) == len(COLUMNS), f"docs/coverage.md:{number}: {len(cells)} cells, expected {len(COLUMNS)}: {line}"
            yield Row(*cells)


def functions(path: Path) -> set[str]:
    """Return the tests of a file as pytest names them: `test_x` and `TestY::test_x`."""
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            found.add(node.name)
        elif isinstance(node, ast.ClassDef):
            found.update(f"{node.name}::{item.name}" for item in node.body if isinstance(item, ast.FunctionDef))
    return {name for name in found if name.rpartition("::")[2].startswith("test")}


def complaints(row: Row, root: Path) -> list[str]:
    """Return what is not true about a row; a planned one promises nothing yet."""
    if not STATUS.fullmatch(row.status):
        return [f"{row.id}: status '{row.status}' is not run, rendered, planned or emulated (by what)"]
    if row.status == "planned":
        return []
    problems = [f"{row.id}: {name} does not exist" for name in row.files if not (root / name).exists()]
    if not row.files:
        problems.append(f"{row.id}: is {row.status}, but names no file that does it")
    if not row.tests:
        problems.append(f"{row.id}: is {row.status}, but names no test")
    for name in row.tests:
        path, _, function = name.partition("::")
        match = RUN_BY_MAKE_TEST.fullmatch(path)
        if not match:
            problems.append(f"{row.id}: {path} is no file that `make test` runs")
        elif match["scenario"] and not (root / "molecule" / match["scenario"] / "molecule.yml").exists():
            problems.append(f"{row.id}: there is no scenario {match['scenario']}")
        elif not (root / path).is_file():
            problems.append(f"{row.id}: {path} does not exist")
        elif function and function not in functions(root / path):
            problems.append(f"{row.id}: {path} has no test {function}")
    real = row.status == "run" or row.status.startswith("emulated")
    if real and not row.id.startswith("U-") and row.tests and not any(name.startswith(REAL) for name in row.tests):
        problems.append(f"{row.id}: is {row.status}, but no scenario runs it; unit tests alone prove only the parts")
    return problems


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    """The rows of docs/coverage.md."""
    return list(read_rows((ROOT / "docs" / "coverage.md").read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def wanted() -> list[str]:
    """Every ID of the requirements."""
    return (ROOT / "tests" / "docs" / "requirement_ids.txt").read_text(encoding="utf-8").split()


def test_every_requirement_has_one_line(rows: list[Row], wanted: list[str]) -> None:
    """No ID is missing, doubled or made up."""
    named = [row.id for row in rows]
    assert sorted(set(wanted) - set(named)) == []
    assert sorted(set(named) - set(wanted)) == []
    assert sorted(name for name in set(named) if named.count(name) > 1) == []


def test_every_line_says_what_is_needed(rows: list[Row]) -> None:
    """A reader understands a line without the requirements at hand."""
    assert [row.id for row in rows if len(row.need) < 5] == []


def test_every_line_is_true(rows: list[Row]) -> None:
    """Files, scenarios and test functions exist."""
    assert [problem for row in rows for problem in complaints(row, ROOT)] == []


def test_the_list_of_ids_is_the_one_of_the_requirements(wanted: list[str]) -> None:
    """No gaps in the list, and the same IDs as the requirements' own text where that is at hand."""
    for letter in "SRFACU":
        numbers = [int(name[2:]) for name in wanted if name[0] == letter]
        assert numbers == list(range(1, len(numbers) + 1)), letter
        assert numbers, letter
    source = ROOT.parent / "shared" / "requirements.md"
    if source.exists():
        assert wanted == re.findall(r"^\| ([SRFACU]-\d\d) \|", source.read_text(encoding="utf-8"), re.MULTILINE)


TEST = "tests/docs/test_coverage.py"


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (Row("U-01", "need", "`galaxy.yml`", f"`{TEST}::test_no_such`", "run"), "has no test test_no_such"),
        (Row("U-01", "need", "`galaxy.yml`", "`tests/docs/test_none.py`", "run"), "test_none.py does not exist"),
        (Row("U-01", "need", "`galaxy.yml`", "`docs/coverage.md`", "run"), "no file that `make test` runs"),
        (Row("U-01", "need", "`galaxy.yml`", "`molecule/none/tests/test_x.py`", "run"), "no scenario none"),
        (Row("U-01", "need", "`roles/none`", f"`{TEST}`", "run"), "roles/none does not exist"),
        (Row("U-01", "need", "`galaxy.yml`", "", "run"), "names no test"),
        (Row("U-01", "need", "", f"`{TEST}`", "rendered"), "names no file"),
        (Row("U-01", "need", "`galaxy.yml`", f"`{TEST}`", "done"), "status 'done'"),
        (Row("U-01", "need", "`galaxy.yml`", f"`{TEST}`", "emulated"), "status 'emulated'"),
        (Row("S-01", "need", "`galaxy.yml`", f"`{TEST}`", "run"), "no scenario runs it"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_untruths_are_found(row: Row, problem: str) -> None:
    """The check itself can fail."""
    assert any(problem in found for found in complaints(row, ROOT))


@pytest.mark.parametrize("status", ["run", "rendered", "emulated (a stand-in)", "planned"])
def test_truths_pass(status: str) -> None:
    """The check itself can pass."""
    row = Row("U-01", "need", "`galaxy.yml`, `roles`", f"`{TEST}::test_truths_pass`", status)
    assert complaints(row, ROOT) == []
