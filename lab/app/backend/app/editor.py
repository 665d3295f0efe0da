"""EditorAgent: a sentence about a design becomes a patch to it. Rules on words, Korean and English."""
from __future__ import annotations

from typing import Any, Optional

TARGETS = {"title": ("제목", "title", "headline"), "body": ("본문", "body", "text"),
           "image": ("이미지", "사진", "image", "photo"), "background": ("배경", "background")}
COLORS = {"#d32f2f": ("빨간", "빨강", "red"), "#1976d2": ("파란", "파랑", "blue"), "#388e3c": ("초록", "green"),
          "#000000": ("검정", "검은", "black"), "#ffffff": ("흰", "하얀", "white")}
SIZES = {1.25: ("크게", "키워", "bigger", "larger", "increase"), 0.8: ("작게", "줄여", "smaller", "decrease", "reduce")}
REMOVE = ("삭제", "지워", "없애", "remove", "delete")


def patch(instruction: str) -> Optional[dict[str, Any]]:
    """The change that the sentence asks for, or None where it is not understood."""
    text = instruction.lower()
    target = _match(TARGETS, text)
    if target is None:
        return None
    if any(word in text for word in REMOVE):
        return {"op": "remove", "target": target}
    factor = _match(SIZES, text)
    if factor is not None:
        return {"op": "scale", "target": target, "property": "size" if target == "image" else "font_size", "factor": factor}
    color = _match(COLORS, text)
    if color is not None:
        return {"op": "set", "target": target, "property": "color", "value": color}
    return None


def _match(words: dict[Any, tuple[str, ...]], text: str) -> Any:
    return next((key for key, options in words.items() if any(option in text for option in options)), None)
