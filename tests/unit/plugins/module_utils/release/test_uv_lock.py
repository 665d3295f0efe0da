# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Releases from uv.lock and pylock.toml: a real uv, packages that the test makes, no network."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.release import build, sandbox
from ansible_collections.phasegate.aistack.plugins.module_utils.release.build import Recipe
from ansible_collections.phasegate.aistack.plugins.module_utils.release.store import ReleaseError

from .test_build import UV, needs_uv, recipe, wheel

pytestmark = needs_uv

BACKEND = '''
import os, zipfile
def build_wheel(folder, settings=None, metadata=None):
    name = next(line.split('"')[1] for line in open("pyproject.toml") if line.startswith("name"))
    with zipfile.ZipFile(os.path.join(folder, f"{name}-0.1.0-py3-none-any.whl"), "w") as bundle:
        bundle.write(f"{name}.py")
        info = f"{name}-0.1.0.dist-info"
        bundle.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\\nName: {name}\\nVersion: 0.1.0\\n")
        bundle.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\\nGenerator: x\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        bundle.writestr(f"{info}/RECORD", "")
    return f"{name}-0.1.0-py3-none-any.whl"
'''
PROJECT = '[project]\nname = "{name}"\nversion = "0.1.0"\nrequires-python = ">=3.9"\ndependencies = [{needs}]\n'
WORKSPACE = '[tool.uv.workspace]\nmembers = ["api", "libs/*"]\n'
OWN = '[tool.uv.sources]\nshared = { workspace = true }\n'


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A tree with a workspace: the component in api, which needs the package tiny and libs/shared."""
    wheel(tmp_path / "wheels")
    made = tmp_path / "work"
    for folder in ("api", "libs/shared/src/shared", "libs/other"):
        (made / folder).mkdir(parents=True)
    (made / "pyproject.toml").write_text(WORKSPACE)
    (made / "api/pyproject.toml").write_text(PROJECT.format(name="api", needs='"tiny", "shared"') + OWN)
    (made / "libs/shared/pyproject.toml").write_text(
        PROJECT.format(name="shared", needs="") + '[build-system]\nrequires = ["uv_build"]\nbuild-backend = "uv_build"\n'
    )
    (made / "libs/shared/src/shared/__init__.py").write_text("word = 'shared'\n")
    (made / "libs/other/pyproject.toml").write_text(PROJECT.format(name="other", needs=""))
    (made / "api/main.py").write_text("import shared, tiny\nprint(shared.word, tiny.answer)\n")
    return made


def lock(work: Path, *words: str) -> None:
    """Make the lock file, as a developer does whose package source is not the node's."""
    env = {**os.environ, "UV_OFFLINE": "1", "UV_FIND_LINKS": str(work.parent / "wheels"), "UV_PYTHON_DOWNLOADS": "never"}
    argv = [str(UV), *(words or ("lock",)), "--quiet", "--no-index", "--no-cache", "--python", sys.executable]
    subprocess.run(argv, cwd=work, env=env, check=True, capture_output=True)
    path = work / "uv.lock"  # as it is where the packages come from an index: uv notes hashes of these alone

    def of_index(found: re.Match[str]) -> str:
        digest = sha256((work.parent / "wheels" / found[1]).read_bytes()).hexdigest()
        return f'{{ url = "https://packages.example.org/{found[1]}", hash = "sha256:{digest}" }}'

    text = re.sub(r'registry = "[^"]+"', 'registry = "https://packages.example.org/simple"', path.read_text())
    path.write_text(re.sub(r'\{ path = "[^"]*?([^"/]+\.whl)" \}', of_index, text))


def made(tmp_path: Path, **given: Any) -> Recipe:
    source = {"UV_OFFLINE": "1", "UV_NO_INDEX": "1", "UV_FIND_LINKS": str(tmp_path / "wheels")}
    return recipe(tmp_path, **{"lock": "../uv.lock", "inner": "api", "environment": source, **given})


def says(folder: Path) -> str:
    """What the component prints, once it has moved."""
    moved = folder.rename(folder.with_name("moved"))
    done = subprocess.run([moved / ".venv/bin/python", "main.py"], cwd=moved, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_component_of_a_workspace_gets_what_its_project_needs(tmp_path: Path, work: Path) -> None:
    (work / "api/pyproject.toml").write_text((work / "api/pyproject.toml").read_text() + '[dependency-groups]\ndev = ["other"]\n'
                                             "[tool.uv.sources.other]\nworkspace = true\n")
    lock(work)
    building = made(tmp_path)
    build.install_python(building, work)
    packages = sorted(path.name for path in (work / "api/.venv/lib").glob("python*/site-packages/*.dist-info"))
    assert packages == ["shared-0.1.0.dist-info", "tiny-1.0.dist-info"]
    search = ["grep", "-rl", "--exclude-dir=__pycache__", str(tmp_path), str(work / "api/.venv")]
    named = subprocess.run(search, capture_output=True, text=True, check=False)
    assert named.stdout == "", "nothing says where it was built: it is laid down below other roots"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "tools", "wheels", "work"], "nothing is left beside the tree"
    build.keep_output(building, work)
    assert not (work / "libs").exists()
    assert says(work) == "shared 42"


def test_the_context_that_was_named_stays(tmp_path: Path, work: Path) -> None:
    lock(work)
    building = made(tmp_path, whole=True)
    build.keep_output(building, work)
    assert (work / "libs/shared/src/shared/__init__.py").is_file()


def test_without_uv_the_role_that_brings_it_is_named(tmp_path: Path, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock(work)
    monkeypatch.setattr(sandbox, "PATH", str(tmp_path))
    with pytest.raises(ReleaseError, match=r"needs uv, which is neither in .* role toolchain"):
        build.install_python(made(tmp_path, tools=tmp_path / "none"), work)


def test_a_lock_that_does_not_fit_its_project_installs_nothing(tmp_path: Path, work: Path) -> None:
    lock(work)
    project = work / "api/pyproject.toml"
    project.write_text(project.read_text().replace('"tiny"', '"tiny>=2"'))
    with pytest.raises(ReleaseError) as refused:
        build.install_python(made(tmp_path), work)
    said = str(refused.value)
    assert said.startswith("The lock file ../uv.lock of backend v1 does not fit the pyproject.toml of its project or of a member of its")
    assert "Lock it (uv lock), commit uv.lock, and give the release a new tag." in said
    assert refused.value.extra["step"] == "dependencies"
    assert not (work / "api/.venv").exists()


def test_a_folder_that_is_no_project_of_the_lock(tmp_path: Path, work: Path) -> None:
    lock(work)
    (work / "api/pyproject.toml").write_text(PROJECT.format(name="api", needs="") + "[tool.uv.workspace]\n")
    with pytest.raises(ReleaseError, match=r"The lock file \.\./uv\.lock of backend v1 (does not fit|cannot be used)|made no list"):
        build.install_python(made(tmp_path), work)


def test_what_builds_a_folder_is_proven_by_a_hash_or_allowed(tmp_path: Path, work: Path) -> None:
    backend = tmp_path / "wheels" / "maker-1.0-py3-none-any.whl"
    with zipfile.ZipFile(backend, "w") as bundle:
        bundle.writestr("maker.py", BACKEND)
        bundle.writestr("maker-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: maker\nVersion: 1.0\n")
        bundle.writestr("maker-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        bundle.writestr("maker-1.0.dist-info/RECORD", "")
    shared = PROJECT.format(name="shared", needs="") + '[build-system]\nrequires = ["maker"]\nbuild-backend = "maker"\n'
    (work / "libs/shared/pyproject.toml").write_text(shared)
    (work / "libs/shared/shared.py").write_text("word = 'made'\n")
    lock(work)
    with pytest.raises(ReleaseError) as refused:
        build.install_python(made(tmp_path), work)
    said = str(refused.value)
    assert "shared of the repository, which backend v1 is made of, is built by maker, and ../uv.lock has no hash of that" in said
    assert "sdists: [shared]" in said
    build.install_python(made(tmp_path, sdists=["shared"], inner="api"), _fresh(work))
    (work / "libs/shared/pyproject.toml").write_text(shared + '[dependency-groups]\nbuild = ["maker"]\n')
    lock(work)
    build.install_python(made(tmp_path), _fresh(work))
    assert says(work / "api") == "made 42"


def _fresh(work: Path) -> Path:
    subprocess.run(["rm", "-rf", str(work / "api/.venv")], check=True)
    return work


def test_a_project_alone_and_a_package_that_was_exchanged(tmp_path: Path) -> None:
    wheel(tmp_path / "wheels")
    work = tmp_path / "work"
    work.mkdir()
    (work / "pyproject.toml").write_text(PROJECT.format(name="api", needs='"tiny"'))
    (work / "main.py").write_text("import tiny\nprint(tiny.answer)\n")
    lock(work)
    alone = {"lock": "uv.lock", "inner": ""}
    build.install_python(made(tmp_path, **alone), work)
    again = tmp_path / "again"
    again.mkdir()
    for name in ("pyproject.toml", "uv.lock"):
        (again / name).write_text((work / name).read_text())
    assert says(work) == "42"
    (tmp_path / "wheels/tiny-1.0-py3-none-any.whl").unlink()
    with zipfile.ZipFile(tmp_path / "wheels/tiny-1.0-py3-none-any.whl", "w") as bundle:
        bundle.writestr("tiny.py", "answer = 43\n")
        bundle.writestr("tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        bundle.writestr("tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        bundle.writestr("tiny-1.0.dist-info/RECORD", "")
    with pytest.raises(ReleaseError, match=r"uv\.lock of backend v1 does not fit what was downloaded: tiny==1\.0") as refused:
        build.install_python(made(tmp_path, **alone, cache=tmp_path / "fresh"), again)
    assert "uv pip compile" not in str(refused.value), "that would make another kind of lock"


def test_pylock(tmp_path: Path) -> None:
    digest = wheel(tmp_path / "wheels")
    work = tmp_path / "work"
    work.mkdir()
    text = (
        'lock-version = "1.0"\ncreated-by = "test"\nrequires-python = ">=3.9"\n\n[[packages]]\nname = "tiny"\nversion = "1.0"\n'
        f'wheels = [{{ path = "../wheels/tiny-1.0-py3-none-any.whl", hashes = {{ sha256 = "{digest}" }} }}]\n'
    )
    (work / "pylock.toml").write_text(text)
    (work / "main.py").write_text("import tiny\nprint(tiny.answer)\n")
    build.install_python(made(tmp_path, lock="pylock.toml", inner=""), work)
    assert says(work) == "42"
    work.mkdir()
    (work / "pylock.toml").write_text(text.replace(digest, sha256(b"").hexdigest()))
    with pytest.raises(ReleaseError, match=r"pylock\.toml of backend v1 does not fit what was downloaded"):
        build.install_python(made(tmp_path, lock="pylock.toml", inner="", cache=tmp_path / "fresh"), work)


def test_a_link_out_of_the_component_is_told_before_it_dangles(tmp_path: Path, work: Path) -> None:
    (work / "api/proto").symlink_to("../libs/other")
    with pytest.raises(ReleaseError, match=r"proto of backend v1 is a link to libs/other, .*context \(such as libs\)"):
        build.keep_output(made(tmp_path), work)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_the_build_user_does_all_of_it(tmp_path: Path, work: Path) -> None:
    lock(work)
    with tempfile.TemporaryDirectory() as place:  # which other users reach, unlike pytest's
        os.chmod(place, 0o755)
        for name in ("work", "wheels"):
            shutil.copytree(tmp_path / name, f"{place}/{name}")
        Path(place, "tools").mkdir()
        shutil.copy(UV, f"{place}/tools/uv")
        source = {"UV_OFFLINE": "1", "UV_NO_INDEX": "1", "UV_FIND_LINKS": f"{place}/wheels"}
        building = Recipe(
            component="api", tag="v1", kind="python", tools=Path(place, "tools"), cache=Path(place, "cache"), python="/usr/bin/python3",
            lock="../uv.lock", inner="api", environment=source, build_user="nobody", test_user="daemon", test_sandbox="none",
            tests=[["{python}", "main.py"]],
        )
        tree = Path(place, "work")
        sandbox.lend(tree, building.builder())
        build.install_python(building, tree)
        assert build.run_tests(building, tree)[0]["summary"] == "shared 42"
        assert build.compile_python(building, tree)
        sandbox.take_back(tree, building.builder())
        build.keep_output(building, tree)
        assert sorted(path.name for path in Path(place).iterdir()) == ["cache", "tools", "wheels", "work"]
        assert says(tree) == "shared 42"
