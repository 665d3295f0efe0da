"""CopywriterAgent: a headline and a body from the strategy."""
from __future__ import annotations

from typing import Any

from app import clients


def run(context: dict[str, Any]) -> dict[str, Any]:
    strategy = context.get("upstream", {}).get("strategist", {})
    subject = str(context.get("user_request") or context.get("brief") or strategy.get("campaign_goal") or "")
    return {
        "headline": subject[:40],
        "body": clients.ollama_generate(f"Advertising copy for {subject}:"),
        "channels": strategy.get("channels", []),
    }
