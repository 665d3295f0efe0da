# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a component's unit opens of the host."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.release import unit_access
from ansible_collections.phasegate.aistack.plugins.module_utils.release.unit_access import Places, access_of, check_access, check_places

PLACES = Places("/opt/shop", "/var/lib/shop")


def component(**more: Any) -> dict[str, Any]:
    return {"role": "backend", "hosts": "one", "application": "shop", **more}


def test_a_component_that_asks_for_nothing_gets_nothing() -> None:
    assert access_of("api", component(), PLACES) == {
        "write": [], "environment": {}, "just_in_time": False, "devices": [], "groups": [],
    }


def test_folders_of_its_own_are_below_the_state() -> None:
    found = access_of("api", component(writable=["uploads", "/srv/shop/media/"], cache=["models", "/srv/models"]), PLACES)
    assert found["write"] == ["/var/lib/shop/data/api/uploads", "/srv/shop/media", "/var/lib/shop/cache/api/models", "/srv/models"]
    assert found["environment"] == {"AISTACK_DATA": "/var/lib/shop/data/api", "AISTACK_CACHE": "/var/lib/shop/cache/api"}
    assert unit_access.saved("api", component(writable=["uploads", "/srv/shop/media/"], cache=["models"]), "/var/lib/shop") == [
        "/var/lib/shop/data/api/uploads", "/srv/shop/media",
    ]


def test_a_home_is_asked_for_by_name() -> None:
    home = "/var/lib/shop/cache/api/home"
    found = access_of("api", component(cache=["home"]), PLACES)
    assert found["environment"] == {"AISTACK_CACHE": "/var/lib/shop/cache/api", "HOME": home, "XDG_CACHE_HOME": f"{home}/.cache"}


def test_a_graphics_card_and_a_device() -> None:
    found = access_of("worker", component(devices=["gpu", "/dev/ttyUSB0"]), PLACES)
    assert found["devices"][:2] == ["char-nvidia", "char-nvidia-frontend"]
    assert found["devices"][-1] == "/dev/ttyUSB0"
    assert found["groups"] == ["render", "video"]
    assert found["just_in_time"] is True, "a driver compiles for its card"
    assert access_of("worker", component(devices=["/dev/ttyUSB0"]), PLACES)["groups"] == []


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"writable": "uploads"}, "c.api.writable: must be a list of folders, is the text 'uploads'"),
        ({"writable": ["a/b"]}, "c.api.writable: 'a/b' is neither a name (letters, digits, '.', '_' and '-') nor an absolute path"),
        ({"writable": [".."]}, "'..' is neither a name"),
        ({"writable": [".hidden"]}, "'.hidden' is neither a name"),
        ({"writable": [7]}, "7 is neither a name"),
        ({"cache": ["/srv/a b"]}, "c.api.cache: '/srv/a b' is neither a name"),
        ({"cache": ["/srv/%i"]}, "c.api.cache: '/srv/%i' is neither a name"),
        ({"writable": ["/srv/../etc"]}, "'/srv/../etc' is neither a name"),
        ({"writable": ["/etc/shop"]}, "c.api.writable: /etc/shop belongs to the system (/etc)"),
        ({"writable": ["/usr"]}, "/usr belongs to the system (/usr)"),
        ({"writable": ["/"]}, "/ belongs to the system"),
        ({"writable": ["/srv"]}, "/srv holds more than this component's"),
        ({"writable": ["/var/lib"]}, "/var/lib holds more than this component's"),
        ({"writable": ["/var/lib/postgresql/15"]}, "/var/lib/postgresql/15 belongs to another service (/var/lib/postgresql)"),
        ({"writable": ["/home/me/x"]}, "/home/me/x is hidden from services"),
        ({"cache": ["/tmp/x"]}, "/tmp/x is the service's own and empty at each start"),
        ({"writable": ["uploads"], "cache": ["/srv/a", "/srv/a/b"]}, "c.api: /srv/a/b is in /srv/a, which is named as well"),
        ({"writable": ["/srv/a"], "cache": ["/srv/a"]}, "c.api: /srv/a is named twice"),
        ({"writable": ["a", "a"]}, "c.api.writable: 'a' is there twice"),
        ({"writable": ["home"]}, "c.api.writable: 'home' makes the process's home, which is for caches; name it in cache"),
        ({"just_in_time": "yes"}, "c.api.just_in_time: must be true or false, is 'yes'"),
        ({"devices": ["gpus"]}, "c.api.devices: 'gpus' is neither gpu nor a device (/dev/…, char-…)"),
        ({"devices": "gpu"}, "c.api.devices: must be a list, is the text 'gpu'"),
        ({"writable": ["/var/lib/aistack-worker"]}, "/var/lib/aistack-worker belongs to a component (/var/lib/aistack-worker)"),
        ({"cache": ["/var/cache/aistack-web-blue/x"]}, "belongs to a component (/var/cache/aistack-web-blue)"),
        ({"devices": ["/dev/sg0"]}, "c.api.devices: /dev/sg0 holds what all others have stored, or the memory of all"),
        ({"devices": ["char-mem"]}, "c.api.devices: char-mem holds what all others have stored, or the memory of all"),
        ({"devices": ["/dev/sda"]}, "c.api.devices: /dev/sda holds what all others have stored, or the memory of all"),
        ({"devices": ["/dev/mem"]}, "/dev/mem holds what all others have stored"),
        ({"devices": ["/dev/../etc/passwd"]}, "'/dev/../etc/passwd' is neither gpu nor a device"),
        ({"devices": ["char-*"]}, "'char-*' is neither gpu nor a device"),
    ],
)
def test_what_opens_too_much_is_refused(more: dict[str, Any], said: str) -> None:
    problems = check_access("c.api", component(**more))
    assert len(problems) == 1, problems
    assert said in problems[0]


def test_only_what_runs_a_release_has_them() -> None:
    assert check_access("c.db", {"role": "postgres", "hosts": "one", "devices": ["gpu"]}) == [
        "c.db.devices: only a component that runs a release (application, release_from) has it; drop it, or see the variables of its role"
    ]


def test_a_good_description_has_no_problems() -> None:
    more = {"writable": ["uploads", "/srv/shop/media"], "cache": ["home", "/srv/models"], "just_in_time": True,
            "devices": ["gpu", "/dev/dri/renderD128", "char-drm"]}
    assert check_access("c.api", component(**more)) == []


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/opt/shop/worker", "/opt/shop/worker is in /opt/shop, where releases and configurations are"),
        ("/var/lib/shop/x", "/var/lib/shop/x is in /var/lib/shop, where the node's journal and secrets are; a folder of the"),
        ("/data", ""),
    ],
)
def test_the_collections_own_folders_stay_closed(path: str, said: str) -> None:
    problems = check_places({"api": component(writable=[path])}, PLACES, {"one": ["a"]})
    assert [problem.startswith(f"aistack_components.api.writable: {said}") for problem in problems] == ([True] if said else [])


def test_what_holds_the_root_is_no_folder_for_a_component() -> None:
    problems = check_places({"api": component(cache=["/data/x"])}, Places("/data/x/root", "/var/lib/shop"), {})
    assert problems == ["aistack_components.api.cache: /data/x holds /data/x/root, where releases and configurations are; name another"]


def test_two_components_of_a_host_write_to_one_folder_as_one_user() -> None:
    groups = {"one": ["a"], "two": ["b"]}
    both = {"api": component(writable=["/srv/media"]), "worker": component(cache=["/srv/media/x"])}
    said = check_places(both, PLACES, groups)
    assert len(said) == 1
    assert said[0].startswith("aistack_components.worker: /srv/media/x overlaps with /srv/media of 'api', which runs as another user")
    same = {name: {**value, "user": "shop"} for name, value in both.items()}
    assert check_places(same, PLACES, groups) == []
    assert check_places({"api": both["api"], "worker": {**both["worker"], "hosts": "two"}}, PLACES, groups) == []
