"""The engine and sessions; made on first use, so that forked Celery workers make their own."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

from sqlalchemy import Engine, create_engine
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.orm import Session

from app.settings import settings

AWAY = (OperationalError, InterfaceError)  # the database does not answer, as against: it refuses what it was told


@lru_cache
def engine() -> Engine:
    url = settings().database_url
    arguments = {"connect_timeout": 3, "application_name": "sparklio"} if url.startswith("postgresql") else {}
    return create_engine(url, pool_pre_ping=True, connect_args=arguments)


@contextmanager
def session() -> Iterator[Session]:
    """A session that commits at the end of the block and rolls back on an error."""
    with Session(engine(), expire_on_commit=False) as db, db.begin():
        yield db
