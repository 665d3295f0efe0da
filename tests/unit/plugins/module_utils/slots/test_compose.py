# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The compose file of a slot: one container, closed but for what its description opens."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.slots import compose

DIGEST = "sha256:" + "1" * 64
SLOT = compose.Slot("shop", "api", "blue", "v1.0.0", DIGEST, 18000, {"TOKEN": "a$b${c}", "AISTACK_PORT": "9"}, "991:990")
CONTAINER: dict[str, Any] = {
    "port": 8000, "command": ["sh", "-c", "echo $HOME"], "write": ["/var/lib/aistack/data/api/notes"],
    "environment": {"AISTACK_DATA": "/var/lib/aistack/data/api"}, "read_only": True, "scratch": {"/tmp": "64m"}, "capabilities": [],
    "memory": "256m", "cpus": 0, "pids": 512,
}


def service(slot: compose.Slot = SLOT, **container: Any) -> dict[str, Any]:
    made = compose.document(slot, {**CONTAINER, **container})
    json.dumps(made)
    (found,) = made["services"].values()
    return dict(found)


def test_it_is_closed_by_default() -> None:
    found = service()
    assert (found["read_only"], found["cap_drop"], found["cap_add"]) == (True, ["ALL"], [])
    assert found["security_opt"] == ["no-new-privileges:true"]
    assert found["user"] == "991:990"
    assert found["tmpfs"] == ["/tmp:size=64m"]
    assert (found["mem_limit"], found["pids_limit"]) == ("256m", 512)
    assert "cpus" not in found
    assert found["container_name"] == "aistack-api-blue"


def test_it_runs_the_image_by_its_digest_and_nothing_fetches_another() -> None:
    found = service()
    assert (found["image"], found["pull_policy"], found["restart"]) == (DIGEST, "never", "no")


def test_it_is_reached_on_the_loopback_address_alone() -> None:
    (port,) = service()["ports"]
    assert (port["host_ip"], port["published"], port["target"]) == ("127.0.0.1", "18000", 8000)
    assert "ports" not in service(replace(SLOT, port=None))
    assert "ports" not in service(port=0)


def test_on_the_nodes_own_network_it_listens_on_the_port_of_its_slot() -> None:
    found = service(network="host", port=0)
    assert (found["network_mode"], found["environment"]["AISTACK_PORT"]) == ("host", "18000")
    assert "ports" not in found
    assert "network_mode" not in service(network="bridge")


def test_values_stand_for_themselves_and_the_port_is_that_inside() -> None:
    found = service()
    assert found["environment"]["TOKEN"] == "a$$b$${c}"
    assert found["command"] == ["sh", "-c", "echo $$HOME"]
    assert found["environment"]["AISTACK_PORT"] == "8000"
    assert found["environment"]["AISTACK_DATA"] == "/var/lib/aistack/data/api"
    assert (found["environment"]["AISTACK_RELEASE"], found["environment"]["AISTACK_SLOT"]) == ("v1.0.0", "blue")


def test_folders_that_it_writes_are_mounted_under_their_own_path_and_not_made_here() -> None:
    (volume,) = service()["volumes"]
    assert volume["source"] == volume["target"] == "/var/lib/aistack/data/api/notes"
    assert volume["bind"] == {"create_host_path": False}


def test_files_that_it_reads_are_there_and_stay_as_they_are() -> None:
    volume = service(read=["/opt/shop/ca.pem"])["volumes"][-1]
    assert (volume["source"], volume["target"], volume["read_only"]) == ("/opt/shop/ca.pem", "/opt/shop/ca.pem", True)


def test_what_is_opened_is_open() -> None:
    found = service(read_only=False, capabilities=["NET_BIND_SERVICE"], cpus=1.5, scratch={}, command=[])
    assert (found["read_only"], found["cap_add"], found["cpus"], found["tmpfs"]) == (False, ["NET_BIND_SERVICE"], 1.5, [])
    assert "command" not in found
    assert "user" not in service(replace(SLOT, user=""))


def test_two_slots_share_nothing() -> None:
    names = {compose.document(replace(SLOT, slot=slot), CONTAINER)["name"] for slot in ("blue", "green")}
    assert names == {"aistack-shop-api-blue", "aistack-shop-api-green"}
    assert compose.project("My.Shop", "api", "blue") == "aistack-my-shop-api-blue"
