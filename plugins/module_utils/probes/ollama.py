# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ollama answers, has the models that were declared with the digests that were declared, and can generate."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.context import CannotJudge, Context, NotAsExpected, excerpt
from ansible_collections.phasegate.aistack.plugins.module_utils.clients.http import ask_json
from ansible_collections.phasegate.aistack.plugins.module_utils.core.expect import Mismatch, check, get_path
from ansible_collections.phasegate.aistack.plugins.module_utils.core.schema import Option
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.base import Attempt, Probe, judge
from ansible_collections.phasegate.aistack.plugins.module_utils.probes.file import sha256_of

_hashed: dict[tuple[str, int, int], str] = {}
_hashed_lock = threading.Lock()


def full_name(name: str) -> str:
    """A model's name with its tag."""
    return name if ":" in name.rsplit("/", 1)[-1] else f"{name}:latest"


def bare(digest: str) -> str:
    """A digest without the name of its algorithm."""
    return digest.lower().removeprefix("sha256:").removeprefix("sha256-")


def manifest_path(models: Path, name: str) -> Path:
    """Where Ollama keeps the manifest of a model."""
    path, _colon, tag = full_name(name).rpartition(":")
    parts = path.split("/")
    if len(parts) == 1:
        parts = ["registry.ollama.ai", "library", *parts]
    elif len(parts) == 2:
        parts = ["registry.ollama.ai", *parts]
    return models.joinpath("manifests", *parts, tag)


class Ollama(Probe):
    """Ask the server, and where wanted its files."""

    type = "ollama"
    target = Option("str", "address of the server", required=True)
    options = {
        "version": Option("version", "version of the server"),
        "models": Option("any", "models that have to be there: a list, or a mapping of name to digest (its beginning is enough)"),
        "generate": Option("any", "model that has to generate something, or a mapping with model, prompt, max_tokens"),
        "blobs": Option("str", "folder of the models on the node; every blob of every declared model is hashed"),
        "ca_file": Option("str", "CA certificates on the node, instead of the system's"),
    }
    hint = "try: curl {target}/api/tags; pull or create the model again where its digest is another"

    @staticmethod
    def check(spec: Mapping[str, Any]) -> list[str]:
        problems = []
        models = spec.get("models")
        if models is not None and not isinstance(models, (list, Mapping)):
            problems.append("models: must be a list of names, or a mapping of name to digest")
        generate = spec.get("generate")
        if isinstance(generate, Mapping):
            unknown = set(generate) - {"model", "prompt", "max_tokens"}
            problems += [f"generate: unknown key '{key}'; known: max_tokens, model, prompt" for key in sorted(unknown)]
            if not generate.get("model"):
                problems.append("generate: 'model' is missing")
        elif generate is not None and not isinstance(generate, str):
            problems.append("generate: must be a model's name, or a mapping")
        if spec.get("blobs") and not models:
            problems.append("blobs: needs models")
        return problems

    @property
    def default_timeout(self) -> float:
        return 60.0 if self.spec.get("generate") or self.spec.get("blobs") else 5.0

    def expectation(self) -> str:
        parts = ["a version"] if not self.spec.get("version") else [f"version {self.spec['version']}"]
        if self.spec.get("models"):
            parts.append("models " + ", ".join(self._models()))
        if self.spec.get("blobs"):
            parts.append("blobs as their manifests say")
        if self.spec.get("generate"):
            parts.append(f"{self._generate()['model']} generates")
        return ", ".join(parts)

    def _models(self) -> dict[str, str]:
        models = self.spec.get("models") or []
        pairs = models.items() if isinstance(models, Mapping) else [(name, "") for name in models]
        return {full_name(str(name)): bare(str(digest or "")) for name, digest in pairs}

    def _generate(self) -> dict[str, Any]:
        given = self.spec["generate"]
        return dict(given) if isinstance(given, Mapping) else {"model": given}

    def observe(self, context: Context) -> Attempt:
        base = str(self.spec["target"]).rstrip("/")
        ca_file = self.spec.get("ca_file")
        version = get_path(ask_json(f"{base}/api/version", context, ca_file=ca_file), "version")
        found = check(self.spec.get("version") or {"exists": True}, version, "version")
        got = [f"version {version}"]
        wanted = self._models()
        if wanted:
            found += self._compare(base, wanted, context, got)
        if self.spec.get("blobs") and not found:
            got.append(self._blobs(wanted, context))
        if self.spec.get("generate") and not found:
            got.append(self._generated(base, context))
        return judge(found, self.expectation(), ", ".join(got))

    def _compare(self, base: str, wanted: Mapping[str, str], context: Context, got: list[str]) -> list[Mismatch]:
        listed = get_path(ask_json(f"{base}/api/tags", context, ca_file=self.spec.get("ca_file")), "models") or []
        there = {full_name(str(model.get("name"))): bare(str(model.get("digest", ""))) for model in listed if isinstance(model, dict)}
        got.append(f"models {', '.join(f'{name}@{digest[:12]}' for name, digest in sorted(there.items())) or 'none'}")
        return [
            Mismatch(f"model {name}", digest[:64] or {"exists": True}, there.get(name) or "not there")
            for name, digest in wanted.items()
            if name not in there or not there[name].startswith(digest)
        ]

    def _blobs(self, wanted: Mapping[str, str], context: Context) -> str:
        """Hash every blob; what has been hashed stays known for the next attempt of the same run."""
        models = Path(str(self.spec["blobs"]))
        if not models.is_dir():
            raise CannotJudge(f"{models} is not a folder on this node")
        count = 0
        for name, digest in wanted.items():
            path = manifest_path(models, name)
            if not path.is_file():
                raise NotAsExpected(f"{path} is not there", f"a manifest of {name}")
            came = sha256_of(path, context)
            if not came.startswith(digest):
                raise NotAsExpected(f"the manifest of {name} is {came}", f"{digest}")
            manifest = json.loads(path.read_text(encoding="utf-8"))
            for layer in [manifest.get("config") or {}, *(manifest.get("layers") or [])]:
                if layer.get("digest"):
                    self._blob(models, name, bare(str(layer["digest"])), context)
                    count += 1
        return f"{count} blobs hashed"

    @staticmethod
    def _blob(models: Path, name: str, digest: str, context: Context) -> None:
        path = models / "blobs" / f"sha256-{digest}"
        try:
            status = path.stat()
        except FileNotFoundError as error:
            raise NotAsExpected(f"{path} is not there", f"all blobs of {name}") from error
        key = (str(path), status.st_size, status.st_mtime_ns)
        with _hashed_lock:
            came = _hashed.get(key)
        if came is None:
            came = sha256_of(path, context)
            with _hashed_lock:
                _hashed[key] = came
        if came != digest:
            raise NotAsExpected(f"a blob of {name} is damaged: {path} hashes to {came}", f"{digest}")

    def _generated(self, base: str, context: Context) -> str:
        asked = self._generate()
        data = {
            "model": asked["model"],
            "prompt": asked.get("prompt", "Say hello."),
            "stream": False,
            "options": {"num_predict": int(asked.get("max_tokens", 8))},
        }
        answer = ask_json(f"{base}/api/generate", context, "POST", data, ca_file=self.spec.get("ca_file"))
        count = get_path(answer, "eval_count")
        if get_path(answer, "done") is not True or not isinstance(count, int) or count < 1:
            raise NotAsExpected(f"no token: {excerpt(json.dumps(answer))}", f"{asked['model']} generates")
        return f"{asked['model']} generated {count} tokens"
