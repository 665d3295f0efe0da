"""BrandAgent: what is known about a brand's looks."""
from __future__ import annotations

import hashlib
from typing import Any

from app import clients


def run(context: dict[str, Any]) -> dict[str, Any]:
    brand_id = str(context.get("brand_id") or "unknown")
    digest = hashlib.sha256(brand_id.encode()).hexdigest()
    return {
        "brand_id": brand_id,
        "colors": [f"#{digest[at:at + 6]}" for at in (0, 6, 12)],  # no brand store yet: stable for each brand
        "tone": clients.ollama_generate(f"Tone of voice of {brand_id}:"),
    }
