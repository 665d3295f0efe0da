# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A monorepo's releases: real Ansible, git, uv, npm, pnpm and Yarn; the nodes are folders of this machine.

Python packages are made here, and nothing is fetched for them. pnpm and Yarn come as the role toolchain brings them, by npm and by
hash, and with one package for each to prove: that needs the package registry.
"""

from __future__ import annotations

import getpass
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
UV = ROOT / ".venv/bin/uv"
BOOK = """
- hosts: all
  gather_facts: false
  tasks:
    - phasegate.aistack.release: "{{ item | combine({'root': folder, 'state_dir': folder ~ '/state', 'tools': tools}) }}"
      loop: "{{ described }}"
      register: answer
      ignore_errors: true # what was answered is judged by the test
    - ansible.builtin.copy: {content: "{{ answer.results | to_json }}", dest: "{{ folder }}.json", mode: "0600"}
      check_mode: false
"""
PROJECT = '[project]\nname = "{name}"\nversion = "0.1.0"\nrequires-python = ">=3.9"\ndependencies = [{needs}]\n'
SHARED = PROJECT.format(name="shared", needs="") + '[build-system]\nrequires = ["uv_build"]\nbuild-backend = "uv_build"\n'
WEB: dict[str, Any] = {"name": "web", "version": "1.0.0", "scripts": {"build": "node build.js"}, "dependencies": {"is-number": "7.0.0"}}
BUILD = (
    'const word = require("shared"), number = require("is-number"), fs = require("fs");\n'
    'fs.mkdirSync("dist", {recursive: true});\nfs.writeFileSync("dist/index.html", `${word} ${number(5)}`);\n'
)


class Monorepo:
    """A repository with a workspace of uv, one of pnpm and one of Yarn, and nodes to stage on."""

    def __init__(self, tmp: Path) -> None:
        self.tmp, self.repo = tmp, tmp / "repo"
        (tmp / "play.yml").parent.mkdir(exist_ok=True)
        (tmp / "play.yml").write_text(BOOK)
        for name in ("tools", "bare"):
            (tmp / name).mkdir()
        (tmp / "tools" / "uv").symlink_to(UV)
        self.repo.mkdir()
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *words: str) -> str:
        named = ["-c", "user.name=t", "-c", "user.email=t@example.com"]
        return subprocess.run(["git", *named, *words], cwd=self.repo, check=True, capture_output=True, text=True).stdout.strip()

    def write(self, files: dict[str, str]) -> None:
        for name, text in files.items():
            (self.repo / name).parent.mkdir(parents=True, exist_ok=True)
            (self.repo / name).write_text(text)

    def tag(self, tag: str) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", tag)
        self.git("tag", "--annotate", "--message", tag, tag)

    def stage(self, node: str, *asked: dict[str, Any], tools: str = "tools") -> list[dict[str, Any]]:
        """Stage one after the other; returns what each was answered."""
        common = {
            "component": "api", "repo": str(self.repo), "mirror_dir": str(self.tmp / "mirrors"), "python": sys.executable,
            "min_free_bytes": 0, "group": "", "build_user": getpass.getuser(), "test_user": getpass.getuser(),
            "artefacts": {"folder": str(self.tmp / "store"), "keep": 5},
        }
        described = [{**common, **one} for one in asked]
        given = {"described": described, "tools": str(self.tmp / tools), "ansible_python_interpreter": sys.executable}
        hosts = {node: {"ansible_connection": "local", "folder": str(self.tmp / node)}}
        (self.tmp / "hosts.json").write_text(json.dumps({"all": {"hosts": hosts, "vars": given}}))
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "MOLECULE_"))}
        done = subprocess.run(
            [str(ROOT / ".venv/bin/ansible-playbook"), "-i", str(self.tmp / "hosts.json"), str(self.tmp / "play.yml")],
            cwd=ROOT, text=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=180, check=False,
            env={**clean, "PATH": "/usr/bin:/bin", "ANSIBLE_NOCOLOR": "1", "ANSIBLE_LOCAL_TEMP": str(self.tmp / "ansible")},
        )
        assert done.returncode == 0, done.stdout + done.stderr
        answers: list[dict[str, Any]] = json.loads((self.tmp / f"{node}.json").read_text())
        return answers

    def release(self, node: str, name: str, component: str = "api") -> Path:
        return self.tmp / node / component / "releases" / name


@pytest.fixture
def mono(tmp_path: Path) -> Monorepo:
    return Monorepo(tmp_path)


def wheel(mono: Monorepo) -> dict[str, str]:
    """A package that is fetched; returns the environment that finds it, and nothing else."""
    folder = mono.tmp / "wheels"
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / "tiny-1.0-py3-none-any.whl", "w") as bundle:
        bundle.writestr("tiny.py", "answer = 42\n")
        bundle.writestr("tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        bundle.writestr("tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        bundle.writestr("tiny-1.0.dist-info/RECORD", "tiny.py,,\n")
    return {"UV_OFFLINE": "1", "UV_NO_INDEX": "1", "UV_FIND_LINKS": str(folder)}


def lock(mono: Monorepo, source: dict[str, str]) -> None:
    """uv.lock as a developer makes it, whose packages come from an index."""
    argv = [str(UV), "lock", "--quiet", "--no-cache", "--python", sys.executable]
    subprocess.run(argv, cwd=mono.repo, env={**os.environ, **source}, check=True, capture_output=True)
    digest = sha256((mono.tmp / "wheels/tiny-1.0-py3-none-any.whl").read_bytes()).hexdigest()
    url = f'{{ url = "https://packages.example.org/tiny-1.0-py3-none-any.whl", hash = "sha256:{digest}" }}'
    text = re.sub(r'registry = "[^"]+"', 'registry = "https://packages.example.org/simple"', (mono.repo / "uv.lock").read_text())
    (mono.repo / "uv.lock").write_text(re.sub(r'\{ path = "[^"]*\.whl" \}', url, text))


def says(folder: Path) -> str:
    done = subprocess.run([folder / ".venv/bin/python", "main.py"], cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout.strip() + done.stderr


def workspace(mono: Monorepo, needs: str = '"tiny", "shared"') -> None:
    mono.write({
        "pyproject.toml": '[tool.uv.workspace]\nmembers = ["backend", "libs/*"]\n',
        "backend/pyproject.toml": PROJECT.format(name="backend", needs=needs) + "[tool.uv.sources]\nshared = { workspace = true }\n",
        "backend/main.py": "import shared, tiny\nprint(shared.word, tiny.answer)\n",
        "libs/shared/pyproject.toml": SHARED,
        "libs/shared/src/shared/__init__.py": "word = 'shared'\n",
        "frontend/big": "not of this component",
    })


def test_a_component_of_a_uv_workspace_under_a_tag_of_its_own(mono: Monorepo) -> None:
    source = wheel(mono)
    workspace(mono)
    lock(mono, source)
    mono.tag("backend/v1.0.0")
    asked = {
        "release": "backend..v1.0.0", "path": "backend", "lock": "../uv.lock", "environment": source, "tests": [["{python}", "main.py"]],
    }
    built, again = mono.stage("one", asked, asked)
    assert built.get("msg") is None, built["msg"]
    assert again["changed"] is False
    folder = mono.release("one", "backend..v1.0.0")
    assert says(folder) == "shared 42"
    assert sorted(path.name for path in folder.iterdir() if path.name != "__pycache__") == [
        ".venv", "main.py", "pyproject.toml", "release.files.json", "release.json",
    ], "of the workspace only what is installed stays"
    manifest = json.loads((folder / "release.json").read_text())
    assert (manifest["tag"], manifest["commit"]) == ("backend..v1.0.0", mono.git("rev-parse", "backend/v1.0.0^{commit}"))
    assert manifest["lock_hash"] == sha256((mono.repo / "uv.lock").read_bytes()).hexdigest()
    (laid,) = mono.stage("two", asked, tools="bare")
    assert laid.get("msg") is None, laid["msg"]
    assert (laid["artefact"]["from"], says(mono.release("two", "backend..v1.0.0"))) == ("one", "shared 42")

    workspace(mono, '"tiny>=2", "shared"')  # its lock does not know of that
    mono.tag("backend/v1.1.0")
    workspace(mono, '"tiny", "shared", "more"')
    mono.tag("backend/v1.2.0")
    mono.write({"backend/pyproject.toml": PROJECT.format(name="backend", needs='"tiny"').replace(">=3.9", ">=3.99")})
    mono.tag("backend/v1.3.0")
    refused = mono.stage("one", *({**asked, "release": f"backend..v1.{number}.0"} for number in (1, 2, 3)))
    assert "The lock file ../uv.lock of api backend..v1.1.0 does not fit the pyproject.toml of its project" in refused[0]["msg"]
    assert "asks for more: the lock was made before" in refused[1]["msg"], "seen on the controller"
    assert "api backend..v1.3.0 runs on Python >=3.99 (requires-python), and " in refused[2]["msg"]
    assert list((mono.tmp / "one/api/staging").iterdir()) == []


def test_what_a_component_needs_besides_its_folder_stays_beside_it(mono: Monorepo) -> None:
    source = wheel(mono)
    digest = sha256((mono.tmp / "wheels/tiny-1.0-py3-none-any.whl").read_bytes()).hexdigest()
    mono.write({
        "srv/api/requirements.lock": f"tiny==1.0 --hash=sha256:{digest}\n",
        "srv/api/main.py": "import pathlib, tiny\nprint(pathlib.Path('../../proto/word').read_text(), tiny.answer)\n",
        "proto/word": "word", "srv/other/x": "", "README": "",
    })
    mono.tag("v1.0.0")
    mono.write({"srv/api/main.py": "import tiny\n"})
    mono.tag("v2.0.0")
    asked = {
        "release": "v1.0.0", "path": "srv/api", "lock": "requirements.lock", "context": ["proto"], "environment": source,
        "tests": [["{python}", "main.py"]],
    }
    built, other = mono.stage("one", asked, {**asked, "release": "v2.0.0", "context": []})
    assert built.get("msg") is None, built["msg"]
    assert other.get("msg") is None, other["msg"]
    folder = mono.release("one", "v1.0.0")
    assert says(folder) == "word 42"
    assert os.readlink(folder) == ".trees/v1.0.0/srv/api"
    assert not mono.release("one", "v2.0.0").is_symlink()
    top = folder.parent / ".trees/v1.0.0"
    assert sorted(path.name for path in [*top.iterdir(), *(top / "srv").iterdir()]) == ["api", "proto", "srv"]
    laid, again = mono.stage("two", asked, asked, tools="bare")
    assert laid.get("msg") is None, laid["msg"]
    assert (again["changed"], says(mono.release("two", "v1.0.0"))) == (False, "word 42")

    (top / "proto/word").chmod(0o644)
    (top / "proto/word").write_text("changed")
    changed, pruned = mono.stage("one", asked, {"state": "pruned", "keep": 0, "keep_releases": ["v2.0.0"]})
    assert "was changed after it was staged: changed proto/word" in changed["msg"]
    assert pruned["removed"] == ["v1.0.0"]
    assert sorted(path.name for path in folder.parent.iterdir()) == [".trees", "v2.0.0"]
    assert list((folder.parent / ".trees").iterdir()) == []


@pytest.fixture(scope="module")
def managers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """pnpm and Yarn from the role's own lock, and the Node.js of this machine."""
    place = tmp_path_factory.mktemp("managers")
    npm, node = shutil.which("npm"), shutil.which("node")
    assert npm, "this test builds with Node.js, which CONTRIBUTING has on every machine: npm is not on the PATH"
    assert node, "node is not on the PATH"
    for name in ("package.json", "package-lock.json"):
        shutil.copy(ROOT / "roles/toolchain/files/node" / name, place / name)
    argv = [npm, "ci", "--silent", "--ignore-scripts", "--no-audit", "--no-fund"]
    subprocess.run(argv, cwd=place, check=True, capture_output=True, timeout=120)
    for name, script in (("pnpm", "pnpm/bin/pnpm.cjs"), ("yarn", "yarn/bin/yarn.js")):
        (place / name).write_text(f'#!/bin/sh\nexec {node} {place}/node_modules/{script} "$@"\n')
        (place / name).chmod(0o755)
    return place


@pytest.mark.parametrize(
    ("tool", "name", "make", "shared"),
    [
        ("pnpm", "pnpm-lock.yaml", ["install", "--lockfile-only"], "workspace:*"),
        ("yarn", "yarn.lock", ["install", "--ignore-scripts", "--non-interactive"], "1.0.0"),
    ],
)
def test_a_site_of_a_node_workspace(mono: Monorepo, managers: Path, tool: str, name: str, make: list[str], shared: str) -> None:
    for program in ("pnpm", "yarn"):
        (mono.tmp / "tools" / program).symlink_to(managers / program)
    for program in ("node", "npm"):
        (mono.tmp / "tools" / program).symlink_to(str(shutil.which(program)))
    web = {**WEB, "dependencies": {**WEB["dependencies"], "shared": shared}}
    mono.write({
        "package.json": json.dumps({"name": "root", "private": True, "workspaces": ["apps/*", "libs/*"]}),
        "pnpm-workspace.yaml": "packages: [apps/*, libs/*]\n",
        "apps/web/package.json": json.dumps(web), "apps/web/build.js": BUILD, ".gitignore": "node_modules\n",
        "libs/shared/package.json": json.dumps({"name": "shared", "version": "1.0.0", "main": "index.js"}),
        "libs/shared/index.js": "module.exports = 'shared'\n",
    })
    env = {**os.environ, "npm_config_cache": str(mono.tmp / "c"), "YARN_CACHE_FOLDER": str(mono.tmp / "y")}
    subprocess.run([managers / tool, *make], cwd=mono.repo, env=env, check=True, capture_output=True, timeout=120)
    mono.tag("v1.0.0")
    asked = {"component": "site", "release": "v1.0.0", "path": "apps/web", "kind": "static", "lock": f"../../{name}", "output": "dist"}
    mono.write({"apps/web/package.json": json.dumps({**web, "dependencies": {**web["dependencies"], "is-odd": "3.0.1"}})})
    mono.tag("v1.1.0")
    built, refused = mono.stage("one", asked, {**asked, "release": "v1.1.0"})
    assert built.get("msg") is None, built["msg"]
    folder = mono.release("one", "v1.0.0", "site")
    assert (folder / "index.html").read_text() == "shared true"
    assert sorted(path.name for path in folder.iterdir()) == ["index.html", "release.files.json", "release.json"]
    assert "does not fit package.json" in refused["msg"]


def test_a_server_of_a_node_workspace_keeps_its_packages(mono: Monorepo, managers: Path) -> None:
    (mono.tmp / "tools/pnpm").symlink_to(managers / "pnpm")
    for program in ("node", "npm"):
        (mono.tmp / "tools" / program).symlink_to(str(shutil.which(program)))
    mono.write({
        "pnpm-workspace.yaml": "packages: [apps/*, libs/*]\n", "package.json": "{}", ".gitignore": "node_modules\n",
        "apps/web/package.json": json.dumps({"name": "web", "dependencies": {"shared": "workspace:*"}}),
        "apps/web/server.js": "console.log(require('shared'))\n",
        "libs/shared/package.json": json.dumps({"name": "shared", "version": "1.0.0", "main": "index.js"}),
        "libs/shared/index.js": "module.exports = 'shared'\n",
    })
    subprocess.run([managers / "pnpm", "install", "--lockfile-only"], cwd=mono.repo, check=True, capture_output=True, timeout=120)
    mono.tag("v1.0.0")
    asked = {"component": "web", "release": "v1.0.0", "path": "apps/web", "kind": "node", "lock": "../../pnpm-lock.yaml"}
    (built,) = mono.stage("one", {**asked, "build": [["true"]]})
    assert built.get("msg") is None, built["msg"]
    folder = mono.release("one", "v1.0.0", "web")
    assert folder.is_symlink()
    done = subprocess.run(["node", "server.js"], cwd=folder, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "shared"
