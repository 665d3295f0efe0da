# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A secret changes while it is used: interrupted anywhere and run again, it ends, and nobody was refused on the way."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.environment import rotation
from ansible_collections.phasegate.aistack.plugins.module_utils.environment.rotation import State, bridge_name, bridge_password

USER, OLD, NEW = "shop", "old-password", "new-password"
BRIDGE = (bridge_name(USER), bridge_password(USER, NEW))


@dataclass
class World:
    """A server's logins, and what each of two components logs in with."""

    server: dict[str, str] = field(default_factory=lambda: {USER: OLD})
    live: dict[str, tuple[str, str]] = field(default_factory=lambda: {"api": (USER, OLD), "worker": (USER, OLD)})

    def state(self) -> State:
        return State(
            value=self.server[USER] == NEW,
            bridge=self.server.get(BRIDGE[0]) == BRIDGE[1],
            behind=any(login != (USER, NEW) for login in self.live.values()),
            live=bool(self.live),
        )

    def atoms(self) -> list[tuple[str, str]]:
        """What is left to do, each move of one component by itself."""
        return [
            (step, name)
            for step in rotation.plan("postgres", self.state())
            for name in (self.live if step in (rotation.TO_BRIDGE, rotation.MOVE) else [""])
        ]

    def do(self, step: str, name: str) -> None:
        if step == rotation.BRIDGE:
            self.server[BRIDGE[0]] = BRIDGE[1]
        elif step == rotation.TO_BRIDGE:
            self.live[name] = BRIDGE
        elif step == rotation.CHANGE:
            self.server[USER] = NEW
        elif step == rotation.MOVE:
            self.live[name] = (USER, NEW)
        else:
            del self.server[BRIDGE[0]]
        for component, (user, password) in self.live.items():
            assert self.server.get(user) == password, f"{component} is refused after {step}"


WHOLE = 7
"""Things to do in the plan from the beginning: 1 + 2 + 1 + 2 + 1."""


@pytest.mark.parametrize("second", range(WHOLE + 1))
@pytest.mark.parametrize("first", range(WHOLE + 1))
def test_interrupted_twice_anywhere_it_ends_and_nobody_is_refused(first: int, second: int) -> None:
    world = World()
    assert len(world.atoms()) == WHOLE
    for until in (first, second, None):
        for step, name in world.atoms()[:until]:
            world.do(step, name)
    assert world.server == {USER: NEW}
    assert set(world.live.values()) == {(USER, NEW)}
    assert world.atoms() == []


def test_where_nothing_is_live_the_password_is_simply_changed() -> None:
    world = World(live={})
    assert world.atoms() == [(rotation.CHANGE, "")]


def test_a_secret_of_the_application_alone_moves_once() -> None:
    assert rotation.plan("env", State(value=True, bridge=False, behind=True, live=True)) == [rotation.MOVE]
    assert rotation.plan("env", State(value=True, bridge=False, behind=False, live=True)) == []


KEYS = {"KEY": NEW, "BEFORE": OLD, "OTHER": "x"}
"""What an application with two keys is to have in the end."""


@pytest.mark.parametrize("second", range(5))
@pytest.mark.parametrize("first", range(5))
def test_with_two_keys_what_one_component_signs_every_other_accepts(first: int, second: int) -> None:
    live = {name: {"KEY": OLD, "BEFORE": "", "OTHER": "x"} for name in ("api", "worker")}
    for until in (first, second, None):
        behind = [name for name, values in live.items() if values != KEYS]
        steps = rotation.plan(rotation.PAIR, State(value=True, bridge=False, behind=bool(behind), live=True))
        for step, name in [(step, name) for step in steps for name in behind][:until]:
            live[name] = rotation.exchanged(KEYS, "KEY", "BEFORE") if step == rotation.ACCEPT else KEYS
            for values in live.values():
                for other in live.values():
                    assert values["KEY"] in (other["KEY"], other["BEFORE"]), f"refused after {step} of {name}"
    assert live == {"api": KEYS, "worker": KEYS}


@dataclass
class Redis:
    """A server that knows several passwords for a name, and what each of two components logs in with."""

    server: set[str] = field(default_factory=lambda: {OLD})
    live: dict[str, str] = field(default_factory=lambda: {"api": OLD, "worker": OLD})

    def atoms(self) -> list[tuple[str, str]]:
        behind = any(password != NEW for password in self.live.values())
        seen = State(value=NEW in self.server, bridge=bool(self.server - {NEW}), behind=behind, live=bool(self.live))
        return [(step, name) for step in rotation.plan("redis", seen) for name in (self.live if step == rotation.MOVE else [""])]

    def do(self, step: str, name: str) -> None:
        if step == rotation.BRIDGE:
            self.server.add(NEW)
        elif step == rotation.MOVE:
            self.live[name] = NEW
        else:
            assert step == rotation.CLOSE
            self.server = {NEW}
        assert set(self.live.values()) <= self.server, f"somebody is refused after {step}"


@pytest.mark.parametrize("second", range(5))
@pytest.mark.parametrize("first", range(5))
def test_with_several_passwords_for_a_name_nobody_is_refused_either(first: int, second: int) -> None:
    world = Redis()
    assert len(world.atoms()) == 4
    for until in (first, second, None):
        for step, name in world.atoms()[:until]:
            world.do(step, name)
    assert world.server == {NEW}
    assert set(world.live.values()) == {NEW}
    assert world.atoms() == []


def test_where_nothing_is_live_redis_has_the_new_password_alone() -> None:
    assert Redis(live={}).atoms() == [(rotation.BRIDGE, ""), (rotation.CLOSE, "")]


def test_words_say_what_happens_to_which_kind_of_server() -> None:
    assert rotation.words("redis", [rotation.BRIDGE, rotation.CLOSE]) == [
        "let the new password in beside the former one", "withdraw the former password",
    ]
    assert rotation.words("minio", [rotation.BRIDGE]) == ["add a second login and prove it"]


def test_every_step_has_words() -> None:
    every = {rotation.BRIDGE, rotation.TO_BRIDGE, rotation.CHANGE, rotation.MOVE, rotation.CLOSE, rotation.ACCEPT}
    assert set(rotation.WORDS) == every


def test_the_second_logins_password_follows_from_the_new_one_alone() -> None:
    assert bridge_password(USER, NEW) == bridge_password(USER, NEW) != bridge_password(USER, OLD)
    assert bridge_password("other", NEW) != bridge_password(USER, NEW)
    assert NEW not in bridge_password(USER, NEW)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (f"postgresql+asyncpg://shop:{NEW}@db:5432/shop?sslmode=require", f"postgresql+asyncpg://shop__rotation:{BRIDGE[1]}@db:5432/shop?sslmode=require"),
        (f"postgres://shop:{NEW}@db/shop", f"postgres://shop__rotation:{BRIDGE[1]}@db/shop"),
        ("postgresql://shop:of-another-server@db/shop", None),
        (f"postgresql://reader:{NEW}@db/shop", None),
        (f"redis://shop:{NEW}@db:6379/0", None),
        ("shop", None),
        (5432, None),
    ],
)
def test_an_address_uses_the_second_login(value: Any, expected: str | None) -> None:
    assert rotation.bridged({"URL": value}, USER, NEW) == {"URL": value if expected is None else expected}


def test_a_login_in_variables_of_its_own() -> None:
    values = {"DB_USER": USER, "DB_NAME": USER, "DB_PASSWORD": NEW}
    with pytest.raises(ValueError, match="DB_PASSWORD holds the password of shop by itself") as caught:
        rotation.bridged(values, USER, NEW)
    assert NEW not in str(caught.value)
    moved = rotation.bridged(values, USER, NEW, {"user": "DB_USER", "password": "DB_PASSWORD"})
    assert moved == {"DB_USER": BRIDGE[0], "DB_NAME": USER, "DB_PASSWORD": BRIDGE[1]}
    other = {"DB_USER": "reader", "DB_PASSWORD": "of-the-reader"}
    assert rotation.bridged(other, USER, NEW, {"user": "DB_USER", "password": "DB_PASSWORD"}) == other


def test_who_uses_a_login() -> None:
    components = {
        "db": {"role": "postgres"},
        "api": {"application": "shop", "env": "common"},
        "worker": {"release_from": "api", "env": "common"},
        "page": {"application": "shop"},
        "own": {"application": "shop"},
    }
    environments = {
        "common": {"values": {"URL": "postgresql://shop:x@db/shop", "N": 1}},
        "page": {"values": {"URL": "http://shop@api"}},
        "own": {"values": {"DB_USER": "shop"}},
    }
    assert rotation.users_of("shop", components, environments) == ["api", "worker", "own"]
    assert rotation.users_of("reader", components, environments) == []


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (None, None),
        ({"a": {"kind": "env", "file": "/x"}, "b": {"kind": "postgres", "component": "db", "user": "shop"}}, None),
        (["a"], "aistack_rotations: must be a mapping, is a list"),
        ({"a": "b"}, "aistack_rotations.a: must be a mapping, is the text"),
        ({"a": {"kind": "postgre"}}, "aistack_rotations.a.kind: 'postgre' is unknown; there are env, minio, postgres, redis"),
        ({"a": {"kind": "env", "fiel": "/x"}}, "aistack_rotations.a: unknown key 'fiel'"),
        ({"a": {"kind": "postgres", "component": "db"}}, "aistack_rotations.a: 'user' is missing"),
        ({"a": {"kind": "postgres", "component": "dp", "user": "x"}}, "aistack_rotations.a.component: unknown component 'dp'"),
        (
            {"a": {"kind": "postgres", "component": "db", "user": "x", "variables": {"user": "U"}}},
            "aistack_rotations.a.variables: 'password' is missing: variable with the password",
        ),
        (
            {"a": {"kind": "env", "file": "/x", "previous": "BEFORE"}},
            "aistack_rotations.a: 'variable' is missing, which previous needs",
        ),
        ({"a": {"kind": "redis", "component": "db", "user": "x"}}, None),
        (
            {"a": {"kind": "minio", "component": "db", "user": "x"}},
            "aistack_rotations.a: 'variables' is missing: variables of environments that hold the login",
        ),
    ],
)
def test_what_can_be_changed_is_described_or_refused(given: Any, problem: str | None) -> None:
    found = rotation.problems(given, {"db": {}})
    assert found == [] if problem is None else found[0].startswith(problem)


def test_the_refusal_names_the_remedy() -> None:
    text = rotation.refusal([USER], "postgres", "db-1", ["api on web-1"], {"database": {"kind": "postgres", "user": USER}})
    for words in ("shop", "db-1", "api on web-1", "No password was changed", "phasegate.aistack.rotate -e secret=database"):
        assert words in text
    undeclared = rotation.refusal([USER], "postgres", "db-1", ["api on web-1"], {"x": {"kind": "env"}})
    assert "aistack_rotations: {NAME: {kind: postgres, component: postgres, user: shop}}" in undeclared
    s3 = rotation.refusal([USER], "minio", "db-1", ["api on web-1"], {})
    assert "{kind: minio, component: minio, user: shop, variables: {user: …, password: …}}" in s3
