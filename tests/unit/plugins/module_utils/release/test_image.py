# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.phasegate.aistack.plugins.module_utils.release import image

COMMIT = "0a1b2c3d4e5f60718293a4b5c6d7e8f901234567"
DIGEST = "sha256:" + "ab" * 32


def test_an_image_is_called_after_component_version_and_commit() -> None:
    assert image.reference("api", "v1.2.3", COMMIT) == "api:1.2.3-0a1b2c3"
    assert image.reference("shop_api-2", "10.0.11", COMMIT[:7]) == "shop_api-2:10.0.11-0a1b2c3"


@pytest.mark.parametrize(
    ("component", "tag", "commit", "said"),
    [
        ("api", "latest", COMMIT, "the tag 'latest' gives no version of an image: expected major.minor.patch, such as v1.2.3"),
        ("api", "v1.2", COMMIT, "the tag 'v1.2' gives no version"),
        ("api", "v1.2.3-rc1", COMMIT, "gives no version"),
        ("api", "v1.2.3\n", COMMIT, "gives no version"),
        ("api", "v1.2.3", "0a1b2c", "'0a1b2c' is no commit: expected at least 7 hexadecimal digits"),
        ("api", "v1.2.3", "main-branch", "is no commit"),
        ("api-", "v1.2.3", COMMIT, "an image cannot be called 'api-'"),
        ("Api", "v1.2.3", COMMIT, "an image cannot be called 'Api'"),
    ],
)
def test_what_gives_no_name_is_refused(component: str, tag: str, commit: str, said: str) -> None:
    with pytest.raises(image.ImageNameError, match=said):
        image.reference(component, tag, commit)


@pytest.mark.parametrize("text", ["api:1.2.3-0a1b2c3", f"api:1.2.3-{COMMIT}", f"registry.example.com:5000/shop/api@{DIGEST}",
                                  f"api:1.2.3@{DIGEST}"])
def test_what_names_one_image_for_ever_is_taken(text: str) -> None:
    assert image.reference_problem(text) == ""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("api:latest", "names latest"),
        (f"api:latest@{DIGEST}", "names latest"),
        ("registry.example.com:5000/api", "names no tag, which means latest"),
        ("api", "names no tag, which means latest"),
        ("api:1.2.3", "is a tag without a digest"),
        ("api:v1.2.3-0a1b2c3", "is a tag without a digest"),
        ("api:1.2.3-0a1b2c", "is a tag without a digest"),
        ("registry.example.com/api:1.2.3", "is a tag without a digest"),
        ("api@sha256:abc", "has a digest that is none"),
        ("api:1.2.3@sha256:abc", "has a digest that is none"),
    ],
)
def test_what_may_be_another_image_tomorrow_is_refused(text: str, said: str) -> None:
    assert said in image.reference_problem(text)


def test_an_image_of_another_component_is_refused() -> None:
    assert image.reference_problem("api:1.2.3-0a1b2c3", "api") == ""
    assert image.reference_problem("web:1.2.3-0a1b2c3", "api") == "'web:1.2.3-0a1b2c3' is an image of web; expected one of api"


def test_what_a_description_says_of_its_image() -> None:
    assert image.source_of(None) == image.Source("Dockerfile")
    assert image.source_of({"build": "docker/api", "args": {"A": 1}, "target": "run"}) == image.Source("docker/api", {"A": "1"}, "run")
    built, pulled, loaded = (image.source_of(given) for given in ({}, PULLED, LOADED))
    assert (built.builds, pulled.builds, loaded.builds) == (True, False, False)
    assert built.pinned("v9.9.9") == ""
    assert pulled.pinned("v1.0.0") == f"registry.example.com:5000/shop/api@{DIGEST}"
    assert (loaded.pinned("v1.0.0"), loaded.archive("v1.0.0")) == ("ab" * 32, "/srv/api-v1.0.0.tar")
    for source, key in ((pulled, "digests"), (loaded, "sha256")):
        with pytest.raises(image.ImageNameError, match=rf"image\.{key} has nothing for v1\.1\.0, and a tag alone can be another image"):
            source.pinned("v1.1.0")


PULLED = {"pull": "registry.example.com:5000/shop/api", "digests": {"v1.0.0": DIGEST}}
LOADED = {"load": "/srv/api-{release}.tar", "sha256": {"v1.0.0": DIGEST}}


@pytest.mark.parametrize("given", [{}, {"build": "docker/Dockerfile", "args": {"A_1": ""}}, PULLED, LOADED])
def test_nothing_is_wrong_with_these(given: dict[str, object]) -> None:
    assert image.source_problems("x.image", given) == []


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"build": "../Dockerfile"}, "x.image.build: '../Dockerfile' leads out of the component's folder; expected a Dockerfile in it"),
        ({"build": "/etc/Dockerfile"}, "x.image.build: '/etc/Dockerfile' leads out"),
        ({"args": {"a b": ""}}, "x.image.args: 'a b' cannot be the name of a build argument; expected letters, digits and '_'"),
        ({**PULLED, **LOADED}, "x.image: an image comes one way; keep one of pull, load"),
        ({**PULLED, "build": "Dockerfile"}, "x.image: an image comes one way; keep one of build, pull"),
        ({**PULLED, "pull": "example.com/api:latest"}, "x.image.pull: 'example.com/api:latest' has to be a name alone"),
        ({**PULLED, "pull": "example.com/api:1.0.0"}, "x.image.pull: 'example.com/api:1.0.0' has to be a name alone"),
        ({**PULLED, "pull": f"example.com/api@{DIGEST}"}, "has to be a name alone"),
        ({**PULLED, "digests": {"v1.0.0": "1.0.0"}}, "x.image.digests.v1.0.0: '1.0.0' is no digest"),
        ({**PULLED, "digests": {}}, "x.image.digests: is missing: by release, what the image is known by"),
        ({**LOADED, "sha256": {"v1.0.0": "abc"}}, "x.image.sha256.v1.0.0: 'abc' is no SHA-256"),
        ({**LOADED, "sha256": {}}, "x.image.sha256: is missing"),
        ({**LOADED, "target": "run"}, "x.image.target: nothing reads it, since the image is not made by build; drop it"),
        ({"digests": {"v1.0.0": DIGEST}}, "x.image.digests: nothing reads it, since the image is not made by pull; drop it"),
    ],
)
def test_what_is_wrong_with_how_an_image_is_made(given: dict[str, object], said: str) -> None:
    (found,) = image.source_problems("x.image", given)
    assert said in found


def test_what_was_loaded() -> None:
    said = f"Loaded image: api:1.0.0\nLoaded image: example.com/api:1\nLoaded image ID: {DIGEST}\n"
    assert image.loaded(said) == ["api:1.0.0", "example.com/api:1", DIGEST]
    assert image.loaded("nothing") == []


def test_the_command_line_has_names_of_arguments_and_no_value() -> None:
    source = image.Source("docker/api", {"INDEX": "https://user:secret@example.com"}, "run")
    command = image.build_command(source, "api:1.2.3-0a1b2c3", {"a.b": "c"}, "/srv/iid", "/srv/tree")
    assert "secret" not in " ".join(command)
    assert command[-1] == "/srv/tree"
    for pair in (["--build-arg", "INDEX"], ["--file", "/srv/tree/docker/api"], ["--target", "run"], ["--tag", "api:1.2.3-0a1b2c3"],
                 ["--label", "a.b=c"]):
        assert " ".join(pair) in " ".join(command)


def of(name: str, digest: str) -> dict[str, object]:
    return {"images": {"api": {"reference": name, "digest": digest}}}


def test_an_image_goes_with_the_last_release_that_has_it() -> None:
    old, new, same = of("api:1.0.0-aaaaaaa", "sha256:1"), of("api:1.1.0-bbbbbbb", "sha256:2"), of("api:1.2.0-ccccccc", "sha256:1")
    assert image.unneeded([old, new], [new]) == ["api:1.0.0-aaaaaaa", "sha256:1"]
    assert image.unneeded([old], [new, same]) == ["api:1.0.0-aaaaaaa"], "a release that stays is the same image under another name"
    assert image.unneeded([{"kind": "python"}], []) == []
    assert image.images_of({"images": [1]}) == {}
    assert image.images_of(None) == {}
