"""BriefAgent: a request in a sentence becomes a brief in fields."""
from __future__ import annotations

from typing import Any

from app import clients
from app.router import risk_of


def run(context: dict[str, Any]) -> dict[str, Any]:
    request = str(context.get("user_request") or context.get("request_text") or "")
    return {
        "title": request[:40],
        "deliverables": ["image"] if any(word in request.lower() for word in ("이미지", "image")) else ["copy"],
        "risk_level": risk_of(request),
        "summary": clients.ollama_generate(f"Brief for {request}:"),
    }
