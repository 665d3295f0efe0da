# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.backup import plan
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.plan import Seen

RECIPIENT = "age1" + "q" * 58
DAY = 86400.0
NOW = plan.moment("20260201T000000Z")


def name(days: float, reason: str = "daily") -> str:
    """A set made so many days before now."""
    return plan.set_name(plan.stamp_of(NOW - days * DAY), reason)


def record(seq: int, op: str, release: str | None, outcome: str = "ok", component: str = "backend", **detail: Any) -> dict[str, Any]:
    return {"seq": seq, "op": op, "component": component, "release": release, "outcome": outcome, "detail": detail, "time": "", "run": "r"}


def test_a_name_never_looks_like_that_of_a_migrations_dump() -> None:
    made = plan.set_name("20260131T120000Z", "deploy-backend-v4.1.0")
    assert made == "20260131T120000Z-deploy_backend_v4.1.0"
    assert plan.NAME.match(made)
    assert made.count("-") == 1


@pytest.mark.parametrize("reason", ["", "../..", "///"])
def test_a_reason_that_names_nothing(reason: str) -> None:
    with pytest.raises(ValueError, match="needs a reason"):
        plan.set_name("20260131T120000Z", reason)


@pytest.mark.parametrize("stamp", ["", "20261331T120000Z", "yesterday"])
def test_a_stamp_that_is_no_time(stamp: str) -> None:
    with pytest.raises(ValueError, match="does not begin with a time"):
        plan.set_name(stamp, "daily")


def test_the_time_of_a_name_is_utc() -> None:
    assert plan.moment("19700102T000000Z-daily") == DAY
    assert plan.stamp_of(DAY) == "19700102T000000Z"


def test_a_description_without_faults() -> None:
    given = {
        "stack": "lab",
        "keep": {"last": 3, "days": 0},
        "encrypt": {"recipient": RECIPIENT},
        "postgres": [{"name": "sparklio", "component": "backend", "url_variable": "DATABASE_URL"}],
        "redis": [{"name": "broker", "host": "10.0.0.1", "port": 6379, "username": "backup", "password_file": "/x"}],
        "buckets": [{"name": "assets", "endpoint": "http://10.0.0.1:9000", "access_key_id": "app", "secret_key_file": "/y"}],
        "sqlite": [{"name": "memory", "path": "/srv/memory.db"}],
        "files": ["/etc/hosts"],
    }
    assert plan.description_problems(given) == []


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ([], "must be a mapping, is a list"),
        ({"postgress": []}, "unknown key 'postgress'; did you mean 'postgres'?"),
        ({"keep": {"last": -1}}, "keep.last: must be a whole number from 0 on, is -1"),
        ({"keep": {"weeks": 1}}, "keep: unknown key 'weeks'; known: days, last"),
        ({"keep": {"days": True}}, "keep.days: must be a whole number, is true"),
        ({"encrypt": {"recipient": "ssh-ed25519 AAAA"}}, "encrypt.recipient: must be age1…"),
        ({"encrypt": "age1"}, "encrypt: must be a mapping {recipient: age1…}"),
        ({"postgres": [{"name": "a"}]}, "postgres[0]: 'component' is missing"),
        ({"redis": [{"name": "a", "prot": 1}]}, "redis[0]: unknown key 'prot'; did you mean 'port'?"),
        ({"sqlite": [{"name": "../a", "path": "/x"}]}, "sqlite[0].name: '../a' becomes a folder"),
        ({"sqlite": [{"name": "a", "path": "/x"}, {"name": "a", "path": "/y"}]}, "sqlite[1].name: 'a' is there twice"),
        ({"sqlite": ["a"]}, "sqlite[0]: must be a mapping, is the text"),
        ({"buckets": "assets"}, "buckets: must be a list, is the text"),
        ({"timeout": 0}, "timeout: must be a whole number from 1 on, is 0"),
        ({"count_below": "many"}, "count_below: must be a whole number, is the text 'many'"),
        ({"copy": "offsite"}, "copy: must be a mapping {remote: name in rclone's configuration"),
        ({"copy": {"remote": "offsite", "pat": "x"}}, "copy: unknown key 'pat'; did you mean 'path'?"),
        ({"copy": {"remote": "offsite"}}, "copy: 'path' is missing"),
        ({"copy": {"remote": "a:b", "path": "x"}}, "copy.remote: 'a:b' is no name of a remote"),
        ({"copy": {"remote": "a", "path": "x", "keep": {"last": -1}}}, "copy.keep.last: must be a whole number"),
        ({"files": ["etc/hosts"]}, "files: 'etc/hosts' is no absolute path"),
        ({"files": "/etc/hosts"}, "files: must be a list"),
    ],
)
def test_faults_of_a_description(given: Any, told: str) -> None:
    problems = plan.description_problems(given)
    assert len(problems) == 1 or "missing" in " ".join(problems)
    assert any(problem.startswith(told) for problem in problems), problems


COMPONENTS: dict[str, Any] = {"backend": {"hosts": "backend"}, "redis": {"hosts": "backend"}, "minio": {"hosts": "store"}}
GROUPS = {"backend": ["b1", "b2"], "store": ["s1"], "all": ["b1", "b2", "s1"]}


def test_each_node_saves_what_is_its_own() -> None:
    backup = {
        "keep": {"last": 2},
        "postgres": [{"name": "db", "component": "backend"}],
        "buckets": [{"name": "assets", "component": "minio"}, {"name": "more", "hosts": "b2"}],
        "sqlite": [{"name": "memory", "path": "/m.db"}],
        "files": ["/etc/hosts"],
    }
    described = {host: plan.for_host(backup, "lab", host, COMPONENTS, GROUPS, "/var/lib/lab") for host in ("b1", "b2", "s1")}
    held = {host: [entry["name"] for kind in ("postgres", "buckets") for entry in one[kind]] for host, one in described.items()}
    assert held == {"b1": ["db"], "b2": ["more"], "s1": ["assets"]}
    for one in described.values():
        assert [entry["name"] for entry in one["sqlite"]] == ["memory"]
        assert one["files"] == ["/etc/hosts"]
        assert one["keep"] == {"last": 2, "days": 30}
        assert one["stack"] == "lab"
        assert plan.description_problems(one) == []


def test_what_components_write_is_saved_without_being_named() -> None:
    components = {"backend": {"hosts": "backend", "writable": ["uploads", "/srv/media"], "cache": ["models"]},
                  "worker": {"hosts": "backend", "writable": ["/srv/media"]}, "minio": {"hosts": "store"}}
    described = {host: plan.for_host({}, "lab", host, components, GROUPS, "/var/lib/lab") for host in ("b1", "b2", "s1")}
    assert described["b1"]["writable"] == described["b2"]["writable"] == ["/srv/media", "/var/lib/lab/data/backend/uploads"]
    assert "writable" not in described["s1"]
    assert plan.description_problems(described["b1"]) == []
    with pytest.raises(ValueError, match="'writable' is said in the description of a component"):
        plan.for_host({"writable": ["/srv"]}, "lab", "b1", components, GROUPS, "/var/lib/lab")


def test_a_component_that_is_not_there() -> None:
    with pytest.raises(ValueError, match=r"postgres\[0\].component: no component 'backnd'; known: backend, minio, redis"):
        plan.for_host({"postgres": [{"name": "db", "component": "backnd"}]}, "lab", "b1", COMPONENTS, GROUPS, "/var/lib/lab")
    with pytest.raises(ValueError, match="aistack_backup: unknown key 'file'"):
        plan.for_host({"file": []}, "lab", "b1", COMPONENTS, GROUPS, "/var/lib/lab")


def test_room() -> None:
    fits = plan.room({"postgres:db": 100, "redis:b": 50}, 1150, 1000, False, "/state")
    assert (fits.needed, fits.problem) == (1150, "")
    full = plan.room({"postgres:db": 100, "redis:b": 50}, 1149, 1000, False, "/state")
    assert "/state has 1149 bytes free" in full.problem
    assert "may take 150" in full.problem
    assert "postgres:db 100 B" in full.problem
    twice = plan.room({"postgres:db": 100, "redis:b": 50}, 1249, 1000, True, "/state")
    assert twice.needed == 1250, "the part that is being encrypted is there twice"
    assert twice.problem


@pytest.mark.parametrize("more", [{"copy": {"remote": "offsite", "path": "sets"}}, {"encrypt": {"recipient": "age1"}}])
def test_plain_sets_on_one_disk_are_worth_a_warning(more: dict[str, Any]) -> None:
    assert "Declare 'copy'" in plan.exposed({"sqlite": [{"name": "a", "path": "/a"}]})
    assert plan.exposed({"sqlite": [{"name": "a", "path": "/a"}], **more}) == ""
    assert plan.exposed({}) == ""


@pytest.mark.parametrize(("count", "text"), [(0, "0 B"), (1536, "1.5 KiB"), (3 << 30, "3.0 GiB"), (5 << 40, "5.0 TiB")])
def test_sizes_for_people(count: int, text: str) -> None:
    assert plan.size_text(count) == text


def test_retention_keeps_the_last_and_the_young() -> None:
    sets = [Seen(name(days), "verified") for days in (0.1, 1, 2, 10, 40, 50)]
    removed, kept = plan.retention(sets, {"last": 2, "days": 5}, {}, NOW)
    assert removed == [name(50), name(40), name(10)]
    assert kept == {name(0.1): "the newest verified one", name(1): "one of the newest 2", name(2): "younger than 5 days"}


def test_a_dump_of_one_database_is_no_set() -> None:
    whole = Seen(name(39), "verified")
    dumps = [Seen(f"{name(days)}-backend-a-b", "verified", whole=False) for days in (1, 2, 3, 4, 35, 36, 37)]
    removed, kept = plan.retention([whole, *dumps], {"last": 2, "days": 30}, {dumps[-1].name: "live needs it"}, NOW)
    assert kept[whole.name] == "the newest verified one"
    assert {kept[one.name] for one in dumps[:4]} == {"younger than 30 days"}
    assert removed == [dumps[5].name, dumps[4].name]


def test_retention_never_removes_what_a_rollback_needs_nor_the_newest_verified() -> None:
    sets = [Seen(name(1), "unusable: x"), Seen(name(40), "verified"), Seen(name(50), "verified"), Seen(name(60), "verified")]
    removed, kept = plan.retention(sets, {"last": 0, "days": 0}, {name(60): "live needs it"}, NOW)
    assert removed == [name(50), name(1)]
    assert kept == {name(40): "the newest verified one", name(60): "live needs it"}


def test_unusable_sets_do_not_take_the_place_of_good_ones() -> None:
    sets = [Seen(name(day), "unusable") for day in (1, 2, 3)] + [Seen(name(day), "verified") for day in (40, 41)]
    removed, kept = plan.retention(sets, {"last": 2, "days": 2}, {}, NOW)
    assert removed == [name(3), name(2)]
    assert set(kept) == {name(1), name(40), name(41)}


def test_a_folder_that_is_no_set_stays() -> None:
    removed, kept = plan.retention([Seen("somebodys-own", "verified")], {"last": 0, "days": 1}, {}, NOW)
    assert removed == []
    assert kept


def test_sets_that_the_journal_names() -> None:
    records = [
        record(1, "stage", "v1"),
        record(2, "migrate", "v1", backup="/state/backups/S1"),
        record(3, "activate", "v1", slot="blue", config="c"),
        record(4, "mark", "v1", state="good"),
        record(5, "stage", "v2"),
        record(6, "migrate", "v2", backup={"path": "/state/backups/S2"}),
        record(7, "activate", "v2", slot="green", config="c", backup="S2b"),
        record(8, "migrate", "v3", outcome="started", backup="/state/backups/S3"),
        record(9, "migrate", "v0", backup="/state/backups/S0"),
        record(10, "activate", "v9", component="other", backup="S9"),
    ]
    needed = plan.named_sets(records, {"backend": ["v1", "v2"]})
    assert set(needed) == {"S1", "S2", "S2b", "S3", "S9"}, "v0 is neither staged nor live: its set may go"
    assert needed["S2"] == "made before backend v2 was migrated to, which is live"
    assert needed["S1"].endswith("previous good")
    assert "interrupted migrate" in needed["S3"]


def test_a_release_that_is_only_staged_keeps_its_set() -> None:
    records = [record(1, "stage", "v5"), record(2, "migrate", "v5", backup="/b/S5")]
    assert plan.named_sets(records, {"backend": ["v5"]}) == {"S5": "made before backend v5 was migrated to, which is staged"}
    assert plan.named_sets(records, {"backend": []}) == {}


PARTS = [
    {"kind": "postgres", "name": "db"},
    {"kind": "postgres", "name": "other"},
    {"kind": "files", "name": "config"},
    {"kind": "files", "name": "extra"},
    {"kind": "bucket", "name": "assets"},
]


@pytest.mark.parametrize(
    ("wanted", "found", "unknown"),
    [
        ([], ["postgres:db", "postgres:other", "files:config", "bucket:assets"], []),
        (["postgres:db", "env"], ["postgres:db", "files:config"], []),
        (["files"], ["files:config", "files:extra"], []),
        (["buckets"], ["bucket:assets"], []),
        (["redis", "postgres:x"], [], ["redis", "postgres:x"]),
    ],
)
def test_parts_by_name(wanted: list[str], found: list[str], unknown: list[str]) -> None:
    parts, missing = plan.chosen(PARTS, wanted)
    assert ([f"{part['kind']}:{part['name']}" for part in parts], missing) == (found, unknown)


def test_the_verdict_names_the_first_problem() -> None:
    assert plan.verdict([]) == "verified"
    assert plan.verdict(["a", "b"]) == "unusable: a (and 1 more)"
    assert re.match("unusable: a$", plan.verdict(["a"]))


def test_the_page_for_the_one_who_consents() -> None:
    planned = {
        "set": "20260131T120000Z-daily",
        "made": "2026-01-31T12:00:00Z",
        "age": 90061,
        "parts": [{"part": "postgres:db", "lines": ["db: 2 rows are lost", "  orders: 2"]}],
        "warnings_about_set": ["the set was made on b1, this is b2"],
    }
    assert plan.restore_page({"b1": planned, "gpu": {"skipped": True}}).splitlines() == [
        "b1: set 20260131T120000Z-daily, made 2026-01-31T12:00:00Z (1 d 1 h ago)",
        "  postgres:db",
        "    db: 2 rows are lost",
        "      orders: 2",
        "  mind: the set was made on b1, this is b2",
        "",
        "To put it back: -e confirm=20260131T120000Z-daily",
    ]
    assert plan.restore_page({"b1": {**planned, "age": 3700}}).splitlines()[0].endswith("(1 h 1 min ago)")
    assert plan.restore_page({"gpu": {}}) == "No node has this set."
