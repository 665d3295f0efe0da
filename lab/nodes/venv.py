#!/usr/bin/env python3
# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep a virtual environment equal to its hash-locked file.

Usage: venv.py [controller|importer|bench|eda|builder|dashboards|go]
       venv.py --lock controller|importer|bench|eda|builder|dashboards|go compile requirements/NAME.in into NAME.txt: hashes, no addresses

`controller` is .venv, the others are folders in it. A stamp names what the environment was made from, so that a
second run costs the start of one Python. The stamp is written last: an interrupted run is simply repeated.
Package index, certificates and proxies come from this machine's pip configuration and environment only.
"""

from __future__ import annotations

import ast
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
REQUIREMENTS = ROOT / "requirements"
BESIDE = ("importer", "bench", "eda", "builder", "dashboards", "go")
TARGETS = {"controller": ROOT / ".venv", **{name: ROOT / ".venv" / name for name in BESIDE}}
MINIMUM = (3, 11)

# pip's option -> (uv's variable, separator between several values)
PIP_TO_UV = {
    "index-url": ("UV_DEFAULT_INDEX", " "),
    "extra-index-url": ("UV_INDEX", " "),
    "find-links": ("UV_FIND_LINKS", ","),
    "no-index": ("UV_NO_INDEX", " "),
    "trusted-host": ("UV_INSECURE_HOST", " "),
    "cert": ("SSL_CERT_FILE", " "),
    "client-cert": ("SSL_CLIENT_CERT", " "),
    "timeout": ("UV_HTTP_TIMEOUT", " "),
    "default-timeout": ("UV_HTTP_TIMEOUT", " "),
    "proxy": ("HTTPS_PROXY", " "),
}


def fail(*lines: str) -> None:
    """End with a message for a person."""
    sys.exit("venv: " + "\n      ".join(lines))


def system_python() -> str:
    """Return the interpreter to build on: the system's own, else the first one on PATH that is new enough."""
    seen = []
    for name in ("/usr/bin/python3", "python3", "python3.13", "python3.12", "python3.11"):
        path = shutil.which(name)
        if not path:
            continue
        probe = "import sys, ensurepip, venv; print(*sys.version_info[:3], sep='.')"
        result = subprocess.run([path, "-c", probe], capture_output=True, text=True, check=False)
        version = result.stdout.strip()
        if result.returncode == 0 and tuple(int(part) for part in version.split(".")) >= MINIMUM:
            return path
        seen.append(f"{path}: {version or 'no venv module'}")
    fail(
        "no usable Python found.",
        f"expected: Python {MINIMUM[0]}.{MINIMUM[1]} or later with its venv module",
        f"got: {'; '.join(seen) or 'nothing on PATH'}",
        "to do: install python3 and python3-venv from the system's package sources",
    )
    raise AssertionError


def uv_environment(pip: Path, environ: dict[str, str]) -> dict[str, str]:
    """Return the environment for uv, which does not read pip's configuration, from what `pip config list` says.

    What already stands in the environment wins. Local `find-links` folders that do not exist are left out: pip
    overlooks them, uv ends with an error.
    """
    listing = subprocess.run([str(pip), "config", "list"], capture_output=True, text=True, check=False, env=environ)
    found: dict[str, list[str]] = {}
    for line in listing.stdout.splitlines():
        match = re.match(r"^(?P<scope>[^=]*)\.(?P<key>[a-z-]+)=(?P<value>.*)$", line)
        if not match or match["scope"] not in ("global", "install", ":env:"):
            continue
        value = str(ast.literal_eval(match["value"]))
        if match["key"] in PIP_TO_UV:  # the environment is listed first and wins over the files
            found.setdefault(match["key"], value.split())
    result = dict(environ)
    for key, values in found.items():
        variable, separator = PIP_TO_UV[key]
        if key == "find-links":
            values = [item for item in values if "://" in item or Path(item).is_dir()]
        if values and not result.get(variable):
            result[variable] = separator.join(values)
    if "HTTPS_PROXY" in result:
        result.setdefault("HTTP_PROXY", result["HTTPS_PROXY"])
    return result


def uv_requirement() -> str:
    """Return uv's own pinned entry, hashes included, cut out of the controller's lock file."""
    text = (REQUIREMENTS / "controller.txt").read_text(encoding="utf-8")
    match = re.search(r"^uv==(?:.*\\\n)*.*", text, re.MULTILINE)
    if not match:
        fail("requirements/controller.txt pins no uv; compile it again with `make lock`")
        raise AssertionError
    return match[0] + "\n"


def stamp_of(lock: Path) -> str:
    """Return the hash of everything the environment is made from."""
    digest = hashlib.sha256()
    for path in (lock, Path(__file__)):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def install_uv(home: Path, python: str) -> Path:
    """Make the environment `home`, install uv into it by hash, and return uv's path."""
    pip = home / "bin" / "pip"
    uv = home / "bin" / "uv"
    if not pip.exists() or subprocess.run([str(pip), "--version"], capture_output=True, check=False).returncode:
        subprocess.run([python, "-m", "venv", "--clear", str(home)], check=True)
    wanted = uv_requirement()
    version = wanted.split("==")[1].split()[0]
    probe = subprocess.run([str(uv), "--version"], capture_output=True, text=True, check=False) if uv.exists() else None
    if probe is None or probe.returncode or version not in probe.stdout.split():
        snippet = home / "uv.txt"
        snippet.write_text(wanted, encoding="utf-8")
        command = [str(pip), "install", "-q", "--disable-pip-version-check", "--require-hashes", "--no-deps"]
        subprocess.run([*command, "-r", str(snippet)], check=True, stdin=subprocess.DEVNULL)
    return uv


def sync(name: str) -> None:
    """Bring the environment `name` up to its lock file; returns at once where its stamp says that it is."""
    home, lock = TARGETS[name], REQUIREMENTS / f"{name}.txt"
    stamp, wanted = home / ".stamp", stamp_of(lock)
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted and (home / "bin" / "python").exists():
        return
    home.mkdir(parents=True, exist_ok=True)
    # two runs side by side (a test and a person) must not both write; the second one waits, then has nothing to do
    with lock.open("rb") as lock_file:
        fcntl.flock(lock_file, fcntl.LOCK_EX)
        if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
            return
        started = time.monotonic()
        stamp.unlink(missing_ok=True)
        print(f"venv: making {home.relative_to(ROOT)} from requirements/{lock.name}", flush=True)
        controller = TARGETS["controller"]
        uv = install_uv(controller, system_python())
        environ = uv_environment(controller / "bin" / "pip", dict(os.environ))
        if home != controller and not (home / "bin" / "python").exists():
            python = str(controller / "bin" / "python")
            subprocess.run([str(uv), "venv", "-q", "--clear", "--python", python, str(home)], check=True, env=environ)
        environ["VIRTUAL_ENV"] = str(home)
        environ.setdefault("UV_LINK_MODE", "copy" if os.stat(home).st_dev != _cache_device(environ) else "hardlink")
        command = [str(uv), "pip", "sync", "-q", "--require-hashes", "--python", str(home / "bin" / "python")]
        subprocess.run([*command, str(lock)], check=True, env=environ, stdin=subprocess.DEVNULL)
        compile_bytecode(home)
        stamp.write_text(wanted, encoding="utf-8")
        print(f"venv: ready after {time.monotonic() - started:.0f} s", flush=True)


def compile_bytecode(home: Path) -> None:
    """Compile what `home` holds, once: with PYTHONDONTWRITEBYTECODE in the environment each start of a program would do it again.

    Collections are left out: Ansible compiles them itself, each time.
    """
    command = [str(home / "bin" / "python"), "-m", "compileall", "-q", "-j", "0", "-x", "/site-packages/ansible_collections/"]
    command += map(str, home.glob("lib/python3*/site-packages"))
    # some files are written for other versions of Python, or hold none; who imports one of them is told
    subprocess.run(command, check=False, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def compile_lock(name: str) -> None:
    """Compile requirements/NAME.in into NAME.txt with the uv of .venv."""
    home = TARGETS["controller"]
    source, lock = REQUIREMENTS / f"{name}.in", REQUIREMENTS / f"{name}.txt"
    command = [str(home / "bin" / "uv"), "pip", "compile", "-q", "--universal", "--python-version", "3.11"]
    command += ["--generate-hashes", "--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links"]
    environ = uv_environment(home / "bin" / "pip", dict(os.environ))
    subprocess.run([*command, str(source), "-o", str(lock)], check=True, env=environ, stdin=subprocess.DEVNULL)


def _cache_device(environ: dict[str, str]) -> int:
    """Return the device of uv's cache (or of the nearest existing folder above it)."""
    default = Path(environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "uv"
    path = Path(environ.get("UV_CACHE_DIR") or default)
    while not path.exists():
        path = path.parent
    return path.stat().st_dev


def main() -> None:
    """Read the one argument and synchronise."""
    arguments = sys.argv[1:]
    locking = arguments[:1] == ["--lock"]
    name = (arguments[int(locking) :] or ["controller"])[0]
    if name not in TARGETS:
        fail(f"unknown environment {name!r}", f"expected one of: {', '.join(TARGETS)}")
    try:
        compile_lock(name) if locking else sync(name)
    except subprocess.CalledProcessError as error:
        fail(
            f"exit status {error.returncode} from: {' '.join(map(str, error.cmd))}",
            "the message above says why; nothing but .venv was touched. Run `make venv` again when it is put right",
        )


if __name__ == "__main__":
    main()
