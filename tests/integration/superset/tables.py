# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make the tables of the reference application by its own first migration; arguments: address, file. Runs with Superset's Python."""

from __future__ import annotations

import runpy
import sys

import sqlalchemy
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext

with sqlalchemy.create_engine(sys.argv[1]).begin() as connection, Operations.context(MigrationContext.configure(connection)):
    runpy.run_path(sys.argv[2])["upgrade"]()
