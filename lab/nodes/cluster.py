# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring nodes to the state that they should have, from whatever state they are in.

Every step looks first and acts only where something is missing; therefore an interrupted run is simply repeated.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import os
import shutil
import socket
import subprocess
import tarfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from nodes import images, machine, settings
from nodes.podman import configure, podman, say, unified_cgroups, write_atomically
from nodes.settings import LabError, Node

KEY = settings.SSH / "id_ed25519"
KNOWN_HOSTS = settings.SSH / "known_hosts"
MEMORY = settings.STATE / "nodes.json"  # per node: the container's id, the hash of the files laid on it, its host key
JOURNALS = settings.STATE / "journal"
DOCKER = settings.STATE / "docker"  # what Docker keeps, per node: an overlay cannot lie on an overlay
BYTECODE = settings.ROOT / "lab" / "bytecode" / "sitecustomize.py"
BOOT_SECONDS = 90

FIRST_BOOT = """\
#!/bin/sh
# before sshd starts: a host key of this node's own, and the certificate authorities that were laid here (as if empty where none is)
set -eu
key=/etc/ssh/ssh_host_ed25519_key
[ -s "$key.pub" ] || { rm -f "$key"; ssh-keygen -q -t ed25519 -N '' -C "$(hostname)" -f "$key"; }
sum=$(cat /usr/local/share/ca-certificates/*.crt 2>/dev/null | sha256sum)
[ "$sum" = "$(cat /var/lib/lab-certificates 2>/dev/null)" ] || {
  update-ca-certificates >/dev/null
  echo "$sum" > /var/lib/lab-certificates
}
"""
FIRST_BOOT_UNIT = """\
[Unit]
Description=Host key and certificate authorities of a lab node
DefaultDependencies=no
After=local-fs.target systemd-tmpfiles-setup.service
Before=ssh.service sysinit.target
# (tmpfiles empties /tmp at boot, in which update-ca-certificates works)
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/local/sbin/lab-first-boot
[Install]
WantedBy=sysinit.target
"""


@contextmanager
def locked() -> Iterator[None]:
    """Hold the labs of this checkout, so that two commands do not work on the same nodes."""
    settings.STATE.mkdir(parents=True, exist_ok=True)
    with (settings.SHARED / "lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another lab command of this checkout")
            fcntl.flock(handle, fcntl.LOCK_EX)
        configure()
        yield


def containers() -> dict[str, dict[str, Any]]:
    """Return the lab's containers by name, as `podman ps` describes them; those of other checkouts included."""
    listing = podman("ps", "--all", "--format", "json", "--filter", f"label={settings.LABEL}")
    return {item["Names"][0]: item for item in json.loads(listing or "[]") or []}


def _owner(item: dict[str, Any]) -> str:
    return str((item.get("Labels") or {}).get(settings.LABEL, ""))


def _recall() -> dict[str, dict[str, str]]:
    try:
        content: dict[str, dict[str, str]] = json.loads(MEMORY.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return content


def _ensure_key() -> str:
    """Return the public key that the nodes let in; make the pair on the first call."""
    public = KEY.with_suffix(".pub")
    if not (KEY.exists() and public.exists()):
        settings.SSH.mkdir(mode=0o700, parents=True, exist_ok=True)
        KEY.unlink(missing_ok=True)
        public.unlink(missing_ok=True)
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "phasegate-lab", "-f", str(KEY)]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    KEY.chmod(0o600)
    return public.read_text(encoding="utf-8")


def _ensure_network() -> None:
    """Have the lab's network."""
    names = podman("network", "ls", "--format", "{{.Name}}").split()
    if settings.NETWORK in names:
        return
    command = ["network", "create", "--subnet", settings.SUBNET, "--disable-dns"]
    try:
        podman(*command, "--label", f"{settings.LABEL}=network", settings.NETWORK)
    except LabError as error:
        raise LabError(
            f"the network {settings.SUBNET} could not be made.",
            str(error),
            f"to do: if {settings.SUBNET} is in use here (ip route; podman network ls), free it: the lab's addresses "
            "stand in lab/nodes/settings.py and inventories/lab/hosts.yml",
        ) from error


def _interface(node: Node) -> list[str]:
    """Return podman's arguments that give the node its addresses.

    The hardware address is that of before when the node boots again, as a machine's is: its neighbours go on to find it at once.
    """
    return ["--ip", node.address, "--mac-address", f"02:50:47:00:00:{int(node.address.rpartition('.')[2]):02x}"]


def _create_command(node: Node) -> list[str]:
    """Return podman's arguments that make the node's container."""
    command = ["create", "--name", node.container, "--hostname", node.name, "--systemd=always"]
    command += ["--network", settings.NETWORK, *_interface(node)]
    # without SYS_ADMIN systemd's sandboxing fails or is silently not enforced; NET_ADMIN is for fault tests
    command += ["--cap-add", "SYS_ADMIN", "--cap-add", "NET_ADMIN"]
    command += ["--memory", f"{node.memory}m", "--shm-size", "256m", "--pids-limit", "4096", "--stop-timeout", "30"]
    command += ["--env", "LANG=C.UTF-8"]
    # podman lays a tmpfs over both: bound the one, and let the journal outlive a restart of the node
    command += ["--tmpfs", "/tmp:rw,size=512m,mode=1777", "--volume", f"{JOURNALS / node.name}:/var/log/journal"]
    if not unified_cgroups():
        # systemd 256 and later start on cgroup v1 only when told twice; earlier ones overlook this
        command += ["--env", "SYSTEMD_PROC_CMDLINE=systemd.unified_cgroup_hierarchy=0"]
        command += ["--env", "SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1"]
    if node.runs_containers:
        command += _containers_in_it(node)
    for other in settings.ALL:
        if other != node:
            command += ["--add-host", f"{other.name}:{other.address}"]
    return [*command, "--label", f"{settings.LABEL}={settings.ROOT}", images.tag(node), "/sbin/init"]


def _containers_in_it(node: Node) -> list[str]:
    """Return podman's arguments that let a node run containers of its own; less than ``--privileged``, which runc refuses here."""
    command = []
    for right in ("SYS_PTRACE", "NET_RAW", "MKNOD", "SYS_CHROOT", "AUDIT_WRITE", "DAC_READ_SEARCH"):
        command += ["--cap-add", right]
    for option in ("seccomp=unconfined", "apparmor=unconfined", "unmask=ALL"):
        command += ["--security-opt", option]
    command += ["--cgroupns=host", "--volume", "/sys/fs/cgroup:/sys/fs/cgroup:rw"]
    return [*command, "--volume", f"{DOCKER / node.name}:/var/lib/docker"]


def _files(node: Node, public_key: str) -> dict[str, tuple[int, bytes]]:
    """Return everything that is laid on the node from outside: path to (mode, content)."""
    return {
        **machine.node_files(node),
        **(_bytecode() if os.environ.get("AISTACK_TEST_BYTECODE") else {}),
        f"/etc/ssh/authorized_keys.d/{settings.USER}": (0o644, public_key.encode()),
        "/usr/local/sbin/lab-first-boot": (0o755, FIRST_BOOT.encode()),
        "/etc/systemd/system/lab-first-boot.service": (0o644, FIRST_BOOT_UNIT.encode()),
    }


def _bytecode() -> dict[str, tuple[int, bytes]]:
    """Return what makes the node's own Python keep what it compiled of Ansible's modules: for tests (see the file that is laid there)."""
    packages = "/usr/lib/python3/dist-packages"
    return {
        f"{packages}/lab_bytecode.py": (0o644, BYTECODE.read_bytes()),
        f"{packages}/lab_bytecode.pth": (0o644, b"import lab_bytecode\n"),
        "/var/cache/lab-bytecode/README": (0o644, b"Modules that were compiled during tests; may be removed at any time.\n"),
    }


def _archive(files: dict[str, tuple[int, bytes]]) -> bytes:
    """Return the files as a tar archive (podman makes root the owner of what it copies)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path, (mode, content) in files.items():
            entry = tarfile.TarInfo(path.lstrip("/"))
            entry.mode, entry.size, entry.mtime = mode, len(content), int(time.time())
            tar.addfile(entry, io.BytesIO(content))
        wanted = tarfile.TarInfo("etc/systemd/system/sysinit.target.wants/lab-first-boot.service")
        wanted.type, wanted.linkname = tarfile.SYMTYPE, "/etc/systemd/system/lab-first-boot.service"
        tar.addfile(wanted)
    return buffer.getvalue()


def _banner(node: Node, timeout: float = 1.0) -> bool:
    """Tell whether sshd answers at the node's address."""
    try:
        with socket.create_connection((node.address, 22), timeout) as connection:
            connection.settimeout(timeout)
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def _wait_for_boot(node: Node, fresh: bool) -> str:
    """Wait until systemd has started everything; return the node's public host key."""
    deadline = time.monotonic() + BOOT_SECONDS
    question = "systemctl is-system-running --wait; cat /etc/ssh/ssh_host_ed25519_key.pub"
    answer: list[str] = []
    while time.monotonic() < deadline:
        try:
            answer = podman("exec", node.container, "sh", "-c", question, timeout=BOOT_SECONDS).splitlines()
        except LabError:
            answer = []
        if len(answer) == 2 and answer[0] in ("running", "degraded") and _banner(node):
            break
        time.sleep(0.2)
    else:
        raise LabError(
            f"{node.name} did not come up within {BOOT_SECONDS} s.",
            f"expected: systemd `running` and sshd at {node.address}:22",
            f"got: {answer or 'no answer from systemd'}; sshd {'answers' if _banner(node) else 'does not answer'}",
            f"to do: podman logs {node.container}; podman exec {node.container} journalctl -b",
        )
    if answer[0] == "degraded":
        failed = podman("exec", node.container, "systemctl", "list-units", "--failed", "--plain", "--no-legend")
        units = ", ".join(line.split()[0] for line in failed.splitlines() if line.strip())
        if fresh:
            raise LabError(f"{node.name} started, but not everything on it: {units} failed.", failed.strip())
        say(f"{node.name}: running, with failed units: {units}")
    return " ".join(answer[1].split()[:2])


def _refuse_foreign(item: dict[str, Any], node: Node) -> None:
    """Raise LabError if the container belongs to the lab of another checkout that still exists.

    A machine of continuous integration (``CI=true``) belongs to the job at hand: there, what a job before left is replaced.
    """
    owner = _owner(item)
    if owner != str(settings.ROOT) and os.path.isdir(owner) and os.environ.get("CI") != "true":
        raise LabError(
            f"{node.container} belongs to the lab of another checkout: {owner}",
            "to do: `make clean` there, then repeat the command (one lab at a time: the addresses are the same)",
        )


def _bring_up(node: Node, item: dict[str, Any] | None, remembered: dict[str, str], public_key: str) -> dict[str, str]:
    """Bring one node up; return what to remember of it."""
    started = time.monotonic()
    files = _files(node, public_key)
    digest = hashlib.sha256(repr(sorted(files.items())).encode()).hexdigest()
    if item is not None:
        _refuse_foreign(item, node)
        if _owner(item) != str(settings.ROOT):  # a checkout that is gone, or a job before this one
            say(f"{node.name}: replaces the one that {_owner(item)} left")
            podman("rm", "--force", "--time", "5", node.container)
            item = None
    if item is not None and item["Image"] != images.tag(node):
        say(f"{node.name}: made from an older recipe ({item['Image']}); `make clean` gives a new one")
    known = item is not None and remembered.get("id") == item["Id"] and bool(remembered.get("host_key"))
    laid = known and remembered.get("files") == digest
    if item is not None and laid and item["State"] == "running" and _banner(node):
        say(f"{node.name:<10} Debian {node.debian}  {node.address}  running")
        return remembered
    fresh = item is None
    (JOURNALS / node.name).mkdir(parents=True, exist_ok=True)
    if node.runs_containers:
        (DOCKER / node.name).mkdir(parents=True, exist_ok=True)
    if item is None:
        podman(*_create_command(node))
        state = "created"
    else:
        state = str(item["State"])
    if state == "paused":
        podman("unpause", node.container)
        state = "running"
    if not laid:
        podman("cp", "-", f"{node.container}:/", stdin=_archive(files))
    if state != "running":
        podman("start", node.container)
    else:
        _repair(node, restart=not laid)
    host_key = _wait_for_boot(node, fresh)
    identity = podman("inspect", "--format", "{{.Id}}", node.container).strip()
    verb = "made" if fresh else "started" if state != "running" else "put right"
    say(f"{node.name:<10} Debian {node.debian}  {node.address}  {verb} after {time.monotonic() - started:.1f} s")
    return {"id": identity, "files": digest, "host_key": host_key}


def _repair(node: Node, restart: bool) -> None:
    """Put a running node right that does not answer: its network, what was laid on it, its sshd."""
    networks = podman(
        "inspect", "--format", "{{range $n, $v := .NetworkSettings.Networks}}{{$n}} {{end}}", node.container
    )
    if settings.NETWORK not in networks.split():
        podman("network", "connect", *_interface(node), settings.NETWORK, node.container)
    if restart:
        podman(
            "exec", node.container, "sh", "-c", "systemctl daemon-reload && systemctl restart lab-first-boot.service"
        )
    podman("exec", node.container, "systemctl", "start", "ssh.service")


def up(nodes: tuple[Node, ...]) -> None:
    """Have these nodes running and reachable over ssh with a verified host key."""
    with locked():
        public_key = _ensure_key()
        images.ensure(nodes)
        _ensure_network()
        present, memory = containers(), _recall()
        with ThreadPoolExecutor(max_workers=len(nodes)) as pool:
            jobs = {
                node.name: pool.submit(
                    _bring_up, node, present.get(node.container), memory.get(node.name, {}), public_key
                )
                for node in nodes
            }
        failures = []
        for name, job in jobs.items():
            error = job.exception()
            if error is None:
                memory[name] = job.result()
            elif isinstance(error, LabError):
                failures.append(str(error))
            else:
                raise error
        _remember(memory)
        if failures:
            raise LabError(*failures)


def _remember(memory: dict[str, dict[str, str]]) -> None:
    """Write what is known of the nodes, and their host keys for ssh, where anything changed."""
    text = json.dumps(memory, indent=1, sort_keys=True) + "\n"
    if not MEMORY.exists() or MEMORY.read_text(encoding="utf-8") != text:
        write_atomically(MEMORY, text)
    lines = [f"{n.name},{n.address} {memory[n.name]['host_key']}\n" for n in settings.ALL if n.name in memory]
    if not KNOWN_HOSTS.exists() or KNOWN_HOSTS.read_text(encoding="utf-8") != "".join(lines):
        write_atomically(KNOWN_HOSTS, "".join(lines), 0o600)


def _own() -> dict[str, dict[str, Any]]:
    """Return the containers of this checkout, and of checkouts that are gone."""
    mine = str(settings.ROOT)
    return {n: c for n, c in containers().items() if _owner(c) == mine or not os.path.isdir(_owner(c))}


def down() -> None:
    """Stop the nodes of this checkout's labs; what is on them stays."""
    with locked():
        running = [name for name, item in _own().items() if item["State"] in ("running", "paused")]
        for name in running:
            if containers()[name]["State"] == "paused":  # a paused node cannot stop
                podman("unpause", name)
        if running:
            podman("stop", *running)
        say(f"stopped: {', '.join(running) or 'nothing was running'}")


def remove_node(node: Node) -> None:
    """Remove one node with everything on it."""
    with locked():
        if node.container in _own():
            podman("rm", "--force", "--time", "5", node.container)
            say(f"{node.name} removed")
        shutil.rmtree(DOCKER / node.name, ignore_errors=True)  # not there where it ran no containers
        memory = _recall()
        if memory.pop(node.name, None):
            _remember(memory)


def clean() -> None:
    """Remove containers, network and images of this checkout's labs; nothing else is touched."""
    with locked():
        names = list(_own())
        if names:
            podman("rm", "--force", "--time", "5", *names)
        others = containers()
        if others:
            say(f"left alone, as another checkout's: {', '.join(others)}")
        else:
            networks = podman("network", "ls", "--filter", f"label={settings.LABEL}", "--format", "{{.Name}}").split()
            if networks:
                podman("network", "rm", *networks)
            images.remove()
        for folder in (settings.SHARED, *settings.SHARED.glob("[0-9]")):
            for path in (MEMORY, KNOWN_HOSTS):
                (folder / path.relative_to(settings.STATE)).unlink(missing_ok=True)
            for path in (JOURNALS, DOCKER):  # not there where no node was ever made
                shutil.rmtree(folder / path.relative_to(settings.STATE), ignore_errors=True)
        say(f"removed: {', '.join(names) or 'nothing was there'}")


def status() -> list[dict[str, str]]:
    """Return a row per node: name, debian, address, state, memory, ssh."""
    configure()
    present = containers()
    running = [name for name, item in present.items() if item["State"] == "running"]
    used: dict[str, str] = {}
    if running:
        for line in podman("stats", "--no-stream", "--format", "{{.Name}}\t{{.MemUsage}}", *running).splitlines():
            name, _, value = line.partition("\t")
            used[name] = value
    rows = []
    for node in settings.ALL:
        item = present.get(node.container)
        rows.append(
            {
                "node": node.name,
                "debian": node.debian,
                "address": node.address,
                "state": str(item["State"]) if item else "absent",
                "memory": used.get(node.container, "-"),
                "ssh": "answers" if item and _banner(node) else "-",
            }
        )
    return rows
