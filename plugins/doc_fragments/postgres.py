# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options of the modules that work on a PostgreSQL database."""

from __future__ import annotations


class ModuleDocFragment:
    """Where a database is, and as whom it is looked at."""

    DOCUMENTATION = r"""
options:
  env_file:
    description: The rendered environment of the component that uses the database; its URL is taken from there.
    type: path
  url_variable:
    description: Variable in O(env_file) that holds the URL, in one of SQLAlchemy's forms for PostgreSQL.
    type: str
    default: DATABASE_URL
  database:
    description: Name of the database. That of the URL if left out.
    type: str
    default: ""
  host:
    description:
      - Address or socket directory under which the server's administrator reaches it.
      - The local socket in C(/var/run/postgresql) if left out and there is one, else the host of the URL.
    type: str
    default: ""
  port:
    description: Port of the server. That of the URL if left out, else 5432.
    type: int
  login_user:
    description: Role of the server's administrator.
    type: str
    default: postgres
  password_file:
    description: File on the node with the administrator's password, where the server asks for one.
    type: path
  user:
    description:
      - System user that PostgreSQL's tools run as, where the module runs as root.
      - If left out, V(postgres) for the administrator over a socket and V(aistack), where the node has that user, for the application.
    type: str
"""
