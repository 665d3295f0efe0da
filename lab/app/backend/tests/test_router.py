from __future__ import annotations

from pathlib import Path

import pytest
import redis
from sqlalchemy import select

from app import main
from app.celery_app import celery
from app.db import session
from app.editor import patch
from app.models import RouterLog
from app.router import route


@pytest.mark.parametrize(("text", "target", "model", "risk"), [
    ("브랜드 색상 알려줘", "BrandAgent", "test-model", "low"),
    ("SNS 이미지 1개 만들어줘", "VisionGeneratorAgent", "comfyui", "low"),
    ("할인 문구 써줘", "CopywriterAgent", "test-model", "medium"),
    ("Launch campaign for an investment fund", "StrategistAgent", "test-model", "high"),
    ("무엇이든", "StrategistAgent", "test-model", "low"),
])
def test_rules(text, target, model, risk):
    assert route(text) == {"target_agent": target, "selected_model": model, "risk_level": risk}


def test_a_decision_is_answered_and_written_down(api):
    answer = api.post("/api/v1/router/route", json={"user_id": "u", "request_text": "브랜드 색상 알려줘", "brand_id": "b"})
    assert answer.json()["target_agent"] == "BrandAgent"
    with session() as db:
        row = db.scalars(select(RouterLog)).one()
        assert (row.user_id, row.target_agent) == ("u", "BrandAgent")


@pytest.mark.parametrize(("text", "expected"), [
    ("제목 글자를 크게 해줘", {"op": "scale", "target": "title", "property": "font_size", "factor": 1.25}),
    ("make the title bigger", {"op": "scale", "target": "title", "property": "font_size", "factor": 1.25}),
    ("배경을 파란색으로", {"op": "set", "target": "background", "property": "color", "value": "#1976d2"}),
    ("remove the image", {"op": "remove", "target": "image"}),
    ("hello", None),
])
def test_editor(text, expected):
    assert patch(text) == expected


def test_editor_says_when_it_does_not_understand(api):
    assert api.post("/api/v1/editor/edit", json={"instruction": "make the title bigger"}).json()["patch"]["op"] == "scale"
    assert api.post("/api/v1/editor/edit", json={"instruction": "hello"}).status_code == 422


def test_health_carries_the_version_of_the_tree(api):
    version = (Path(main.__file__).parent.parent / "VERSION").read_text().strip()
    assert api.get("/health").json() == {"status": "ok", "version": version}
    assert api.get("/healthz").status_code == 200
    assert api.get("/api/v1/router/health").json() == {"status": "healthy"}


def test_readiness_names_what_is_away(api, monkeypatch):
    class Away:
        def __enter__(self):
            raise redis.ConnectionError("refused")

        def __exit__(self, *_error):
            return False
    monkeypatch.setattr(redis.Redis, "from_url", lambda *_a, **_k: Away())
    answer = api.get("/readyz")
    assert (answer.status_code, answer.json()["failed"]) == (503, ["redis"])


def test_metrics(api):
    api.get("/health")
    text = api.get("/metrics").text
    assert 'sparklio_http_requests_total{method="GET",path="/health",status="200"}' in text
    assert "sparklio_active_workflows 0.0" in text


def test_trends_are_scheduled_for_two_in_the_morning():
    entry = celery.conf.beat_schedule["trend-collector"]
    assert (entry["schedule"].hour, entry["schedule"].minute) == ({2}, {0})
    assert entry["task"] in celery.tasks
