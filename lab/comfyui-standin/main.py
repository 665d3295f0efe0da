"""A stand-in for ComfyUI: its HTTP interface, a real queue with one worker, and patterns instead of pictures."""
from __future__ import annotations

import argparse
import collections
import hashlib
import json
import os
import platform
import signal
import struct
import sys
import threading
import time
import uuid
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

VERSION = "0.0.0-standin"
SECONDS_PER_PROMPT = 0.3
IMAGES_KEPT = 64
HISTORY_KEPT = 1000
BODY_LIMIT = 4 * 1024 * 1024
SIDE_LIMIT = 512
OUTPUT_NODES = ("SaveImage", "PreviewImage")


def draw(text: str, width: int, height: int) -> bytes:
    """A PNG of a gradient whose colours follow from the text."""
    red, green, blue = hashlib.sha256(text.encode()).digest()[:3]
    rows = bytearray()
    for y in range(height):
        rows.append(0)  # no filter
        for x in range(width):
            rows += bytes(((red + x) % 256, (green + y) % 256, (blue + x + y) % 256))

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(rows))) + chunk(b"IEND", b"")


def problem(graph: Any) -> dict[str, Any] | None:
    """What ComfyUI would answer to a graph that it cannot run, or None."""
    def error(kind: str, message: str, nodes: dict[str, Any] | None = None) -> dict[str, Any]:
        return {"error": {"type": kind, "message": message, "details": "", "extra_info": {}}, "node_errors": nodes or {}}

    if not isinstance(graph, dict) or not graph:
        return error("no_prompt", "No prompt provided")
    for node_id, node in graph.items():
        if not isinstance(node, dict) or "class_type" not in node:
            return error("invalid_prompt", f"Cannot execute because node #{node_id} has no class_type.")
        for name, value in node.get("inputs", {}).items():
            if isinstance(value, list) and len(value) == 2 and str(value[0]) not in graph:
                return error("prompt_outputs_failed_validation", "Prompt outputs failed validation", {
                    node_id: {"errors": [{"type": "bad_linked_input", "message": f"Bad linked input: {name}"}],
                              "class_type": node["class_type"], "dependent_outputs": []}})
    if not outputs_of(graph):
        return error("prompt_no_outputs", "Prompt has no outputs")
    return None


def outputs_of(graph: dict[str, Any]) -> list[str]:
    return [node_id for node_id, node in graph.items() if node["class_type"] in OUTPUT_NODES]


class Queue:
    """Prompts that wait, the one that runs, those that ran, and their images. Every access holds the lock."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.waiting: collections.deque[list[Any]] = collections.deque()
        self.running: list[Any] | None = None
        self.history: collections.OrderedDict[str, dict[str, Any]] = collections.OrderedDict()
        self.images: collections.OrderedDict[str, bytes] = collections.OrderedDict()
        self.number = 0
        self.saved = 0

    def put(self, graph: dict[str, Any], extra: dict[str, Any], prompt_id: str | None) -> dict[str, Any]:
        with self.changed:
            self.number += 1
            item = [self.number, prompt_id or str(uuid.uuid4()), graph, extra, outputs_of(graph)]
            self.waiting.append(item)
            self.changed.notify()
            return {"prompt_id": item[1], "number": item[0], "node_errors": {}}

    def work(self) -> None:
        """One prompt after the other, for ever."""
        while True:
            with self.changed:
                while not self.waiting:
                    self.changed.wait()
                self.running = item = self.waiting.popleft()
            began = round(time.time() * 1000)
            time.sleep(SECONDS_PER_PROMPT)
            try:
                outputs = {node_id: {"images": [self.render(item[2], node_id)]} for node_id in item[4]}
                state, done = "success", "execution_success"
            except (TypeError, ValueError) as caught:
                print(f"prompt {item[1]} failed: {caught}", flush=True)
                outputs, state, done = {}, "error", "execution_error"
            with self.changed:
                self.history[item[1]] = {
                    "prompt": item, "outputs": outputs, "meta": {},
                    "status": {"status_str": state, "completed": state == "success", "messages": [
                        ["execution_start", {"prompt_id": item[1], "timestamp": began}],
                        [done, {"prompt_id": item[1], "timestamp": round(time.time() * 1000)}]]},
                }
                self.running = None
                while len(self.history) > HISTORY_KEPT:
                    self.history.popitem(last=False)
                while len(self.images) > IMAGES_KEPT:
                    self.images.popitem(last=False)

    def render(self, graph: dict[str, Any], output: str) -> dict[str, str]:
        """Draw for one output node; the whole graph decides the colours, its latent the size."""
        latents = [node.get("inputs", {}) for node in graph.values() if node["class_type"] == "EmptyLatentImage"]
        latent = latents[0] if latents else {}
        width, height = (min(max(int(latent.get(side, 64)), 1), SIDE_LIMIT) for side in ("width", "height"))
        image = draw(json.dumps(graph, sort_keys=True), width, height)
        prefix = str(graph[output].get("inputs", {}).get("filename_prefix", "ComfyUI")).rpartition("/")[2]
        with self.changed:
            self.saved += 1
            name = f"{prefix}_{self.saved:05}_.png"
            self.images[name] = image
        return {"filename": name, "subfolder": "", "type": "output"}


class Handler(BaseHTTPRequestHandler):
    server_version = f"comfyui-standin/{VERSION}"
    protocol_version = "HTTP/1.1"
    timeout = 60
    queue: Queue

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        path = address.path.removeprefix("/api")
        queue = self.queue
        if path == "/":
            return self.answer(b"A stand-in for ComfyUI: it draws patterns, not pictures.\n", "text/plain")
        if path == "/system_stats":
            return self.json(stats())
        with queue.changed:
            if path == "/queue":
                running = [queue.running] if queue.running else []
                return self.json({"queue_running": running, "queue_pending": list(queue.waiting)})
            if path == "/prompt":
                return self.json({"exec_info": {"queue_remaining": len(queue.waiting) + bool(queue.running)}})
            if path == "/history":
                return self.json(dict(queue.history))
            if path.startswith("/history/"):
                found = queue.history.get(path[len("/history/"):])
                return self.json({found["prompt"][1]: found} if found else {})
            if path == "/view":
                name = parse_qs(address.query).get("filename", [""])[0]
                image = queue.images.get(name)
                return self.answer(image, "image/png") if image else self.json({"error": "no such image"}, 404)
        return self.json({"error": "not found"}, 404)

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        if length > BODY_LIMIT:
            self.close_connection = True
            return self.json({"error": "too large"}, 413)
        try:
            body = json.loads(self.rfile.read(length) or b"{}")
        except ValueError:
            return self.json({"error": "not JSON"}, 400)
        if not isinstance(body, dict):
            return self.json({"error": "expected an object"}, 400)
        path = urlsplit(self.path).path.removeprefix("/api")
        if path == "/prompt":
            wrong = problem(body.get("prompt"))
            if wrong:
                return self.json(wrong, 400)
            return self.json(self.queue.put(body["prompt"], body.get("extra_data") or {}, body.get("prompt_id")))
        with self.queue.changed:
            if path == "/queue":
                gone = set(body.get("delete") or [])
                kept = [] if body.get("clear") else [item for item in self.queue.waiting if item[1] not in gone]
                self.queue.waiting = collections.deque(kept)
                return self.answer(b"", "text/plain")
            if path == "/history":
                for prompt_id in list(self.queue.history) if body.get("clear") else body.get("delete") or []:
                    self.queue.history.pop(prompt_id, None)
                return self.answer(b"", "text/plain")
            if path == "/interrupt":
                return self.answer(b"", "text/plain")
        return self.json({"error": "not found"}, 404)

    def json(self, content: Any, status: int = 200) -> None:
        self.answer(json.dumps(content).encode(), "application/json", status)

    def answer(self, content: bytes, kind: str, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *arguments: Any) -> None:
        if not self.path.startswith(("/system_stats", "/history")):  # asked again and again
            print(f"{self.address_string()} {format % arguments}", flush=True)


def stats() -> dict[str, Any]:
    page = os.sysconf("SC_PAGE_SIZE")
    total, free = page * os.sysconf("SC_PHYS_PAGES"), page * os.sysconf("SC_AVPHYS_PAGES")
    return {
        "system": {
            "os": os.name, "ram_total": total, "ram_free": free, "comfyui_version": VERSION,
            "python_version": platform.python_version(), "pytorch_version": "none (stand-in)",
            "embedded_python": False, "argv": sys.argv,
        },
        "devices": [{"name": "stand-in", "type": "cpu", "index": None, "vram_total": total, "vram_free": free,
                     "torch_vram_total": total, "torch_vram_free": free}],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="A stand-in for ComfyUI")
    parser.add_argument("--listen", nargs="?", default="127.0.0.1", const="0.0.0.0", metavar="IP")
    parser.add_argument("--port", type=int, default=8188)
    for name in ("--base-directory", "--output-directory", "--extra-model-paths-config"):
        parser.add_argument(name, help="ComfyUI's; taken and not used")
    for name in ("--cpu", "--disable-auto-launch"):
        parser.add_argument(name, action="store_true", help="ComfyUI's; taken and not used")
    options = parser.parse_args()

    queue = Queue()
    Handler.queue = queue
    threading.Thread(target=queue.work, daemon=True).start()
    ThreadingHTTPServer.daemon_threads = True
    server = ThreadingHTTPServer((options.listen, options.port), Handler)
    signal.signal(signal.SIGTERM, lambda *_arguments: threading.Thread(target=server.shutdown).start())
    print(f"ComfyUI stand-in {VERSION} on {options.listen}:{options.port}", flush=True)
    try:
        server.serve_forever(poll_interval=0.2)
    except KeyboardInterrupt:
        pass
    finally:
        server.server_close()


if __name__ == "__main__":
    main()
