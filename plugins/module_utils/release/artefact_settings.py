# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What C(aistack_artefacts) may say: who builds, where what was built is kept, what is proven of it. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.core.schema import Option, nearest, problems

FOLDER = "~/.cache/phasegate/artefacts"
KEEP = 10
BUCKET = re.compile(r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(?P<prefix>[A-Za-z0-9/._-]*))?")
REBUILD, END = "rebuild", "end"

SIGN: Mapping[str, Option] = {
    "key": Option("str", "file on the controller with the private key, as `cosign generate-key-pair` makes it; left out: it signs nothing"),
    "password_file": Option("str", "file on the controller with the key's password; left out: it has none"),
    "public_key": Option("str", "file on the controller with the public key, that every artefact has to be signed with", required=True),
    "program": Option("str", "cosign on the controller, by name or path", default="cosign"),
}

SBOM: Mapping[str, Option] = {
    "python": Option("list", "command on the host that builds, which writes a CycloneDX SBOM of an environment to standard output; "
                     "{python} is the environment's interpreter", items=Option("str", ""), expected="a list of words"),
    "node": Option("list", "the same for a tree with node_modules; it runs in the tree", items=Option("str", ""),
                   expected="a list of words"),
}

STORE: Mapping[str, Option] = {
    "endpoint": Option("str", "address of the S3 server", example="https://s3.example.com"),
    "region": Option("str", "region of the bucket", default="us-east-1"),
    "access_key_id": Option("str", "name of the key, where it is no secret"),
    "access_key_file": Option("str", "file on the controller with the access key"),
    "secret_key_file": Option("str", "file on the controller with the secret key"),
    "ca_file": Option("str", "CA certificates on the controller, instead of the system's"),
}

ARTEFACTS: Mapping[str, Option] = {
    "folder": Option("str", "folder on the controller", default=FOLDER),
    "keep": Option("int", "how many stay of each component in the folder", minimum=1, default=KEEP),
    "on": Option("str", "host of the inventory that builds; left out: the node that needs a release first"),
    "store": Option("str", "s3://BUCKET or s3://BUCKET/PREFIX, where artefacts are kept for all controllers, longer than in the folder"),
    **STORE,
    "changed": Option("str", "what comes of an artefact that is not what was kept: it is refused and built again, or ends the run",
                      choices=(REBUILD, END), default=REBUILD),
    "rebuild": Option("bool", "build what is kept already, and say what differs: whether builds give the same", default=False),
    "sign": Option("dict", "signature of what is kept, by cosign", keys=SIGN),
    "sbom": Option("dict", "SBOM beside what is kept, by programs of the build host", keys=SBOM),
}

OPTION = Option(
    "bool|dict", "who builds releases and where they are kept; false: every node builds", keys=ARTEFACTS,
    expected="false, or a mapping with folder and keep",
)


@dataclass(frozen=True)
class Settings:
    """``aistack_artefacts``, read. ``bucket`` is empty where there is none."""

    folder: str = FOLDER
    keep: int = KEEP
    on: str = ""
    bucket: str = ""
    prefix: str = ""
    store: Mapping[str, Any] = field(default_factory=dict)
    changed: str = REBUILD
    rebuild: bool = False
    sign: Mapping[str, Any] = field(default_factory=dict)
    sbom: Mapping[str, Any] = field(default_factory=dict)


def _store_problems(given: Mapping[str, Any], where: str) -> list[str]:
    """What does not fit together of the keys about a bucket."""
    alone = [key for key in STORE if given.get(key)]
    if not given.get("store"):
        return [f"{where}.{alone[0]}: belongs to a store, and there is none; add store: s3://BUCKET/PREFIX"] if alone else []
    if not BUCKET.fullmatch(str(given["store"])):
        return [f"{where}.store: must be s3://BUCKET or s3://BUCKET/PREFIX, is '{given['store']}'"]
    found = [f"{where}: '{key}' is missing: {STORE[key].help}" for key in ("endpoint", "secret_key_file") if not given.get(key)]
    if not given.get("access_key_id") and not given.get("access_key_file"):
        found.append(f"{where}: 'access_key_id' is missing, and so is 'access_key_file'; one of them says which key it is")
    return found


def settings_problems(given: Any, hosts: Iterable[str] | None = None, where: str = "aistack_artefacts") -> list[str]:
    """All that is wrong with it, one line each; ``hosts`` are those of the inventory, where they are known."""
    found = problems(where, given, OPTION)
    if found or not isinstance(given, Mapping):
        return found
    known = None if hosts is None else list(hosts)
    if given.get("on") and known is not None and given["on"] not in known:
        found = [f"{where}.on: no host '{given['on']}' in the inventory{nearest(str(given['on']), known)}"]
    return found + _store_problems(given, where)


def read(given: Any) -> Settings | None:
    """The settings; None where artefacts are switched off. Raises ValueError with what is wrong."""
    said = str(given).strip().lower() if isinstance(given, str) else given
    if said in (False, "false", "no", "off", "0"):
        return None
    if said in (True, "true", "yes", "on", "1") or given is None:
        given = {}
    found = settings_problems(given)
    if found or not isinstance(given, Mapping):
        raise ValueError(
            f"{'; '.join(found)}. aistack_artefacts has to be false or a mapping with folder and keep; false keeps none."
        )
    place = BUCKET.fullmatch(str(given.get("store") or ""))
    return Settings(
        folder=str(given.get("folder") or FOLDER),
        keep=int(given.get("keep") or KEEP),
        on=str(given.get("on") or ""),
        bucket=place["bucket"] if place else "",
        prefix=(place["prefix"] or "").strip("/") if place else "",
        store={key: given[key] for key in STORE if given.get(key)},
        changed=str(given.get("changed") or REBUILD),
        rebuild=bool(given.get("rebuild")),
        sign=dict(given.get("sign") or {}),
        sbom=dict(given.get("sbom") or {}),
    )
