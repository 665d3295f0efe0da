# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Units of systemd as roles write them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml
from ansible.errors import AnsibleFilterError

from ansible_collections.phasegate.aistack.plugins.filter.stack import unit_access

ROLES = Path(__file__).resolve().parents[3] / "roles"
SERVICES = sorted(path for path in ROLES.glob("*/templates/*service*.j2") if "Type=oneshot" not in path.read_text(encoding="utf-8"))
COMPONENTS = {
    "postgres": {"hosts": "data", "unit": "postgresql.service"},
    "ollama": {"hosts": "gpu", "unit": "ollama.service"},
    "backend": {"hosts": "data", "application": "shop"},
    "toolchain": {"hosts": "data"},
}


def opened(**more: Any) -> dict[str, Any]:
    """What the unit of a worker opens whose description has these keys."""
    return unit_access({"worker": {"hosts": "data", "release_from": "backend", **more}}, "worker", "/opt/aistack", "/var/lib/aistack")


def rendered(**more: Any) -> dict[str, list[str]]:
    """The unit of a worker's slots on the host ``one``, as section to lines."""
    template = jinja2.Environment(keep_trailing_newline=True, trim_blocks=True, undefined=jinja2.StrictUndefined).from_string(
        (ROLES / "release/templates/slot.service.j2").read_text(encoding="utf-8")
    )
    template.environment.filters["dictsort"] = lambda value: sorted(value.items())
    text = template.render({
        "ansible_managed": "managed", "aistack_root": "/opt/aistack", "release_component": "worker",
        "release_user": "aistack-worker", "release_group": "aistack",
        "release_unit": {"description": "Worker", "exec": "/bin/true"}, "__release_slots": {"stop_timeout": 30},
        "aistack_components": COMPONENTS, "groups": {"data": ["one"], "gpu": ["two"]}, "inventory_hostname": "one",
        "release_description": {"after": ["postgres", "ollama", "backend", "toolchain"]}, "__release_access": opened(), **more,
    })
    sections: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.startswith("["):
            sections[line[1:-1]] = []
        elif sections and line and not line.startswith("#"):
            sections[list(sections)[-1]].append(line)
    return sections


def test_there_are_services() -> None:
    assert {path.parent.parent.name for path in SERVICES} >= {"release", "minio", "ollama", "comfyui"}


def test_a_process_knows_which_instance_of_its_slot_it_is() -> None:
    assert "Environment=AISTACK_INSTANCE=%i" in rendered()["Service"]


@pytest.mark.parametrize("path", SERVICES, ids=lambda path: path.parent.parent.name)
def test_a_service_is_started_again_for_as_long_as_what_it_needs_is_not_there(path: Path) -> None:
    """A database may replay its log for minutes after a power cut: systemd gives up on nothing that is to run."""
    text = path.read_text(encoding="utf-8")
    unit, service = text.partition("[Service]")[::2]
    assert "StartLimitIntervalSec=0" in unit.splitlines()
    assert "Restart=always" in service.splitlines()
    assert "RestartSec=2" in service.splitlines()


@pytest.mark.parametrize(("role", "when"), [("redis", "always"), ("edge", "always"), ("postgres", "on-failure")])
def test_so_is_a_service_of_the_distribution(role: str, when: str) -> None:
    text = (ROLES / role / "templates/unit.conf.j2").read_text(encoding="utf-8")
    unit, service = text.partition("[Service]")[::2]
    assert "StartLimitIntervalSec=0" in unit.splitlines()
    assert {f"Restart={when}", "RestartSec=2"} <= set(service.splitlines())


def test_slots_start_after_what_they_stand_on_where_it_is_on_the_same_host() -> None:
    after = [line for line in rendered()["Unit"] if line.startswith("After=")]
    assert after == [
        "After=network-online.target", "After=postgresql.service", "After=aistack-backend@blue.service aistack-backend@green.service",
    ]
    assert [line for line in rendered(release_description={})["Unit"] if line.startswith("After=")] == ["After=network-online.target"]


def test_a_slot_runs_as_the_user_of_its_component() -> None:
    """A group of all components reads the trees; what one of them runs is no business of the others."""
    service = rendered()["Service"]
    assert {"User=aistack-worker", "Group=aistack", "ProtectProc=invisible"} <= set(service)


CLOSED = {"PrivateDevices=yes", "MemoryDenyWriteExecute=yes", "ProtectSystem=strict", "SystemCallFilter=~@privileged @resources"}


def test_a_slot_writes_nowhere_and_sees_no_device_unless_its_description_says_so() -> None:
    service = rendered()["Service"]
    assert set(service) >= CLOSED
    opens = ("ReadWritePaths", "Device", "Environment=", "SupplementaryGroups")
    assert [line for line in service if line.startswith(opens)] == ["Environment=AISTACK_INSTANCE=%i"]
    assert [line for line in rendered()["Unit"] if line.startswith("RequiresMountsFor")] == []


def test_folders_of_a_description_are_open_and_named_to_the_application() -> None:
    unit = rendered(__release_access=opened(writable=["uploads"], cache=["home", "/srv/models"]))
    own = "/var/lib/aistack/data/worker/uploads /var/lib/aistack/cache/worker/home"
    assert set(unit["Service"]) >= {
        *CLOSED, f"ReadWritePaths={own} /srv/models", "Environment=AISTACK_DATA=/var/lib/aistack/data/worker",
        "Environment=HOME=/var/lib/aistack/cache/worker/home", "Environment=XDG_CACHE_HOME=/var/lib/aistack/cache/worker/home/.cache",
    }
    assert "RequiresMountsFor=/srv/models" in unit["Unit"]


def test_memory_that_is_written_and_run() -> None:
    service = rendered(__release_access=opened(just_in_time=True))["Service"]
    assert set(service) >= {*CLOSED - {"MemoryDenyWriteExecute=yes"}, "MemoryDenyWriteExecute=no"}
    node = {"release_unit": {"description": "Site", "exec": "/bin/true", "just_in_time": True}}
    assert "MemoryDenyWriteExecute=no" in rendered(**node)["Service"], "its role says so"


def test_a_graphics_card_in_a_worker() -> None:
    service = rendered(__release_access=opened(devices=["gpu", "/dev/dri/renderD128"]))["Service"]
    assert not {"PrivateDevices=yes", "MemoryDenyWriteExecute=yes", "SystemCallFilter=~@privileged @resources"} & set(service)
    assert set(service) >= {
        "DevicePolicy=closed", "DeviceAllow=char-nvidia-uvm rw", "DeviceAllow=/dev/dri/renderD128 rw", "SupplementaryGroups=render video",
        "MemoryDenyWriteExecute=no", "SystemCallFilter=~@privileged",
    }


def test_what_would_open_somebody_elses_folder_is_not_rendered() -> None:
    for writable, said in (("/etc/shop", "belongs to the system"), ("/opt/aistack/backend", "where releases and configurations are")):
        with pytest.raises(AnsibleFilterError, match=said):
            opened(writable=[writable])


FOLDERS = {
    "ollama": ({"ollama_data": "/srv/data", "ollama_models_dir": "/srv/models"}, {"/srv/data", "/srv/models"}),
    "comfyui": (
        {"comfyui_data": "/srv/data", "comfyui_models_dir": "/srv/models", "comfyui_writable": ["/srv/out"]},
        {"/srv/data", "/srv/models", "/srv/out"},
    ),
    "minio": ({"minio_data": "/srv/minio"}, {"/srv/minio"}),
    "postgres": (
        {"__postgres_settings": {"data_directory": "/srv/pg", "log_directory": "log"}, "postgres_writable": ["/srv/space"]},
        {"/srv/pg", "/srv/space"},
    ),
    "redis": ({"redis_settings": {"dir": "/srv/redis", "logfile": "/srv/log/redis.log"}}, {"/srv/redis", "/srv/log"}),
    "edge": ({"edge_state_file": "/srv/state/servers", "edge_admin_socket": "/srv/admin/sock"}, {"/srv/state", "/srv/admin"}),
}


def written(role: str, **given: Any) -> list[str]:
    """The folders that the unit of a role lets its server write."""
    path = next(path for path in (ROLES / role / "templates").glob("*.j2") if path.name in (f"{role}.service.j2", "unit.conf.j2"))
    engine = jinja2.Environment(keep_trailing_newline=True, trim_blocks=True, undefined=jinja2.ChainableUndefined)
    engine.filters.update(dirname=lambda file: str(Path(str(file)).parent), quote=str, basename=str)
    defaults = yaml.safe_load((ROLES / role / "defaults/main.yml").read_text(encoding="utf-8"))
    text = engine.from_string(path.read_text(encoding="utf-8")).render({"__postgres_settings": {}, **defaults, **given})
    lines = [line.partition("=")[2] for line in text.splitlines() if line.startswith("ReadWritePaths=")]
    return [folder.lstrip("-") for line in lines for folder in line.split()]


@pytest.mark.parametrize("role", list(FOLDERS))
def test_a_folder_that_a_role_is_told_to_use_may_be_written_by_its_server(role: str) -> None:
    given, wanted = FOLDERS[role]
    assert set(written(role, **given)) >= wanted
    assert not set(written(role)) & wanted


@pytest.mark.parametrize("role", ["ollama", "comfyui"])
@pytest.mark.parametrize(("data", "models"), [("/srv/models", "/srv/models2"), ("/srv/models/", "/srv/models2"), ("/srv/d", "/srv/d-m/x")])
def test_a_neighbour_whose_name_begins_alike_is_a_folder_of_its_own(role: str, data: str, models: str) -> None:
    assert models in written(role, **{f"{role}_data": data, f"{role}_models_dir": models})


def test_a_runtime_is_asked_to_end_as_it_wants_it() -> None:
    """nginx cuts off who is being answered where it gets SIGTERM."""
    assert not [line for line in rendered()["Service"] if line.startswith("KillSignal")]
    unit = {"description": "Site", "exec": "/usr/sbin/nginx", "kill_signal": "SIGQUIT"}
    assert "KillSignal=SIGQUIT" in rendered(release_unit=unit)["Service"]


def test_a_slot_of_containers_is_made_anew_started_in_the_foreground_and_nothing_of_it_is_left() -> None:
    """Docker's socket is root's: its commands run with `+`, and the unit names the user whom the process in the container runs as."""
    tasks = yaml.safe_load((ROLES / "container/tasks/unit.yml").read_text(encoding="utf-8"))
    template = jinja2.Environment(undefined=jinja2.StrictUndefined)
    known = {"aistack_component": {}, "aistack_component_name": "worker", "aistack_name": "shop"}
    variables = yaml.safe_load((ROLES / "container/vars/main.yml").read_text(encoding="utf-8"))
    for name in ("__container_unit", "__container_docker", "__container_compose"):
        known[name] = template.from_string(variables[name]).render(known).strip()

    def filled(value: Any) -> Any:
        return [filled(one) for one in value] if isinstance(value, list) else template.from_string(str(value)).render(known)

    described = {key: filled(value) for key, value in tasks[-1]["vars"]["release_unit"].items() if key != "description"}
    unit = rendered(release_unit={"description": "Worker", **described})
    docker = "/usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 docker"
    compose = f"{docker} compose --ansi never --progress quiet --file /run/aistack-worker-%i/compose.json"
    assert [line for line in unit["Service"] if line.startswith("Exec")] == [
        "ExecStartPre=+/usr/local/bin/aistack --stack shop container worker %i",
        f"ExecStartPre=+{compose} up --no-start --no-build --force-recreate --remove-orphans",
        f"ExecStart=+{docker} start --attach aistack-worker-%i",
        f"ExecStopPost=-+{compose} down --remove-orphans --timeout 0",
    ]
    assert {"Requires=docker.service", "After=docker.service"} <= set(unit["Unit"])
    assert {"User=aistack-worker", "SyslogIdentifier=aistack-worker", "KillMode=mixed", "TimeoutStopSec=30"} <= set(unit["Service"])
