# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The artefacts of one component in a bucket: C(<prefix>/<application>/<component>/<key>.tar.gz), and beside it what the folder has.

C(<key>.json) is put last, so that what has none is no artefact. C(base/<base>) and C(tag/<tag>/<platform>) hold the key that was kept
last for them. Nothing is removed: that is for the bucket's own rules.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.s3 import Bucket, S3Problem
from ansible_collections.phasegate.aistack.plugins.module_utils.release.artefact_key import digest
from ansible_collections.phasegate.aistack.plugins.module_utils.release.artefact_settings import Settings
from ansible_collections.phasegate.aistack.plugins.module_utils.release.artefact_store import BESIDE, Store, Stored, Wanted


def _read(path: str) -> str:
    """A key out of a file of the controller. Raises S3Problem."""
    try:
        return Path(path).expanduser().read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise S3Problem(f"the key in {path} cannot be read: {getattr(error, 'strerror', None) or error}") from error


def bucket_of(settings: Settings) -> Bucket:
    """The bucket that the settings name, with its keys. Raises S3Problem."""
    said = settings.store
    return Bucket(
        str(said.get("endpoint")),
        settings.bucket,
        str(said.get("access_key_id") or _read(str(said.get("access_key_file")))),
        _read(str(said.get("secret_key_file"))),
        str(said.get("region") or "us-east-1"),
        str(said.get("ca_file") or ""),
    )


class Remote:
    """What a bucket has of one component. Everything raises S3Problem."""

    def __init__(self, bucket: Bucket, prefix: str, store: Store) -> None:
        self.bucket, self.store = bucket, store
        place = [prefix, store.folder.parent.name, store.folder.name]
        self.place = "/".join(part for part in place if part)

    def _text(self, name: str) -> str | None:
        found = self.bucket.get(f"{self.place}/{name}")
        return None if found is None else found.decode("utf-8", "replace")

    def _key(self, name: str) -> str | None:
        return (self._text(name) or "").strip() or None

    def _facts(self, key: str | None) -> dict[str, Any] | None:
        found = self._text(f"{key}.json") if key else None
        try:
            facts = json.loads(found) if found else None
        except ValueError:
            return None
        return facts if isinstance(facts, dict) else None

    def find(self, wanted: Wanted) -> Stored | None:
        """Bring what fits to the folder; None where there is nothing."""
        key: str | None = wanted.key
        facts = self._facts(key)
        if facts is None and wanted.takes_any:
            key = self._key(f"base/{wanted.base}")
            facts = self._facts(key)
        return None if key is None or facts is None or not wanted.fits(facts) else self._bring(key, facts)

    def of_tag(self, tag: str, platform: Mapping[str, Any]) -> Stored | None:
        """Bring what was built last under a tag for a platform to the folder; None where there is nothing."""
        key = self._key(f"tag/{tag}/{digest(dict(platform))}")
        facts = self._facts(key)
        return None if key is None or facts is None else self._bring(key, facts)

    def _bring(self, key: str, facts: Mapping[str, Any]) -> Stored | None:
        own = self.store.incoming(key)
        local = own.with_name(f"{own.name}.far")  # one of the same key may just have been fetched from a node
        try:
            if not self.bucket.get_file(f"{self.place}/{key}.tar.gz", local):
                return None
            beside = {kind: found for kind in BESIDE if (found := self._text(f"{key}.{kind}")) is not None}
            return self.store.add(key, local, facts, beside)
        finally:
            local.unlink(missing_ok=True)

    def same(self, key: str, sha256: str) -> Stored | None:
        """Bring to the folder what is kept there under a key, where it is another file; None where it is the same, or nothing."""
        facts = self._facts(key)
        return None if facts is None or facts.get("sha256") == sha256 else self._bring(key, facts)

    def send(self, stored: Stored) -> None:
        """Keep an artefact of the folder in the bucket."""
        facts = stored.facts
        self.bucket.put_file(f"{self.place}/{stored.key}.tar.gz", stored.path, str(facts["sha256"]))
        for kind in BESIDE:
            path = stored.beside(kind)
            if path.exists():
                self.bucket.put(f"{self.place}/{stored.key}.{kind}", path.read_bytes())
        self.bucket.put(f"{self.place}/{stored.key}.json", stored.described.read_bytes())
        for name in (f"base/{facts.get('base')}", f"tag/{facts.get('tag')}/{digest(dict(facts.get('platform') or {}))}"):
            self.bucket.put(f"{self.place}/{name}", f"{stored.key}\n".encode())
