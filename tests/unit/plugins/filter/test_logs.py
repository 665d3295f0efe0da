# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is sent where follows from the description of a stack."""

from __future__ import annotations

from typing import Any

from ansible_collections.phasegate.aistack.plugins.filter import logs

COMPONENTS: dict[str, dict[str, Any]] = {
    "db": {"role": "postgres", "hosts": "one", "unit": "postgresql.service"},
    "cache": {"role": "phasegate.aistack.redis", "hosts": "one"},
    "api": {"role": "backend", "hosts": "one", "application": "shop"},
    "worker": {"role": "worker", "hosts": "two", "release_from": "api"},
    "saved": {"role": "backup", "hosts": "all"},
    "figures": {"role": "exporters", "hosts": "all"},
    "tools": {"role": "toolchain", "hosts": "all"},
    "store": {"role": "victorialogs", "hosts": "one"},
    "sender": {"role": "log_shipper", "hosts": "all"},
}
GROUPS = {"all": ["a", "b"], "one": ["a"], "two": ["b"]}
HOSTVARS = {"a": {"aistack_address": "10.0.0.1"}, "b": {"aistack_address": "10.0.0.2"}}


def test_units_are_those_of_the_host() -> None:
    assert logs.log_units(COMPONENTS, GROUPS, "a", "shop") == {
        "postgresql*.service": "db", "redis-server.service": "cache", "aistack-api@*.service": "api",
        "aistack-backup@shop.service": "saved", "aistack-*-exporter.service": "figures", "victorialogs.service": "store",
        "aistack-log-shipper.service": "sender",
    }
    assert list(logs.log_units(COMPONENTS, GROUPS, "b", "shop").values()) == ["worker", "saved", "figures", "sender"]
    assert logs.log_units({}, {}, "a", "shop") == {}


def test_a_store_is_reached_by_those_that_send() -> None:
    assert logs.log_store_listens(COMPONENTS, GROUPS, "a", "10.0.0.1") == "10.0.0.1"
    assert logs.log_stores(COMPONENTS, GROUPS, {}, HOSTVARS) == [{"role": "victorialogs", "host": "a", "url": "http://10.0.0.1:9428"}]
    alone = {**COMPONENTS, "sender": {"role": "log_shipper", "hosts": "one"}}
    assert logs.log_store_listens(alone, GROUPS, "a", "10.0.0.1") == "127.0.0.1"
    assert logs.log_stores(alone, GROUPS, {"victorialogs": 99}, HOSTVARS)[0]["url"] == "http://127.0.0.1:99"
    assert logs.log_store_listens({}, {}, "a") == "127.0.0.1"


def test_a_store_that_speaks_tls() -> None:
    """Its host says so; Loki has none."""
    secure = {**HOSTVARS, "a": {**HOSTVARS["a"], "victorialogs_tls": {"certificate": "x", "key": "y"}}}
    assert logs.log_stores(COMPONENTS, GROUPS, {}, secure)[0]["url"] == "https://10.0.0.1:9428"
    other = {**COMPONENTS, "store": {"role": "loki", "hosts": "one"}}
    assert logs.log_stores(other, GROUPS, {}, secure)[0]["url"] == "http://10.0.0.1:3100"


def test_loki_is_a_store_as_well() -> None:
    other = {**COMPONENTS, "store": {"role": "loki", "hosts": "two"}}
    assert logs.log_stores(other, GROUPS, {}, HOSTVARS) == [{"role": "loki", "host": "b", "url": "http://10.0.0.2:3100"}]
    assert logs.log_stores(other, GROUPS, {}, {})[0]["url"] == "http://127.0.0.1:3100", "a host without an address"
    assert logs.log_units(other, GROUPS, "b", "shop")["aistack-loki.service"] == "store"


def test_who_sends() -> None:
    assert logs.log_senders(COMPONENTS, GROUPS, HOSTVARS) == ["10.0.0.1", "10.0.0.2"]
    assert logs.log_senders(COMPONENTS, GROUPS, {"b": HOSTVARS["b"]}) == ["10.0.0.2"]
    assert logs.log_senders({}, {}, {}) == []
