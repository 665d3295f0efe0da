# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A drill of releases that are images: which are drilled, in whose name and where their code runs, and what is kept of it."""

from __future__ import annotations

import contextlib
import getpass
import json
import os
from pathlib import Path
from typing import Any, cast

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.alembic.runner import InImage
from ansible_collections.phasegate.aistack.plugins.module_utils.drill import run as drill
from ansible_collections.phasegate.aistack.plugins.module_utils.drill.run import DrillError
from ansible_collections.phasegate.aistack.plugins.module_utils.migration import code_place, plan as alembic_plan
from ansible_collections.phasegate.aistack.plugins.module_utils.postgres.admin import Server

OLD, NEW = "v1.1.0", "v1.9.0"
DIGESTS = {OLD: f"sha256:{'1' * 64}", NEW: f"sha256:{'9' * 64}"}


def request(tmp_path: Path, older: Any = ("0001",), newer: Any = ("0002",)) -> drill.Request:
    """Two images that are staged, with the heads that they told; None where they told none."""
    for tag, heads in ((OLD, older), (NEW, newer)):
        tree = tmp_path / "opt" / "api" / "releases" / tag
        tree.mkdir(parents=True)
        images = {"api": {"reference": f"api:{tag[1:]}-0a1b2c3", "digest": DIGESTS[tag]}}
        asked = {"alembic_heads": None if heads is None else list(heads), "alembic_asked": heads is not None}
        manifest = {"tag": tag, "component": "api", "kind": "image", "tree_hash": "of nothing", "images": images, **asked}
        (tree / "release.json").write_text(json.dumps(manifest))
    state = tmp_path / "state"
    state.mkdir()
    return drill.Request("api", NEW, OLD, root=tmp_path / "opt", state_dir=state, user=getpass.getuser(), run="run-1")


def begun(asked: drill.Request, place: Path) -> drill._Drill:
    server = cast(Server, None)  # nothing here speaks to one
    return drill._Drill(asked, NEW, OLD, server, "boxes", asked.state_dir / "env", {}, "boxes", place=place)


@pytest.mark.parametrize("heads", [("0001",), None, ()], ids=["told", "not told", "has none"])
def test_an_image_has_no_tree_to_look_into(tmp_path: Path, heads: Any) -> None:
    assert drill._tags(request(tmp_path, older=heads)) == (NEW, OLD), "what it has, its own Alembic tells"


def test_a_tree_without_its_file_is_said_with_the_name_of_the_component(tmp_path: Path) -> None:
    asked = request(tmp_path)
    manifest = asked.layout.release(NEW) / "release.json"
    manifest.write_text(json.dumps({"tag": NEW, "component": "api"}))
    with pytest.raises(DrillError, match=r"alembic\.ini does not exist.*aistack_components\.api\.migrations\.config\.$"):
        drill._tags(asked)


@pytest.mark.parametrize("own", [True, False], ids=["the image's own user", "the component's user"])
def test_its_code_runs_in_the_image_as_that_of_a_migration_does(tmp_path: Path, own: bool) -> None:
    asked = request(tmp_path)
    described = asked.state_dir / "containers" / "api.json"
    described.parent.mkdir()
    described.write_text(json.dumps({"user": "image" if own else getpass.getuser()}))
    place = asked.state_dir / ".drill-api-1"
    for tag in (OLD, NEW):
        to_code = begun(asked, place).alembic(tag)
        who = "" if own else f"{os.getuid()}:{os.getgid()}"
        assert code_place.runner(to_code) == InImage(DIGESTS[tag], who, "host", [])
        assert to_code.database == "boxes__drill"
        assert to_code.state_dir == str(place), "the journal of a migration on the copy is the drill's own"


def test_an_image_without_alembic_is_not_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The way back from the first release that has migrations leads to an empty schema, by the newer image alone."""
    asked: list[str] = []

    def start(to_code: alembic_plan.Request, _context: object) -> Any:
        asked.append(to_code.release)
        return contextlib.nullcontext()

    answers = {"open": {}, "graph": {"revisions": [{"revision": "0001"}]}}
    monkeypatch.setattr(alembic_plan, "context_of", lambda _request: None)
    monkeypatch.setattr(alembic_plan, "start", start)
    monkeypatch.setattr(alembic_plan, "ask", lambda _request, _session, what: answers[what])
    here = begun(request(tmp_path, older=(), newer=("0001",)), tmp_path)
    assert (drill._graph(here, OLD).heads(), drill._graph(here, NEW).heads()) == ([], ["0001"])
    assert asked == [NEW]


def test_what_was_drilled_of_another_image_does_not_count(tmp_path: Path) -> None:
    """Images have no files in their trees, which would be told apart by."""
    asked = request(tmp_path)
    drill._write(begun(asked, tmp_path), {"verdict": "passed", "from": NEW, "to": OLD})
    assert asked.layout.drills(NEW)[OLD]["verdict"] == "passed"
    manifest = asked.layout.release(NEW) / "release.json"
    manifest.write_text(manifest.read_text().replace(DIGESTS[NEW], DIGESTS[OLD]))
    assert asked.layout.drills(NEW) == {}
