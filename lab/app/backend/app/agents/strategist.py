"""StrategistAgent: goal and audience in, positioning and channels out."""
from __future__ import annotations

from typing import Any

from app import clients

YOUNG = ("mz", "z세대", "20대", "gen z", "young")


def run(context: dict[str, Any]) -> dict[str, Any]:
    goal = str(context.get("campaign_goal") or context.get("user_request") or "")
    audience = str(context.get("target_audience") or "everyone")
    young = any(word in audience.lower() for word in YOUNG)
    return {
        "campaign_goal": goal,
        "target_audience": audience,
        "positioning": clients.ollama_generate(f"Positioning for {goal} to {audience}:"),
        "channels": ["instagram", "tiktok"] if young else ["search", "email"],
    }
