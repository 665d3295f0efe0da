from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import OperationalError as DatabaseAway

from app import clients, pm, tasks
from app.db import session
from app.models import AgentLog, ContextTrace, RouterLog, Workflow, WorkflowEdge, WorkflowNode


def create(api, text, **more):
    answer = api.post("/api/v1/pm/create_workflow", json={"user_request": text, "brand_id": "b", **more})
    assert answer.status_code == 200
    return answer.json()


def test_a_workflow_runs_to_its_end(api):
    accepted = create(api, "SNS 이미지 1개 만들어줘")
    assert accepted["status"] == "accepted"
    status = api.get(accepted["status_url"]).json()
    assert (status["status"], status["progress"], status["current_node"]) == ("completed", 1.0, None)
    assert [node["node_id"] for node in status["nodes"]] == ["strategist", "copywriter", "vision"]
    for node in status["nodes"]:
        assert datetime.fromisoformat(node["started_at"]) <= datetime.fromisoformat(node["finished_at"])
    with session() as db:
        counts = {model: db.scalar(select(func.count()).select_from(model))
                  for model in (Workflow, WorkflowNode, WorkflowEdge, AgentLog, ContextTrace)}
    assert list(counts.values()) == [1, 3, 2, 3, 6]


def test_high_risk_adds_the_reviewer_who_sees_what_it_reviews(api):
    status = api.get(create(api, "투자 상품 광고, 수익 보장")["status_url"]).json()
    assert status["risk_level"] == "high"
    reviewer = status["nodes"][-1]
    assert (reviewer["agent_name"], reviewer["status"]) == ("ReviewerAgent", "completed")
    assert reviewer["output"]["verdict"] == "changes_requested"


def test_copywriter_and_vision_become_ready_together():
    job = pm.create(pm.campaign_plan("high"), "x")
    order = []
    for _round in range(3):
        ready = pm.advance(job)
        order.append(ready)
        for node_id in ready:
            assert pm.claim(job, node_id, again=False)
            pm.perform(job, node_id)
    assert order == [["strategist"], ["copywriter", "vision"], ["reviewer"]]
    assert pm.advance(job) == []
    assert pm.status(job)["status"] == "completed"


def test_a_message_that_comes_twice_changes_nothing():
    job = pm.create(pm.campaign_plan("low"), "x")
    assert pm.advance(job) == pm.advance(job) == ["strategist"]
    assert pm.claim(job, "strategist", again=False)
    assert not pm.claim(job, "strategist", again=False)
    assert pm.claim(job, "strategist", again=True)  # its worker died
    pm.perform(job, "strategist")
    assert not pm.claim(job, "strategist", again=True)


def test_a_failed_node_fails_the_job_and_nothing_after_it_runs(api, monkeypatch):
    def away(text, seed=0, size=64):
        raise clients.UpstreamError("comfyui: connection refused")
    monkeypatch.setattr(clients, "comfyui_render", away)
    status = api.get(create(api, "투자 이미지")["status_url"]).json()
    states = {node["node_id"]: (node["status"], node["error"]) for node in status["nodes"]}
    assert status["status"] == "failed"
    assert states["vision"] == ("failed", "UpstreamError: comfyui: connection refused")
    assert states["reviewer"] == ("pending", None)
    assert pm.active() == 0


def test_a_database_that_is_away_for_a_moment_fails_no_job(api, monkeypatch):
    real, calls = pm.execute, []

    def flaky(*arguments):
        calls.append(arguments)
        if len(calls) == 1:
            raise DatabaseAway("SELECT 1", {}, Exception("gone"))
        return real(*arguments)
    monkeypatch.setattr(pm, "execute", flaky)
    monkeypatch.setattr(tasks.run_node, "default_retry_delay", 0)
    status = api.get(create(api, "x")["status_url"]).json()
    assert (status["status"], len(calls)) == ("completed", 4)


def test_the_same_request_id_is_the_same_job(api):
    first, second = create(api, "a", request_id="r-1"), create(api, "b", request_id="r-1")
    assert first["job_id"] == second["job_id"] == "workflow_r-1"
    with session() as db:
        assert db.scalars(select(Workflow.user_request)).all() == ["a"]


def test_a_queue_that_does_not_answer_fails_the_job(api, monkeypatch):
    from kombu.exceptions import OperationalError

    def refuse(*_arguments):
        raise OperationalError("connection refused")
    monkeypatch.setattr(tasks.run_node, "delay", refuse)
    answer = api.post("/api/v1/pm/create_workflow", json={"user_request": "x"})
    assert answer.status_code == 503
    assert pm.active() == 0


def test_trends_count_the_words_of_the_requests(api):
    with session() as db:
        db.add(RouterLog(request_text="브랜드 색상 브랜드", target_agent="a", selected_model="m", risk_level="low"))
    status = api.get(api.post("/api/v1/trend/collect").json()["status_url"]).json()
    assert status["nodes"][0]["output"]["top"] == {"브랜드": 2, "색상": 1}
    tasks.collect_trends.delay()
    with session() as db:
        assert db.scalars(select(Workflow.status)).all() == ["completed", "completed"]


@pytest.mark.parametrize(("spans", "seconds"), [
    ([(0, 1), (1, 2)], 0), ([(0, 2), (1, 3)], 1), ([(0, 3), (0, 3), (1, 2)], 3), ([(0, None), (None, None)], 0),
])
def test_overlap(spans, seconds):
    origin = datetime(2026, 1, 1)
    moments = [tuple(None if at is None else origin + timedelta(seconds=at) for at in span) for span in spans]
    assert pm.overlap(moments) == seconds


def test_unknown_job(api):
    assert api.get("/api/v1/pm/status/none").status_code == 404
