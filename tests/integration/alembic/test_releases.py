# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The releases of the reference application do to a real database what their summaries say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.migration import migrate as alembic, plan as alembic_plan
from ansible_collections.phasegate.aistack.plugins.module_utils.migration.plan import MigrationError
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.fingerprint import Fingerprint

from .conftest import Stage

ROOT = Path(__file__).resolve().parents[3]
TABLES = ["workflows", "workflow_nodes", "workflow_edges", "agent_logs", "context_traces", "router_logs"]
OLD_WRITES = (  # what the code of v4.1.0 does on the route that everybody uses
    "INSERT INTO router_logs (user_id, brand_id, request_text, target_agent, selected_model, risk_level, created_at)"
    " VALUES ('u', 'Acme', 'a logo', 'BrandAgent', 'm', 'low', now())"
)


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("releases")
    subprocess.run([sys.executable, ROOT / "lab" / "bin" / "make-repos", "--only", "sparklio", "--output", output], check=True)
    return output / "repos" / "sparklio.git"


class Line:
    """A database of v4.1.0 with a row, and the other releases to move it with."""

    def __init__(self, stage: Stage, repository: Path) -> None:
        self.stage, self.repository = stage, repository
        self.move("v4.1.0")
        self.sql(OLD_WRITES)

    def request(self, tag: str, **changes: Any) -> alembic_plan.Request:
        folder = self.stage.root / tag
        if not folder.exists():
            folder.mkdir()
            archive = subprocess.run(
                ["git", "--git-dir", self.repository, "archive", tag, "backend"], check=True, capture_output=True
            ).stdout
            subprocess.run(["tar", "-x", "--strip-components=1", "-C", folder], input=archive, check=True)
        return self.stage.request(release=tag, release_path=str(folder), tables=TABLES, squawk="/absent", **changes)

    def move(self, tag: str, **changes: Any) -> dict[str, Any]:
        return alembic.migrate(self.request(tag, **changes))

    def refused(self, tag: str, **changes: Any) -> MigrationError:
        with pytest.raises(MigrationError) as caught:
            self.move(tag, **changes)
        return caught.value

    def sql(self, text: str) -> str:
        return self.stage.sql(text)

    def fingerprint(self) -> Fingerprint:
        with self.stage.session() as session:
            return alembic_plan.take_fingerprint(session)


@pytest.fixture
def line(stage: Stage, repository: Path) -> Line:
    return Line(stage, repository)


def test_v4_5_two_heads(line: Line) -> None:
    assert line.refused("v4.5.0").code == "several_heads"


def test_v4_6_fails_half_way_and_leaves_nothing(line: Line) -> None:
    before = line.fingerprint()
    problem = line.refused("v4.6.0")
    assert problem.facts["database_state"] == "unchanged"
    assert line.fingerprint().hash == before.hash


def test_v4_11_cannot_be_reversed(line: Line) -> None:
    assert line.refused("v4.11.0").code == "irreversible"
    assert line.sql("SELECT brand_id FROM router_logs") == "Acme"
    accepted = line.move("v4.11.0", policy={"accept": ["0011"]})
    assert accepted["to"] == ["0011"]
    line.sql(OLD_WRITES)  # and v4.1.0 runs on it
    problem = line.refused("v4.11.0", state="downgraded", target="0002", policy={"accept": ["0011"]})
    assert problem.code == "irreversible"
    assert "Restore the database" in str(problem)


def test_v4_12_loses_what_its_code_wrote(line: Line) -> None:
    before = line.fingerprint()
    line.move("v4.12.0")
    line.sql(OLD_WRITES)  # v4.1.0 runs on it, and leaves the new column alone
    line.sql("UPDATE router_logs SET language = 'en' WHERE id = 1; INSERT INTO router_visits (created_at) VALUES (now())")
    problem = line.refused("v4.12.0", state="downgraded", target="0002")
    assert problem.code == "data_loss"
    assert "table router_visits (1 row)" in str(problem)
    assert "column router_logs.language (1 row holds something there)" in str(problem)
    line.move("v4.12.0", state="downgraded", target="0002", accept_loss=["router_visits", "router_logs.language"])
    assert line.fingerprint().hash == before.hash


def test_v4_13_commits_part_way_and_fails(line: Line) -> None:
    before = line.fingerprint()
    problem = line.refused("v4.13.0")
    assert problem.facts["plan"]["pending"][0]["autocommit"]
    assert problem.facts["database_state"] == "changed"
    assert "urgency" in str(problem)
    assert "new: column public.workflows.priority" in str(problem)
    assert "new: index public.ix_workflows_priority" in str(problem)
    assert 'column "priority" of relation "workflows" already exists' in str(line.refused("v4.13.0"))
    line.stage.restore(problem.facts["restore_command"])
    assert line.fingerprint().hash == before.hash


def test_v4_14_contracts_under_the_feet_of_v4_1(line: Line) -> None:
    problem = line.refused("v4.14.0")
    assert problem.code == "contract"
    assert "drops a column and its values on router_logs" in str(problem)
    line.move("v4.14.0", policy={"accept": ["0014"]})
    with pytest.raises(AssertionError, match='column "brand_id" of relation "router_logs" does not exist'):
        line.sql(OLD_WRITES)
    assert line.refused("v4.1.0").code == "database_ahead"


def test_v4_17_and_back_is_as_before(line: Line) -> None:
    before = line.fingerprint()
    assert line.move("v4.17.0")["to"] == ["0017"]
    line.sql(OLD_WRITES)
    assert line.move("v4.17.0", state="downgraded", target="-1")["current"] == ["0002"]
    after = line.fingerprint()
    assert after.hash == before.hash
    assert after.rows["public.router_logs"] == 2


@pytest.mark.parametrize("tag", ["v4.15.0", "v4.16.0"])
def test_the_others_bring_no_migration(line: Line, tag: str) -> None:
    assert not line.move(tag)["changed"]
