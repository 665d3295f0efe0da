from __future__ import annotations

import json

import httpx
import pytest

from app import clients
from app.agents import video, vision

REAL_RENDER = clients.comfyui_render  # before the fixture puts its fake there
PNG = b"\x89PNG\r\n\x1a\n"


def test_the_image_is_kept(store):
    output = vision.run({"brief": {"product": "perfume"}, "style": "minimalist"})
    data, content_type = store[output["image_key"]]
    assert data.startswith(PNG)
    assert content_type == "image/png"
    assert output["bytes"] == len(data)
    assert "white background" in output["prompt"]


def comfyui(monkeypatch, entry):
    """A ComfyUI that has the prompt's result at the second look."""
    looks = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/prompt":
            graph = json.loads(request.content)["prompt"]
            assert graph["6"]["inputs"]["text"] == "a cat"
            assert graph["9"]["class_type"] == "SaveImage"
            return httpx.Response(200, json={"prompt_id": "p1", "number": 1, "node_errors": {}})
        if request.url.path == "/history/p1":
            looks.append(1)
            return httpx.Response(200, json={"p1": entry} if len(looks) > 1 else {})
        assert dict(request.url.params) == {"filename": "a.png", "subfolder": "", "type": "output"}
        return httpx.Response(200, content=PNG)

    monkeypatch.setattr(clients, "_http", lambda: httpx.Client(transport=httpx.MockTransport(answer)))


def test_the_prompt_is_queued_awaited_and_fetched(monkeypatch):
    image = {"filename": "a.png", "subfolder": "", "type": "output"}
    comfyui(monkeypatch, {"outputs": {"9": {"images": [image]}}, "status": {"status_str": "success"}})
    assert REAL_RENDER("a cat") == PNG


def test_a_prompt_without_an_image_is_an_error(monkeypatch):
    comfyui(monkeypatch, {"outputs": {}, "status": {"status_str": "error"}})
    with pytest.raises(clients.UpstreamError, match="without an image"):
        REAL_RENDER("a cat")


def test_video_is_made_of_the_frames(api, store):
    job = api.post("/api/v1/video/render", json={"prompt": "a cat", "frames": 3}).json()["job_id"]
    status = api.get(f"/api/v1/pm/status/{job}").json()
    assert (status["status"], status["progress"]) == ("completed", 1.0)
    data, content_type = store[status["nodes"][-1]["output"]["video_key"]]
    assert content_type == "image/apng"
    assert [data.count(kind) for kind in (b"acTL", b"fcTL", b"IDAT", b"fdAT")] == [1, 3, 1, 2]
    assert [kind for kind, _content in video._chunks(data)][-1] == b"IEND"


def test_assets_go_in_and_out(api):
    assert api.put("/api/v1/assets/logos/a.png", content=PNG, headers={"content-type": "image/png"}).status_code == 201
    answer = api.get("/api/v1/assets/logos/a.png")
    assert (answer.content, answer.headers["content-type"]) == (PNG, "image/png")
    assert api.get("/api/v1/assets/none").status_code == 404
    assert api.put("/api/v1/assets/a/.hidden", content=b"x").status_code == 422
