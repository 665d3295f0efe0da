# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Servers and tools that a stack does not have any more: what their roles laid on the node goes, packages stay.

Which role made a component is read from the files in its receipt. What a server of a package had of ours is taken back and it is stopped;
a server that is ours goes altogether. Data goes by its own word alone, and PostgreSQL not at all: a cluster holds whatever databases it
holds, so what removes it is typed by somebody who has looked.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from ansible_collections.phasegate.aistack.plugins.module_utils.node.remove_plan import (
    Places,
    Plan,
    Refused,
    entry_of,
    load,
    own_user,
    text,
    there,
    unit_says,
)

SERVERS = {**{role: role for role in ("minio", "ollama", "comfyui", "victorialogs", "jaeger")}, "loki": "aistack-loki"}
"""Roles that bring a server, its unit and its user themselves: each with the folder in C(/etc), and that of its data."""
WATCHERS = {role: f"aistack-{role}" for role in ("prometheus", "alertmanager", "exporters", "grafana", "superset")}
"""Roles that run a program of somebody else under units of their own: each with the folder in C(/etc), and that of its data."""
UNPACKED = ("grafana", "superset")
"""Those of them that lie below the root of a stack, and run as a user of their own."""
SHIPPER = "aistack-log-shipper"
"""The same of the role that sends lines of the journal; its program is the node's own command."""
CREDENTIALS = {"redis": "redis_*", "minio": "minio_*", "victorialogs": "victorialogs", "jaeger": "jaeger"}
"""Roles that lay down what probes log in with, and how it is called."""
JOURNALD = "etc/systemd/journald.conf.d/aistack.conf"
"""How much the journal may hold, as that role says it."""


def plan(state_dir: Path, component: str, data: bool, places: Places) -> Plan:
    """What would go of a component that has no releases.

    Raises:
        Refused: it cannot be done from here; the text says by what hand.
    """
    role = role_of(state_dir, component, places)
    receipt = _receipt(state_dir, component)
    if role == "toolchain":
        raise Refused(
            f"whatever is released on this node is made with {component} and runs as its users; it goes with the whole stack: "
            f"remove.yml -e stack={entry_of(state_dir, places).get('name', 'NAME')}"
        )
    if role == "postgres":
        way = by_hand(state_dir, component, places)
        raise Refused(f"{component} is a cluster with all that it holds, which no run removes. {way}; then rm {receipt}")
    if role == "":
        raise Refused(
            f"the role of {component} is none of this collection's, and only that knows how it goes; by hand: remove what it made "
            f"({', '.join(_files(state_dir, component)) or 'its receipt names no file'}), then rm {receipt}"
        )
    if role == "edge":
        behind = [path.stem for path in sorted((state_dir / "components").glob("*.json")) if load(path).get("edge")]
        if behind:
            raise Refused(f"{', '.join(behind)} is served by {component}; remove that first")
    return of_role(role, state_dir, component, data, places)


def of_role(role: str, state_dir: Path, component: str, data: bool, places: Places) -> Plan:
    """What a role left here, whatever else is on the node."""
    found = MAKERS.get(role, _nothing)(state_dir, component, data, places)
    found.paths += there(sorted((state_dir / "credentials").glob(CREDENTIALS[role]))) if role in CREDENTIALS else []
    found.last = there([_receipt(state_dir, component)])
    return found


def role_of(state_dir: Path, component: str, places: Places) -> str:
    """The role that made a component; C(nothing) where it made no files, and nothing where it is no role of this collection."""
    files = _files(state_dir, component)
    below = {str(path.relative_to(places.top)) for path in map(Path, files) if places.top in path.parents}
    folders = {tuple(path.split("/")[:2]) for path in below}
    root = entry_of(state_dir, places).get("root", "")
    if not files:
        return "nothing"
    if f"{root}/tools/complete" in files:
        return "toolchain"
    if str(state_dir / "backup.json") in files:
        return "backup"
    if "etc/haproxy/haproxy.cfg" in below:
        return "edge"
    if "etc/systemd/system/victorialogs.service" in below:  # without a password it has no file of settings
        return "victorialogs"
    named = {"postgresql": "postgres", "redis": "redis", "docker": "docker", **{folder: name for name, folder in SERVERS.items()},
             **{folder: role for role, folder in WATCHERS.items()}, SHIPPER: "log_shipper"}
    return next((role for folder, role in named.items() if ("etc", folder) in folders), "")


def by_hand(state_dir: Path, component: str, places: Places) -> str:
    """What removes PostgreSQL, for somebody who has looked at what it holds. To be typed by root, as it stands.

    A command that names no cluster speaks with the one at the usual port, which may be another's. What the role laid into the settings of
    a cluster is nothing that pg_dropcluster knows: it would leave it, and a cluster made again by this name would read it.
    """
    found = [re.search(r"etc/postgresql/([^/]+)/([^/]+)/", path) for path in _files(state_dir, component)]
    clusters = sorted({(match[1], match[2]) for match in found if match}) or [("VERSION", "CLUSTER")]
    dropin = places.units / "postgresql@.service.d/aistack.conf"
    look = " && ".join(f"sudo -u postgres psql --cluster {version}/{name} --list" for version, name in clusters)
    settings = places.top / "etc/postgresql"
    drop = [f"pg_dropcluster --stop {version} {name} && rm -rf {settings / version / name}" for version, name in clusters]
    if not _named_by_others(dropin, state_dir, component, places):
        drop.append(f"rm {dropin} && systemctl daemon-reload")
    version, name = clusters[0]
    return (
        f"To look: {look}; one database away: sudo -u postgres dropdb --cluster {version}/{name} DATABASE; all of them, with the server's "
        f"settings: {' && '.join(drop)}"
    )


def _named_by_others(path: Path, state_dir: Path, component: str, places: Places) -> bool:
    """Whether another component, of this stack or of another one, has this file as well."""
    states = {state_dir, *(Path(entry["state_dir"]) for entry in map(load, places.registry.glob("*.json")) if "state_dir" in entry)}
    receipts = (receipt for state in states for receipt in (state / "receipts").glob("*.json"))
    return any(str(path) in (load(receipt).get("files") or {}) for receipt in receipts if receipt != _receipt(state_dir, component))


def _receipt(state_dir: Path, component: str) -> Path:
    return state_dir / "receipts" / f"{component}.json"


def _files(state_dir: Path, component: str) -> list[str]:
    files = load(_receipt(state_dir, component)).get("files")
    return sorted(files) if isinstance(files, dict) else []


def _kept(found: Plan, data: bool, folders: list[Path], what: str) -> bool:
    """Have data go, or say where it stays; returns whether some stays."""
    here = there(folders)
    if data:
        found.paths += here
    else:
        found.stays += [f"{path}, {what}: data=true takes it away" for path in here]
    return bool(here) and not data


def _nothing(_state_dir: Path, _component: str, _data: bool, _places: Places) -> Plan:
    return Plan()


def _server(state_dir: Path, component: str, data: bool, places: Places) -> Plan:
    files = [Path(path) for path in _files(state_dir, component)]
    role = role_of(state_dir, component, places)
    root = Path(entry_of(state_dir, places).get("root", "/nonexistent"))
    units = sorted((path for path in files if path.parent == places.units), key=lambda path: path.suffix != ".timer")
    settings = places.top / "etc" / SERVERS[role]
    found = Plan(units=[path.name for path in units])
    if (settings / "filter.nft").exists():
        servers = [path.name for path in units if unit_says(path, "User")]
        found.tables = [f"aistack_{re.sub('[^A-Za-z0-9]+', '_', unit)}" for unit in servers]
    homes = [root / path.relative_to(root).parts[0] for path in files if root in path.parents]
    # the settings after the units, which say whose they are
    found.paths = there([*homes, root / "cache" / component, *(Path(f"{path}.d") for path in units), settings])
    written = [Path(path) for unit in units for path in unit_says(unit, "ReadWritePaths")]
    data_dir = next((path for path in written if path.parent == places.data), places.data / SERVERS[role])
    what = {"minio": "its buckets", "ollama": "its models", "comfyui": "its models and pictures",
            "victorialogs": "the lines that it keeps", "loki": "the lines that it keeps",
            "jaeger": "the traces that it keeps"}[role]
    stays = _kept(found, data, [path for path in dict.fromkeys([data_dir, *written]) if places.data in path.parents], what)
    found.stays += [f"{path}, where {component} wrote: by hand, rm -r {path}" for path in written if places.data not in path.parents
                    and path.exists()]
    packaged = role == "loki" and any(path.suffix == ".deb" for path in files)
    found.stays += ["the package loki, whose own unit is masked"] if packaged else []
    users = own_user(next((user for unit in units for user in unit_says(unit, "User")), role), units, places, data_dir)
    found.users = [] if stays else users
    found.stays += [f"user {user}, whose these files are" for user in users if stays]
    found.paths += there(units)
    return found


def _redis(_state_dir: Path, _component: str, data: bool, places: Places) -> Plan:
    folder, dropin = places.top / "etc/redis", places.units / "redis-server.service.d/aistack.conf"
    found = Plan(units=["redis-server.service"], paths=there([dropin, *sorted(folder.glob("aistack*"))]))
    line = rf"^include {re.escape(str(folder / 'aistack.conf'))}\n?"
    if re.search(line, text(folder / "redis.conf"), re.MULTILINE):
        found.cut = [(folder / "redis.conf", line, "the line that includes our settings")]
    _kept(found, data, sorted((places.data / "redis").glob("*")), "what Redis keeps")
    found.stays.append("the package redis-server, stopped: as its distribution has it, it asks nobody for a password")
    return found


def _docker(_state_dir: Path, _component: str, _data: bool, places: Places) -> Plan:
    settings = places.top / "etc/docker/daemon.json"
    return Plan(stays=[f"Docker, running, with {settings} and what else it holds: docker system df shows that"])


def _postgres(state_dir: Path, component: str, _data: bool, places: Places) -> Plan:
    where = ", ".join(str(path) for path in sorted((places.data / "postgresql").glob("*/*"))) or str(places.data / "postgresql")
    return Plan(stays=[f"PostgreSQL with its settings and every database, running ({where}). {by_hand(state_dir, component, places)}"])


def _backup(state_dir: Path, component: str, data: bool, places: Places) -> Plan:
    units = [Path(path) for path in _files(state_dir, component) if Path(path).parent == places.units]
    found = Plan(units=[path.name for path in units if path.suffix == ".timer"])
    found.units += [path.name for path in units if path.suffix == ".service"]
    stamps = [places.data / f"systemd/timers/stamp-{path.name}" for path in units if path.suffix == ".timer"]
    found.paths = there([*units, *stamps, *(state_dir / f"backup.{name}" for name in ("json", "rclone.conf", "copied", "failed"))])
    _kept(found, data, [state_dir / "backups", state_dir / "backup.key"], "backup sets and the key that signed them")
    return found


def _edge(state_dir: Path, _component: str, _data: bool, places: Places) -> Plan:
    name = str(entry_of(state_dir, places).get("name", ""))
    stacks = re.findall(r"^# BEGIN stack (\S+)$", text(places.edge), re.MULTILINE)
    found = Plan(paths=there(places.edge.parent / f"aistack-{name}{kind}.pem" for kind in ("", "-ca")))
    if set(stacks) - {name}:
        if name in stacks:
            said = re.escape(name)
            found.cut = [(places.edge, rf"^# BEGIN stack {said}\n.*?^# END stack {said}\n", f"the part of {name}")]
            found.reload = ["haproxy.service"]
        found.stays.append(f"HAProxy, which serves {', '.join(sorted(set(stacks) - {name}))}")
        return found
    dropin, script = places.units / "haproxy.service.d/aistack.conf", places.top / "usr/local/sbin/aistack-edge-state"
    found.units = ["haproxy.service"]
    found.paths += there([places.edge, dropin, script, *sorted((places.data / "haproxy").glob("server-state*"))])
    found.stays.append("the package haproxy, stopped")
    return found


def _watcher(state_dir: Path, component: str, data: bool, places: Places) -> Plan:
    role = role_of(state_dir, component, places)
    folder = WATCHERS[role]
    units = [path for path in map(Path, _files(state_dir, component)) if path.parent == places.units]
    found = Plan(units=[path.name for path in units], paths=there([*units, places.top / "etc" / folder]))
    found.tables = [
        f"aistack_{re.sub('[^A-Za-z0-9]+', '_', path.name)}" for path in units
        if (places.top / "etc" / folder / f"{path.name.removeprefix('aistack-').removesuffix('-exporter.service')}.nft").exists()
    ]
    if role == "exporters":
        found.paths += there([places.data / f"prometheus/node-exporter/aistack-{entry_of(state_dir, places).get('name', '')}.prom"])
    what = {"prometheus": "figures", **dict.fromkeys(UNPACKED, "its users, and what they made")}.get(role, "silences, and what was sent")
    _kept(found, data, [places.data / folder], what)
    found.stays.append(f"the packages of {role}, whose own units are masked")
    return found


def _unpacked(state_dir: Path, component: str, data: bool, places: Places) -> Plan:
    found = _watcher(state_dir, component, data, places)
    root = Path(entry_of(state_dir, places).get("root", "/nonexistent"))
    homes = [root / path.relative_to(root).parts[0] for path in map(Path, _files(state_dir, component)) if root in path.parents]
    role = role_of(state_dir, component, places)
    data_dir = places.data / WATCHERS[role]
    units = [path for path in found.paths if path.parent == places.units]
    users = own_user(next((user for unit in units for user in unit_says(unit, "User")), role), units, places, data_dir)
    found.paths = there([*homes, *found.paths])
    found.users = users if data or not data_dir.exists() else []
    found.stays = [line for line in found.stays if "packages of" not in line]
    found.stays += [f"user {user}, whose these files are" for user in users if user not in found.users]
    found.stays += [] if homes else [f"the package {role}, whose own unit is masked"]
    return found


def _shipper(state_dir: Path, component: str, data: bool, places: Places) -> Plan:
    units = [path for path in map(Path, _files(state_dir, component)) if path.parent == places.units]
    found = Plan(units=[path.name for path in units], paths=there([*units, places.top / "etc" / SHIPPER, places.top / JOURNALD]))
    _kept(found, data, [places.data / SHIPPER], "how far the journal was sent")
    found.stays.append("the journal, as large as it was allowed to be until systemd-journald starts again")
    return found


MAKERS: dict[str, Callable[[Path, str, bool, Places], Plan]] = {
    "edge": _edge,
    "redis": _redis,
    "backup": _backup,
    "docker": _docker,
    "postgres": _postgres,
    **dict.fromkeys(SERVERS, _server),
    **dict.fromkeys(WATCHERS, _watcher),
    **dict.fromkeys(UNPACKED, _unpacked),
    "log_shipper": _shipper,
}
