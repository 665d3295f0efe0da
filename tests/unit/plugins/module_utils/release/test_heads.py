# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The heads of a release that is an image; trees are asked in tests/integration/alembic/test_layouts.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.alembic.runner import InImage
from ansible_collections.phasegate.aistack.plugins.module_utils.release import heads
from ansible_collections.phasegate.aistack.plugins.module_utils.release.build import Recipe

DIGEST = f"sha256:{'1' * 64}"
RECIPE = Recipe("api", "v1.0.0", "image", Path("/tools"), Path("/cache"), made_up={"DATABASE_URL": "postgresql://made:up@h/d"})


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ('exec: "python3": executable file not found in $PATH', ([], "")),
        ("python3: cannot execute binary file", (None, "the release's Python ended with 3: python3: cannot execute binary file")),
    ],
)
def test_an_image_without_python_has_none_and_any_other_end_is_not_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, found: tuple[list[str] | None, str]
) -> None:
    docker = tmp_path / "docker"
    docker.write_text(f"#!/bin/sh\necho '{said}' >&2\nexit 3\n")
    docker.chmod(0o755)
    monkeypatch.setattr(heads, "InImage", lambda digest: InImage(digest, docker=str(docker)))
    assert heads.of_image(RECIPE, DIGEST) == found


SQLALCHEMY = "class _Event:\n    def listen(self, *words): pass\nevent = _Event()\n__version__ = '2'\n"
ALEMBIC = {
    "__init__.py": "__version__ = '1'\n",
    "config.py": "class Config:\n    def __init__(self, file, **options): self.output_buffer = None\n",
    "script.py": """
class ScriptDirectory:
    @classmethod
    def from_config(cls, config): return cls()
    def walk_revisions(self, *ends): return []
    def get_heads(self): return ['b2', 'a1']
    def get_bases(self): return []
""",
}


def image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, alembic: bool = True, ini: bool = True) -> None:
    """An image whose folder has an Alembic that says just enough; Docker is a script that runs Python in there."""
    folder = tmp_path / "srv"
    (folder / "sqlalchemy").mkdir(parents=True)
    (folder / "sqlalchemy" / "__init__.py").write_text(SQLALCHEMY)
    (folder / "sqlalchemy" / "engine.py").write_text("class Engine: pass\n")
    if alembic:
        (folder / "alembic").mkdir()
        for name, text in ALEMBIC.items():
            (folder / "alembic" / name).write_text(text)
    if ini:
        (folder / "alembic.ini").write_text("[alembic]\n")
    docker = tmp_path / "docker"
    docker.write_text(f'#!/bin/sh\nwhile [ "$1" != {DIGEST} ]; do shift; done\nshift\ncd {folder}\nexec python3 "$@"\n')
    docker.chmod(0o755)
    monkeypatch.setattr(heads, "InImage", lambda digest: InImage(digest, docker=str(docker)))


def test_its_own_alembic_tells_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image(tmp_path, monkeypatch)
    assert heads.of_image(RECIPE, DIGEST) == (["a1", "b2"], "")


def test_without_alembic_there_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image(tmp_path, monkeypatch, alembic=False)
    assert heads.of_image(RECIPE, DIGEST) == ([], "")


def test_without_its_configuration_they_are_not_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image(tmp_path, monkeypatch, ini=False)
    found, why = heads.of_image(RECIPE, DIGEST)
    assert found is None
    assert why == f"{tmp_path}/srv/alembic.ini does not exist, and no pyproject.toml has [tool.alembic]"
