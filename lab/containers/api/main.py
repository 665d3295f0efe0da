"""A small service that is released as an image: it says which version it is, and keeps what it is given."""
import os
from pathlib import Path

from fastapi import FastAPI

app = FastAPI()
VERSION = Path(__file__).with_name("VERSION").read_text().strip()


@app.get("/health")
def health() -> dict[str, str]:
    return {"status": "ok", "version": VERSION, "greeting": os.environ["GREETING"], "slot": os.environ["AISTACK_SLOT"]}


@app.put("/notes/{name}")
def keep(name: str) -> dict[str, int]:
    """Write a file where the component may, and say who did."""
    (Path(os.environ["AISTACK_DATA"]) / "notes" / name).write_text(VERSION)
    return {"uid": os.getuid()}


@app.get("/notes/{name}")
def kept(name: str) -> dict[str, str]:
    """Which version wrote it."""
    return {"by": (Path(os.environ["AISTACK_DATA"]) / "notes" / name).read_text()}
