# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""With what a migration is planned where no database is."""

from __future__ import annotations

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.environment.placeholders import with_schemes
from ansible_collections.phasegate.aistack.plugins.module_utils.migration import offline_plan


@pytest.mark.parametrize(
    ("real", "made_up"),
    [
        ("postgresql+psycopg2://jobs:secret@10.0.0.1/jobs", "postgresql+psycopg2://planned:planned@localhost:5432/planned"),
        ("postgresql+asyncpg://jobs:secret@10.0.0.1/jobs", "postgresql+asyncpg://planned:planned@localhost:5432/planned"),
        ("sqlite:///jobs.db", "postgresql://planned:planned@localhost:5432/planned"),
        ("", "postgresql://planned:planned@localhost:5432/planned"),
    ],
)
def test_the_made_up_address_names_the_driver_of_the_real_one(real: str, made_up: str) -> None:
    schema = with_schemes([{"name": "REDIS_URL", "type": "dsn"}, {"name": "DB", "type": "dsn", "secret": True}], {"DB": real})
    assert offline_plan._url("DB", schema) == made_up
    assert offline_plan._url("OTHER", schema) == "postgresql://planned:planned@localhost:5432/planned"
