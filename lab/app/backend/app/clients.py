"""The three services that the agents use: Ollama for text, ComfyUI for images, MinIO for objects."""
from __future__ import annotations

import io
import time
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import httpx
import urllib3
from minio import Minio
from minio.error import S3Error

from app.settings import settings

PROMPT_BYTES = 256  # a byte may be a token, and small models have a context of 512
IMAGE_SECONDS = 60


class UpstreamError(RuntimeError):
    """A service that an agent needs did not do its part; the message names it."""


def ollama_generate(prompt: str) -> str:
    """A few tokens of text that continue the prompt; without control characters, of which databases refuse some."""
    short = prompt.encode()[:PROMPT_BYTES].decode(errors="ignore")
    body = {
        "model": settings().ollama_model, "prompt": short, "stream": False,
        "options": {"num_predict": 16, "temperature": 0, "seed": 1},
    }
    answer = _request("ollama", "POST", f"{settings().ollama_base_url}/api/generate", json=body).json()["response"]
    return "".join(character for character in answer if character.isprintable() or character == "\n")


def comfyui_render(text: str, seed: int = 0, size: int = 64) -> bytes:
    """A PNG for the text: the prompt goes through ComfyUI's queue."""
    base = settings().comfyui_base_url
    answer = _request("comfyui", "POST", f"{base}/prompt", json={"prompt": _graph(text, seed, size)}).json()
    prompt_id = answer["prompt_id"]
    deadline = time.monotonic() + IMAGE_SECONDS
    while time.monotonic() < deadline:
        entry = _request("comfyui", "GET", f"{base}/history/{prompt_id}").json().get(prompt_id)
        if entry:
            images = [image for output in entry["outputs"].values() for image in output.get("images", [])]
            if not images:
                raise UpstreamError(f"comfyui: prompt {prompt_id} ended without an image: {entry.get('status')}")
            return _request("comfyui", "GET", f"{base}/view", params=images[0]).content
        time.sleep(0.1)
    raise UpstreamError(f"comfyui: prompt {prompt_id} not finished after {IMAGE_SECONDS} s")


def store_object(key: str, data: bytes, content_type: str) -> str:
    """Put the bytes under the key; returns the ETag."""
    try:
        return str(_minio().put_object(settings().minio_bucket, key, io.BytesIO(data), len(data), content_type).etag)
    except (S3Error, urllib3.exceptions.HTTPError) as error:
        raise UpstreamError(f"minio: cannot store {key}: {_reason(error)}") from error


def load_object(key: str) -> tuple[bytes, str] | None:
    """The bytes and their content type, or None where there is no such key."""
    try:
        response = _minio().get_object(settings().minio_bucket, key)
    except S3Error as error:
        if error.code == "NoSuchKey":
            return None
        raise UpstreamError(f"minio: cannot load {key}: {_reason(error)}") from error
    except urllib3.exceptions.HTTPError as error:
        raise UpstreamError(f"minio: cannot load {key}: {_reason(error)}") from error
    try:
        return response.read(), response.headers.get("Content-Type", "application/octet-stream")
    finally:
        response.close()
        response.release_conn()


def _reason(error: Exception) -> str:
    return error.code or "unknown" if isinstance(error, S3Error) else type(error).__name__


@lru_cache
def _minio() -> Minio:
    endpoint = settings().minio_endpoint
    parts = urlsplit(endpoint if "//" in endpoint else f"http://{endpoint}")
    return Minio(
        endpoint=parts.netloc, access_key=settings().minio_access_key, secret_key=settings().minio_secret_key,
        secure=parts.scheme == "https", region="us-east-1",  # named, because asking for it is one request more
        http_client=urllib3.PoolManager(timeout=urllib3.Timeout(connect=3, read=30), retries=urllib3.Retry(2)),
    )


@lru_cache
def _http() -> httpx.Client:
    return httpx.Client(timeout=httpx.Timeout(60, connect=3))


def _request(service: str, method: str, url: str, **arguments: Any) -> httpx.Response:
    try:
        response = _http().request(method, url, **arguments)
        response.raise_for_status()
        return response
    except httpx.HTTPStatusError as error:
        text = error.response.text[:200]
        raise UpstreamError(f"{service}: {url} answered {error.response.status_code}: {text}") from error
    except httpx.HTTPError as error:
        raise UpstreamError(f"{service}: {url}: {type(error).__name__}: {error}") from error


def _graph(text: str, seed: int, size: int) -> dict[str, Any]:
    """A text-to-image graph in ComfyUI's API format."""
    def node(kind: str, **inputs: Any) -> dict[str, Any]:
        return {"class_type": kind, "inputs": inputs}
    return {
        "3": node("KSampler", seed=seed, steps=8, cfg=7.0, sampler_name="euler", scheduler="normal", denoise=1.0,
                  model=["4", 0], positive=["6", 0], negative=["7", 0], latent_image=["5", 0]),
        "4": node("CheckpointLoaderSimple", ckpt_name="v1-5-pruned-emaonly-fp16.safetensors"),
        "5": node("EmptyLatentImage", width=size, height=size, batch_size=1),
        "6": node("CLIPTextEncode", text=text, clip=["4", 1]),
        "7": node("CLIPTextEncode", text="", clip=["4", 1]),
        "8": node("VAEDecode", samples=["3", 0], vae=["4", 2]),
        "9": node("SaveImage", images=["8", 0], filename_prefix="sparklio"),
    }
