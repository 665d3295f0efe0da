"""The smallest application that can be deployed: it says which version it is."""
from pathlib import Path

from fastapi import FastAPI

app = FastAPI()
VERSION = Path(__file__).with_name("VERSION").read_text().strip()


@app.get("/health")
def health() -> dict[str, str]:
    return {"status": "ok", "version": VERSION}
