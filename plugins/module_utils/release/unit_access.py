# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the unit of a component opens of its host: folders that it writes, memory that it runs, devices.

Without a word a process writes nowhere, sees no device and runs no memory that it wrote. Each key of a description opens one of these,
and nothing that is somebody else's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ansible_collections.phasegate.aistack.plugins.module_utils.core.schema import what
from ansible_collections.phasegate.aistack.plugins.module_utils.core.service_user import derived_user

KEYS = ("writable", "cache", "just_in_time", "devices")
HOME = "home"
"""The folder among ``cache`` that is the home of the process."""

GPU = (
    "char-nvidia", "char-nvidia-frontend", "char-nvidia-uvm", "char-nvidia-caps", "char-kfd", "char-drm",
)
"""Devices of graphics cards as systemd's DeviceAllow names them; those that a host does not have open nothing."""
GPU_GROUPS = ("render", "video")
"""Who may open those of AMD and Intel."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_PATH = re.compile(r"(?:/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._+@-]+)+/?|/")
_DEVICE = re.compile(r"/dev(?:/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._+@-]+)+|char-[A-Za-z0-9_-]+")
_STORES = re.compile(
    r"/dev/(?:(?:sd|vd|xvd|hd|nvme|dm-|md|loop|sr|sg|st|fd|mtd|dasd|mmcblk|zd|zfs|nbd|rbd)\w*|(?:disk|mapper|bsg)/.*|mem|kmem|kmsg|port|nvram"
    r"|kvm|root)|char-(?:mem|sg|st|raw|nvme\w*|bsg|mtd)"
)

_SYSTEM = (
    "/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/proc", "/run", "/sbin", "/sys", "/usr", "/var/run", "/var/spool/cron",
)
_OTHERS = tuple(
    f"/var/lib/{name}"
    for name in (
        *("apt", "comfyui", "containers", "docker", "dpkg", "haproxy", "minio", "mysql", "ollama", "postgresql", "private"),
        *("redis", "systemd"),
    )
)
_COMPONENTS = re.compile(r"/var/(?:lib|cache)/aistack-[^/]+")
"""What systemd makes for the units of components."""
_SHARED = (
    *("/media", "/mnt", "/opt", "/srv", "/var"),
    *(f"/var/{name}" for name in ("backups", "cache", "lib", "local", "log", "mail", "spool")),
)
_HIDDEN = ("/home", "/root")
_OWN = ("/tmp", "/var/tmp")


@dataclass(frozen=True)
class Places:
    """Where a stack is on its nodes: ``aistack_root`` and ``aistack_state``."""

    root: str
    state: str


def _within(path: str, folder: str) -> bool:
    """Whether a path is a folder or in it."""
    return path == folder or path.startswith(f"{folder.rstrip('/')}/")


def _listed(component: Mapping[str, object], key: str) -> list[str]:
    """What a key lists, paths without a slash at their end; empty where it is no list."""
    named = component.get(key) or []
    if isinstance(named, str) or not isinstance(named, Sequence):
        return []
    return [name.rstrip("/") or name if isinstance(name, str) else str(name) for name in named]


def _base(key: str, name: str, state: str) -> str:
    return f"{state.rstrip('/')}/{'data' if key == 'writable' else 'cache'}/{name}"


def _paths(key: str, name: str, component: Mapping[str, object], state: str) -> list[str]:
    base = _base(key, name, state)
    return [folder if folder.startswith("/") else f"{base}/{folder}" for folder in _listed(component, key)]


def saved(name: str, component: Mapping[str, object], state: str) -> list[str]:
    """The folders of a component that a backup set keeps."""
    return _paths("writable", name, component, state)


def access_of(name: str, component: Mapping[str, object], places: Places) -> dict[str, object]:
    """What the unit of a component says.

    Returns:
        ``write``: folders that it may write; ``environment``: variables that say where they are; ``just_in_time``: whether memory may
        be written and run, which drivers of devices want as well; ``devices`` as DeviceAllow names them; ``groups`` that may open these.
    """
    write = [path for key in ("writable", "cache") for path in _paths(key, name, component, places.state)]
    environment: dict[str, str] = {}
    for key, variable in (("writable", "AISTACK_DATA"), ("cache", "AISTACK_CACHE")):
        if any(not folder.startswith("/") for folder in _listed(component, key)):
            environment[variable] = _base(key, name, places.state)
    if HOME in _listed(component, "cache"):
        home = f"{_base('cache', name, places.state)}/{HOME}"
        environment.update(HOME=home, XDG_CACHE_HOME=f"{home}/.cache")
    named = _listed(component, "devices")
    return {
        "write": write,
        "environment": environment,
        "just_in_time": component.get("just_in_time") is True or bool(named),
        "devices": list(dict.fromkeys(word for device in named for word in (GPU if device == "gpu" else (device,)))),
        "groups": list(GPU_GROUPS) if "gpu" in named else [],
    }


def _folder_problem(path: str) -> str:
    """Why a component may not have this absolute path, in words; empty where it may."""
    instead = "name a folder such as /srv/shop"
    if path == "/":
        return f"{path} belongs to the system; {instead}"
    for whose, folders in (("the system", _SYSTEM), ("another service", _OTHERS)):
        for folder in folders:
            if _within(path, folder):
                return f"{path} belongs to {whose} ({folder}); {instead}"
    component = _COMPONENTS.match(path)
    if component:
        return f"{path} belongs to a component ({component[0]}); a folder of this component's own is named without a path"
    if any(_within(path, folder) for folder in _HIDDEN):
        return f"{path} is hidden from services, as all homes are; {instead}"
    if any(_within(path, folder) for folder in _OWN):
        return f"{path} is the service's own and empty at each start; it may be written as it is, drop it here"
    if path in _SHARED:
        return f"{path} holds more than this component's; name a folder in it"
    return ""


def _check_folders(where: str, key: str, component: Mapping[str, object]) -> list[str]:
    named = component.get(key)
    if named is None:
        return []
    if isinstance(named, str) or not isinstance(named, Sequence):
        return [f"{where}.{key}: must be a list of folders, is {what(named)}"]
    problems: list[str] = []
    for folder in named:
        absolute = isinstance(folder, str) and _PATH.fullmatch(folder)
        if not absolute and not (isinstance(folder, str) and _NAME.fullmatch(folder)):
            problems.append(
                f"{where}.{key}: {folder!r} is neither a name (letters, digits, '.', '_' and '-') nor an absolute path of such names"
            )
        elif absolute:
            told = _folder_problem(folder.rstrip("/") or folder)
            problems += [f"{where}.{key}: {told}"] if told else []
        elif folder == HOME and key == "writable":
            told = f"'{HOME}' makes the process's home, which is for caches; name it in cache, or call it otherwise"
            problems.append(f"{where}.{key}: {told}")
    seen = _listed(component, key)
    twice = {name for name in seen if seen.count(name) > 1}
    return problems + [f"{where}.{key}: '{name}' is there twice" for name in sorted(twice)]


def check_access(where: str, component: Mapping[str, object]) -> list[str]:
    """Problems in what a component wants opened, the places of the stack aside."""
    if not (component.get("application") or component.get("release_from")):
        told = "only a component that runs a release (application, release_from) has it; drop it, or see the variables of its role"
        return [f"{where}.{key}: {told}" for key in KEYS if key in component]
    problems = [problem for key in ("writable", "cache") for problem in _check_folders(where, key, component)]
    if not problems:
        both = [(key, path) for key in ("writable", "cache") for path in _listed(component, key) if path.startswith("/")]
        problems += [
            f"{where}: {inner} is named twice" if inner == outer else f"{where}: {inner} is in {outer}, which is named as well; drop one"
            for number, (_key, outer) in enumerate(both)
            for other, (_other, inner) in enumerate(both)
            if number != other and _within(inner, outer) and (inner != outer or number < other)
        ]
    just_in_time = component.get("just_in_time", False)
    if not isinstance(just_in_time, bool):
        problems.append(f"{where}.just_in_time: must be true or false, is {just_in_time!r}")
    devices = component.get("devices", [])
    if isinstance(devices, str) or not isinstance(devices, Sequence):
        return [*problems, f"{where}.devices: must be a list, is {what(devices)}"]
    for device in devices:
        if device != "gpu" and not (isinstance(device, str) and _DEVICE.fullmatch(device)):
            problems.append(f"{where}.devices: {device!r} is neither gpu nor a device (/dev/…, char-…)")
        elif _STORES.fullmatch(device):
            problems.append(f"{where}.devices: {device} holds what all others have stored, or the memory of all; no service gets it")
    return problems


def check_places(components: Mapping[str, object], places: Places, groups: Mapping[str, Iterable[str]]) -> list[str]:
    """Problems of absolute folders with the stack's own and with each other. ``groups`` maps a group to its hosts."""
    own = ((places.root.rstrip("/"), "releases and configurations"), (places.state.rstrip("/"), "the node's journal and secrets"))
    problems: list[str] = []
    taken: list[tuple[str, str, str, set[str]]] = []
    for name, component in components.items():
        if not isinstance(component, Mapping) or check_access("", component):
            continue  # what is wrong with it is said already
        user = str(component.get("user") or derived_user(name))
        hosts = set(groups.get(str(component.get("hosts")), ()))
        for key in ("writable", "cache"):
            for path in [folder for folder in _listed(component, key) if folder.startswith("/")]:
                problems += _own_problems(f"aistack_components.{name}.{key}", path, own)
                problems += [
                    f"aistack_components.{name}: {path} overlaps with {theirs} of '{other}', which runs as another user; "
                    "where they are to share what they write, both name the same folder and the same user (user)"
                    for other, theirs, their_user, their_hosts in taken
                    if user != their_user and hosts & their_hosts and (_within(path, theirs) or _within(theirs, path))
                ]
                taken.append((name, path, user, hosts))
    return problems


def _own_problems(where: str, path: str, own: Iterable[tuple[str, str]]) -> list[str]:
    for folder, held in own:
        if _within(path, folder):
            last = path.rpartition("/")[2]
            return [f"{where}: {path} is in {folder}, where {held} are; a folder of the component's own is named without a path: {last}"]
        if _within(path=folder, folder=path):
            return [f"{where}: {path} holds {folder}, where {held} are; name another"]
    return []
