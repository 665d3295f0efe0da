# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Images of releases on a node: building one from a release's own Dockerfile, whether one is there as it was, and removing it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.phasegate.aistack.plugins.module_utils.clients.docker import ENVIRONMENT, Docker, DockerError
from ansible_collections.phasegate.aistack.plugins.module_utils.core import proc
from ansible_collections.phasegate.aistack.plugins.module_utils.release import image
from ansible_collections.phasegate.aistack.plugins.module_utils.release.build import Recipe
from ansible_collections.phasegate.aistack.plugins.module_utils.release.image import ImageEntry
from ansible_collections.phasegate.aistack.plugins.module_utils.release.store import ReleaseError

LABEL = "io.phasegate.aistack"
"""What the labels of images begin with: component, release, commit."""
FOLDER = "/var/lib/docker"
NO_SPACE = "no space left on device"
"""What Docker, and most that a build runs, say where the disk is full."""


def named(recipe: Recipe, commit: str | None) -> str:
    """What the image of a release is called. Raises ReleaseError where it cannot be called so, or nothing is pinned of it."""
    if not commit:  # where its repository was not reached: what is staged already needs none, but this is not
        raise ReleaseError(
            f"The commit of {recipe.component} {recipe.tag} is not known, which its image is called after: the repository was not reached, "
            "or has no such tag. Nothing was made. Run again with the repository in reach."
        )
    try:
        image.source_of(recipe.image).pinned(recipe.tag)
        return image.reference(recipe.component, recipe.tag, commit or "")
    except image.ImageNameError as error:
        raise ReleaseError(
            f"The release {recipe.tag} of {recipe.component} is no image that can be told from others: {error}. Nothing was made."
        ) from error


def preflight(recipe: Recipe, commit: str | None, docker: Docker | None = None) -> None:
    """Refuse what cannot be made, before anything is: no name for the image, nothing pinned, a Docker that does not answer.

    That it is not installed is told by the step that needs it: in check mode its role may be about to.

    Raises:
        ReleaseError: see above.
    """
    reference, docker = named(recipe, commit), docker or Docker()
    if not docker.installed():
        return
    try:
        docker.digest(reference)
    except DockerError as error:
        raise ReleaseError(
            f"The release {recipe.tag} of {recipe.component} needs Docker, which does not answer on this node: {error}. "
            "Nothing was touched. Let a component with role docker come before it (after), and see systemctl status docker."
        ) from error


def build(recipe: Recipe, context: Path, commit: str | None, docker: Docker | None = None, name: str = "") -> dict[str, ImageEntry]:
    """Build the image of a release from its unpacked folder; C(images) of its manifest. It is called *name*, or as the release is.

    What the Dockerfile runs, runs in containers of the build, with their network, and sees no variable of the component.

    Raises:
        ReleaseError: it cannot be built; an image of the name that was there stays.
    """
    docker = docker or Docker()
    reference = name or named(recipe, commit)
    source = image.source_of(recipe.image)
    if not (context / source.dockerfile).is_file():
        raise ReleaseError(
            f"The release {recipe.tag} of {recipe.component} has no {source.dockerfile} in its folder, which its image is built by. "
            "Commit one and give it a new tag, or correct image.build in the component's description."
        )
    labels = {f"{LABEL}.component": recipe.component, f"{LABEL}.release": recipe.tag, f"{LABEL}.commit": str(commit)}
    folder = Path(tempfile.mkdtemp(prefix="aistack-image-"))
    try:
        command = image.build_command(source, reference, labels, str(folder / "iid"), str(context))
        env = {**_fetching(recipe), **source.args, **ENVIRONMENT}
        done = proc.run(command, context, env, recipe.build_timeout, said=recipe.said)
        if done.rc != 0 or done.timed_out:
            raise _failed(recipe, "Building", f"by its {source.dockerfile}", "it and give the release a new tag", done)
        digest = (folder / "iid").read_text(encoding="ascii").strip()
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # in the folder for what is temporary; nobody misses it
    if not image.is_digest(digest) or docker.digest(reference) != digest:
        raise ReleaseError(
            f"The image {reference} was built, and Docker does not have it as that: expected {digest or 'a digest'}, "
            f"got {docker.digest(reference) or 'no such image'}. Run it again; somebody else may have built one of that name."
        )
    return {recipe.component: {"reference": reference, "digest": digest}}


def pull(recipe: Recipe, commit: str | None, docker: Docker | None = None, name: str = "") -> dict[str, ImageEntry]:
    """Fetch the image of a release from its registry, by the digest that is pinned; C(images) of its manifest. As for names, see build.

    Who logs in there is a matter of root's own C(docker login).

    Raises:
        ReleaseError: it cannot be fetched.
    """
    docker = docker or Docker()
    reference, source = name or named(recipe, commit), image.source_of(recipe.image)
    pinned = source.pinned(recipe.tag)
    done = proc.run(["docker", "pull", "--quiet", pinned], "/", ENVIRONMENT, recipe.build_timeout, said=recipe.said)
    if done.rc != 0 or done.timed_out:
        raise _failed(recipe, "Fetching", f"as {pinned}", "image.pull and image.digests, or what the registry has", done)
    return _kept(recipe, docker, pinned, reference, pinned)


def load(recipe: Recipe, commit: str | None, archive: Path, docker: Docker | None = None) -> dict[str, ImageEntry]:
    """Load the image of a release from its archive, whose hash was proven; C(images) of its manifest.

    The names that it has there are taken away: what they say tomorrow is somebody else's matter.

    Raises:
        ReleaseError: it is no archive of one image.
    """
    docker = docker or Docker()
    reference, source = named(recipe, commit), image.source_of(recipe.image)
    done = proc.run(["docker", "load", "--input", str(archive)], "/", ENVIRONMENT, recipe.build_timeout, said=recipe.said)
    if done.rc != 0 or done.timed_out:
        raise _failed(recipe, "Loading", "from its archive", "the archive, which docker save makes", done)
    found = image.loaded(done.output)
    digests = {docker.digest(name) for name in found}
    try:
        if len(digests) != 1:
            raise ReleaseError(
                f"The archive of {recipe.component} {recipe.tag} ({source.archive(recipe.tag)}) holds {len(digests)} images "
                f"({', '.join(found) or 'none'}); expected one. Save the component's image alone: docker save --output FILE IMAGE."
            )
        return _kept(recipe, docker, found[0], reference, f"sha256:{source.pinned(recipe.tag)}")
    finally:
        for name in found:
            if name != reference and not image.is_digest(name):
                docker.remove(name)


def _kept(recipe: Recipe, docker: Docker, found: str, reference: str, source: str) -> dict[str, ImageEntry]:
    """Give an image that is here the name of the release."""
    try:
        digest = docker.digest(found)
        if digest is not None:
            docker.name(digest, reference)
    except DockerError as error:
        raise ReleaseError(f"The image of {recipe.component} {recipe.tag} is here and cannot be given its name: {error}.") from error
    if digest is None:
        raise ReleaseError(f"The image {found} of {recipe.component} {recipe.tag} arrived, and Docker does not have it. Run it again.")
    return {recipe.component: ImageEntry(reference=reference, digest=digest, source=source)}


def _fetching(recipe: Recipe) -> dict[str, str]:
    """Proxies, which Docker hands to a build by itself, where it is given their names."""
    return {name: value for name, value in recipe.environment.items() if name.lower().endswith("_proxy")}


def _failed(recipe: Recipe, doing: str, how: str, correct: str, done: proc.Finished) -> ReleaseError:
    said = recipe.hide(done.output)
    if done.rc == 127:
        told = "needs Docker, which is not on this node. Let a component with role docker come before it (after), and run site.yml"
    elif done.timed_out:
        told = f"took longer than {recipe.build_timeout:g} s and was ended. Find out what it waits for, or raise release_build_timeout"
    elif NO_SPACE in said.lower():
        told = (
            f"failed, because Docker's disk is full ({FOLDER}). Free some space: what builds keep goes with `docker builder prune`, old "
            "releases with a deployment that succeeds (release_keep); then run it again"
        )
    else:
        told = f"failed with exit status {done.rc}. Correct {correct}"
    return ReleaseError(
        f"{doing} the image of {recipe.component} {recipe.tag} {how} {told}. What serves is untouched, nothing was staged. "
        f"Its last words:\n{proc.tail(said, 25)}",
        rc=done.rc,
        cmd=" ".join(done.argv),
        step="image",
    )


def refuse_changed(manifest: Mapping[str, Any], docker: Docker | None = None) -> None:
    """Raise ReleaseError where the images of a staged release are not there as they were staged, or Docker does not answer."""
    docker = docker or Docker()
    component, tag = manifest.get("component"), manifest.get("tag")
    found = []
    try:
        for entry in image.images_of(manifest).values():
            reference, digest = entry["reference"], entry["digest"]
            now = docker.digest(reference)
            if docker.digest(digest) is None:
                found.append(f"missing image {reference} ({digest})")
            if now not in (None, digest):
                found.append(f"changed image {reference}, expected {digest}, got {now}")
    except DockerError as error:
        raise ReleaseError(f"Whether the images of {component} {tag} are there is not known: {error}.") from error
    if found:
        raise ReleaseError(
            f"The release {tag} of {component} has not the images that it was staged with: {'; '.join(found)}. Expected: a staged release "
            "never changes. Find out who removed or built them (docker image prune? docker build?); then remove the folder of the release "
            "below the component's releases and deploy it again, which builds it again, or release the commit under a new tag.",
            changed_files=found,
        )


def forget(going: Sequence[Mapping[str, Any]], staying: Sequence[Mapping[str, Any]], docker: Docker | None = None) -> list[str]:
    """Remove the images that only releases which go have; what stays, with why. That one stays fails nothing: it is in use."""
    docker = docker or Docker()
    told = ((name, docker.remove(name)) for name in image.unneeded(going, staying))
    return [f"{name}: {why}" for name, why in told if why]
