# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where an artefact comes from, as an in-toto statement with SLSA's provenance (v1): who built what from which commit with what. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "urn:phasegate:aistack:release:1"


def statement(facts: Mapping[str, Any], recipe: Mapping[str, Any], key: str, sbom_sha256: str = "") -> dict[str, Any]:
    """The statement about an artefact.

    Args:
        facts: what is written down beside it (see :class:`artefact_store.Wanted`).
        recipe: see :func:`artefact_key.recipe_of`: of variables it has hashes, no values.
        key: what it is kept under.
        sbom_sha256: of the SBOM beside it; empty where there is none.
    """
    commit = {"uri": f"git+{facts.get('repo')}", "digest": {"gitCommit": str(facts.get("commit"))}}
    lock = {"name": str(recipe.get("lock") or "lock file"), "digest": {"sha256": str(facts.get("lock_hash"))}}
    return {
        "_type": STATEMENT,
        "subject": [{"name": f"{facts.get('component')}-{facts.get('tag')}.tar.gz", "digest": {"sha256": str(facts.get("sha256"))}}],
        "predicateType": PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {
                    **{name: facts.get(name) for name in ("repo", "commit", "path", "tag", "component")},
                    "recipe": {name: value for name, value in recipe.items() if name not in ("environment", "test_env")},
                },
                "internalParameters": {"key": key, "platform": facts.get("platform"), "root": facts.get("root")},
                "resolvedDependencies": [commit, *([lock] if facts.get("lock_hash") else [])],
            },
            "runDetails": {
                "builder": {"id": f"urn:phasegate:aistack:host:{facts.get('built_on')}", "version": dict(facts.get("tools") or {})},
                "metadata": {
                    "invocationId": str(facts.get("run") or ""), "finishedOn": facts.get("built_at"), "actor": facts.get("built_by"),
                },
                "byproducts": [{"name": "sbom", "digest": {"sha256": sbom_sha256}}] if sbom_sha256 else [],
            },
        },
    }


def contradiction(said: Any, wanted: Mapping[str, Any], sha256: str) -> str:
    """How a statement is not about what is wanted (C(commit), C(tag), C(component), C(path)); empty where it is."""
    try:
        digest = said["subject"][0]["digest"]["sha256"]
        about = said["predicate"]["buildDefinition"]["externalParameters"]
        differs = {name: about.get(name) for name, value in wanted.items() if about.get(name) != value}
    except (KeyError, IndexError, TypeError, AttributeError):
        return "its provenance is no statement of ours"
    if digest != sha256:
        return f"its provenance is about a file with the SHA-256 {digest}, and it has {sha256}"
    if differs:
        told = ", ".join(f"{name} {value}" for name, value in differs.items())
        return f"its provenance is about {told}; expected {', '.join(str(wanted[name]) for name in differs)}"
    return ""
