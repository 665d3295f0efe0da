"""An application that is asked, spoken to and given work, and can say afterwards what became of it."""
import asyncio
import os
import time
from pathlib import Path

import redis.asyncio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect
from tasks import DONE, settle

VERSION = Path(__file__).with_name("VERSION").read_text().strip()
SLOW_S = 0.0
asked = {"seconds": 0.0, "count": 0}
store = redis.asyncio.from_url(os.environ["REDIS_URL"])


async def health(_request: Request) -> Response:
    return JSONResponse({"status": "ok", "version": VERSION})


async def work(_request: Request) -> Response:
    """A request that costs a question to the store."""
    began = time.monotonic()
    await asyncio.sleep(SLOW_S)
    await store.ping()
    asked["seconds"] += time.monotonic() - began
    asked["count"] += 1
    return JSONResponse({"version": VERSION})


async def enqueue(request: Request) -> Response:
    """Put tasks first to last of a series into the queue."""
    said = await request.json()
    for number in range(said["first"], said["last"]):
        settle.apply_async([f"{said['series']}:{number}", said["seconds"]])
    return JSONResponse({"queued": said["last"] - said["first"]})


async def results(request: Request) -> Response:
    """How often each task of a series was done."""
    found = [name.decode() for name in await store.lrange(DONE, 0, -1)]
    mine = [name for name in found if name.startswith(f"{request.query_params['series']}:")]
    return JSONResponse({"done": len(mine), "tasks": len(set(mine))})


async def metrics(_request: Request) -> Response:
    return PlainTextResponse(f"fleet_seconds_sum {asked['seconds']:.6f}\nfleet_seconds_count {asked['count']}\n")


async def talk(socket: WebSocket) -> None:
    """Repeat what is said, until the other side leaves."""
    await socket.accept()
    try:
        while True:
            await socket.send_text(await socket.receive_text())
    except WebSocketDisconnect:
        pass


app = Starlette(routes=[
    Route("/health", health), Route("/work", work), Route("/tasks", enqueue, methods=["POST"]), Route("/results", results),
    Route("/metrics", metrics), WebSocketRoute("/talk", talk),
])
