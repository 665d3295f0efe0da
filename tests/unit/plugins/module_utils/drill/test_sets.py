# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A drill runs a dump on the server that serves: of a set that was signed here, or that was accepted by name."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.backup import catalog
from ansible_collections.phasegate.aistack.plugins.module_utils.backup.catalog import BackupSetError
from ansible_collections.phasegate.aistack.plugins.module_utils.core import signature as backup_key
from ansible_collections.phasegate.aistack.plugins.module_utils.drill import run as drill

NAME = "20260131T120000Z-daily"


def chosen(monkeypatch: pytest.MonkeyPatch, folder: Path, signature: str, name: str = NAME, **more: Any) -> tuple[Path, Any]:
    place = folder / "backups" / NAME
    place.mkdir(parents=True, mode=0o700)
    seen = {"name": NAME, "path": str(place), "problems": [], "signature": signature, "manifest": {"format": drill.FORMAT, "stack": "shop"}}
    monkeypatch.setattr(catalog, "verify", lambda *_given, **_more: seen)
    monkeypatch.setattr(catalog, "newest_verified", lambda *_given: {"name": NAME})
    request = drill.Request("backend", set=name, state_dir=folder, **more)
    return drill._set(SimpleNamespace(request=request, stack="shop"), False)


@pytest.mark.parametrize("name", [NAME, ""], ids=["named", "newest"])
@pytest.mark.parametrize("signature", [backup_key.NONE, backup_key.OTHER])
def test_a_set_that_was_not_signed_here_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, signature: str, name: str) -> None:
    with pytest.raises(BackupSetError, match=f"^Nothing was drilled: the set {NAME} .* -e accept_unsigned={NAME}$"):
        chosen(monkeypatch, tmp_path, signature, name)


def test_one_that_was_signed_here_or_accepted_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert chosen(monkeypatch, tmp_path / "a", backup_key.GOOD)[0].name == NAME
    assert chosen(monkeypatch, tmp_path / "b", backup_key.NONE, accept_unsigned=[NAME])[0].name == NAME
