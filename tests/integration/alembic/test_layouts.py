# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wherever a release keeps its migrations, it is Alembic that says where they are and what their heads are."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.journal.file import Journal
from ansible_collections.phasegate.aistack.plugins.module_utils.migration import (
    migrate as alembic,
    offline_plan,
    plan as alembic_plan,
    schema_path,
)
from ansible_collections.phasegate.aistack.plugins.module_utils.migration.plan import MigrationError
from ansible_collections.phasegate.aistack.plugins.module_utils.release import heads as alembic_heads
from ansible_collections.phasegate.aistack.plugins.module_utils.release.build import Recipe

from .conftest import Stage
from .test_migrate import ADD, DROP


def toml_alone(tree: Path) -> str:
    (tree / "alembic.ini").unlink()
    (tree / "pyproject.toml").write_text('[project]\nname = "app"\n\n[tool.alembic]\nscript_location = "%(here)s/migrations"\n')
    return "alembic.ini"


def toml_by_name(tree: Path) -> str:
    toml_alone(tree)
    return "pyproject.toml"


def toml_and_ini(tree: Path) -> str:
    toml_alone(tree)
    (tree / "alembic.ini").write_text("[alembic]\n\n[loggers]\nkeys = root\n")
    return "alembic.ini"


def ini_elsewhere(tree: Path) -> str:
    (tree / "db").mkdir()
    (tree / "alembic.ini").unlink()
    (tree / "db" / "alembic.ini").write_text("[alembic]\nscript_location = %(here)s/../migrations\n")
    return "db/alembic.ini"


def package(tree: Path) -> str:
    (tree / "app").mkdir()
    (tree / "app" / "__init__.py").touch()
    (tree / "migrations").rename(tree / "app" / "migrations")
    (tree / "alembic.ini").write_text("[alembic]\nscript_location = app:migrations\n")
    return "alembic.ini"


def versions_elsewhere(tree: Path) -> str:
    (tree / "migrations" / "versions").rename(tree / "steps")
    (tree / "alembic.ini").write_text("[alembic]\nscript_location = migrations\nversion_locations = %(here)s/steps\n")
    return "alembic.ini"


LAYOUTS = [toml_alone, toml_by_name, toml_and_ini, ini_elsewhere, package, versions_elsewhere]


def recipe(stage: Stage, ini: str) -> Recipe:
    """How the release was staged, with the interpreter that the tests have."""
    venv = stage.release.tree / ".venv"
    if not venv.exists():
        venv.symlink_to(Path(stage.python).parent.parent)
    return Recipe("backend", "v1", "python", stage.root, stage.root, build_user="root", alembic_ini=ini)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_it_migrates_and_the_manifest_knows_the_heads(stage: Stage, layout: object) -> None:
    stage.release.add("bbb2", "aaa1", ADD, DROP)
    assert callable(layout)
    ini = layout(stage.release.tree)
    assert alembic_heads.of_tree(recipe(stage, ini), stage.release.tree) == (["bbb2"], "")
    done = alembic.migrate(stage.request(ini=ini))
    assert done["to"] == ["bbb2"]
    assert alembic_plan.inspect(stage.request(ini=ini))["heads"] == ["bbb2"]


def test_what_nobody_could_ask_is_not_known_and_never_nothing(stage: Stage) -> None:
    tree = stage.release.tree
    found = ini_elsewhere(tree)
    heads, why = alembic_heads.of_tree(recipe(stage, "alembic.ini"), tree)
    assert heads is None
    assert "alembic.ini does not exist, and pyproject.toml has no [tool.alembic]" in why
    script = tree / "migrations" / "versions" / "aaa1.py"
    script.write_text("import os\nos.environ['SECRET_KEY']\n" + script.read_text())
    heads, why = alembic_heads.of_tree(recipe(stage, found), tree)
    assert (heads, why) == (None, "KeyError: 'SECRET_KEY'")
    made = recipe(stage, found)
    made.made_up = {"SECRET_KEY": "xxxxxxxx"}
    assert alembic_heads.of_tree(made, tree) == (["aaa1"], "")


def test_a_tree_without_alembic_has_none(stage: Stage) -> None:
    (stage.release.tree / ".venv" / "bin").mkdir(parents=True)
    assert alembic_heads.of_tree(recipe(stage, "alembic.ini"), stage.release.tree) == ([], "")


def test_an_empty_list_of_an_older_release_is_not_believed() -> None:
    assert schema_path.heads_of_release("v1", {"alembic_heads": []}, []) is None
    assert schema_path.heads_of_release("v1", {"alembic_heads": [], "alembic_asked": True}, []) == []


def test_no_configuration_at_all_names_the_key(stage: Stage) -> None:
    (stage.release.tree / "alembic.ini").unlink()
    with pytest.raises(MigrationError, match=r"aistack_components\.backend\.migrations\.config") as caught:
        alembic_plan.inspect(stage.request())
    assert caught.value.code == "no_ini"


def test_what_x_gives_reaches_env_py(stage: Stage) -> None:
    env = stage.release.tree / "migrations" / "env.py"
    env.write_text(env.read_text() + "\nassert context.get_x_argument(as_dictionary=True)['tenant'] == 'shop'\n")
    assert alembic.migrate(stage.request(x={"tenant": "shop"}))["to"] == ["aaa1"]
    with pytest.raises(MigrationError, match="KeyError"):
        alembic_plan.inspect(stage.request())


def two_lines(stage: Stage) -> None:
    """Two bases, each with a head of its own."""
    stage.release.add("ccc1", None, "op.create_table('audits', sa.Column('id', sa.Integer))", "op.drop_table('audits')")


def test_several_heads_on_purpose(stage: Stage) -> None:
    two_lines(stage)
    with pytest.raises(MigrationError, match=r"aistack_components\.backend\.migrations\.policy\.heads: all"):
        alembic.migrate(stage.request())
    every = {"policy": {"heads": "all"}}
    assert alembic.migrate(stage.request(**every))["to"] == ["aaa1", "ccc1"]
    stage.release.add("bbb2", "aaa1", ADD, DROP)
    stage.release.add("ccc2", "ccc1", "op.add_column('audits', sa.Column('who', sa.Text))", "op.drop_column('audits', 'who')")
    done = alembic.migrate(stage.request(release="v2", **every))
    assert (done["from"], done["to"]) == (["aaa1", "ccc1"], ["bbb2", "ccc2"])
    records = [
        {"release": entry["release"], "outcome": entry["outcome"], **entry["detail"]}
        for entry in Journal.of(stage.state_dir).read()
        if entry["op"] == "migrate" and entry["outcome"] == "ok"
    ]
    way = schema_path.way_back("backend", ["aaa1", "ccc1"], ["bbb2", "ccc2"], records, [])
    assert not way.problem
    (step,) = way.downgrades
    back = alembic.migrate(stage.request(release="v2", state="downgraded", target=",".join(step["from"]), **every))
    assert back["to"] == ["aaa1", "ccc1"]
    left = "SELECT count(*) FROM information_schema.columns WHERE table_schema = 'public' AND column_name IN ('who', 'owner')"
    assert stage.sql(left) == "0"
    assert alembic.migrate(stage.request(**every))["changed"] is True


def test_importing_does_not_count_against_the_budget(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """env.py is run again for each question: what it imports takes longer than all the steps may."""
    env = stage.release.tree / "migrations" / "env.py"
    env.write_text("import time\ntime.sleep(1.2)\n" + env.read_text())
    assert alembic.migrate(stage.request(budget=1.0, backup=False))["to"] == ["aaa1"]
    monkeypatch.setattr(alembic_plan, "IMPORT_TIMEOUT", 0.6)
    with pytest.raises(MigrationError, match=r"env\.py, or what it imports, takes that long"):
        alembic_plan.inspect(stage.request())


def test_a_move_that_is_not_loaded_in_time_says_so(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    env = stage.release.tree / "migrations" / "env.py"
    env.write_text("import os, time\ntime.sleep(30 if os.path.exists('slow') else 0)\n" + env.read_text())
    taken = alembic._backup

    def slow(*words: Any) -> Any:
        (stage.release.tree / "slow").touch()
        return taken(*words)

    monkeypatch.setattr(alembic, "_backup", slow)
    monkeypatch.setattr(alembic, "IMPORT_TIMEOUT", 0.5)
    monkeypatch.setattr(alembic.Migration, "reopen", lambda self: (_ for _ in ()).throw(MigrationError("x", "not asked again.")))
    with pytest.raises(MigrationError, match="no statement was run") as caught:
        alembic.migrate(stage.request())
    assert caught.value.code == "loading"


def circle(tree: Path) -> None:
    """Two packages that import each other: through C(shop_users) both are whole, through C(shop_tables) the first stays without Base for
    good, for it passes over what fails. The script wants the second, env.py the first."""
    for package in ("shop_users", "shop_tables"):
        (tree / package).mkdir()
    (tree / "shop_users" / "__init__.py").write_text("MANAGER = 'manager'\n\nfrom . import db\n")
    (tree / "shop_users" / "db.py").write_text("try:\n    from shop_tables import Base\nexcept ImportError:\n    pass\n")
    (tree / "shop_tables" / "__init__.py").write_text("from shop_users import MANAGER\n\nclass Base:\n    pass\n")
    (tree / "shop_tables" / "generics.py").write_text("class GUID:\n    pass\n")
    env, script = tree / "migrations" / "env.py", tree / "migrations" / "versions" / "aaa1.py"
    env.write_text("from shop_users.db import Base\n" + env.read_text())
    script.write_text("import shop_tables.generics\n" + script.read_text())


def test_env_py_comes_before_the_scripts_as_with_alembic_itself(stage: Stage) -> None:
    circle(stage.release.tree)
    assert alembic_plan.inspect(stage.request())["heads"] == ["aaa1"]
    assert alembic.migrate(stage.request())["to"] == ["aaa1"]


def test_a_plan_without_the_database_has_that_order_too(stage: Stage) -> None:
    circle(stage.release.tree)
    plan = offline_plan.make(stage.request(), {"bare": True, "fresh": True}, [])
    assert [step.sql_error for step in plan.steps] == [""]


def test_a_script_that_needs_what_env_py_prepares_is_no_unknown_head(stage: Stage) -> None:
    tree = stage.release.tree
    env, script = tree / "migrations" / "env.py", tree / "migrations" / "versions" / "aaa1.py"
    env.write_text("import sys\nsys.path.append('src')\n" + env.read_text())
    script.write_text("import shop_types\n" + script.read_text())
    (tree / "src").mkdir()
    (tree / "src" / "shop_types.py").touch()
    made = recipe(stage, "alembic.ini")
    made.made_up = {"DATABASE_URL": stage.url()}
    assert alembic_heads.of_tree(made, tree) == (["aaa1"], "")


@pytest.mark.parametrize("ending", ["raise RuntimeError('no')", "sys.exit(3)", "online()"])
def test_the_heads_need_no_env_py_that_works_and_no_database(stage: Stage, ending: str) -> None:
    """Whatever env.py does where there is nothing to connect to: the scripts can be read, and nothing was connected."""
    env = stage.release.tree / "migrations" / "env.py"
    env.write_text("import sys\n" + env.read_text().replace("offline() if", f"{ending}\noffline() if"))
    made = recipe(stage, "alembic.ini")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        made.made_up = {"DATABASE_URL": stage.url(port=server.getsockname()[1])}
        assert alembic_heads.of_tree(made, stage.release.tree) == (["aaa1"], "")
        with pytest.raises(BlockingIOError):
            server.accept()
