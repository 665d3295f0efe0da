# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The request that a module's arguments are."""

from __future__ import annotations

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.migration import request as alembic_request

GIVEN = {"component": "backend", "env_file": "/env", "user": None, "run": None}


@pytest.mark.parametrize(("found", "user"), [("aistack-backend", "aistack-backend"), (None, "aistack")])
def test_migrations_run_as_the_components_user(monkeypatch: pytest.MonkeyPatch, found: str, user: str) -> None:
    """Never as root because nobody was named: where there is no such user, that is said."""
    monkeypatch.setattr(alembic_request, "service_user", {"backend": found}.get)
    assert alembic_request.of(GIVEN).user == user
    assert alembic_request.of({**GIVEN, "user": "shop"}).user == "shop"
