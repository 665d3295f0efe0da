# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What images are called, and what of a description says how they are made. No I/O."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypedDict

from ansible_collections.phasegate.aistack.plugins.module_utils.core.schema import Option, is_kind, problems as faults, what

SHORT = 7
"""Digits of a commit that an image's name has."""
DOCKERFILE = "Dockerfile"

_VERSION = re.compile(r"v?(\d+\.\d+\.\d+)")
_COMMIT = re.compile(r"[0-9a-f]{7,64}")
_NAME = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")
"""What Docker takes for a name; a component's may end otherwise."""
_REFERENCE = re.compile(r"(?P<name>[^:@/\s]+):(?P<version>\d+\.\d+\.\d+)-(?P<commit>[0-9a-f]{7,40})")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_PINNED = re.compile(r"(?P<name>[^@\s]+)@(?P<digest>sha256:[0-9a-f]{64})")


class ImageEntry(TypedDict, total=False):
    """One image of a release: what it is called, its digest, and the digest or the SHA-256 that it was fetched or loaded by."""

    reference: str
    digest: str
    source: str


class ImageNameError(ValueError):
    """No image can be called so; the text says what was expected."""


def reference(component: str, tag: str, commit: str) -> str:
    """``<component>:<major.minor.patch>-<gitShortSha>`` of a release.

    Args:
        component: its name; it becomes the image's.
        tag: tag of the release, such as ``v1.2.3`` or ``1.2.3``.
        commit: commit of the tag, in hex, at least :data:`SHORT` digits.

    Raises:
        ImageNameError: one of them cannot be part of it.
    """
    if not _NAME.fullmatch(component):
        raise ImageNameError(f"an image cannot be called {component!r}: expected a-z and 0-9, with '.', '_' or '-' between them")
    version = _VERSION.fullmatch(tag)
    if version is None:
        raise ImageNameError(f"the tag {tag!r} gives no version of an image: expected major.minor.patch, such as v1.2.3")
    if not _COMMIT.fullmatch(commit):
        raise ImageNameError(f"{commit!r} is no commit: expected at least {SHORT} hexadecimal digits")
    return f"{component}:{version[1]}-{commit[:SHORT]}"


def reference_problem(text: str, component: str = "") -> str:
    """What is wrong with the reference of an image that is released here, in words; empty where nothing is.

    Args:
        text: ``<component>:<major.minor.patch>-<gitShortSha>``, or any name with ``@sha256:<64 digits>`` behind it.
        component: whose image it has to be; any if empty. One with a digest may be called otherwise.
    """
    pinned = _PINNED.fullmatch(text)
    named = pinned["name"] if pinned else text
    last = named.rpartition("/")[2]
    if last.endswith(":latest") or (":" not in last and not pinned):
        said = "latest" if ":" in last else "no tag, which means latest"
        return f"{text!r} names {said}: that is another image tomorrow. Expected <component>:<major.minor.patch>-<gitShortSha>, or a digest"
    if pinned:
        return ""
    if "@" in text:
        return f"{text!r} has a digest that is none: expected @sha256: and 64 hexadecimal digits"
    found = _REFERENCE.fullmatch(text)
    if found is None or not _NAME.fullmatch(found["name"]):
        return f"{text!r} is a tag without a digest: expected <component>:<major.minor.patch>-<gitShortSha>, such as api:1.2.3-0a1b2c3"
    if component and found["name"] != component:
        return f"{text!r} is an image of {found['name']}; expected one of {component}"
    return ""


def is_digest(text: str) -> bool:
    """Whether *text* is what an image is known by, whatever it is called."""
    return bool(_DIGEST.fullmatch(text))


WAYS = ("build", "pull", "load")
"""Where an image comes from: a Dockerfile of the release, a registry, an archive on the controller."""
_BUILDING = ("args", "target")
_ARGUMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Source:
    """How the image of a release is made.

    Attributes:
        dockerfile: it is built by this file in the component's folder, which is the build's context. ``args`` are build arguments, which
            stay in the image's history; ``target`` is a stage.
        pull: it is fetched by this name, without tag, and the digest that ``digests`` has for the release.
        load: it is in this archive of C(docker save) on the controller; C({release}) is filled in. ``sha256`` has its hash by release.
    """

    dockerfile: str = DOCKERFILE
    args: Mapping[str, str] = field(default_factory=dict)
    target: str = ""
    pull: str = ""
    digests: Mapping[str, str] = field(default_factory=dict)
    load: str = ""
    sha256: Mapping[str, str] = field(default_factory=dict)

    @property
    def builds(self) -> bool:
        """Whether a Dockerfile of the release makes it."""
        return not (self.pull or self.load)

    def pinned(self, release: str) -> str:
        """What is pinned of a release's image: C(name@digest), or the SHA-256 of its archive; empty where it is built.

        Raises:
            ImageNameError: nothing is.
        """
        if self.builds:
            return ""
        key, known = ("digests", self.digests) if self.pull else ("sha256", self.sha256)
        if release not in known:
            raise ImageNameError(f"image.{key} has nothing for {release}, and a tag alone can be another image tomorrow; add it there")
        return f"{self.pull}@{known[release]}" if self.pull else known[release]

    def archive(self, release: str) -> str:
        """The file on the controller that the image is loaded from."""
        return self.load.replace("{release}", release)


_AMOUNT = re.compile(r"(?:\d+(?:\.\d+)?\s?(?:[kmgtp]?i?b?))?", re.IGNORECASE)
_LEAST: Mapping[str, Option] = {"pids": Option("int", "", minimum=0), "cpus": Option("number", "", minimum=0)}


def option_problems(where: str, options: Mapping[str, Any]) -> list[str]:
    """What Docker would not take of ``options`` of a component in containers; types are a matter of the role's argument specs."""
    port, memory = options.get("port", 0), options.get("memory", "")
    found = []
    if is_kind("int", port) and not 0 <= int(port) < 65536:
        found.append(f"{where}.port: must be a port (1 to 65535), or 0 where it listens nowhere, is {port}")
    if is_kind("text", memory) and not _AMOUNT.fullmatch(str(memory)):
        found.append(f"{where}.memory: must be an amount as Docker takes it, such as 512m or 2g, is {what(memory)}")
    for key, option in _LEAST.items():
        if is_kind(option.kind, options.get(key)):
            found += faults(f"{where}.{key}", options[key], option)
    return found


def _texts(value: Any) -> dict[str, str]:
    return {str(name): str(entry) for name, entry in value.items()} if isinstance(value, Mapping) else {}


def source_of(given: object) -> Source:
    """Read ``image`` of a component's description, which :func:`source_problems` has nothing against."""
    given = given if isinstance(given, Mapping) else {}
    return Source(
        dockerfile=str(given.get("build") or DOCKERFILE),
        args=_texts(given.get("args")),
        target=str(given.get("target") or ""),
        pull=str(given.get("pull") or ""),
        digests=_texts(given.get("digests")),
        load=str(given.get("load") or ""),
        sha256={release: value.removeprefix("sha256:") for release, value in _texts(given.get("sha256")).items()},
    )


def source_problems(where: str, given: Mapping[str, Any] | None) -> list[str]:
    """What is wrong with ``image`` of a component's description, its types aside."""
    given = given or {}
    source = source_of(given)
    ways = [way for way in WAYS if given.get(way)]
    if len(ways) > 1:
        return [f"{where}: an image comes one way; keep one of {', '.join(ways)}"]
    problems = []
    if source.dockerfile.startswith("/") or posixpath.normpath(source.dockerfile).startswith(".."):
        problems.append(f"{where}.build: '{source.dockerfile}' leads out of the component's folder; expected a Dockerfile in it")
    problems += [
        f"{where}.args: '{name}' cannot be the name of a build argument; expected letters, digits and '_'"
        for name in source.args
        if not _ARGUMENT.fullmatch(name)
    ]
    if "://" in source.pull:
        problems.append(f"{where}.pull: '{source.pull}' is an address of the web; an image is named without scheme: {source.pull.partition('://')[2]}")
    elif re.search(r"@|\s|:[^/]*$", source.pull):
        problems.append(f"{where}.pull: '{source.pull}' has to be a name alone, such as registry.example.com/shop/api; see digests")
    problems += [
        f"{where}.digests.{release}: '{digest}' is no digest; expected sha256: and 64 hexadecimal digits"
        for release, digest in source.digests.items()
        if not is_digest(digest)
    ]
    problems += [
        f"{where}.sha256.{release}: '{value}' is no SHA-256; expected 64 hexadecimal digits"
        for release, value in source.sha256.items()
        if not _SHA256.fullmatch(value)
    ]
    problems += [
        f"{where}.load: '{source.load}' has '{{{name}}}', which nothing fills; there is {{release}} alone"
        for name in re.findall(r"{(\w*)}", source.load)
        if name != "release"
    ]
    readers = {"digests": "pull", "sha256": "load", **dict.fromkeys(_BUILDING, "build")}
    problems += [
        f"{where}.{key}: nothing reads it, since the image is not made by {way}; drop it"
        for key, way in readers.items()
        if given.get(key) and way != (ways[0] if ways else "build")
    ]
    return problems + [
        f"{where}.{key}: is missing: by release, what the image is known by"
        for key, way in readers.items()
        if ways == [way] and way != "build" and not given.get(key)
    ]


def build_command(source: Source, named: str, labels: Mapping[str, str], iid_file: str, context: str) -> list[str]:
    """The command line that builds an image. Values of arguments stand in the environment: only their names are here."""
    words = ["docker", "build", "--progress", "plain", "--pull=false", "--tag", named, "--iidfile", iid_file]
    words += ["--file", posixpath.join(context, source.dockerfile)]
    for name in source.args:
        words += ["--build-arg", name]
    if source.target:
        words += ["--target", source.target]
    for name, value in labels.items():
        words += ["--label", f"{name}={value}"]
    return [*words, context]


def images_of(manifest: Mapping[str, object] | None) -> dict[str, ImageEntry]:
    """``images`` of a release's manifest: by service its C(reference) and C(digest). Empty for a release that is a tree."""
    found = (manifest or {}).get("images")
    if not isinstance(found, Mapping):
        return {}
    return {
        str(service): ImageEntry(reference=str(entry.get("reference", "")), digest=str(entry.get("digest", "")))
        for service, entry in found.items()
        if isinstance(entry, Mapping)
    }


def unneeded(going: Sequence[Mapping[str, object]], staying: Sequence[Mapping[str, object]]) -> list[str]:
    """Names of images that only releases which go have, and their digests behind them: one that lost its name goes as well.

    Args:
        going: manifests of releases that go.
        staying: those of all that stay.
    """
    kept = {word for manifest in staying for word in _known_by(manifest)}
    found = [word for manifest in going for word in _known_by(manifest)]
    return [word for word in dict.fromkeys(found) if word and word not in kept]


def _known_by(manifest: Mapping[str, object]) -> list[str]:
    return [word for entry in images_of(manifest).values() for word in (entry["reference"], entry["digest"])]


def loaded(output: str) -> list[str]:
    """What C(docker load) says that it has loaded: names, and digests of images that have none."""
    return re.findall(r"(?m)^Loaded image(?: ID)?: (\S+)$", output)
