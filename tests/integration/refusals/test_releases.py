# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Releases that cannot work: each is refused with its reason, the old one serves, the database is as before."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from .conftest import ROOT, Lab

pytestmark = pytest.mark.usefixtures("untouched")
SCHEMA = pytest.mark.whole(beside="tests/unit/plugins/module_utils/environment/test_check.py")
REPOSITORY = ROOT / ".lab" / "repos" / "sparklio.git"
SOON = ["-e", json.dumps({"release_gate_settings": {"interval": 1, "successes": 2, "min_healthy_time": 2, "deadline": 20}})]
"""A gate that waits less long than usual for what will not come."""


@pytest.mark.parametrize(
    ("release", "said"),
    [
        ("v4.2.0", ["health", "connection refused", "attempts", "serving", "as before"]),
        ("v4.3.0", ["health", "expected", "version", "v4.3.0", "serving", "as before"]),
        pytest.param(
            "v4.4.0", ["own tests", "v4.4.0"],
            marks=pytest.mark.whole(beside="tests/unit/plugins/modules/test_release.py"),
        ),
        pytest.param(
            "v4.5.0", ["two heads", "alembic merge"],
            marks=pytest.mark.whole(beside="tests/integration/alembic/test_controller.py"),
        ),
        ("v4.6.0", ["v4.6.0", "database is as before"]),
        pytest.param(
            "v4.8.0", ["hash", "requirements.lock"],
            marks=pytest.mark.whole(beside="tests/unit/plugins/module_utils/release/test_build.py"),
        ),
        pytest.param(
            "v4.9.0", ["npm", "build"],
            marks=pytest.mark.whole(beside="tests/integration/artefacts/test_build_host.py"),
        ),
        pytest.param(
            "v4.0.9", ["no tag 'v4.0.9'", "v4.0.0"],
            marks=pytest.mark.whole(beside="tests/unit/plugins/action/test_release.py"),
        ),
    ],
    ids=["fails to boot", "wrong version", "own tests fail", "two heads", "migration fails half-way", "wrong hash",
         "build fails", "no such tag"],
)
def test_a_release_that_cannot_work(lab: Lab, release: str, said: list[str]) -> None:
    outcome = lab.play("deploy", "-e", f"release={release}", "-e", "allow_bad=true", "-e", "backup=false", *SOON)
    assert outcome.rc != 0, outcome.text
    outcome.says(*said)


@pytest.mark.whole(beside="tests/integration/site/test_site.py")
def test_a_release_that_was_marked_bad_is_not_chosen_again(lab: Lab) -> None:
    first = lab.play("deploy", "-e", "release=v4.2.0", "-e", "allow_bad=true", "-e", "backup=false")
    assert first.rc != 0
    outcome = lab.play("deploy", "-e", "release=v4.2.0", "-e", "backup=false")
    assert outcome.rc != 0
    outcome.says("v4.2.0", "marked bad", "allow_bad=true")


@pytest.mark.whole(beside="tests/integration/alembic/test_migrate.py")
def test_a_migration_that_would_wait_for_a_lock(lab: Lab) -> None:
    lab.on("backend-1", "systemd-run --quiet --unit=test-lock --uid=postgres psql -X sparklio "
                        "-c 'begin; lock table workflows in access share mode; select pg_sleep(900)'")
    try:
        outcome = lab.play("deploy", "-e", "release=v4.7.0", "-e", "allow_bad=true")
    finally:
        lab.on("backend-1", "systemctl stop test-lock", check=False)
    assert outcome.rc != 0
    outcome.says("lock", "pid", "workflows")


@pytest.mark.whole(beside="tests/unit/plugins/module_utils/release/test_mirror.py")
def test_a_checkout_with_changes_that_are_not_committed(lab: Lab, tmp_path: Path) -> None:
    checkout = tmp_path / "sparklio"
    subprocess.run(["git", "clone", "--quiet", str(REPOSITORY), str(checkout)], check=True)
    (checkout / "backend" / "VERSION").write_text("edited\n", encoding="utf-8")
    lab.on("backend-1", "rm -rf /opt/aistack/backend/releases/v4.10.0")  # what is staged already is not taken from the checkout again
    applications = {"sparklio": {"repo": str(checkout), "release": "v4.1.0"}}
    outcome = lab.play("deploy", "-e", "release=v4.10.0", "-e", "allow_bad=true", "-e", json.dumps({"aistack_applications": applications}))
    assert outcome.rc != 0
    outcome.says("not committed", "backend/VERSION")


@pytest.mark.whole(beside="tests/unit/plugins/modules/test_release.py")
def test_a_tag_that_moved(lab: Lab, tmp_path: Path) -> None:
    live = lab.serving()["backend"]
    moved = tmp_path / "sparklio.git"
    shutil.copytree(REPOSITORY, moved)
    other = "v4.0.0" if live != "v4.0.0" else "v4.1.0"
    subprocess.run(["git", "-C", str(moved), "tag", "--force", live, other], check=True, capture_output=True)
    applications = {"sparklio": {"repo": str(moved), "release": live}}
    outcome = lab.play("deploy", "-e", f"release={live}", "-e", json.dumps({"aistack_applications": applications}))
    assert outcome.rc != 0
    outcome.says("moved", live)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"OLLAMA_MODEL": ""}, ["OLLAMA_MODEL"]),
        pytest.param({"OLLAMA_BASE_URL": "not a url"}, ["OLLAMA_BASE_URL", "url"], marks=SCHEMA),
        pytest.param({"MINIO_ACCESS_KEY": "minioadmin"}, ["MINIO_ACCESS_KEY", "minioadmin"], marks=SCHEMA),
        pytest.param({"OLAMA_MODEL": "x"}, ["OLAMA_MODEL", "OLLAMA_MODEL"], marks=SCHEMA),
    ],
    ids=["missing", "wrong type", "forbidden default", "unknown"],
)
def test_an_environment_that_does_not_fit_its_schema(lab: Lab, tmp_path: Path, change: dict[str, str], said: list[str]) -> None:
    override = tmp_path / "override.yml"
    name, value = next(iter(change.items()))
    override.write_text(
        "aistack_env:\n"
        "  backend:\n"
        "    schema: '{{ __original.backend.schema }}'\n"
        f"    values: \"{{{{ __original.backend['values'] | combine({{'{name}': '{value}'}}) }}}}\"\n"
        "  frontend: '{{ __original.frontend }}'\n"
        "__original: \"{{ (lookup('ansible.builtin.file', inventory_dir ~ '/group_vars/all/env.yml')"
        " | from_yaml).aistack_env }}\"\n", encoding="utf-8")
    outcome = lab.play("deploy", "-e", "release=v4.10.0", "-e", "allow_bad=true", "-e", f"@{override}")
    assert outcome.rc != 0
    outcome.says(*said)
