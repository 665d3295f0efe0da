"""The agents by name, and the one way to run them: timed, logged, traced."""
from __future__ import annotations

import logging
import time
from typing import Any, Callable, Optional

from app.agents import brand, brief, copywriter, reviewer, strategist, trend, video, vision
from app.db import session
from app.models import AgentLog, ContextTrace

log = logging.getLogger(__name__)

Run = Callable[[dict[str, Any]], dict[str, Any]]

AGENTS: dict[str, Run] = {  # those that can be called by name
    "StrategistAgent": strategist.run,
    "CopywriterAgent": copywriter.run,
    "VisionGeneratorAgent": vision.run,
    "ReviewerAgent": reviewer.run,
    "BrandAgent": brand.run,
    "BriefAgent": brief.run,
}
INTERNAL: dict[str, Run] = {"VideoAssembler": video.run, "TrendCollector": trend.run}
NAMES = {
    "strategist": "StrategistAgent", "copywriter": "CopywriterAgent", "vision": "VisionGeneratorAgent",
    "reviewer": "ReviewerAgent", "brand": "BrandAgent", "brief": "BriefAgent",
}


def execute(agent: str, context: dict[str, Any], job_id: Optional[str] = None, node_id: Optional[str] = None) -> dict[str, Any]:
    """Run the agent; its input, output, duration and failure are recorded whatever happens."""
    run = {**AGENTS, **INTERNAL}[agent]
    began = time.monotonic()
    output: dict[str, Any] = {}
    error: Optional[str] = None
    try:
        output = run(context)
        return output
    except Exception as caught:
        error = f"{type(caught).__name__}: {caught}"
        raise
    finally:
        duration = round((time.monotonic() - began) * 1000)
        status = "failed" if error else "completed"
        log.info("agent=%s job=%s node=%s status=%s duration_ms=%d", agent, job_id, node_id, status, duration)
        with session() as db:
            db.add(AgentLog(workflow_id=job_id, node_id=node_id, agent_name=agent,
                            status=status, duration_ms=duration, error=error))
            db.add(ContextTrace(workflow_id=job_id, agent_name=agent, direction="input", content=context))
            if not error:
                db.add(ContextTrace(workflow_id=job_id, agent_name=agent, direction="output", content=output))
