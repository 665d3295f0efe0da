# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import shutil
import sys
import zipfile
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.core.masking import Masker
from ansible_collections.phasegate.aistack.plugins.module_utils.release import build, sandbox
from ansible_collections.phasegate.aistack.plugins.module_utils.release.build import Recipe, TestsFailed
from ansible_collections.phasegate.aistack.plugins.module_utils.release.store import ReleaseError

# Beside this Python, or where make puts it on the PATH: ansible-test has an environment of its own.
UV = Path(shutil.which("uv", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])) or "uv")
needs_uv = pytest.mark.skipif(not UV.exists(), reason="there is no uv on the PATH; make venv installs it")

UV_SAYS = """error: Failed to download `six==1.16.0`
  cause: Hash mismatch for `six==1.16.0`

         Expected:
           sha256:0000

         Computed:
           sha256:8abb
"""
UV_SAID_BEFORE = """error: Failed to download `six==1.16.0`
  Caused by: Hash mismatch for `six==1.16.0`

Expected:
  sha256:0000
  sha256:1111

Computed:
  sha256:8abb
"""


def recipe(tmp_path: Path, **given: Any) -> Recipe:
    tools = tmp_path / "tools"
    tools.mkdir(exist_ok=True)
    if UV.exists() and not (tools / "uv").exists():
        (tools / "uv").symlink_to(UV)
    settings: dict[str, Any] = {
        "component": "backend", "tag": "v1", "kind": "python", "tools": tools, "cache": tmp_path / "cache",
        "python": sys.executable, "build_user": "root", "test_user": "root", "build_timeout": 60, "test_timeout": 20,
    }
    return Recipe(**{**settings, **given})


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    made = tmp_path / "work"
    made.mkdir()
    return made


def wheel(folder: Path, name: str = "tiny", version: str = "1.0", tag: str = "py3-none-any") -> str:
    """Write a wheel with one module; returns its SHA-256."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}-{version}-{tag}.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as bundle:
        bundle.writestr(f"{name}.py", "answer = 42\n")
        bundle.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        bundle.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: " + tag + "\n")
        bundle.writestr(f"{info}/RECORD", f"{name}.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
    return sha256(path.read_bytes()).hexdigest()


def offline(tmp_path: Path) -> dict[str, str]:
    return {"UV_OFFLINE": "1", "UV_FIND_LINKS": str(tmp_path / "wheels")}


@needs_uv
def test_python_dependencies_from_the_lock_file(tmp_path: Path, tree: Path) -> None:
    digest = wheel(tmp_path / "wheels")
    (tree / "requirements.lock").write_text(f"tiny==1.0 --hash=sha256:{digest}\n")
    made = recipe(tmp_path, lock="requirements.lock", environment=offline(tmp_path))
    build.install_python(made, tree)
    moved = tree.rename(tmp_path / "moved")
    (moved / "test_it.py").write_text("import tiny\nassert tiny.answer == 42\n")
    results = build.run_tests(recipe(tmp_path, tests=[["{python}", "{release_path}/test_it.py"]]), moved)
    assert [result["cmd"] for result in results] == ["{python} {release_path}/test_it.py"]


@needs_uv
def test_a_hash_that_does_not_match_names_package_and_both(tmp_path: Path, tree: Path) -> None:
    digest = wheel(tmp_path / "wheels")
    (tree / "requirements.lock").write_text(f"tiny==1.0 --hash=sha256:{'0' * 64}\n")
    with pytest.raises(ReleaseError) as refused:
        build.install_python(recipe(tmp_path, lock="requirements.lock", environment=offline(tmp_path)), tree)
    said = str(refused.value)
    for part in ("tiny", "0" * 64, digest, "requirements.lock", "uv pip compile --universal"):
        assert part in said
    assert refused.value.extra["package"] == "tiny==1.0"
    assert "1. it was locked for another Python" in said
    (tree / "uv.lock").write_text('requires-python = ">=3.99"\n')
    shutil.rmtree(tree / ".venv")
    with pytest.raises(ReleaseError, match=r"1\. it was locked for another Python: uv\.lock says >=3\.99, and .* is Python 3\."):
        build.install_python(recipe(tmp_path, lock="requirements.lock", environment=offline(tmp_path)), tree)
    (tree / "uv.lock").write_text('requires-python = ">=3.1"\n')
    shutil.rmtree(tree / ".venv")
    with pytest.raises(ReleaseError, match=r"1\. the lock file was edited.*\n  2\. the package source serves something else"):
        build.install_python(recipe(tmp_path, lock="requirements.lock", environment=offline(tmp_path)), tree)


@needs_uv
@pytest.mark.parametrize(
    ("tag", "says", "expected", "never"),
    [
        ("cp399-cp399-linux_x86_64", "", "Why: it was locked for another Python: .* are for cp399 alone: lock it for ", "nothing says"),
        ("cp399-cp399-linux_x86_64", ">=3.1", r"Why: uv\.lock says >=3\.1, which .*fits, but .* are for cp399 alone: ", "another Python:"),
        ("py3-none-macosx_11_0_arm64", "", "without a wheel for this node.*or name the package: aistack_", "another Python"),
    ],
)
def test_wheels_for_another_node_are_told_by_what_they_are_for(
    tmp_path: Path, tree: Path, tag: str, says: str, expected: str, never: str
) -> None:
    (tree / "requirements.lock").write_text(f"tiny==1.0 --hash=sha256:{wheel(tmp_path / 'wheels', tag=tag)}\n")
    if says:
        (tree / "uv.lock").write_text(f'requires-python = "{says}"\n')
    with pytest.raises(ReleaseError, match=f"(?s){expected}") as refused:
        build.install_python(recipe(tmp_path, lock="requirements.lock", environment=offline(tmp_path)), tree)
    assert never not in str(refused.value)
    assert refused.value.extra["step"] == "dependencies"


@needs_uv
@pytest.mark.parametrize("asked", ["python3.99", "/opt/none/bin/python3"])
def test_an_interpreter_that_is_not_there_is_no_fault_of_the_release(tmp_path: Path, tree: Path, asked: str) -> None:
    (tree / "requirements.lock").write_text("")
    with pytest.raises(ReleaseError, match="asks for the interpreter"):
        build.refuse_interpreter(recipe(tmp_path, python=asked))
    build.refuse_interpreter(recipe(tmp_path, python=sys.executable))
    build.refuse_interpreter(recipe(tmp_path, python=asked, kind="static"))
    with pytest.raises(ReleaseError) as refused:
        build.install_python(recipe(tmp_path, lock="requirements.lock", python=asked), tree)
    said = str(refused.value)
    assert f"release_python asks for the interpreter {asked}, which is not on this node" in said
    assert "The release is not to blame: nothing was built, nothing is marked." in said
    assert "new tag" not in said
    assert not (tree / ".venv").exists()


@pytest.mark.parametrize(
    ("command", "missing"),
    [
        (["{python}", "-m", "no_such_runner", "-q"], "no_such_runner"),
        (["sh", "-c", "no-such-vitest run"], "no-such-vitest"),
        (["no-such-jest"], "no-such-jest"),
    ],
)
def test_a_tests_tool_that_is_not_installed_marks_nothing(tmp_path: Path, tree: Path, command: list[str], missing: str) -> None:
    with pytest.raises(ReleaseError, match=f"needs {missing}, which is neither .* nor installed with the release") as refused:
        build.run_tests(recipe(tmp_path, lock="requirements.lock", tests=[command]), tree)
    assert not isinstance(refused.value, TestsFailed)
    assert "is not marked" in str(refused.value)


def test_a_test_that_misses_a_module_fails(tmp_path: Path, tree: Path) -> None:
    (tree / "runner.py").write_text("import no_such_runner\n")
    with pytest.raises(TestsFailed):
        build.run_tests(recipe(tmp_path, tests=[["{python}", "-m", "runner"]]), tree)


@needs_uv
def test_a_lock_file_without_hashes_is_refused(tmp_path: Path, tree: Path) -> None:
    wheel(tmp_path / "wheels")
    (tree / "requirements.lock").write_text("tiny==1.0\n")
    with pytest.raises(ReleaseError, match="hash"):
        build.install_python(recipe(tmp_path, lock="requirements.lock", environment=offline(tmp_path)), tree)


@needs_uv
def test_a_lock_file_that_is_not_there(tmp_path: Path, tree: Path) -> None:
    with pytest.raises(ReleaseError, match=r"no lock file requirements.lock"):
        build.install_python(recipe(tmp_path, lock="requirements.lock"), tree)


@needs_uv
def test_compiled_files_do_not_depend_on_the_folder(tmp_path: Path) -> None:
    compiled = []
    for name in ("one", "two"):
        tree = tmp_path / name
        tree.mkdir()
        (tree / "main.py").write_text("def answer():\n    return 42\n")
        made = recipe(tmp_path)
        build.install_python(made, tree)
        assert build.compile_python(made, tree)
        compiled.append(next((tree / "__pycache__").glob("main.*.pyc")).read_bytes())
    assert compiled[0] == compiled[1]


@pytest.mark.parametrize(("text", "expected"), [(UV_SAYS, "sha256:0000"), (UV_SAID_BEFORE, "sha256:0000 or sha256:1111")])
def test_what_uv_says_about_hashes(text: str, expected: str) -> None:
    assert build.hash_mismatch(text) == ("six==1.16.0", expected, "sha256:8abb")
    assert build.hash_mismatch("error: no route to host") is None


def test_uv_is_missing(tmp_path: Path, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "PATH", str(tmp_path))
    with pytest.raises(ReleaseError, match=r"needs uv, which is neither in .* role toolchain"):
        build.install_python(recipe(tmp_path, tools=tmp_path / "none"), tree)


def fake(tmp_path: Path, name: str, script: str) -> None:
    tools = tmp_path / "tools"
    tools.mkdir(exist_ok=True)
    (tools / name).write_text(f"#!/bin/sh\n{script}\n")
    (tools / name).chmod(0o755)


def node(tmp_path: Path, **given: Any) -> Recipe:
    return recipe(tmp_path, **{"kind": "node", "build": [["npm", "run", "build"]], **given})


def test_npm_integrity(tmp_path: Path, tree: Path) -> None:
    (tree / "package-lock.json").write_text("{}")
    fake(tmp_path, "npm", "echo 'npm error code EINTEGRITY'; echo 'npm error sha512 integrity checksum failed when using sha512: "
                          "wanted sha512-AAA== but got sha512-BBB==. (9 bytes)'; exit 1")
    with pytest.raises(ReleaseError, match=r"package-lock.json .* Expected sha512-AAA==, got sha512-BBB=="):
        build.install_node(node(tmp_path), tree)


def test_npm_without_lock_file(tmp_path: Path, tree: Path) -> None:
    with pytest.raises(ReleaseError, match=r"no lock file package-lock.json"):
        build.install_node(node(tmp_path), tree)


def test_a_build_that_fails_shows_its_last_words(tmp_path: Path, tree: Path) -> None:
    fake(tmp_path, "npm", "seq 1 100; echo \"Type error: 'x' is not assignable\"; exit 2")
    with pytest.raises(ReleaseError) as refused:
        build.run_build(node(tmp_path), tree)
    said = str(refused.value)
    assert "exit status 2 (command: npm run build)" in said
    assert "'x' is not assignable" in said
    assert "\n50\n" not in said
    assert refused.value.extra["rc"] == 2


def test_a_build_gets_environment_tools_and_release(tmp_path: Path, tree: Path) -> None:
    fake(tmp_path, "npm", 'echo "$AISTACK_RELEASE $KEY $HTTP_PROXY $NEXT_TELEMETRY_DISABLED" > seen')
    build.run_build(node(tmp_path, build_env={"KEY": "k"}, environment={"HTTP_PROXY": "http://p"}), tree)
    assert (tree / "seen").read_text() == "v1 k http://p 1\n"


def test_a_build_that_takes_too_long(tmp_path: Path, tree: Path) -> None:
    fake(tmp_path, "npm", "echo begun; sleep 30")
    with pytest.raises(ReleaseError, match=r"took longer than 0.5 s .*\n?.*begun"):
        build.run_build(node(tmp_path, build_timeout=0.5), tree)


def test_a_disk_that_becomes_full(tmp_path: Path, tree: Path) -> None:
    fake(tmp_path, "npm", "echo 'npm error ENOSPC: no space left on device, write'; exit 1")
    with pytest.raises(ReleaseError, match=r"disk became full .* Nothing of it was kept"):
        build.run_build(node(tmp_path), tree)


def test_failing_tests_name_the_lines_and_hide_secrets(tmp_path: Path, tree: Path) -> None:
    (tree / "t.py").write_text(
        "import os\nprint('noise')\nprint('E   assert 1 == 2 with', os.environ['API_KEY'], os.environ['DATABASE_URL'])\n"
        "print('FAILED t.py::test_x')\nraise SystemExit(1)\n"
    )
    secrets = {"API_KEY": "hunter2hunter2", "DATABASE_URL": "postgresql://u:pw@h/db"}
    made = recipe(tmp_path, kind="static", tests=[["{python}", "t.py"]], test_env=secrets, masker=Masker.of(secrets))
    with pytest.raises(TestsFailed) as refused:
        build.run_tests(made, tree)
    assert refused.value.extra["failing"] == ["E   assert 1 == 2 with ****[API_KEY] postgresql://u:****@h/db", "FAILED t.py::test_x"]
    assert "own tests of backend v1 failed" in str(refused.value)
    for text in (str(refused.value), str(refused.value.extra)):
        assert "hunter2" not in text
        assert "u:pw@" not in text


def test_tests_that_hang_do_not_make_a_release_bad(tmp_path: Path, tree: Path) -> None:
    made = recipe(tmp_path, kind="static", tests=[["sh", "-c", "sleep 30"]], test_timeout=0.5)
    with pytest.raises(ReleaseError, match="took longer") as refused:
        build.run_tests(made, tree)
    assert not isinstance(refused.value, TestsFailed)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs tests as another user")
def test_tests_run_as_another_user_who_cannot_change_the_tree(tmp_path: Path) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as open_to_all:
        os.chmod(open_to_all, 0o755)
        tree = Path(open_to_all)
        script = "id -un; touch here 2>/dev/null && echo wrote; touch $HOME/x && echo home; env | grep -c LEAK"
        made = recipe(tmp_path, kind="static", tests=[["sh", "-c", f"({script}) > /dev/stderr; id -un"]], test_user="nobody")
        results = build.run_tests(made, tree)
        assert results[0]["summary"] == "nobody"
        assert os.listdir(tree) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs tests as another user")
def test_a_test_user_that_is_not_there(tmp_path: Path, tree: Path) -> None:
    with pytest.raises(ReleaseError, match="user no-such-user, which this host does not have"):
        build.run_tests(recipe(tmp_path, tests=[["true"]], test_user="no-such-user"), tree)


def test_a_site_of_files_is_reduced_to_the_folder_that_its_build_writes(tmp_path: Path, tree: Path) -> None:
    for name in ("web/dist/index.html", "web/dist/assets/a.js", "src/main.ts", "node_modules/vite/i.js"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(name)
    made = recipe(tmp_path, kind="static", lock="package-lock.json", output="web/dist")
    build.keep_output(made, tree)
    assert sorted(str(path.relative_to(tree)) for path in tree.rglob("*") if path.is_file()) == ["assets/a.js", "index.html"]
    assert not list(tree.parent.glob("*.output"))
    with pytest.raises(ReleaseError, match=r"left no folder web/dist, .*Its folders are: assets\. Name the one that the build writes"):
        build.keep_output(made, tree)
    build.keep_output(recipe(tmp_path, kind="static"), tree)
    assert (tree / "index.html").is_file()


@pytest.mark.parametrize("link", ["dist", "web"])
def test_a_folder_that_leads_out_of_the_tree_is_not_kept(tmp_path: Path, tree: Path, link: str) -> None:
    (tmp_path / "else" / "dist").mkdir(parents=True)
    (tree / link).symlink_to(tmp_path / "else" / "dist" if link == "dist" else tmp_path / "else")
    with pytest.raises(ReleaseError):
        build.keep_output(recipe(tmp_path, kind="static", output="dist" if link == "dist" else "web/dist"), tree)


def test_npm_makes_a_site_of_files_that_has_a_lock_file(tmp_path: Path, tree: Path) -> None:
    assert not recipe(tmp_path, kind="static").npm
    made = recipe(tmp_path, kind="static", lock="package-lock.json", build=[["sh", "-c", 'echo "$npm_config_cache" > made']])
    assert made.npm
    build.run_build(made, tree)
    assert (tree / "made").read_text().strip() == str(tmp_path / "cache/backend/npm")
    with pytest.raises(ReleaseError, match=r"no lock file package-lock\.json"):
        build.install_node(made, tree)
