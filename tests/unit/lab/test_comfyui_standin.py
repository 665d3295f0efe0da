# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zlib
from pathlib import Path

import pytest

MAIN = Path(__file__).resolve().parents[3] / "lab" / "comfyui-standin" / "main.py"
GRAPH = {
    "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 8, "height": 4}},
    "9": {"class_type": "SaveImage", "inputs": {"images": ["5", 0], "filename_prefix": "test"}},
}


@pytest.fixture(scope="module")
def base():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-B", str(MAIN), "--listen", "127.0.0.1", "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert "stand-in" in process.stdout.readline()
        yield f"http://127.0.0.1:{port}"
        process.terminate()
        assert process.wait(timeout=5) == 0


def call(url, body=None):
    request = urllib.request.Request(url, None if body is None else json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=5) as answer:
        return answer.headers, answer.read()


def test_it_says_that_it_is_a_stand_in(base):
    headers, body = call(f"{base}/system_stats")
    assert json.loads(body)["system"]["comfyui_version"] == "0.0.0-standin"
    assert headers["Server"].startswith("comfyui-standin")


def test_a_prompt_goes_through_the_queue_and_gives_an_image(base):
    answer = json.loads(call(f"{base}/prompt", {"prompt": GRAPH})[1])
    assert answer["node_errors"] == {}
    assert answer["number"] == 1
    prompt_id = answer["prompt_id"]
    queue = json.loads(call(f"{base}/queue")[1])
    assert [item[1] for item in queue["queue_running"] + queue["queue_pending"]] == [prompt_id]
    assert json.loads(call(f"{base}/history/{prompt_id}")[1]) == {}
    deadline = time.monotonic() + 5
    entry = None
    while entry is None and time.monotonic() < deadline:
        entry = json.loads(call(f"{base}/history/{prompt_id}")[1]).get(prompt_id)
        time.sleep(0.05)
    assert entry is not None
    assert entry["status"]["status_str"] == "success"
    image = entry["outputs"]["9"]["images"][0]
    assert image["type"] == "output"
    assert image["filename"].startswith("test_")
    headers, png = call(f"{base}/view?filename={image['filename']}&subfolder=&type=output")
    assert headers["Content-Type"] == "image/png"
    assert png.startswith(b"\x89PNG")
    assert int.from_bytes(png[16:20], "big") == 8
    assert int.from_bytes(png[20:24], "big") == 4
    start = png.index(b"IDAT")
    length = int.from_bytes(png[start - 4:start], "big")
    assert len(zlib.decompress(png[start + 4:start + 4 + length])) == 4 * (1 + 8 * 3)


@pytest.mark.parametrize(("graph", "kind"), [
    ({}, "no_prompt"),
    ({"1": {"inputs": {}}}, "invalid_prompt"),
    ({"1": {"class_type": "SaveImage", "inputs": {"images": ["2", 0]}}}, "prompt_outputs_failed_validation"),
    ({"1": {"class_type": "CLIPTextEncode", "inputs": {}}}, "prompt_no_outputs"),
])
def test_a_graph_that_cannot_run_is_refused(base, graph, kind):
    with pytest.raises(urllib.error.HTTPError) as refused:
        call(f"{base}/prompt", {"prompt": graph})
    with refused.value as answer:
        assert answer.code == 400
        assert json.loads(answer.read())["error"]["type"] == kind


def test_an_image_that_does_not_exist(base):
    with pytest.raises(urllib.error.HTTPError) as missing:
        call(f"{base}/view?filename=none.png")
    missing.value.close()
    assert missing.value.code == 404
