from __future__ import annotations

from sqlalchemy import select

from app.db import session
from app.models import WorkflowFeedback


def test_feedback_is_signed_where_somebody_signs_it(api):
    job = api.post("/api/v1/pm/create_workflow", json={"user_request": "x"}).json()["job_id"]
    assert api.post(f"/api/v1/pm/feedback/{job}", json={"rating": 5, "author": "지민"}).status_code == 201
    assert api.post(f"/api/v1/pm/feedback/{job}", json={"rating": 4}).status_code == 201
    with session() as db:
        assert db.scalars(select(WorkflowFeedback.author).order_by(WorkflowFeedback.id)).all() == ["지민", None]
