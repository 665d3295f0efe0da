"""Settings from the environment, and the version from the tree's VERSION file."""
from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

REQUIRED = (
    "DATABASE_URL", "REDIS_URL",
    "MINIO_ENDPOINT", "MINIO_ACCESS_KEY", "MINIO_SECRET_KEY", "MINIO_BUCKET",
    "OLLAMA_BASE_URL", "OLLAMA_MODEL", "COMFYUI_BASE_URL",
)


@dataclass(frozen=True, repr=False)  # no repr: it would show secrets
class Settings:
    database_url: str
    redis_url: str
    minio_endpoint: str
    minio_access_key: str
    minio_secret_key: str
    minio_bucket: str
    ollama_base_url: str
    ollama_model: str
    comfyui_base_url: str
    node_min_seconds: float  # a node takes at least this long, so that overlap can be measured
    version: str


@lru_cache
def settings() -> Settings:
    missing = [name for name in REQUIRED if not os.environ.get(name)]
    if missing:
        raise RuntimeError(f"environment variables missing: {', '.join(missing)}")
    return Settings(
        **{name.lower(): os.environ[name] for name in REQUIRED},
        node_min_seconds=float(os.environ.get("NODE_MIN_SECONDS", "0.3")),
        version=version(),
    )


@lru_cache
def version() -> str:
    return (Path(__file__).parent.parent / "VERSION").read_text(encoding="utf-8").strip()
