# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What would be chosen and is marked bad is refused where it is asked; what hosts do not settle is, once for all of them."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.action import release_info

BAD = {"changed": False, "components": {"api": {"live": None, "marks": {"v2": "bad"}, "reasons": {"v2": "health: 500"}}}}
DESCRIBED = {
    "aistack_components": {"api": {"role": "backend", "hosts": "all", "application": "shop"}},
    "aistack_applications": {"shop": {"release": "v2"}},
    "groups": {"all": ["a", "b"]}, "ansible_play_hosts_all": ["a", "b"], "ansible_play_hosts": ["a", "b"],
}


class Task:
    def __init__(self, args: dict[str, Any]) -> None:
        self.args, self.check_mode = args, False


class Templar:
    def template(self, value: Any) -> Any:
        return value


class Hosts:
    def __init__(self, of: dict[str, Any]) -> None:
        self.of = of

    def raw_get(self, host: str) -> Any:
        return self.of.get(host, {})


def run(monkeypatch: pytest.MonkeyPatch, args: dict[str, Any], answer: Any = None, **more: Any) -> tuple[dict[str, Any], list[Any]]:
    monkeypatch.setattr(release_info.ActionBase, "run", lambda self, tmp=None, task_vars=None: {})
    plugin = release_info.ActionModule.__new__(release_info.ActionModule)
    plugin._task, plugin._templar = Task(args), Templar()
    asked: list[Any] = []

    def execute(module_name: str, module_args: dict[str, Any], task_vars: dict[str, Any]) -> Any:
        asked.append(module_args)
        return dict(answer)

    plugin._execute_module = execute
    return plugin.run(task_vars={**DESCRIBED, "hostvars": Hosts({}), **more}), asked


def test_where_nothing_is_asked_no_node_is(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, {"components": [], "refuse_bad": True}) == ({"changed": False, "components": {}}, [])


def test_what_the_inventory_would_choose_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    result, asked = run(monkeypatch, {"components": ["api"], "refuse_bad": True}, BAD)
    assert asked == [{"components": ["api"]}], "the node is asked what it is always asked"
    assert result["failed"]
    assert result["msg"] == (
        "Refused. Nothing was touched.\nThe release v2 of api is marked bad on this node: health: 500.\n"
        "  It is not chosen again. Correct it and give it a new tag, or ask for it by name with -e allow_bad=true."
    )


def test_whoever_allows_it_is_not_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    result, _asked = run(monkeypatch, {"components": ["api"], "refuse_bad": False}, BAD)
    assert (result.get("failed"), result["components"]) == (None, BAD["components"])


def test_an_answer_that_is_there_is_not_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    result, asked = run(monkeypatch, {"components": ["api"], "refuse_bad": True, "release": "v2", "answer": BAD})
    assert (result["failed"], asked) == (True, [])
    result, asked = run(monkeypatch, {"components": ["api"], "refuse_bad": True, "release": "v3", "answer": BAD})
    assert (result.get("failed"), asked) == (None, [])


def test_the_release_that_the_role_goes_by_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    result, _asked = run(monkeypatch, {"components": ["api"], "refuse_bad": True, "release": "v3"}, BAD, release_request="v2")
    assert result["failed"]


@pytest.mark.parametrize(("there", "refused"), [(["a", "b"], False), (["a"], True)], ids=["on every host", "not on b"])
def test_what_hosts_have_settles_a_doubt(monkeypatch: pytest.MonkeyPatch, there: list[str], refused: bool) -> None:
    has = {"__there": {"components": {"api": {"releases": {"v2": {}}, "live": None}}}}
    args = {"doubts": {"api": "There is no tag 'v2'"}, "answers": "__there", "release": "v2"}
    result, asked = run(monkeypatch, args, hostvars=Hosts(dict.fromkeys(there, has)))
    assert asked == []
    assert bool(result.get("failed")) is refused
    assert result.get("msg") == ("Refused. Nothing was touched.\nThere is no tag 'v2'" if refused else None)


def test_a_release_that_is_marked_bad_is_named_with_its_reason() -> None:
    def here(mark: str | None, live: str = "v1", **reasons: str) -> dict[str, Any]:
        return {"marks": {"v2": mark} if mark else {}, "reasons": reasons, "live": {"release": live} if live else None}

    found = release_info.marked_bad({"api": here("bad", v2="health: 500"), "worker": here("good"), "web": here(None, "")}, "v2")
    assert found == ["The release v2 of api is marked bad on this node: health: 500."]
    assert release_info.marked_bad({"web": here("bad", "")}, "v2") == ["The release v2 of web is marked bad on this node: no reason given."]
    assert release_info.marked_bad({"api": here("bad", "v2")}, "v2") == [], "it is live: nothing would be chosen"
    assert release_info.marked_bad({"api": here("bad")}, "v3") == []


@pytest.mark.parametrize(
    ("mark", "live", "found"),
    [("v2", None, ["The release v2 of worker is marked bad on this node: no reason given."]), ("v2", "v1", []), ("v1", None, [])],
    ids=["it would be staged", "what is live stays", "another one is bad"],
)
def test_where_no_release_is_asked_for_the_inventorys_counts(mark: str, live: str | None, found: list[str]) -> None:
    components = {"api": {"application": "shop"}, "worker": {"release_from": "api"}}
    there = {"worker": {"marks": {mark: "bad"}, "live": {"release": live} if live else None}}
    assert release_info.marked_bad(there, "", components, {"shop": {"release": "v2"}}) == found
