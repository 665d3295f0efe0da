"""Notes over HTTP; what is not below the API's path is the frontend, where it was built."""
from pathlib import Path

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.core.config import settings
from app.core.db import Note, User, engine

app = FastAPI(title=settings.PROJECT_NAME, openapi_url=f"{settings.API_V1_STR}/openapi.json")


class NewNote(BaseModel):
    text: str


@app.get(f"{settings.API_V1_STR}/utils/health-check/")
def health_check() -> bool:
    return True


@app.get(f"{settings.API_V1_STR}/users")
def users() -> list[str]:
    with Session(engine) as session:
        return list(session.scalars(select(User.email).order_by(User.id)))


@app.get(f"{settings.API_V1_STR}/notes")
def notes() -> list[str]:
    with Session(engine) as session:
        return list(session.scalars(select(Note.text).order_by(Note.id)))


@app.post(f"{settings.API_V1_STR}/notes", status_code=201)
def keep(note: NewNote) -> int:
    with Session(engine) as session:
        made = Note(text=note.text)
        session.add(made)
        session.commit()
        return made.id


FRONTEND = Path(__file__).with_name("static")
if FRONTEND.is_dir():
    app.mount("/", StaticFiles(directory=FRONTEND, html=True))
