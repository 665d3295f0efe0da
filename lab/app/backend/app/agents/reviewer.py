"""ReviewerAgent: reads what the others made before a risky piece of work goes out."""
from __future__ import annotations

from typing import Any

from app import clients

FORBIDDEN = ("100%", "보장", "guarantee", "완치", "cure", "무위험", "risk-free")


def run(context: dict[str, Any]) -> dict[str, Any]:
    copy = context.get("upstream", {}).get("copywriter", {})
    text = " ".join(str(part) for part in (context.get("text") or context.get("user_request"), copy.get("headline")) if part)
    findings = [word for word in FORBIDDEN if word in text.lower()]
    return {
        "verdict": "changes_requested" if findings else "approved",
        "findings": findings,
        "risk_level": context.get("risk_level", "low"),
        "comment": clients.ollama_generate(f"Review of {text}:"),
    }
