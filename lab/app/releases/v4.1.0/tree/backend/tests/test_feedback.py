from __future__ import annotations

from sqlalchemy import select

from app.db import session
from app.models import AgentLog, WorkflowFeedback


def test_feedback_is_kept_and_the_log_names_the_model(api):
    job = api.post("/api/v1/pm/create_workflow", json={"user_request": "x"}).json()["job_id"]
    assert api.post(f"/api/v1/pm/feedback/{job}", json={"rating": 5, "comment": "좋아요"}).status_code == 201
    assert api.post(f"/api/v1/pm/feedback/{job}", json={"rating": 6}).status_code == 422
    assert api.post("/api/v1/pm/feedback/none", json={"rating": 5}).status_code == 404
    with session() as db:
        assert db.scalars(select(WorkflowFeedback.comment)).all() == ["좋아요"]
        assert set(db.scalars(select(AgentLog.model))) == {"test-model"}
