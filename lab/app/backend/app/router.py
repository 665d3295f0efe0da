"""SmartRouter: which agent, which model, which risk. Rules on words, Korean and English."""
from __future__ import annotations

from app.settings import settings

TARGETS = {  # the first that matches
    "BrandAgent": ("브랜드", "색상", "로고", "brand", "logo", "color"),
    "BriefAgent": ("브리프", "기획서", "요약", "brief", "summary"),
    "ReviewerAgent": ("검토", "리뷰", "review", "proofread"),
    "VisionGeneratorAgent": ("이미지", "사진", "그림", "썸네일", "image", "photo", "picture", "banner"),
    "CopywriterAgent": ("카피", "문구", "제목", "슬로건", "copy", "headline", "slogan"),
    "StrategistAgent": ("전략", "캠페인", "런칭", "strategy", "campaign", "launch"),
}
RISKS = {
    "high": ("의료", "건강", "치료", "금융", "투자", "대출", "법률", "소송", "정치", "개인정보", "주류", "담배", "보장",
             "medical", "cure", "financ", "invest", "legal", "lawsuit", "politic", "guarantee", "alcohol", "tobacco"),
    "medium": ("할인", "경쟁사", "비교", "가격", "이벤트", "discount", "competitor", "price", "versus"),
}


def risk_of(text: str) -> str:
    lowered = text.lower()
    return next((level for level, words in RISKS.items() if any(word in lowered for word in words)), "low")


def route(text: str) -> dict[str, str]:
    lowered = text.lower()
    target = next((agent for agent, words in TARGETS.items() if any(word in lowered for word in words)), "StrategistAgent")
    return {
        "target_agent": target,
        "selected_model": "comfyui" if target == "VisionGeneratorAgent" else settings().ollama_model,
        "risk_level": risk_of(text),
    }
