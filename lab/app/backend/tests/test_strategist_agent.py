from __future__ import annotations

import json

import httpx
import pytest
from sqlalchemy import select

from app import clients
from app.agents import execute, strategist
from app.db import session
from app.models import AgentLog, ContextTrace

REAL_GENERATE = clients.ollama_generate  # before the fixture puts its fake there


def test_channels_follow_the_audience():
    young = strategist.run({"campaign_goal": "신제품 런칭", "target_audience": "MZ세대"})
    rest = strategist.run({"campaign_goal": "신제품 런칭", "target_audience": "50대"})
    assert young["channels"] == ["instagram", "tiktok"]
    assert rest["channels"] == ["search", "email"]


def test_the_model_is_asked_about_goal_and_audience():
    output = strategist.run({"campaign_goal": "launch", "target_audience": "students"})
    assert output["positioning"] == "text for Positioning for launch to students:"


def test_a_model_may_say_anything(monkeypatch):
    def answer(request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        assert len(body["prompt"].encode()) <= clients.PROMPT_BYTES
        assert body["options"]["num_predict"] == 16
        return httpx.Response(200, json={"response": "가\x00b\x1f\nc"})
    monkeypatch.setattr(clients, "_http", lambda: httpx.Client(transport=httpx.MockTransport(answer)))
    assert REAL_GENERATE("가" * 500) == "가b\nc"


def test_it_answers_over_http(api):
    answer = api.post("/api/v1/agents/strategist", json={"brand_id": "b", "campaign_goal": "g", "target_audience": "MZ세대"})
    assert answer.status_code == 200
    assert answer.json()["agent"] == "StrategistAgent"
    assert answer.json()["output"]["campaign_goal"] == "g"


def test_a_failure_is_logged_and_answered_with_its_cause(api, monkeypatch):
    def away(prompt):
        raise clients.UpstreamError("ollama: connection refused")
    monkeypatch.setattr(clients, "ollama_generate", away)
    answer = api.post("/api/v1/agents/strategist", json={"campaign_goal": "g"})
    assert (answer.status_code, answer.json()) == (502, {"detail": "ollama: connection refused"})
    with session() as db:
        log = db.scalars(select(AgentLog)).one()
        assert (log.status, log.error) == ("failed", "UpstreamError: ollama: connection refused")
        assert [trace.direction for trace in db.scalars(select(ContextTrace))] == ["input"]


def test_every_agent_runs_and_an_unknown_one_is_named(api):
    names = api.get("/api/v1/agents").json()["agents"]
    assert names == ["brand", "brief", "copywriter", "reviewer", "strategist", "vision"]
    for name in names:
        assert api.post(f"/api/v1/agents/{name}", json={"user_request": "이미지 1개"}).status_code == 200
    assert "strategist" in api.post("/api/v1/agents/nobody", json={}).json()["detail"]
    with pytest.raises(KeyError):
        execute("NobodyAgent", {})
