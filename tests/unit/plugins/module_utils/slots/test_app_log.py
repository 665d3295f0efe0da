# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What servers and Celery say where the name of the application leads to nothing."""

from __future__ import annotations

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.slots.app_log import misses_app


@pytest.mark.parametrize(
    "line",
    [
        'ERROR:    Error loading ASGI app. Attribute "application" not found in module "app.main".',
        'ERROR:    Error loading ASGI app. Could not import module "main".',
        "Failed to find attribute 'application' in 'app.main'.",
        "Error: Unable to load celery application.",
        "Error: Invalid value for '-A' / '--app':",
        "AttributeError: module 'app.celery_app' has no attribute 'celery'",
    ],
)
def test_the_application_is_not_there(line: str) -> None:
    assert misses_app(["Starting", line, "Stopped"])


@pytest.mark.parametrize(
    "line",
    ["AttributeError: 'NoneType' object has no attribute 'x'", "ModuleNotFoundError: No module named 'asyncpg'", ""],
)
def test_another_fault_is_the_releases_own(line: str) -> None:
    assert not misses_app([line])
