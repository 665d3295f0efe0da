# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The script that stages ComfyUI: nothing unpinned is installed, nothing is installed by root, links of the service lead nowhere."""

from __future__ import annotations

import getpass
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[3] / "roles" / "comfyui" / "files" / "stage.sh"
OTHER = "nobody" if os.geteuid() == 0 else getpass.getuser()
# stands for uv: notes who calls it and how, and makes what an environment has
UV = """\
#!/bin/sh
echo "$(id -un) $*" >> "{calls}"
[ -w "$HOME" ] && [ -w "$UV_CACHE_DIR/.." ] || mkdir -p "$UV_CACHE_DIR" || exit 9
case $1 in venv) for last; do :; done; mkdir -p "$last/bin"; ln -s "{python}" "$last/bin/python" ;; esac
case "$*" in *fails*) exit 2 ;; esac
exit 0
"""


class Stage:
    """A tree that is unpacked, and the script run on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for above in [folder, *folder.parents]:
            if above.stat().st_uid == os.geteuid() and above != Path("/tmp"):
                above.chmod(0o755)  # another user has to get here
            if above == Path("/tmp"):
                break
        self.tree, self.place, self.data = folder / ".v1.part", folder / "v1", folder / "data"
        self.tree.mkdir()
        self.data.mkdir()
        if os.geteuid() == 0:
            os.chown(self.data, 65534, 65534)
        (self.tree / "main.py").write_text("print(1)\n", encoding="utf-8")
        self.calls = folder / "calls"
        self.calls.touch()
        self.calls.chmod(0o666)
        (folder / "uv").write_text(UV.format(calls=self.calls, python="/usr/bin/python3"), encoding="utf-8")
        (folder / "uv").chmod(0o755)

    def run(self, lock: str = "", *sdists: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Run it as the role does."""
        where = [str(self.tree), str(self.place), "c0ffee", str(self.folder / "uv"), sys.executable, str(self.data), f"{self.data}/models"]
        return subprocess.run(
            ["/bin/sh", "-c", SCRIPT.read_text(encoding="utf-8"), "stage", *where, OTHER, OTHER, *sdists],
            input=lock, capture_output=True, text=True, timeout=60, check=False, env={**os.environ, **env},
        )


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def test_packages_without_hashes_are_refused(stage: Stage) -> None:
    (stage.tree / "requirements.txt").write_text("# some\ntorch\n", encoding="utf-8")
    done = stage.run()
    assert done.returncode == 1
    assert "comfyui_lock is empty" in done.stderr
    assert "uv pip compile --generate-hashes" in done.stderr
    assert stage.calls.read_text(encoding="utf-8") == ""
    assert not stage.place.exists()


def test_a_repository_without_packages_needs_none(stage: Stage) -> None:
    (stage.tree / "requirements.txt").write_text("# nothing\n\n", encoding="utf-8")
    done = stage.run()
    assert done.returncode == 0, done.stderr
    assert (stage.place / ".aistack").read_text(encoding="utf-8") == "c0ffee\n"
    assert (stage.place / "output").resolve() == stage.data / "output"
    assert "install" not in stage.calls.read_text(encoding="utf-8")


def test_packages_are_installed_by_their_hashes_as_wheels_and_not_by_root(stage: Stage) -> None:
    (stage.tree / "requirements.txt").write_text("torch\n", encoding="utf-8")
    done = stage.run("torch==1 --hash=sha256:00\n", "lxml")
    assert done.returncode == 0, done.stderr
    calls = stage.calls.read_text(encoding="utf-8").splitlines()
    assert {call.split()[0] for call in calls} == {OTHER}
    assert "--require-hashes --only-binary :all: --no-binary lxml" in calls[-1]
    assert {path.lstat().st_uid for path in stage.place.rglob("*")} == {os.geteuid()}, "the service cannot change its release"
    assert not (stage.place / ".aistack-room").exists()


def test_a_failed_installation_puts_nothing_in_place(stage: Stage) -> None:
    done = stage.run("torch==1 --hash=sha256:00\n", "fails")
    assert done.returncode == 1
    assert "were not installed" in done.stderr
    assert not stage.place.exists()


def test_what_the_tree_brings_is_copied_once(stage: Stage) -> None:
    (stage.data / "input").mkdir()
    (stage.data / "input" / "own").write_text("kept\n", encoding="utf-8")
    if os.geteuid() == 0:
        os.chown(stage.data / "input", 65534, 65534)
    (stage.tree / "input").mkdir()
    for name in ("own", "example"):
        (stage.tree / "input" / name).write_text("example\n", encoding="utf-8")
    done = stage.run()
    assert done.returncode == 0, done.stderr
    assert (stage.place / "input" / "example").read_text(encoding="utf-8") == "example\n"
    assert (stage.place / "input" / "own").read_text(encoding="utf-8") == "kept\n"


def test_a_link_of_the_service_is_not_followed_with_the_rights_of_root(stage: Stage, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o755 if os.geteuid() == 0 else 0o555)
    (stage.data / "input").symlink_to(outside)
    (stage.tree / "input").mkdir()
    (stage.tree / "input" / "evil").write_text("evil\n", encoding="utf-8")
    assert stage.run().returncode != 0
    assert (outside.stat().st_uid, list(outside.iterdir())) == (os.geteuid(), [])
    assert not stage.place.exists()


def test_a_link_that_comes_in_the_very_moment_is_given_to_nobody(stage: Stage, tmp_path: Path) -> None:
    """The service owns the folder: what is in the way of its own mkdir may be a link by the time root comes."""
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o755)
    (stage.data / "temp").touch()
    programs = tmp_path / "programs"
    programs.mkdir(mode=0o755)
    swap = f'[ "$(id -u)" != {os.geteuid()} ] || {{ rm -f "$last"; ln -s {outside} "$last"; }}'
    (programs / "mkdir").write_text(
        f'#!/bin/sh\nfor last; do :; done\ncase $*$last in "-p "*/temp) {swap} ;; esac\nexec /bin/mkdir "$@"\n', encoding="utf-8"
    )
    (programs / "mkdir").chmod(0o755)
    done = stage.run(PATH=f"{programs}:{os.environ['PATH']}")
    assert done.returncode != 0
    assert "remove what is in the way there" in done.stderr
    assert (outside.stat().st_uid, outside.stat().st_mode & 0o777) == (os.geteuid(), 0o755)
