# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a release's own code runs while it is staged: as whom, with which variables, and what of the node it sees.

A build runs as the build user, who owns the tree until it is sealed, in a home of its own that goes with the step. Tests run as the test
user, who may read the tree and write a private home; where systemd runs the node, in a service without network, other people's
processes and a writable file system. Where this process is not root, everything runs as whoever it is.

Caches of packages: uv trusts what it has unpacked once, so that whoever can write its cache decides what a later release holds. Each
component therefore has caches of its own, below a folder that is root's and closed, and opened to the build user only while that
component's packages are installed (and, for npm, built). Nothing of them is linked into a tree: a link shares the file with the cache,
whose owner could change a sealed release. Copies cost a moment; what two releases have in common is linked after sealing, as root.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from ansible_collections.phasegate.aistack.plugins.module_utils.core import proc
from ansible_collections.phasegate.aistack.plugins.module_utils.core.proc import Account, Finished, Said
from ansible_collections.phasegate.aistack.plugins.module_utils.environment.file import render_env
from ansible_collections.phasegate.aistack.plugins.module_utils.release import tree
from ansible_collections.phasegate.aistack.plugins.module_utils.release.store import ReleaseError

PATH = "/usr/local/bin:/usr/bin:/bin"
SYSTEMD_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
FETCHING = re.compile(
    r"(https?|no|all|ftp)_proxy|ssl_cert_(file|dir)|requests_ca_bundle|curl_ca_bundle|node_extra_ca_certs|pip_\w+|uv_\w+|npm_config_[\w:/.@-]+",
    re.IGNORECASE,
)
"""Variables of the machine (/etc/environment) that say how packages are fetched: proxy, certificates, index."""

BESIDE = ("home", "tests", "output")
"""What the folders beside a tree that is staged end with."""

BOOTED = Path("/run/systemd/system")
"""Is there where systemd runs the node."""

LATE = 60
"""Seconds after its time limit at which systemd ends a test that nobody waits for any more."""

# Arguments: where the exit status goes, the command. systemd-run itself cannot tell an end by SIGTERM from success.
_WRAPPED = 'status=$1; shift; "$@"; echo $? > "$status"'


def account(user: str, what: str) -> Account | None:
    """The account to run ``what`` as; None where this process is not root and cannot choose. Raises ReleaseError."""
    if os.geteuid() != 0:
        return None
    try:
        return proc.account(user)
    except LookupError as missing:
        raise ReleaseError(
            f"{what} run as the user {user}, which this host does not have. The role toolchain makes it; run it first "
            "(site.yml with the phase that has it), or name another one (release_build_user, release_test_user)."
        ) from missing


def fetching(environ: Mapping[str, str]) -> dict[str, str]:
    """What of this process's environment installing and building get."""
    return {name: value for name, value in environ.items() if FETCHING.fullmatch(name)}


@contextmanager
def home(work: Path, kind: str, who: Account | None) -> Iterator[Path]:
    """A private home beside a tree that is staged; it goes when the block ends. ``kind`` is one of BESIDE.

    The folder that holds it is root's: what lies there is not for ``who``. Not below /tmp, which may be mounted without the right to
    execute.
    """
    folder = work.with_name(f"{work.name}.{kind}")
    tree.remove(folder)
    inner = folder / "home"
    folder.mkdir(mode=0o711)
    try:
        os.chmod(folder, 0o711)
        inner.mkdir(mode=0o700)
        if who:
            os.chown(inner, who.uid, who.gid)
        yield inner
    finally:
        tree.remove(folder)


@contextmanager
def opened(cache: Path, who: Account | None) -> Iterator[Path]:
    """A component's cache, which the build user may enter while the block runs."""
    cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    if who is None:
        yield cache
        return
    os.chmod(cache.parent, 0o711)
    if any(entry.stat(follow_symlinks=False).st_uid != who.uid for entry in os.scandir(cache)):  # the build user is another one now
        shutil.rmtree(cache)
        cache.mkdir(mode=0o700)
    os.chmod(cache, 0o700)
    os.chown(cache, who.uid, who.gid)
    try:
        yield cache
    finally:
        os.chown(cache, 0, 0)


def lend(work: Path, who: Account | None) -> None:
    """Give an unpacked tree to the build user; the folder itself comes last, and is closed until then: nobody else is in it."""
    if who is None:
        return
    os.chmod(work, 0o700)
    for _folder, names, files, handle in os.fwalk(work):
        for name in [*names, *files]:
            os.chown(name, who.uid, who.gid, dir_fd=handle, follow_symlinks=False)
    os.chown(work, who.uid, who.gid)


def show(work: Path, builder: Account | None, tester: Account | None) -> None:
    """Let the test user, and nobody else, read what was built: a build may have put secrets into it."""
    if builder and tester:
        os.chown(work, builder.uid, tester.gid)
        os.chmod(work, 0o750)


def take_back(work: Path, who: Account | None) -> None:
    """Take a tree back from the build user, and see to it that sealing changes nothing but what the build made.

    Raises:
        ReleaseError: the tree holds what is neither a file, a folder nor a link, or (as a hard link) somebody else's file.
    """
    for _folder, _name, status, path in tree.taken(work):
        kind = stat.S_IFMT(status.st_mode)
        what = "" if kind in (stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK) else "neither a file, a folder nor a link"
        if who and status.st_uid != who.uid:
            what = f"owned by user number {status.st_uid}, expected {who.name}, who builds"
        if what:
            raise ReleaseError(
                f"What was built holds {path}, which is {what}. Nothing was staged. "
                "Correct the build, so that it leaves files of its own alone, and give the release a new tag."
            )


def inside(work: Path, path: Path) -> Path:
    """``path``, a folder of the tree that root is about to move. Raises ReleaseError where a link leads to it."""
    if path.resolve() != work.resolve() / path.relative_to(work):
        raise ReleaseError(
            f"The build left {path.relative_to(work)} as a link, or below one, to {path.resolve()}. Expected a folder of the release. "
            "Nothing was staged. Correct the build and give the release a new tag."
        )
    return path


def sandboxed(wanted: str) -> bool:
    """Whether tests run in a service of systemd: where it runs the node, unless ``wanted`` is C(none)."""
    return wanted != "none" and os.geteuid() == 0 and BOOTED.is_dir()


def service(unit: str, who: Account, work: Path, home: Path, timeout: float, network: bool, memory: str) -> list[str]:
    """systemd-run with what a test may do; the command follows. The variables are read by systemd from C(env) beside the home."""
    properties = {
        "User": who.name, "Group": str(who.gid), "WorkingDirectory": str(work), "EnvironmentFile": str(home.parent / "env"),
        "UMask": "0022", "ReadWritePaths": str(home), "ProtectSystem": "strict", "PrivateDevices": "yes", "ProtectProc": "invisible",
        "PrivateNetwork": "no" if network else "yes", "NoNewPrivileges": "yes", "CapabilityBoundingSet": "", "RestrictSUIDSGID": "yes",
        "ProtectKernelTunables": "yes", "ProtectKernelModules": "yes", "ProtectKernelLogs": "yes", "ProtectControlGroups": "yes",
        # what a stack below such a folder needs to be seen at all
        "ProtectHome": "read-only" if _below(work, "/home", "/root", "/run/user") else "yes",
        "PrivateTmp": "no" if _below(work, "/tmp", "/var/tmp") else "yes",
        "RuntimeMaxSec": f"{timeout + LATE:g}", "TimeoutStopSec": "5", "KillMode": "control-group",
    }
    if memory:
        properties["MemoryMax"] = memory
    options = [f"--property={name}={value}" for name, value in properties.items()]
    return ["systemd-run", "--quiet", "--wait", "--pipe", "--collect", "--service-type=exec", f"--unit={unit}", *options, "--"]


def _below(path: Path, *folders: str) -> bool:
    return any(Path(folder) in path.resolve().parents for folder in folders)


def run_test(
    argv: Sequence[str], work: Path, home: Path, env: Mapping[str, str], timeout: float, who: Account | None,
    systemd: bool, network: bool = False, memory: str = "", said: Said | None = None,
) -> Finished:
    """Run one test command; its exit status and output are the command's own.

    Raises:
        ReleaseError: systemd could not give it its place, or took it away.
    """
    if not systemd or who is None:
        return proc.run(argv, work, env, timeout, who.name if who else None, umask=0o022, said=said)
    secret = home.parent / "env"
    secret.unlink(missing_ok=True)
    handle = os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        stream.write(render_env(env))
    status = home / ".exit-status"
    unit = f"aistack-test-{re.sub(r'[^A-Za-z0-9]', '-', home.parent.stem)}.service"  # called after the tree, of which work may be a part
    wrapped = ["/bin/sh", "-c", _WRAPPED, "sh", str(status), *argv]
    command = [*service(unit, who, work, home, timeout, network, memory), *(word.replace("$", "$$") for word in wrapped)]
    outer = {"PATH": SYSTEMD_PATH, "LANG": "C.UTF-8"}
    finished = proc.run(command, "/", outer, timeout, said=said)
    if finished.timed_out:
        for verb in (["kill", "--signal=KILL"], ["stop"]):
            proc.run(["systemctl", *verb, unit], "/", outer, 30)
        return Finished(list(argv), finished.rc, finished.output, finished.seconds, True)
    rc = _status(status)
    if rc is None:
        raise ReleaseError(
            f"The tests' sandbox, a service of systemd ({unit}), ended without an exit status of the command {' '.join(argv)} "
            f"(systemd-run: {finished.rc}):\n{proc.tail(finished.output, 10) or 'no output'}\nIt could not be set up, was stopped, or took "
            f"more memory than test_memory allows ({memory or 'no limit'}). `journalctl -u {unit}` says which. Nothing was staged and "
            "the release is not marked. Raise release_test_memory, or, where systemd cannot do this here, set release_test_sandbox to none."
        )
    return Finished(list(argv), rc, finished.output, finished.seconds)


def _status(path: Path) -> int | None:
    """The exit status in a file that the test user wrote: no link is followed, no pipe waited for."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        text = os.read(handle, 8).decode("ascii", "replace").strip()
    except OSError:
        return None
    finally:
        os.close(handle)
    path.unlink()
    return int(text) if text.isdigit() else None
