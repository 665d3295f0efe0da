# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images of the nodes: made from Debian's packages by mmdebstrap, cached as archives, imported into podman.

An archive's name carries a hash of its recipe. It is written under a temporary name and renamed when it is whole, so
that an interrupted build leaves nothing that the next one could take for finished.
"""

from __future__ import annotations

import ctypes
import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from nodes import machine, settings
from nodes.podman import podman, say
from nodes.settings import LabError, Node

FOLDER = settings.CACHE / "images"
KEPT_DAYS = 30

SSHD = """\
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin no
AllowUsers {user}
X11Forwarding no
MaxSessions 60
MaxStartups 60:30:120
AuthorizedKeysFile /etc/ssh/authorized_keys.d/%u
"""
# from OpenSSH 9.8 on, a test of refused logins would lock the controller's address out for the tests after it
SSHD_FROM_13 = "PerSourcePenalties no\n"

# a person at a keyboard, a clock, a kernel: none of them is here
MASKED = [
    "getty.target",
    "console-getty.service",
    "systemd-logind.service",
    "systemd-udevd.service",
    "systemd-networkd.service",
    "systemd-resolved.service",
    "systemd-timesyncd.service",
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "e2scrub_all.timer",
    "fstrim.timer",
]

HOOK = """\
set -eu
root=$1
chroot "$root" useradd --create-home --shell /bin/bash {user}
install -d -m 0755 "$root/etc/ssh/authorized_keys.d"
printf '%s\\n' '{user} ALL=(ALL:ALL) NOPASSWD: ALL' \
  'Defaults:{user} env_keep += "{kept}"' > "$root/etc/sudoers.d/lab"
chmod 0440 "$root/etc/sudoers.d/lab"
printf '%s' '{sshd}' > "$root/etc/ssh/sshd_config.d/10-lab.conf"
rm -f "$root"/etc/ssh/ssh_host_*
install -d -m 2755 "$root/var/log/journal" "$root/etc/systemd/journald.conf.d"
printf '[Journal]\\nStorage=persistent\\nSystemMaxUse=128M\\nRateLimitIntervalSec=0\\n' \
  > "$root/etc/systemd/journald.conf.d/lab.conf"
for unit in {masked}; do ln -sf /dev/null "$root/etc/systemd/system/$unit"; done
ln -sf /lib/systemd/system/multi-user.target "$root/etc/systemd/system/default.target"
: > "$root/etc/machine-id"
"""

KEPT = (
    "PIP_* UV_* NPM_CONFIG_* npm_config_* GOPROXY GOSUMDB GONOSUMDB GONOPROXY GOPRIVATE GOINSECURE SSL_CERT_FILE "
    "NODE_EXTRA_CA_CERTS http_proxy https_proxy no_proxy all_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY ALL_PROXY"
)


def _hook(node: Node) -> str:
    sshd = SSHD.format(user=settings.USER) + ("" if node.suite == "bookworm" else SSHD_FROM_13)
    return HOOK.format(user=settings.USER, sshd=sshd, masked=" ".join(MASKED), kept=KEPT)


def _command(node: Node) -> list[str]:
    """Return mmdebstrap's command line up to the suite: the recipe, without anything of this machine."""
    return [
        "mmdebstrap",
        "--mode=root",
        "--variant=minbase",
        f"--include={','.join([*settings.PACKAGES, *node.packages])}",
        '--aptopt=Acquire::Languages "none"',
        "--dpkgopt=force-unsafe-io",  # a container's disk need not survive a power cut
        "--dpkgopt=path-exclude=/usr/share/doc/*",
        "--dpkgopt=path-exclude=/usr/share/man/*",
        "--dpkgopt=path-exclude=/usr/share/locale/*",
        "--dpkgopt=path-include=/usr/share/doc/*/copyright",
    ]


def key(node: Node) -> str:
    """Return the hash of the node's recipe, 12 hexadecimal digits."""
    return hashlib.sha256("\0".join([*_command(node), _hook(node), node.suite]).encode()).hexdigest()[:12]


def _kind(node: Node) -> str:
    return ("builder" if node.packages else "node") + "-" + node.suite


def tag(node: Node) -> str:
    """Return the name of the node's image in podman."""
    return f"localhost/{settings.PREFIX}-{_kind(node)}:{key(node)}"


def _die_with_parent() -> None:
    """Ask the kernel to end this child when the lab is killed, so that no half-made image goes on growing."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def _remove_work(work: Path) -> None:
    """Remove a folder that an image was made in; raise LabError if anything is still mounted below it.

    mmdebstrap mounts this machine's /dev, /proc and /sys there: nothing may be removed through such a mount.
    """
    if not work.exists():
        return
    lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    below = [line.split()[4] for line in lines if line.split()[4].startswith(f"{work}/")]
    if below:
        raise LabError(
            "an interrupted image build has left mounts behind, so its folder cannot be removed safely.",
            f"where: {work}",
            f"got: {', '.join(below)}",
            "to do: umount them, innermost first, then repeat the command",
        )
    shutil.rmtree(work)


def _build(node: Node, lock: int) -> Path:
    """Return the archive of the node's file system; make it if the cache has none.

    `lock` is the descriptor of the cache's lock. The build inherits it, so that the lock is held until the build has
    really ended, even where the lab itself was killed.
    """
    archive = FOLDER / f"{_kind(node)}-{key(node)}.tar"
    if archive.exists():
        os.utime(archive)
        return archive
    started = time.monotonic()
    say(f"building the image {_kind(node)} from Debian's packages (about a minute, once)")
    work = FOLDER / f"work-{archive.stem}"
    _remove_work(work)
    work.mkdir(parents=True)
    hook, part, log = work / "hook", work / "part.tar", FOLDER / f"{archive.stem}.log"
    hook.write_text("#!/bin/sh\n" + _hook(node), encoding="utf-8")
    hook.chmod(0o755)
    # a mount namespace of its own: what mmdebstrap mounts never shows on this machine, and ends with it
    command = ["unshare", "--mount", "--propagation", "private", "--"]
    command += [*_command(node), *(f"--aptopt={line.rstrip(';')}" for line in machine.apt_options())]
    command += [f"--customize-hook={hook}", node.suite, str(part), *machine.apt_sources(node.suite)]
    with log.open("wb") as output:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
            env={**os.environ, "TMPDIR": str(work)},
            preexec_fn=_die_with_parent,
            pass_fds=(lock,),
        )
    if done.returncode:
        tail = log.read_text(encoding="utf-8", errors="replace").splitlines()[-12:]
        raise LabError(
            f"mmdebstrap could not make {_kind(node)}: exit status {done.returncode} after "
            f"{time.monotonic() - started:.0f} s.",
            *(f"| {line}" for line in tail),
            f"where: {log}",
            "to do: see that `apt-get update` works on this machine, then repeat the command",
        )
    part.rename(archive)
    _remove_work(work)
    say(f"image {_kind(node)}: {archive.stat().st_size // 2**20} MiB after {time.monotonic() - started:.0f} s")
    return archive


def _import(node: Node, lock: int) -> None:
    """Import the node's image into podman, building its archive where needed."""
    archive = _build(node, lock)
    started = time.monotonic()
    label = f"LABEL {settings.LABEL}=image"
    podman("import", "--quiet", "--change", label, "--change", 'CMD ["/sbin/init"]', str(archive), tag(node))
    say(f"image {_kind(node)}: imported after {time.monotonic() - started:.0f} s")


def ensure(nodes: tuple[Node, ...]) -> None:
    """Have the images of all these nodes in podman; different ones are made side by side."""
    present = set(podman("images", "--format", "{{.Repository}}:{{.Tag}}").split())
    missing = list({tag(node): node for node in nodes if tag(node) not in present}.values())
    if not missing:
        return
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / "lock").open("w") as lock:  # another checkout may be building the same
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another build of node images to end")
            fcntl.flock(lock, fcntl.LOCK_EX)
        _forget_old()
        with ThreadPoolExecutor(max_workers=2) as pool:
            for result in [pool.submit(_import, node, lock.fileno()) for node in missing]:
                result.result()


def _forget_old() -> None:
    """Remove archives and logs that nothing has used for a month (recipes change), and leftovers of killed runs."""
    limit = time.time() - KEPT_DAYS * 86400
    for path in FOLDER.iterdir():
        if path.name.startswith("work-"):
            _remove_work(path)
        elif path.name != "lock" and path.stat().st_mtime < limit:
            path.unlink()


def remove() -> int:
    """Remove the lab's images from podman; return how many there were. The archives in the cache stay."""
    names = podman("images", "--filter", f"label={settings.LABEL}", "--format", "{{.ID}}").split()
    if names:
        podman("rmi", "--force", *dict.fromkeys(names))
    return len(names)
