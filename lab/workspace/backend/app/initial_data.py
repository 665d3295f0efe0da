"""Make the first user. It may be run again: who is there stays."""
import logging

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.core.config import settings
from app.core.db import User, engine

logging.basicConfig(level=logging.INFO)
logger = logging.getLogger(__name__)


def main() -> None:
    logger.info("Creating initial data")
    with Session(engine) as session:
        if session.scalar(select(User).where(User.email == settings.FIRST_SUPERUSER)) is None:
            session.add(User(email=settings.FIRST_SUPERUSER))
            session.commit()
    logger.info("Initial data created")


if __name__ == "__main__":
    main()
