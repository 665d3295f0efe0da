# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The script that compares Ollama's models with what is declared: the disk is real, the server and its client are small."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SCRIPT = Path(__file__).resolve().parents[3] / "roles" / "ollama" / "files" / "models.py"
NAME = "tiny:1b"
# Stands for the client: `pull NAME` and `create NAME --file PATH` put a model on the disk, as they would through the server.
CLIENT = """\
import hashlib, json, os, sys
DIR, MODE = {models!r}, {mode!r}
with open({calls!r}, "a") as file:
    print(" ".join(sys.argv[1:3]), os.environ["OLLAMA_HOST"], file=file)
if MODE == "fails":
    sys.exit("pull model manifest: file does not exist")
if MODE == "lies":
    sys.exit(0)
layers = []
for kind, content in (("params", b"{{}}"), ("model", b"weights")):
    digest = hashlib.sha256(content).hexdigest()
    layers.append({{"mediaType": "application/vnd.ollama.image." + kind, "digest": "sha256:" + digest}})
    os.makedirs(DIR + "/blobs", exist_ok=True)
    with open(DIR + "/blobs/sha256-" + digest, "wb") as file:
        file.write(b"broken!" if MODE == "corrupts" and kind == "model" else content)
model, _, tag = sys.argv[2].partition(":")
os.makedirs(DIR + "/manifests/registry.ollama.ai/library/" + model, exist_ok=True)
with open(DIR + "/manifests/registry.ollama.ai/library/" + model + "/" + (tag or "latest"), "w") as file:
    json.dump({{"config": layers[0], "layers": layers[1:]}}, file)
"""
OWN = hashlib.sha256(b"weights").hexdigest()


@pytest.fixture(scope="module")
def models() -> ModuleType:
    spec = importlib.util.spec_from_file_location("aistack_models", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    class Version(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Version) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class Node:
    """A models' directory, and the script run on it."""

    def __init__(self, models: ModuleType, address: str, folder: Path, monkeypatch: Any, capsys: Any) -> None:
        self.models, self.folder, self.monkeypatch, self.capsys = models, folder, monkeypatch, capsys
        self.directory, self.calls = folder / "models", folder / "calls"
        self.blob = self.directory / "blobs" / f"sha256-{OWN}"
        self.manifest = self.directory / "manifests" / "registry.ollama.ai" / "library" / "tiny" / "1b"
        self.request: dict[str, Any] = {
            "models_dir": str(self.directory), "record": str(folder / "record.json"), "models": [{"name": NAME}], "verify": "changed",
            "address": address, "program": str(folder / "ollama"), "room": str(folder / "room"), "timeout": 20,
        }
        self.client("works")

    def client(self, mode: str) -> None:
        program = self.folder / "ollama"
        code = CLIENT.format(models=str(self.directory), calls=str(self.calls), mode=mode)
        program.write_text(f"#!{sys.executable} -IS\n{code}", encoding="utf-8")
        program.chmod(0o755)

    def run(self, verb: str) -> dict[str, Any]:
        self.monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(self.request)))
        self.monkeypatch.setattr(sys, "argv", ["models.py", verb])
        status = self.models.main()
        seen = self.capsys.readouterr()
        assert status == 0, seen.err
        answer: dict[str, Any] = json.loads(seen.out)
        return answer

    def refused(self, verb: str) -> str:
        self.monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(self.request)))
        self.monkeypatch.setattr(sys, "argv", ["models.py", verb])
        assert self.models.main() == 1
        return str(self.capsys.readouterr().err)

    def called(self) -> list[str]:
        return [line.rpartition(" ")[0] for line in self.calls.read_text(encoding="utf-8").splitlines()] if self.calls.exists() else []


@pytest.fixture
def node(models: ModuleType, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Node:
    return Node(models, address, tmp_path, monkeypatch, capsys)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("tiny", "registry.ollama.ai/library/tiny/latest"),
        ("tiny:1b", "registry.ollama.ai/library/tiny/1b"),
        ("me/tiny:1b", "registry.ollama.ai/me/tiny/1b"),
        ("example.com/me/tiny", "example.com/me/tiny/latest"),
    ],
)
def test_where_a_manifest_is(models: ModuleType, name: str, path: str) -> None:
    assert models.manifest_path(Path("/m"), name) == Path("/m/manifests") / path


def test_pulled_once(node: Node) -> None:
    assert node.run("inspect") == {"wanted": [NAME], "digests": {}}
    node.run("apply")
    digest = hashlib.sha256(node.manifest.read_bytes()).hexdigest()
    assert node.run("inspect") == {"wanted": [], "digests": {NAME: digest}}
    assert node.run("apply")["digests"] == {NAME: digest}
    assert node.called() == [f"pull {NAME}"]
    assert (node.folder / "record.json").stat().st_mode & 0o777 == 0o600


def test_a_missing_blob_makes_the_model_wanted(node: Node) -> None:
    node.run("apply")
    node.blob.unlink()
    assert node.run("inspect")["wanted"] == [NAME]
    node.run("apply")
    assert node.blob.read_bytes() == b"weights"


def test_a_blob_that_was_written_over_is_a_failure_that_names_it(node: Node) -> None:
    node.run("apply")
    node.blob.write_bytes(b"WEIGHTS")
    said = node.refused("inspect")
    assert str(node.blob) in said
    assert OWN in said
    assert "rm " in said


def test_what_did_not_change_is_hashed_when_asked_only(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    node.run("apply")
    hashed: list[Path] = []
    real = node.models.sha256_of
    monkeypatch.setattr(node.models, "sha256_of", lambda path: hashed.append(path) or real(path))
    node.run("inspect")
    assert hashed == []
    node.request["verify"] = "always"
    node.run("inspect")
    assert node.blob in hashed


@pytest.mark.parametrize("digest", [OWN, f"sha256:{OWN}", OWN[:12], ""])
def test_a_declared_digest_is_the_models_or_the_manifests(node: Node, digest: str) -> None:
    node.request["models"] = [{"name": NAME, "digest": digest}]
    node.run("apply")
    assert node.run("inspect")["wanted"] == []


def test_another_digest_than_the_declared_one(node: Node) -> None:
    node.request["models"] = [{"name": NAME, "digest": "f" * 64}]
    said = node.refused("apply")
    assert "f" * 64 in said
    assert OWN in said
    assert node.run("inspect")["wanted"] == [NAME]


@pytest.mark.parametrize(("mode", "words"), [("fails", "file does not exist"), ("lies", "no manifest"), ("corrupts", "is corrupt")])
def test_what_the_server_says_is_not_believed(node: Node, mode: str, words: str) -> None:
    node.client(mode)
    assert words in node.refused("apply")


def test_created_from_files_and_again_when_its_description_changes(node: Node) -> None:
    weights = node.folder / "room" / hashlib.sha256(NAME.encode()).hexdigest()[:16] / "tiny.gguf"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"gguf")
    model = {
        "name": NAME, "source": "create", "modelfile": "FROM ./tiny.gguf\n",
        "files": [{"src": "files/tiny.gguf", "sha256": hashlib.sha256(b"gguf").hexdigest()}],
    }
    node.request["models"] = [model]
    node.run("apply")
    assert node.run("inspect")["wanted"] == []
    model["modelfile"] = "FROM ./tiny.gguf\nPARAMETER seed 1\n"
    assert node.run("inspect")["wanted"] == [NAME]
    node.run("apply")
    assert node.called() == [f"create {NAME}"] * 2
    assert weights.with_name("Modelfile").read_text(encoding="utf-8") == model["modelfile"]
    weights.write_bytes(b"damaged")
    model["modelfile"] = "FROM ./tiny.gguf\n"
    assert "expected SHA-256" in node.refused("apply")


def test_a_manifest_that_is_none(node: Node) -> None:
    node.run("apply")
    node.manifest.write_text("[]", encoding="utf-8")
    assert f"rm {node.manifest}" in node.refused("inspect")


def test_a_record_that_cannot_be_read_is_made_again(node: Node) -> None:
    node.run("apply")
    record = node.folder / "record.json"
    record.write_text("{", encoding="utf-8")
    assert node.run("inspect")["wanted"] == []
    assert f"sha256-{OWN}" in json.loads(record.read_text(encoding="utf-8"))["blobs"]
