"""Alembic's environment: the address comes from DATABASE_URL; without a connection (--sql) none is needed."""
from __future__ import annotations

import logging
import os

from alembic import context
from sqlalchemy import create_engine, pool

from app.models import Base

logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")  # standard error: --sql writes to the other


def offline() -> None:
    context.configure(dialect_name="postgresql", target_metadata=Base.metadata, literal_binds=True,
                      dialect_opts={"paramstyle": "named"})
    with context.begin_transaction():
        context.run_migrations()


def online() -> None:
    url = os.environ.get("DATABASE_URL")
    if not url:
        raise SystemExit("DATABASE_URL is not set: the database to migrate is not known")
    with create_engine(url, poolclass=pool.NullPool).connect() as connection:
        context.configure(connection=connection, target_metadata=Base.metadata, compare_type=True)
        with context.begin_transaction():
            context.run_migrations()


if context.is_offline_mode():
    offline()
else:
    online()
