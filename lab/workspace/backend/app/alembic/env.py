"""Alembic's environment: the application's own settings say where the database is."""
from alembic import context
from app.core.config import settings
from app.core.db import Base
from sqlalchemy import engine_from_config, pool

config = context.config
target_metadata = Base.metadata

if context.is_offline_mode():
    context.configure(url=settings.SQLALCHEMY_DATABASE_URI, target_metadata=target_metadata, literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()
else:
    configuration = {"sqlalchemy.url": settings.SQLALCHEMY_DATABASE_URI}
    with engine_from_config(configuration, prefix="sqlalchemy.", poolclass=pool.NullPool).connect() as connection:
        context.configure(connection=connection, target_metadata=target_metadata)
        with context.begin_transaction():
            context.run_migrations()
