# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The artefacts of one component for this controller: in its folder, else in the bucket; proven before they are used."""

from __future__ import annotations

import json
import os
import tarfile
from collections.abc import Mapping, Sequence
from hashlib import sha256 as hashed
from pathlib import Path
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.s3 import S3Problem
from ansible_collections.phasegate.aistack.plugins.module_utils.core import proc
from ansible_collections.phasegate.aistack.plugins.module_utils.release import provenance, tree
from ansible_collections.phasegate.aistack.plugins.module_utils.release.artefact_bucket import Remote, bucket_of
from ansible_collections.phasegate.aistack.plugins.module_utils.release.artefact_settings import END, Settings
from ansible_collections.phasegate.aistack.plugins.module_utils.release.artefact_store import (
    Store,
    Stored,
    Wanted,
    application_of,
    contents,
)
from ansible_collections.phasegate.aistack.plugins.module_utils.release.store import FILES, MANIFEST

SIGN_TIMEOUT = 60.0
"""Seconds for one call of cosign."""
SHOWN = 10
"""Files that are named where two builds differ in more."""


class Refused(Exception):
    """An artefact is not what was kept, and the settings say that the run ends then."""


class Unsigned(Exception):
    """What was built could not be signed."""


class Shelf:
    """Where artefacts of one component are looked for and kept. ``notes`` are for people, once each."""

    def __init__(self, settings: Settings, repo: str, component: str) -> None:
        self.settings = settings
        self.store = Store(settings.folder, application_of(repo), component, settings.keep)
        self.notes: list[str] = []
        self._remote: Remote | None = None
        self._silent = False
        self._refused: set[str] = set()

    def note(self, text: str) -> None:
        """Say something, once."""
        if text not in self.notes:
            self.notes.append(text)

    def _far(self) -> Remote | None:
        """The bucket; None where there is none, or it did not answer before."""
        if not self.settings.bucket or self._silent:
            return None
        if self._remote is None:
            try:
                self._remote = Remote(bucket_of(self.settings), self.settings.prefix, self.store)
            except S3Problem as problem:
                self._lost(problem, "Artefacts are not looked for there")
        return self._remote

    def _lost(self, problem: Exception, what: str) -> None:
        self._silent = True
        self.note(f"{what}: {str(problem).rstrip('.')}. Look at store, endpoint and the keys of aistack_artefacts.")

    def find(self, wanted: Wanted) -> Stored | None:
        """What fits, proven or not; None where there is nothing, or where all is to be built again."""
        if self.settings.rebuild:
            return None
        found = wanted.find()
        far = self._far() if found is None else None
        if far is not None:
            try:
                found = far.find(wanted)
            except (S3Problem, OSError) as problem:
                self._lost(problem, "The store of artefacts was not asked")
        return found if found is None or found.key not in self._refused else None

    def of_tag(self, tag: str, platform: Mapping[str, Any], root: str) -> Stored | None:
        """What was built under a tag for a platform, whatever its recipe was, and proves itself; for a way back."""
        for stored in self.store.of_tag(tag):
            if stored.facts.get("platform") == dict(platform) and _fits(stored, root):
                why = self.wrong(stored, {"tag": tag})
                if not why:
                    return stored
                self.note(f"the artefact {stored.path} is {why}")
        far = self._far()
        if far is None:
            return None
        try:
            found = far.of_tag(tag, platform)
        except (S3Problem, OSError) as problem:
            self._lost(problem, "The store of artefacts was not asked")
            return None
        if found is None or not _fits(found, root):
            return None
        why = self.wrong(found, {"tag": tag})
        if why:
            self.note(f"the artefact {found.path} is {why}")
        return None if why else found

    def usable(self, wanted: Wanted) -> Stored | None:
        """What fits and proves itself. What does not is told and removed. Raises Refused where that ends the run."""
        stored = self.find(wanted)
        if stored is None:
            return None
        about = {"tag": wanted.recipe.get("release"), "component": wanted.recipe.get("component"), "commit": wanted.commit}
        why = self.wrong(stored, about)
        if not why:
            return stored
        self.refuse(stored, f"The artefact {stored.path} is {why}")
        return None

    def refuse(self, stored: Stored, told: str) -> None:
        """Drop an artefact, or end the run, as the settings say. Raises Refused."""
        if self.settings.changed == END:
            raise Refused(
                f"{told}. Nothing was staged, and it was left where it is (aistack_artefacts.changed is end). Find out who changed it; "
                f"to have the release built again, remove it: rm '{stored.described}' '{stored.path}'"
                f"{' (and in the store: ' + str(self.settings.bucket) + ')' if self.settings.bucket else ''}."
            )
        self.note(f"{told}. It was removed from the controller; the release is built.")
        self._refused.add(stored.key)
        stored.discard()

    def wrong(self, stored: Stored, about: Mapping[str, Any]) -> str:
        """Why an artefact is not to be used, empty where it may be."""
        if not stored.whole():
            return f"damaged: its SHA-256 is not {stored.facts.get('sha256')}"
        if not self.settings.sign:
            return ""
        try:
            text = stored.beside("intoto").read_bytes()
        except OSError:
            return "not signed: it has no provenance"
        signature = stored.beside("intoto.sig")
        if not signature.is_file():
            return f"not signed: {signature} is not there"
        problem = self._verified(stored.beside("intoto"), signature)
        if problem:
            return problem
        try:
            said = json.loads(text)
        except ValueError:
            said = None
        return provenance.contradiction(said, about, str(stored.facts.get("sha256")))

    def _cosign(self, *words: str) -> proc.Ended:
        sign = self.settings.sign
        secret = ""
        if sign.get("password_file"):
            secret = Path(str(sign["password_file"])).expanduser().read_text(encoding="utf-8").rstrip("\n")
        env = {**os.environ, "COSIGN_PASSWORD": secret}
        return proc.finish([str(sign.get("program") or "cosign"), *words], SIGN_TIMEOUT, env=env)

    def _verified(self, path: Path, signature: Path) -> str:
        public = str(Path(str(self.settings.sign["public_key"])).expanduser())
        try:
            done = self._cosign(
                "verify-blob", "--key", public, "--signature", str(signature), "--insecure-ignore-tlog=true", str(path)
            )
        except OSError as error:
            return f"not verified: {self.settings.sign.get('program') or 'cosign'} cannot be run ({error.strerror})"
        return "" if done.rc == 0 else f"not signed with {public}: {proc.tail(done.stderr, 1)[:200]}"

    def keep(self, wanted: Wanted, fetched: Path, facts: Mapping[str, Any], sbom: str = "") -> Stored:
        """Keep what was fetched, with its provenance, signed. Raises OSError, Unsigned."""
        said = provenance.statement(facts, wanted.recipe, wanted.key, hashed(sbom.encode()).hexdigest() if sbom else "")
        beside = {"intoto": json.dumps(said, sort_keys=True, indent=1) + "\n", **({"sbom": sbom} if sbom else {})}
        if self.settings.sign.get("key"):
            beside["intoto.sig"] = self._signature(fetched, beside["intoto"])
        elif self.settings.sign:
            raise Unsigned("this controller has no key to sign with (aistack_artefacts.sign.key), and unsigned it would be refused")
        lines = self._compared(wanted, fetched, facts)
        stored = self.store.add(wanted.key, fetched, {**facts, "differs": lines} if lines is not None else facts, beside)
        far = self._far()
        if far is not None:
            try:
                far.send(stored)
            except (S3Problem, OSError) as problem:
                self._lost(problem, "What was built is kept on this controller alone")
        return stored

    def _compared(self, wanted: Wanted, fetched: Path, facts: Mapping[str, Any]) -> list[str] | None:
        """What differs from what is kept under the same key; None where nothing is, or it is not what was kept."""
        before, far = self.store.get(wanted.key), self._far()
        try:
            if far is not None and (found := far.same(wanted.key, str(facts["sha256"]))) is not None:
                before = found
        except (S3Problem, OSError) as problem:
            self._lost(problem, "The store of artefacts was not asked")
        if before is None or not before.whole():
            return None
        try:
            lines = tree.differences(_built(before.path), _built(fetched))
        except (OSError, tarfile.TarError) as error:
            self.note(f"Two builds could not be compared: {error}")
            return None
        if lines:
            self.note(other_bytes(str(facts.get("component")), str(facts.get("tag")), before.built_on, lines))
        return lines

    def _signature(self, fetched: Path, text: str) -> str:
        blob = fetched.with_name(f"{fetched.name}.intoto")
        out = fetched.with_name(f"{fetched.name}.sig")
        key = str(Path(str(self.settings.sign["key"])).expanduser())
        try:
            blob.write_text(text, encoding="utf-8")
            done = self._cosign("sign-blob", "--yes", "--key", key, "--tlog-upload=false", "--output-signature", str(out), str(blob))
            if done.rc != 0 or not out.is_file():
                raise Unsigned(f"cosign could not sign with {key}: {proc.tail(done.stderr, 1)[:200]}")
            return out.read_text(encoding="ascii")
        except OSError as error:
            raise Unsigned(f"cosign could not sign with {key}: {error}") from error
        finally:
            blob.unlink(missing_ok=True)
            out.unlink(missing_ok=True)


def _built(packed: Path) -> dict[str, str]:
    """Path to hash and mode of what a build made; what staging itself writes has the time of the build."""
    return {name: what for name, what in contents(packed).items() if name not in (MANIFEST, FILES)}


def other_bytes(component: str, tag: str, before: str, lines: Sequence[str]) -> str:
    """For people: that two builds of the same gave something else."""
    files = "1 file is" if len(lines) == 1 else f"{len(lines)} files are"
    shown = "; ".join(lines[:SHOWN]) + (f"; and {len(lines) - SHOWN} more" if len(lines) > SHOWN else "")
    return f"{component} {tag} was built again from the same as on {before}, and {files} not the same: {shown}"


def _fits(stored: Stored, root: str) -> bool:
    return not stored.facts.get("bound") or stored.facts.get("root") == root
