"""The smallest application that can be deployed: it says which version it is, and keeps what it is given."""
import mmap
import os
from pathlib import Path

from fastapi import FastAPI

app = FastAPI()
VERSION = Path(__file__).with_name("VERSION").read_text().strip()


@app.get("/health")
def health() -> dict[str, str]:
    return {"status": "ok", "version": VERSION}


@app.put("/uploads/{name}")
def keep(name: str) -> dict[str, str]:
    """Write a file where its unit lets it, run memory that it wrote, and say where its home is."""
    (Path(os.environ["AISTACK_DATA"]) / "uploads" / name).write_text(VERSION)
    cached = Path.home() / ".cache" / name
    cached.parent.mkdir(exist_ok=True)
    cached.touch()
    mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC).close()
    return {"home": str(Path.home())}


@app.get("/uploads/{name}")
def kept(name: str) -> dict[str, str]:
    """Which version wrote it."""
    return {"by": (Path(os.environ["AISTACK_DATA"]) / "uploads" / name).read_text()}
