from __future__ import annotations

from sqlalchemy import select

from app.db import session
from app.models import RouterLog, RouterVisit


def test_the_router_keeps_who_asked_and_in_which_language(api):
    for text in ("브랜드 색상 알려줘", "a logo"):
        assert api.post("/api/v1/router/route", json={"user_id": "u", "request_text": text}).status_code == 200
    with session() as db:
        assert db.scalars(select(RouterLog.language).order_by(RouterLog.id)).all() == ["ko", "en"]
        assert db.scalars(select(RouterVisit.user_id)).all() == ["u", "u"]
