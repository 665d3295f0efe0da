# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Building an image, proving that it is there, taking it away with its release. Docker is a stand-in with a dictionary of images."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.docker import DockerError
from ansible_collections.phasegate.aistack.plugins.module_utils.core.proc import Finished
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.file import Journal
from ansible_collections.phasegate.aistack.plugins.module_utils.release import image_store, retention, staging
from ansible_collections.phasegate.aistack.plugins.module_utils.release.build import Recipe
from ansible_collections.phasegate.aistack.plugins.module_utils.release.store import Layout, ReleaseError
from ansible_collections.phasegate.aistack.plugins.module_utils.release.tree import sha256

COMMIT = "0a1b2c3" + "0" * 33
NAME = "api:1.0.0-0a1b2c3"


class Images:
    """Docker's images: name or digest to digest."""

    def __init__(self) -> None:
        self.there: dict[str, str] = {}
        self.away = False
        self.in_use: set[str] = set()
        self.here = True

    def installed(self) -> bool:
        return self.here

    def digest(self, reference: str) -> str | None:
        if self.away:
            raise DockerError("it is away")
        return self.there.get(reference) or (reference if reference in self.there.values() else None)

    def name(self, digest: str, reference: str) -> None:
        self.there[reference] = digest

    def remove(self, reference: str) -> str:
        if reference in self.in_use:
            return "a container is using it"
        self.there = {name: digest for name, digest in self.there.items() if reference not in (name, digest)}
        return ""


@pytest.fixture
def docker(monkeypatch: pytest.MonkeyPatch) -> Images:
    """One Docker for all that asks."""
    images = Images()
    monkeypatch.setattr(image_store, "Docker", lambda: images)
    monkeypatch.setattr(staging.alembic_heads, "of_image", lambda recipe, digest: ([digest[-2:]], ""))  # see test_heads.py
    return images


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch, docker: Images) -> Callable[..., list[dict[str, Any]]]:
    """Have builds end in a way; the calls."""

    def arrange(rc: int = 0, output: str = "", late: bool = False) -> list[dict[str, Any]]:
        calls: list[dict[str, Any]] = []

        def run(argv: Sequence[str], cwd: Any, env: Mapping[str, str], timeout: float, **more: Any) -> Finished:
            calls.append({"argv": list(argv), "env": dict(env), "files": sorted(path.name for path in Path(cwd).iterdir())})
            if argv[1] == "build" and rc == 0 and not late:
                digest = f"sha256:{len(calls):064x}"
                docker.there[argv[argv.index("--tag") + 1]] = digest
                Path(argv[argv.index("--iidfile") + 1]).write_text(digest)
            return Finished(list(argv), rc, output, 1.0, late)

        monkeypatch.setattr(image_store.proc, "run", run)
        return calls

    return arrange


def recipe(tmp_path: Path, tag: str = "v1.0.0", **more: Any) -> Recipe:
    return Recipe("api", tag, "image", tmp_path / "tools", tmp_path / "cache", **more)


def request(tmp_path: Path, tag: str = "v1.0.0", **more: Any) -> staging.Request:
    source = tmp_path / "source"
    source.mkdir(exist_ok=True)
    (source / "Dockerfile").write_text("FROM scratch\n")
    (source / "main.py").write_text(tag)
    archive = tmp_path / f"{tag}.tar"
    import tarfile

    with tarfile.open(archive, "w") as bundle:
        bundle.add(source, ".")
    return staging.Request(
        layout=Layout(tmp_path / "opt", "api"), state_dir=tmp_path, recipe=recipe(tmp_path, tag, **more), commit=COMMIT, archive=archive,
        archive_sha256=sha256(archive),
    )


def test_a_release_is_the_name_and_the_digest_of_its_image(tmp_path: Path, builds: Any) -> None:
    calls = builds()
    asked = request(tmp_path, environment={"HTTPS_PROXY": "http://proxy", "PIP_INDEX_URL": "https://index"}, image={"args": {"KEY": "v"}})
    manifest = staging.stage(asked)
    assert manifest["images"] == {"api": {"reference": NAME, "digest": f"sha256:{1:064x}"}}
    assert (manifest["kind"], manifest["alembic_heads"], manifest["commit"]) == ("image", ["01"], COMMIT), "its own Alembic is asked"
    folder = asked.layout.release("v1.0.0")
    assert sorted(path.name for path in folder.iterdir()) == ["release.files.json", "release.json"], "the tree is in the image"
    (call,) = calls
    assert call["files"] == ["Dockerfile", "main.py"]
    assert call["argv"][:2] == ["docker", "build"]
    assert (call["env"]["KEY"], call["env"]["HTTPS_PROXY"]) == ("v", "http://proxy")
    assert "PIP_INDEX_URL" not in call["env"]
    assert staging.present(asked) == manifest
    assert asked.timings["build"] >= 0


@pytest.mark.parametrize(
    ("rc", "late", "said"),
    [
        (3, False, "Building the image of api v1.0.0 by its Dockerfile failed with exit status 3"),
        (0, True, "Building the image of api v1.0.0 by its Dockerfile took longer than 900 s"),
    ],
)
def test_a_build_that_fails_stages_nothing(tmp_path: Path, builds: Any, rc: int, late: bool, said: str) -> None:
    builds(rc, "#7 ERROR: it will not do", late)
    asked = request(tmp_path)
    with pytest.raises(ReleaseError, match=said) as error:
        staging.stage(asked)
    assert "#7 ERROR: it will not do" in str(error.value)
    assert asked.layout.staged() == []
    assert list(asked.layout.staging.iterdir()) == []


def test_a_disk_that_is_full_is_told_as_that(tmp_path: Path, docker: Images, builds: Any) -> None:
    """Whether it is what the build wrote, or an image while it is unpacked; nothing of the release is left."""
    for image in ({}, PULLED, LOADED):
        builds(1, "failed to register layer: write /usr/lib/libx.so: no space left on device")
        asked = request(tmp_path, image=image)
        if image == LOADED:
            asked.archive_sha256 = sha256(asked.archive or tmp_path)
        with pytest.raises(ReleaseError, match="Docker's disk is full") as error:
            staging.stage(asked)
        assert "docker builder prune" in str(error.value)
        assert "What serves is untouched, nothing was staged" in str(error.value)
        assert asked.layout.staged() == []
        assert docker.there == {}


def test_without_its_commit_it_is_said_why(tmp_path: Path, builds: Any) -> None:
    calls, asked = builds(), request(tmp_path)
    asked.commit = None
    with pytest.raises(ReleaseError, match=r"The commit of api v1\.0\.0 is not known.* the repository was not reached"):
        staging.preflight(asked)
    assert calls == []


def test_a_folder_without_a_dockerfile(tmp_path: Path, builds: Any) -> None:
    calls = builds()
    with pytest.raises(ReleaseError, match=r"api has no docker/Dockerfile in its folder"):
        staging.stage(request(tmp_path, image={"build": "docker/Dockerfile"}))
    assert calls == []


def test_what_cannot_be_built_is_told_before_anything_is(tmp_path: Path, docker: Images, builds: Any) -> None:
    calls = builds()
    with pytest.raises(ReleaseError, match="the tag 'next' gives no version of an image"):
        staging.preflight(request(tmp_path, "next"))
    docker.away = True
    with pytest.raises(ReleaseError, match="needs Docker, which does not answer on this node: it is away"):
        staging.preflight(request(tmp_path))
    assert calls == []
    docker.here = False
    staging.preflight(request(tmp_path))  # where check mode shows what a bare node would get
    builds(127, "docker: No such file or directory")
    with pytest.raises(ReleaseError, match="needs Docker, which is not on this node"):
        staging.stage(request(tmp_path))


def test_an_image_that_went_or_is_another_is_no_staged_release(tmp_path: Path, docker: Images, builds: Any) -> None:
    builds()
    asked = request(tmp_path)
    staging.stage(asked)
    mine, other = docker.there[NAME], "sha256:" + "f" * 64
    docker.there = {}
    with pytest.raises(ReleaseError, match=f"has not the images that it was staged with: missing image {NAME}"):
        staging.present(asked)
    docker.there = {NAME: other, "kept": mine}
    with pytest.raises(ReleaseError, match=f"changed image {NAME}, expected {mine}, got {other}"):
        staging.present(asked)
    docker.there = {"kept": mine}
    assert staging.present(asked) is not None, "slots run it by its digest; the name alone is nothing"
    docker.away = True
    with pytest.raises(ReleaseError, match=r"Whether the images of api v1\.0\.0 are there is not known: it is away"):
        staging.present(asked)


PULLED = {"pull": "registry.example.com/shop/api", "digests": {"v1.0.0": "sha256:" + "a" * 64}}
LOADED = {"load": "/srv/api-{release}.tar", "sha256": {"v1.0.0": "b" * 64}}
DIGEST = "sha256:" + "d" * 64


def test_an_image_is_fetched_by_the_digest_that_is_pinned(tmp_path: Path, docker: Images, builds: Any) -> None:
    calls, pinned = builds(), "registry.example.com/shop/api@sha256:" + "a" * 64
    docker.there[pinned] = DIGEST
    manifest = staging.stage(request(tmp_path, image=PULLED))
    assert [call["argv"] for call in calls] == [["docker", "pull", "--quiet", pinned]]
    assert manifest["images"] == {"api": {"reference": NAME, "digest": DIGEST, "source": pinned}}
    assert docker.there[NAME] == DIGEST
    with pytest.raises(ReleaseError, match=r"image\.digests has nothing for v1\.1\.0, and a tag alone can be another image tomorrow"):
        staging.preflight(request(tmp_path, "v1.1.0", image=PULLED))


def test_an_image_that_cannot_be_fetched(tmp_path: Path, builds: Any) -> None:
    builds(1, "Error response from daemon: manifest unknown")
    with pytest.raises(ReleaseError, match=r"Fetching the image of api v1\.0\.0 as registry\.example\.com/shop/api@sha256:a+ f") as error:
        staging.stage(request(tmp_path, image=PULLED))
    assert "manifest unknown" in str(error.value)
    builds()
    with pytest.raises(ReleaseError, match="arrived, and Docker does not have it"):
        staging.stage(request(tmp_path, image=PULLED))


def test_an_image_is_loaded_and_loses_the_names_of_its_archive(tmp_path: Path, docker: Images, builds: Any) -> None:
    calls = builds(0, "Loaded image: ci/api:latest\n")
    docker.there["ci/api:latest"] = DIGEST
    asked = request(tmp_path, image=LOADED)
    manifest = staging.stage(asked)
    assert calls[0]["argv"] == ["docker", "load", "--input", str(asked.archive)]
    assert manifest["images"] == {"api": {"reference": NAME, "digest": DIGEST, "source": "sha256:" + "b" * 64}}
    assert docker.there == {NAME: DIGEST}


def test_an_archive_that_is_damaged_or_holds_two_images(tmp_path: Path, docker: Images, builds: Any) -> None:
    calls = builds(0, "Loaded image: one:1\nLoaded image: two:2\n")
    docker.there = {"one:1": DIGEST, "two:2": "sha256:" + "e" * 64}
    with pytest.raises(ReleaseError, match=r"\(/srv/api-v1\.0\.0\.tar\) holds 2 images \(one:1, two:2\); expected one"):
        staging.stage(request(tmp_path, image=LOADED))
    assert docker.there == {}, "nothing of it is left"
    asked = request(tmp_path, image=LOADED)
    asked.archive_sha256 = "0" * 64
    with pytest.raises(ReleaseError, match="arrived damaged on this node"):
        staging.stage(asked)
    assert len(calls) == 1
    builds(1, "open manifest.json: no such file or directory")
    with pytest.raises(ReleaseError, match=r"Loading the image of api v1\.0\.0 from its archive failed with exit status 1"):
        staging.stage(request(tmp_path, image=LOADED))


def test_images_go_with_their_releases_and_not_before(tmp_path: Path, docker: Images, builds: Any) -> None:
    builds()
    layout = Layout(tmp_path / "opt", "api")
    for number in range(4):
        staging.stage(request(tmp_path, f"v1.{number}.0"))
    journal = Journal.of(tmp_path)
    docker.in_use = {docker.there["api:1.1.0-0a1b2c3"]}
    told = retention.pruned(layout, str(tmp_path), 2, (), "run", "ann", True)
    assert (len(told["removed"]), len(docker.there)) == (2, 4), "check mode removes nothing"
    told = retention.pruned(layout, str(tmp_path), 2, (), "run", "ann", False)
    assert sorted(told["removed"]) == ["v1.0.0", "v1.1.0"]
    assert sorted(docker.there) == ["api:1.2.0-0a1b2c3", "api:1.3.0-0a1b2c3"]
    (line,) = told["warnings"]
    assert "an image stays that no release needs any more" in line
    assert json.dumps(journal.read()[-1]["detail"]["images_left"]).count("a container is using it") == 1
