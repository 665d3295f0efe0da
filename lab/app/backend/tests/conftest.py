"""No network: a database in a file, tasks that run at once, and fakes for Ollama, ComfyUI and MinIO."""
from __future__ import annotations

import os

os.environ.update(
    DATABASE_URL="sqlite://", REDIS_URL="memory://",
    MINIO_ENDPOINT="127.0.0.1:1", MINIO_ACCESS_KEY="test", MINIO_SECRET_KEY="test", MINIO_BUCKET="test",
    OLLAMA_BASE_URL="http://127.0.0.1:1", OLLAMA_MODEL="test-model", COMFYUI_BASE_URL="http://127.0.0.1:1",
    NODE_MIN_SECONDS="0",
)

import struct
import zlib

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import create_engine

from app import clients, db, main
from app.celery_app import celery
from app.models import Base

celery.conf.update(task_always_eager=True)


def png(seed: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    header = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes([0, seed]))) + chunk(b"IEND", b"")


@pytest.fixture(autouse=True)
def database(tmp_path, monkeypatch):
    engine = create_engine(f"sqlite:///{tmp_path}/test.db")
    Base.metadata.create_all(engine)
    for module in (db, main):
        monkeypatch.setattr(module, "engine", lambda: engine)
    yield engine
    engine.dispose()


@pytest.fixture(autouse=True)
def store(monkeypatch):
    """Fakes of the three clients; returns what was stored, by key."""
    objects: dict[str, tuple[bytes, str]] = {}

    def keep(key: str, data: bytes, content_type: str) -> str:
        objects[key] = (data, content_type)
        return "etag"

    monkeypatch.setattr(clients, "ollama_generate", lambda prompt: f"text for {prompt}")
    monkeypatch.setattr(clients, "comfyui_render", lambda text, seed=0, size=64: png(seed))
    monkeypatch.setattr(clients, "store_object", keep)
    monkeypatch.setattr(clients, "load_object", objects.get)
    return objects


@pytest.fixture
def api():
    return TestClient(main.app)


