# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is compiled once, so that no process of a test run has to: the environment of the tools, and the archives of Ansible's modules."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def test_an_environment_is_compiled_but_for_its_collections(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("venv_of_the_lab", ROOT / "lab" / "nodes" / "venv.py")
    assert spec
    assert spec.loader
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    packages = tmp_path / "lib" / "python3.11" / "site-packages"
    (packages / "ansible_collections").mkdir(parents=True)
    for name in ("tool.py", "ansible_collections/module.py"):
        (packages / name).write_text("A = 1\n")
    (packages / "broken.py").write_text("print 'of another Python'\n")
    made.compile_bytecode(tmp_path)
    assert [path.name.split(".")[0] for path in packages.rglob("*.pyc")] == ["tool"]


def test_code_of_an_archive_is_kept_by_what_it_says(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()

    def run(name: str, text: str) -> str:
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("of_archive.py", text)
        code = f"import sys; sys.path.insert(0, '{tmp_path / name}'); import of_archive as it; print(it.A, it.f.__code__.co_filename)"
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "lab" / "bytecode"), "AISTACK_TEST_BYTECODE": str(kept)}
        return subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True).stdout.strip()

    text = "A = 1\ndef f(): pass\n"
    assert run("one.zip", text) == f"1 {tmp_path}/one.zip/of_archive.py"
    (first,) = kept.iterdir()
    written = first.stat().st_mtime_ns
    assert run("two.zip", text) == f"1 {tmp_path}/two.zip/of_archive.py", "the same text in another place"
    assert [path.stat().st_mtime_ns for path in kept.iterdir()] == [written]
    assert run("two.zip", text.replace("1", "2")) == f"2 {tmp_path}/two.zip/of_archive.py", "another text in the same place"
    first.write_bytes(b"")
    assert run("one.zip", text) == f"1 {tmp_path}/one.zip/of_archive.py", "what is cut short is compiled again"
    assert first.stat().st_size


def run_ansible(kept: Path, code: str) -> str:
    """What a program prints that uses parts of Ansible, with what was made before it."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "lab" / "bytecode"), "AISTACK_TEST_BYTECODE": str(kept)}
    return subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True).stdout.strip()


def test_templates_are_kept_by_text_and_way(tmp_path: Path) -> None:
    code = """
from ansible.template import Templar, trust_as_template
from ansible.parsing.dataloader import DataLoader
templar = Templar(DataLoader(), {"a": 3})
print(templar.template(trust_as_template(%r), escape_backslashes=%s))
"""
    text = r"{{ a }}{{ 'x\ny' }}{{ a | default(1) }}"
    for _time in range(2):
        assert run_ansible(tmp_path, code % (text, True)) == r"3x\ny3"
        assert run_ansible(tmp_path, code % (text, False)) == "3x\ny3"
    assert len(list(tmp_path.glob("*-template-*"))) == 2
    assert run_ansible(tmp_path, code % ("{{ a + 1 }}", True)) == "4"


def test_imports_are_kept_by_text_and_place(tmp_path: Path) -> None:
    code = """
from ansible.executor import module_common as it
source = %r
found = it.ModuleDepFinder(%r, it._compile_module_ast("name", source))
print(sorted(found.submodules), sorted(found.optional_imports))
"""
    text = b"from .one import a\ntry:\n    from ansible.module_utils import two\nexcept ImportError:\n    two = None\n"
    for _time in range(2):
        for place in ("ansible.module_utils.x", "ansible.module_utils.y.x"):
            near = (*place.split(".")[:-1], "one", "a")
            two = ("ansible", "module_utils", "two")
            assert run_ansible(tmp_path, code % (text, place)) == f"{sorted([near, two])} {[two]}"
    assert len(list(tmp_path.glob("*.x-False"))) == 2
