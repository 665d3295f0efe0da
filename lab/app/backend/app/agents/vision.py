"""VisionGeneratorAgent: an image from ComfyUI, kept in MinIO."""
from __future__ import annotations

import uuid
from typing import Any

from app import clients

STYLES = {"minimalist": "minimalist, white background", "vivid": "vivid colours", "photo": "studio photograph"}


def run(context: dict[str, Any]) -> dict[str, Any]:
    subject = str(context.get("user_request") or context.get("brief") or "")
    style = str(context.get("style") or "minimalist")
    prompt = f"{subject}, {STYLES.get(style, style)}"
    data = clients.comfyui_render(prompt, seed=int(context.get("seed") or 0))
    key = f"images/{uuid.uuid4().hex}.png"
    clients.store_object(key, data, "image/png")
    return {"prompt": prompt, "style": style, "image_key": key, "bytes": len(data)}
