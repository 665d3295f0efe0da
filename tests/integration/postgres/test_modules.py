# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The doors: modules as Ansible calls them, each operation in check mode, for real, and again."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.phasegate.aistack.plugins.module_utils.backup import catalog

from ..conftest import PASSWORD
from .conftest import Shop

QUOTED = "s3cret%2Fwith%40odd%3Achars"


@pytest.fixture
def door(shop: Shop, capsys: pytest.CaptureFixture[str]) -> Any:
    """C(door(module, check=False, **arguments)): as the component's environment and the administrator's socket have it."""
    env = shop.root / "env"
    env.write_text(f'DATABASE_URL="postgresql+psycopg2://app:{QUOTED}@127.0.0.1:{shop.cluster.port}/{shop.name}"\n')
    env.chmod(0o600)

    def call(name: str, /, check: bool = False, **arguments: Any) -> dict[str, Any]:
        module = import_module(f"ansible_collections.phasegate.aistack.plugins.modules.{name}")
        given = {"env_file": str(env), "user": shop.server.user, "host": str(shop.cluster.folder), **arguments}
        capsys.readouterr()
        with patch_module_args({**given, "_ansible_check_mode": check}), pytest.raises(SystemExit):
            module.main()
        text = capsys.readouterr().out
        assert PASSWORD not in text
        assert QUOTED not in text
        answer: dict[str, Any] = json.loads(text)
        return answer

    return call


def saved(shop: Shop, door: Any, name: str = "20260131T120000Z-daring") -> Path:
    where = shop.root / "backups" / name
    answer = door("pg_snapshot", set=str(where), name="shop", min_free_bytes=0)
    assert answer.get("changed"), answer
    return where


def test_a_set_is_saved_once(shop: Shop, door: Any) -> None:
    where = shop.root / "backups" / "20260131T120000Z-daring"
    predicted = door("pg_snapshot", check=True, set=str(where), name="shop", min_free_bytes=0)
    assert predicted["changed"]
    assert predicted["space"]["free"] > predicted["space"]["wanted"] > 0
    assert not where.parent.exists()
    (where.parent / ".partial-20260131T120000Z-daring").mkdir(parents=True)  # of a run that was killed
    assert saved(shop, door) == where
    assert [path.name for path in where.parent.iterdir()] == [where.name]
    assert where.stat().st_mode & 0o077 == 0
    again = door("pg_snapshot", set=str(where), name="shop", min_free_bytes=0)
    assert not again["changed"]
    assert again["part"]["facts"]["rows"]["public.orders"] == 500
    assert catalog.verify(shop.root, str(where))["verdict"] == "verified", "it is no set like the others"
    assert not door("pg_snapshot", state="verified", set=str(where), name="")["changed"]


def test_a_damaged_set_is_told(shop: Shop, door: Any) -> None:
    where = saved(shop, door)
    (where / "postgres/shop/dump/toc.dat").write_bytes(b"")
    for state in ("saved", "verified"):
        answer = door("pg_snapshot", state=state, set=str(where), name="shop")
        assert answer["failed"]
        assert "toc.dat has 0 bytes" in answer["msg"]
    answer = door("pg_restore", state="restored", set=str(where))
    assert answer["failed"]
    assert answer["code"] == "damaged"
    assert shop.databases() == [shop.name]


def test_a_set_that_cannot_be_saved_leaves_nothing(shop: Shop, door: Any) -> None:
    where = shop.root / "backups" / "x"
    for check in (True, False):
        answer = door("pg_snapshot", check=check, set=str(where), min_free_bytes=10**18)
        assert answer["failed"]
        assert "bytes free" in answer["msg"]
    assert not list(where.parent.iterdir())


def test_the_whole_way(shop: Shop, door: Any) -> None:
    where = saved(shop, door)
    before = door("db_fingerprint", checksums=["all"])
    shop.sql("DELETE FROM lines; INSERT INTO customers (name) VALUES ('later')")
    after = door("db_fingerprint", before=before["fingerprint"])
    assert not after["changed"]
    assert after["differences"]["by_table"]["public.lines"] == {"before": 900, "now": 0}
    assert not door("db_fingerprint", before_file=str(where / "postgres/shop/database.json"))["differences"]["same"]

    restore = {"state": "restored", "set": str(where), "min_free_bytes": 0}
    assert door("pg_restore", check=True, **restore)["changed"]
    assert shop.databases() == [shop.name]
    beside = door("pg_restore", **restore)
    assert beside["changed"]
    read = door("pg_restore")
    assert [entry["name"] for entry in read["restored"]] == [beside["beside"]]
    price = door("pg_restore", check=True, state="compared")
    assert (price["changed"], price["lost"], price["returned"], price["exact"]) == (False, 1, 900, True)

    with shop.session("stays"):
        answer = door("pg_restore", state="swapped", wait=0.1)
        assert answer["failed"]
        assert answer["code"] == "connections"
        assert "stays" in answer["msg"]
        assert door("pg_restore", check=True, state="swapped", wait=0.1)["changed"]
        swapped = door("pg_restore", state="swapped", wait=0.1, terminate=True, grace=0.1)
    assert swapped["changed"]
    assert swapped["database"] == shop.name
    assert swapped["refused_seconds"] < 1
    assert door("db_fingerprint", before=before["fingerprint"], checksums=["all"])["differences"]["same"]
    answer = door("pg_restore", state="swapped")
    assert answer["code"] == "nothing_restored"

    assert door("pg_restore", check=True, state="dropped")["dropped"] == [swapped["replaced"]]
    assert not door("pg_restore", state="dropped", older_than=1000)["changed"]
    assert door("pg_restore", state="dropped")["changed"]
    assert not door("pg_restore", state="dropped")["changed"]
    assert shop.databases() == [shop.name]


def test_the_way_of_a_table(shop: Shop, door: Any) -> None:
    where = saved(shop, door)
    shop.sql("UPDATE orders SET total = 1")
    restore = {"state": "restored", "set": str(where), "table": "orders", "min_free_bytes": 0}
    assert door("pg_restore", check=True, **restore)["changed"]
    assert door("pg_restore", **restore)["rows"] == 500
    assert door("pg_restore", state="compared", table="orders")["changed_rows"] == 499
    assert door("pg_restore", check=True, state="swapped", table="orders")["changed"]
    swapped = door("pg_restore", state="swapped", table="orders")
    assert swapped["changed"]
    assert shop.sql("SELECT sum(total) FROM orders") == "125250.00"
    assert door("pg_restore", state="dropped", table="lines")["dropped"] == []
    assert door("pg_restore", state="dropped", table="orders")["dropped"] == [swapped["replaced"]]


def test_the_administrator_alone_is_enough(shop: Shop, door: Any) -> None:
    where = {"env_file": None, "port": shop.cluster.port, "database": shop.name}
    assert door("db_fingerprint", **where)["rows"]["public.orders"] == 500
    assert door("pg_restore", **where)["live"]["name"] == shop.name
    path = shop.root / "backups" / "as-administrator"
    assert door("pg_snapshot", set=str(path), min_free_bytes=0, **where)["changed"]


WRONG = [
    ("db_fingerprint", {"env_file": None}, "nobody says which database"),
    ("db_fingerprint", {"url_variable": "OTHER_URL"}, "has no OTHER_URL"),
    ("db_fingerprint", {"before_file": "/dev/null"}, "could not be looked at"),
    ("db_fingerprint", {"checksums": ["nothing"]}, "has no table public.nothing"),
    ("db_fingerprint", {"database": "nowhere"}, "does not exist"),
    ("db_fingerprint", {"env_file": None, "database": "x", "password_file": "/nowhere"}, "/nowhere"),
    ("pg_restore", {"state": "restored", "set": "/nowhere"}, "is no backup set"),
    ("pg_restore", {"state": "restored"}, "set"),
    ("pg_snapshot", {"state": "verified", "set": "/nowhere"}, "is no backup set"),
]


@pytest.mark.parametrize(("name", "arguments", "words"), WRONG, ids=[f"{name}: {words}" for name, _arguments, words in WRONG])
def test_wrong_arguments(door: Any, name: str, arguments: dict[str, Any], words: str) -> None:
    answer = door(name, **arguments)
    assert answer["failed"]
    assert words in answer["msg"]


def test_parts_that_are_not_there(shop: Shop, door: Any) -> None:
    where = saved(shop, door)
    answer = door("pg_restore", state="restored", set=str(where), name="other")
    assert "has no database other; there are: shop" in answer["msg"]
    manifest = json.loads((where / "manifest.json").read_text())
    manifest["parts"].append({**manifest["parts"][0], "name": "second"})
    (where / "manifest.json").write_text(json.dumps(manifest))
    assert "2 databases, and nobody says which" in door("pg_restore", state="restored", set=str(where))["msg"]
    (where / "manifest.json").write_text(json.dumps({"format": 1}))
    assert "made before a migration" in door("pg_restore", state="restored", set=str(where))["msg"]
