"""TrendCollector: which words people asked with during the last day."""
from __future__ import annotations

import re
from collections import Counter
from datetime import timedelta
from typing import Any

from sqlalchemy import select

from app.db import session
from app.models import RouterLog, now


def run(context: dict[str, Any]) -> dict[str, Any]:
    since = now() - timedelta(hours=int(context.get("hours") or 24))
    with session() as db:
        texts = db.scalars(select(RouterLog.request_text).where(RouterLog.created_at >= since)).all()
    words = Counter(word for text in texts for word in re.findall(r"\w{2,}", text.lower()))
    return {"since": since.isoformat(), "requests": len(texts), "top": dict(words.most_common(10))}
