"""PMAgent: plans a job as a graph of nodes, and moves it along in the database.

The database holds the truth, the queue only says that there is something to look at: a message that comes twice
changes nothing, and a message that was lost is made up for by the next one of the job.
"""
from __future__ import annotations

import logging
import time
import uuid
from datetime import datetime
from typing import Any, Optional

from sqlalchemy import func, select, update
from sqlalchemy.exc import IntegrityError

from app.agents import execute
from app.db import AWAY, session
from app.models import Workflow, WorkflowEdge, WorkflowNode, now
from app.router import risk_of
from app.settings import settings

log = logging.getLogger(__name__)

Plan = dict[str, Any]


def node(node_id: str, agent: str, *dependencies: str, **inputs: Any) -> dict[str, Any]:
    return {"node_id": node_id, "agent_name": agent, "dependencies": list(dependencies), "inputs": inputs}


def campaign_plan(risk_level: str) -> Plan:
    """strategist, then copywriter beside vision; a reviewer only where the risk is high."""
    nodes = [
        node("strategist", "StrategistAgent"),
        node("copywriter", "CopywriterAgent", "strategist"),
        node("vision", "VisionGeneratorAgent", "strategist"),
    ]
    if risk_level == "high":
        nodes.append(node("reviewer", "ReviewerAgent", "copywriter", "vision"))
    return {"kind": "campaign", "risk_level": risk_level, "nodes": nodes}


def video_plan(frames: int) -> Plan:
    nodes = [node(f"frame{index:02}", "VisionGeneratorAgent", seed=index) for index in range(frames)]
    nodes.append(node("assemble", "VideoAssembler", *(item["node_id"] for item in nodes)))
    return {"kind": "video", "nodes": nodes}


def trend_plan() -> Plan:
    return {"kind": "trend", "nodes": [node("collect", "TrendCollector")]}


def create(plan: Plan, request: str, brand_id: Optional[str] = None, job_id: Optional[str] = None) -> str:
    """Write the job down; returns its id. The same id again is the same job, whatever the request."""
    job_id = job_id or f"{'workflow' if plan['kind'] == 'campaign' else plan['kind']}_{uuid.uuid4().hex[:12]}"
    risk_level = plan.setdefault("risk_level", risk_of(request))
    try:
        with session() as db:
            db.add(Workflow(id=job_id, kind=plan["kind"], brand_id=brand_id, user_request=request,
                            risk_level=risk_level, spec=plan))
            db.flush()
            for item in plan["nodes"]:
                db.add(WorkflowNode(workflow_id=job_id, node_id=item["node_id"], agent_name=item["agent_name"]))
                db.flush()  # one by one: the order of their ids is the order of the plan
                for before in item["dependencies"]:
                    db.add(WorkflowEdge(workflow_id=job_id, from_node=before, to_node=item["node_id"]))
    except IntegrityError:
        log.info("job=%s exists already", job_id)
    return job_id


def advance(job_id: str) -> list[str]:
    """The nodes that can run now, marked as queued; ends the job where none is left.

    Nodes queued earlier are named again: the message may have been lost with the process that was to send it.
    """
    with session() as db:
        job = db.get(Workflow, job_id, with_for_update=True)  # one at a time
        if job is None or job.finished_at:
            return []
        nodes = {item.node_id: item for item in _nodes(db, job_id)}
        waits: dict[str, set[str]] = {node_id: set() for node_id in nodes}
        for edge in db.scalars(select(WorkflowEdge).where(WorkflowEdge.workflow_id == job_id)):
            waits[edge.to_node].add(edge.from_node)
        done = {node_id for node_id, item in nodes.items() if item.status == "completed"}
        failed = any(item.status == "failed" for item in nodes.values())
        if not failed:
            for node_id, item in nodes.items():
                if item.status == "pending" and waits[node_id] <= done:
                    item.status = "queued"
        job.status = "running"
        if len(done) == len(nodes) or (failed and all(item.status != "running" for item in nodes.values())):
            job.status = "failed" if failed else "completed"
            job.finished_at = now()
            log.info("job=%s status=%s", job_id, job.status)
        return [] if failed else [node_id for node_id, item in nodes.items() if item.status == "queued"]


def claim(job_id: str, node_id: str, again: bool) -> bool:
    """Take the node for this worker; again: whoever took it before is gone, or could not finish."""
    takeable = ["queued", "running"] if again else ["queued"]
    with session() as db:
        taken = db.execute(
            update(WorkflowNode)
            .where(WorkflowNode.workflow_id == job_id, WorkflowNode.node_id == node_id, WorkflowNode.status.in_(takeable))
            .values(status="running", started_at=now())
        )
        return bool(taken.rowcount)


def perform(job_id: str, node_id: str) -> None:
    """Run the node's agent and record how it ended; an agent's failure fails the job, not the worker."""
    began = time.monotonic()
    with session() as db:
        job = db.get_one(Workflow, job_id)
        plan = next(item for item in job.spec["nodes"] if item["node_id"] == node_id)
        outputs = {item.node_id: item.output for item in _nodes(db, job_id) if item.node_id in plan["dependencies"]}
        context = {"job_id": job_id, "user_request": job.user_request, "brand_id": job.brand_id,
                   "risk_level": job.risk_level, "upstream": outputs, **plan["inputs"]}
    values: dict[str, Any] = {"status": "completed"}
    try:
        values["output"] = execute(plan["agent_name"], context, job_id, node_id)
    except AWAY:
        raise  # says nothing about the agent; the task is tried again
    except Exception as error:  # the boundary: whatever an agent raises is the node's result
        log.exception("job=%s node=%s failed", job_id, node_id)
        values = {"status": "failed", "error": f"{type(error).__name__}: {error}"}
    time.sleep(max(0.0, settings().node_min_seconds - (time.monotonic() - began)))
    with session() as db:
        db.execute(
            update(WorkflowNode)
            .where(WorkflowNode.workflow_id == job_id, WorkflowNode.node_id == node_id)
            .values(finished_at=now(), **values)
        )


def fail(job_id: str, reason: str) -> None:
    """The queue could not be told: nobody will come for this job."""
    with session() as db:
        db.execute(update(Workflow).where(Workflow.id == job_id).values(status="failed", finished_at=now()))
        db.execute(
            update(WorkflowNode).where(WorkflowNode.workflow_id == job_id, WorkflowNode.status == "queued")
            .values(status="failed", error=reason)
        )


def status(job_id: str) -> Optional[dict[str, Any]]:
    """How far the job is; None if there is no such job. overlap_seconds: how long two or more nodes ran at once."""
    with session() as db:
        job = db.get(Workflow, job_id)
        if job is None:
            return None
        nodes = list(_nodes(db, job_id))
        current = next((item for state in ("running", "queued") for item in nodes if item.status == state), None)
        return {
            "job_id": job_id,
            "kind": job.kind,
            "status": job.status,
            "risk_level": job.risk_level,
            "progress": round(sum(item.status == "completed" for item in nodes) / len(nodes), 2),
            "current_node": current.agent_name if current else None,
            "overlap_seconds": overlap([(item.started_at, item.finished_at) for item in nodes]),
            "nodes": [
                {"node_id": item.node_id, "agent_name": item.agent_name, "status": item.status,
                 "started_at": _text(item.started_at), "finished_at": _text(item.finished_at),
                 "output": item.output, "error": item.error}
                for item in nodes
            ],
        }


def active() -> int:
    """How many jobs are not at their end."""
    with session() as db:
        return db.scalar(select(func.count()).where(Workflow.status.in_(["accepted", "running"]))) or 0


def overlap(spans: list[tuple[Optional[datetime], Optional[datetime]]]) -> float:
    """Seconds during which at least two of the spans that have an end were open."""
    moves = sorted((moment, step) for start, end in spans if start and end for moment, step in ((start, 1), (end, -1)))
    total, running = 0.0, 0
    for (moment, step), following in zip(moves, moves[1:]):
        running += step
        if running > 1:
            total += (following[0] - moment).total_seconds()
    return round(total, 6)


def _nodes(db: Any, job_id: str) -> Any:
    return db.scalars(select(WorkflowNode).where(WorkflowNode.workflow_id == job_id).order_by(WorkflowNode.id))


def _text(moment: Optional[datetime]) -> Optional[str]:
    return moment.isoformat(timespec="microseconds") if moment else None
