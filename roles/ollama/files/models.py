# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Compare Ollama's models with what is declared, bring missing ones in, and hash every blob against its name.

Reads one JSON object on standard input. The first argument is C(inspect), which reads the disk only and prints
C({"wanted": [names], "digests": {name: digest}}), or C(apply), which pulls or creates what is wanted and verifies it.
The server's own word is not taken for a model's health: it has reported success over corrupted blobs.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

DEFAULT_REGISTRY = "registry.ollama.ai"


class Failure(Exception):
    """What happened, where, expected, got, and what to do."""


def sha256_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(4 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def bare(digest: str) -> str:
    """A digest without its algorithm: C(sha256:ab…) and C(sha256-ab…) are C(ab…)."""
    return digest.replace("sha256:", "").replace("sha256-", "").lower()


def manifest_path(models_dir: Path, name: str) -> Path:
    """Where Ollama keeps the manifest of C([[host/]namespace/]model[:tag])."""
    parts = name.split("/")
    model, _colon, tag = parts[-1].partition(":")
    space = {1: [DEFAULT_REGISTRY, "library"], 2: [DEFAULT_REGISTRY, *parts[:1]]}.get(len(parts), parts[:-1])
    return models_dir.joinpath("manifests", *space, model, tag or "latest")


def fingerprint(path: Path) -> list[int]:
    """What changes when a file is written: size, time of its content (ns) and of its inode (ns), inode."""
    status = path.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


class Record:
    """What was verified, and from what each model was made; a JSON file, replaced by rename."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            held = json.loads(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            held = {}
        self.blobs: dict[str, list[int]] = held.get("blobs", {})
        self.sources: dict[str, str] = held.get("sources", {})

    def save(self) -> None:
        """Write what is held now, if the state directory is there."""
        text = json.dumps({"blobs": self.blobs, "sources": self.sources}, indent=1, sort_keys=True)
        if not self._path.parent.is_dir() or (self._path.exists() and self._path.read_text(encoding="utf-8") == text):
            return
        temporary = self._path.with_name(self._path.name + ".new")
        temporary.write_text(text, encoding="utf-8")
        temporary.chmod(0o600)
        os.replace(temporary, self._path)


def source_of(model: dict[str, Any]) -> str:
    """Hash of what a model is created from; empty for one that is pulled."""
    if model.get("source", "pull") != "create":
        return ""
    files = sorted((Path(item["src"]).name, bare(item["sha256"])) for item in model.get("files") or [])
    return hashlib.sha256(json.dumps([model["modelfile"], files]).encode()).hexdigest()


def digests_of(manifest: Path) -> tuple[str, str, list[str]]:
    """Digest of the manifest, digest of the model's own layer, and of all blobs that the manifest names."""
    content = manifest.read_bytes()
    try:
        document = json.loads(content)
        layers = [document["config"], *document["layers"]]
    except (ValueError, KeyError, TypeError) as error:
        raise Failure(f"Manifest {manifest}: expected a JSON object with config and layers, got something else ({error!r}). "
                      f"Remove it (rm {manifest}) and run again.") from error
    models = [bare(item["digest"]) for item in layers if str(item.get("mediaType", "")).endswith("image.model")]
    return hashlib.sha256(content).hexdigest(), models[0] if models else "", [bare(item["digest"]) for item in layers if item.get("digest")]


def verify_blobs(name: str, blobs: Path, digests: list[str], record: Record, everything: bool) -> bool:
    """Whether all blobs are there; one whose content does not match its name is a failure."""
    for digest in dict.fromkeys(digests):
        path = blobs / f"sha256-{digest}"
        if not path.is_file():
            return False
        now = fingerprint(path)
        if not everything and record.blobs.get(path.name) == now:
            continue
        got = sha256_of(path)
        if got != digest:
            raise Failure(
                f"Model {name} is corrupt: blob {path}: expected SHA-256 {digest}, got {got}. The server lists it as healthy all the "
                f"same. Remove the blob (rm {path}) and run again: the model is then pulled or created again. "
                "If it comes back, check the disk."
            )
        record.blobs[path.name] = now
    return True


def inspect(request: dict[str, Any], record: Record, everything: bool) -> tuple[list[str], dict[str, str]]:
    """Names of the models that are missing, incomplete or made from something else, and the digests of the others."""
    models_dir = Path(request["models_dir"])
    wanted: list[str] = []
    digests: dict[str, str] = {}
    for model in request["models"]:
        name, source = model["name"], source_of(model)
        manifest = manifest_path(models_dir, name)
        if not manifest.is_file() or (source and record.sources.get(name) != source):
            wanted.append(name)
            continue
        digest, own, blobs = digests_of(manifest)
        if not verify_blobs(name, models_dir / "blobs", blobs, record, everything):
            wanted.append(name)
            continue
        expected = bare(model.get("digest") or "")
        if expected and not any(value.startswith(expected) for value in (digest, own) if value):
            wanted.append(name)
            continue
        digests[name] = digest
    return wanted, digests


def wait(address: str, seconds: float = 30.0) -> None:
    """Until the server answers; no proxy stands between a node and itself."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + seconds
    while True:
        try:
            with opener.open(f"http://{address}/api/version", timeout=5):
                return
        except OSError as error:
            if time.monotonic() > deadline:
                raise Failure(f"Ollama at http://{address}/api/version: expected an answer within {seconds:.0f} s, got: {error}. "
                              "Read the log of its unit.") from error
            time.sleep(0.3)


def obeyed(command: list[str], room: Path, environment: dict[str, str], seconds: float) -> subprocess.CompletedProcess[str]:
    """Run a command; what it is at goes on to standard output, for those who watch, and all of it is kept."""
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as kept:
        with subprocess.Popen(command, cwd=room, env=environment, stdin=subprocess.DEVNULL, stdout=kept, stderr=kept) as child:
            end, read = time.monotonic() + seconds, 0
            while child.poll() is None:
                if time.monotonic() >= end:
                    child.kill()
                    raise subprocess.TimeoutExpired(command, seconds)
                time.sleep(0.5)
                said = os.pread(kept.fileno(), 1 << 16, read)
                read += len(said)
                sys.stdout.write(said.decode("utf-8", "replace"))
                sys.stdout.flush()
        kept.seek(0)
        text = kept.read()
    return subprocess.CompletedProcess(command, child.returncode, "", text.replace("\r", "\n"))


def bring_in(request: dict[str, Any], model: dict[str, Any]) -> None:
    """Pull or create one model through the server."""
    name = model["name"]
    with tempfile.TemporaryDirectory(prefix="aistack-ollama-") as home:
        environment = {"PATH": os.environ.get("PATH", ""), "HOME": home, "OLLAMA_HOST": request["address"]}
        command, room = [request["program"], "pull", name], Path(home)
        if model.get("source", "pull") == "create":
            room = Path(request["room"], hashlib.sha256(name.encode()).hexdigest()[:16]) if model.get("files") else room
            for item in model.get("files") or []:
                path = room / Path(item["src"]).name
                got = sha256_of(path)
                if got != bare(item["sha256"]):
                    raise Failure(f"Model {name}: {item['src']}: expected SHA-256 {bare(item['sha256'])}, got {got}. "
                                  "Correct ollama_models, or get the file again.")
            modelfile = room / "Modelfile"
            modelfile.write_text(model["modelfile"], encoding="utf-8")
            command = [request["program"], "create", name, "--file", str(modelfile)]
        try:
            done = obeyed(command, room, environment, request["timeout"])
        except subprocess.TimeoutExpired as error:
            raise Failure(f"Model {name}: {command[1]} took longer than {request['timeout']} s. Run again to go on, "
                          "or raise ollama_timeout.") from error
    if done.returncode != 0:
        raise Failure(f"Model {name}: {command[1]} failed with exit status {done.returncode}: {done.stderr.strip()[-800:]}")


def apply(request: dict[str, Any], record: Record) -> dict[str, str]:
    """Bring in what is wanted; then every blob of it is hashed and its digest compared."""
    wait(request["address"])
    wanted, digests = inspect(request, record, False)
    for model in request["models"]:
        name = model["name"]
        if name not in wanted:
            continue
        bring_in(request, model)
        manifest = manifest_path(Path(request["models_dir"]), name)
        if not manifest.is_file():
            raise Failure(f"Model {name}: the server reported success, but there is no manifest at {manifest}. "
                          "Does the unit use another ollama_models_dir? Restart it and run again.")
        digest, own, blobs = digests_of(manifest)
        if not verify_blobs(name, manifest_blobs(request), blobs, record, True):
            raise Failure(f"Model {name}: the server reported success, but blobs named by {manifest} are missing. Run again.")
        expected = bare(model.get("digest") or "")
        if expected and not any(value.startswith(expected) for value in (digest, own) if value):
            raise Failure(f"Model {name}: expected digest {expected}, got {digest} (manifest) and {own or 'none'} (model). "
                          "The registry serves another model under this name, or the declared digest is wrong: "
                          "compare, then correct ollama_models.")
        record.sources[name] = source_of(model)
        record.save()
        digests[name] = digest
    return digests


def manifest_blobs(request: dict[str, Any]) -> Path:
    """Directory of the blobs."""
    return Path(request["models_dir"], "blobs")


def main() -> int:
    """Exit status: 0, or 1 with the failure on standard error."""
    request = json.load(sys.stdin)
    record = Record(Path(request["record"]))
    try:
        if sys.argv[1] == "apply":
            wanted: list[str] = []
            digests = apply(request, record)
        else:
            wanted, digests = inspect(request, record, request["verify"] == "always")
        record.save()
    except Failure as failure:
        print(failure, file=sys.stderr)
        return 1
    print(json.dumps({"wanted": wanted, "digests": digests}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
