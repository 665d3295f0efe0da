"""The HTTP side: `uvicorn app.main:app`."""
from __future__ import annotations

import logging
import re
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Optional

import kombu.exceptions
import redis
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, Counter, Gauge, Histogram, generate_latest
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from app import agents, clients, editor, logs, pm, router, startup
from app.db import engine, session
from app.models import RouterLog
from app.settings import settings, version
from app.tasks import send

log = logging.getLogger(__name__)

REQUESTS = Counter("sparklio_http_requests_total", "Requests answered", ["method", "path", "status"])
LATENCY = Histogram("sparklio_http_request_duration_seconds", "Time to answer", ["path"])
ACTIVE = Gauge("sparklio_active_workflows", "Jobs that are not at their end")
ASSET_BYTES = 10 * 1024 * 1024
KEY = re.compile(r"(?!\.)[\w.-]+(/(?!\.)[\w.-]+)*", re.ASCII)


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    logs.setup()
    startup.check()
    yield
    log.info("sparklio %s stopping", version())


app = FastAPI(title="Sparklio", version=version(), lifespan=lifespan)


@app.middleware("http")
async def measure(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    began = time.monotonic()
    status = 500
    try:
        response = await call_next(request)
        status = response.status_code
        return response
    finally:
        path = getattr(request.scope.get("route"), "path", "other")
        REQUESTS.labels(request.method, path, status).inc()
        LATENCY.labels(path).observe(time.monotonic() - began)


@app.exception_handler(SQLAlchemyError)
async def database_failed(_request: Request, error: SQLAlchemyError) -> JSONResponse:
    log.error("database: %s", type(error).__name__, exc_info=error)
    return JSONResponse({"detail": "database unavailable"}, 503)


@app.exception_handler(clients.UpstreamError)
async def upstream_failed(_request: Request, error: clients.UpstreamError) -> JSONResponse:
    log.error("%s", error)
    return JSONResponse({"detail": str(error)}, 502)


# --- health

@app.get("/health")
async def health() -> dict[str, str]:
    return {"status": "ok", "version": version()}


@app.get("/healthz")
async def alive() -> dict[str, str]:
    """The process answers; what it depends on is /readyz's business."""
    return {"status": "alive"}


@app.get("/readyz")
def ready(response: Response) -> dict[str, Any]:
    """Ready for traffic: database and broker answer; 503 names those that do not."""
    failed = []
    try:
        with engine().connect() as connection:
            connection.execute(text("SELECT 1"))
    except SQLAlchemyError as error:
        log.warning("not ready: database: %s", type(error).__name__)
        failed.append("database")
    try:
        with redis.Redis.from_url(settings().redis_url, socket_connect_timeout=2, socket_timeout=2) as broker:
            broker.ping()
    except redis.RedisError as error:
        log.warning("not ready: redis: %s", type(error).__name__)
        failed.append("redis")
    response.status_code = 503 if failed else 200
    return {"status": "unavailable" if failed else "ready", "failed": failed}


@app.get("/metrics")
def metrics() -> Response:
    try:
        ACTIVE.set(pm.active())
    except SQLAlchemyError as error:
        log.warning("active workflows unknown: %s", type(error).__name__)
        ACTIVE.set(float("nan"))
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


# --- router and agents

class RouteRequest(BaseModel):
    request_text: str = Field(min_length=1, max_length=2000)
    user_id: Optional[str] = None
    brand_id: Optional[str] = None


@app.post("/api/v1/router/route")
def route(request: RouteRequest) -> dict[str, str]:
    decision = router.route(request.request_text)
    with session() as db:
        db.add(RouterLog(**request.model_dump(), **decision))
    return decision


@app.get("/api/v1/router/health")
async def router_health() -> dict[str, str]:
    return {"status": "healthy"}


class AgentRequest(BaseModel):
    """Each agent takes what it knows from the rest."""
    model_config = ConfigDict(extra="allow")
    brand_id: Optional[str] = None


@app.get("/api/v1/agents")
async def list_agents() -> dict[str, Any]:
    return {"agents": sorted(agents.NAMES)}


@app.post("/api/v1/agents/{name}")
def call_agent(name: str, request: AgentRequest) -> dict[str, Any]:
    if name not in agents.NAMES:
        raise HTTPException(404, f"no agent {name!r}; there are {', '.join(sorted(agents.NAMES))}")
    return {"agent": agents.NAMES[name], "output": agents.execute(agents.NAMES[name], request.model_dump())}


# --- jobs: workflows, trends, videos

class WorkflowRequest(BaseModel):
    """request_id: chosen by the caller; asking again with the same one starts nothing new."""
    user_request: str = Field(min_length=1, max_length=2000)
    brand_id: Optional[str] = None
    request_id: Optional[str] = Field(default=None, pattern=r"^[A-Za-z0-9._-]{1,60}$")


class VideoRequest(BaseModel):
    prompt: str = Field(min_length=1, max_length=500)
    frames: int = Field(default=4, ge=2, le=12)


def start(plan: pm.Plan, request: str, brand_id: Optional[str] = None, job_id: Optional[str] = None) -> dict[str, Any]:
    job_id = pm.create(plan, request, brand_id, job_id)
    try:
        send(job_id)
    except kombu.exceptions.OperationalError as error:
        log.error("job=%s: the queue does not answer: %s", job_id, type(error).__name__)
        pm.fail(job_id, "the queue did not answer")
        raise HTTPException(503, "the queue does not answer") from error
    return {"job_id": job_id, "status": "accepted", "workflow_spec": plan, "status_url": f"/api/v1/pm/status/{job_id}"}


@app.post("/api/v1/pm/create_workflow")
def create_workflow(request: WorkflowRequest) -> dict[str, Any]:
    plan = pm.campaign_plan(router.risk_of(request.user_request))
    job_id = f"workflow_{request.request_id}" if request.request_id else None
    return start(plan, request.user_request, request.brand_id, job_id)


@app.get("/api/v1/pm/status/{job_id}")
def job_status(job_id: str) -> dict[str, Any]:
    found = pm.status(job_id)
    if found is None:
        raise HTTPException(404, f"no job {job_id!r}")
    return found


@app.post("/api/v1/trend/collect")
def collect_trends() -> dict[str, Any]:
    return start(pm.trend_plan(), "trends on demand")


@app.post("/api/v1/video/render")
def render_video(request: VideoRequest) -> dict[str, Any]:
    return start(pm.video_plan(request.frames), request.prompt)


# --- editor

class EditRequest(BaseModel):
    instruction: str = Field(min_length=1, max_length=500)


@app.post("/api/v1/editor/edit")
async def edit(request: EditRequest) -> dict[str, Any]:
    patch = editor.patch(request.instruction)
    if patch is None:
        raise HTTPException(422, f"not understood: {request.instruction!r}; say what to change and how")
    return {"instruction": request.instruction, "patch": patch}


# --- assets

@app.post("/api/v1/assets", status_code=201)
async def upload(request: Request) -> dict[str, Any]:
    return await _store(f"uploads/{uuid.uuid4().hex}", request)


@app.put("/api/v1/assets/{key:path}", status_code=201)
async def upload_as(key: str, request: Request) -> dict[str, Any]:
    return await _store(key, request)


@app.get("/api/v1/assets/{key:path}")
def download(key: str) -> Response:
    found = clients.load_object(_key(key))
    if found is None:
        raise HTTPException(404, f"no asset {key!r}")
    return Response(found[0], media_type=found[1], headers={"X-Content-Type-Options": "nosniff"})


async def _store(key: str, request: Request) -> dict[str, Any]:
    _key(key)
    data = bytearray()
    async for part in request.stream():
        data += part
        if len(data) > ASSET_BYTES:
            raise HTTPException(413, f"more than {ASSET_BYTES} bytes")
    kind = request.headers.get("content-type", "application/octet-stream")
    etag = await run_in_threadpool(clients.store_object, key, bytes(data), kind)
    return {"key": key, "size": len(data), "etag": etag}


def _key(key: str) -> str:
    if len(key) > 200 or not KEY.fullmatch(key):
        raise HTTPException(422, "a key is made of letters, digits, '.', '_', '-' and '/', and no part starts with '.'")
    return key
