#!/usr/bin/python
# Copyright (c) 2026 phasegate contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: release
short_description: Stage, mark and prune the releases of a component
version_added: 0.1.0
description:
  - A release is a tag of a git repository, staged once as a tree that never changes afterwards; dependencies come from a hash-locked
    file, the release's own tests have passed, and a manifest says what it is. A half-staged release is never visible.
  - The controller resolves the tag and brings an archive of its folder where the release is not there yet. The node needs no git.
  - Staging starts nothing. M(phasegate.aistack.slot) activates a staged release.
author: phasegate contributors (@phasegate)
options:
  state:
    description:
      - V(staged) sees to it that the release is there, as it was staged.
      - V(marked) notes in the journal that the release is good or bad.
      - V(pruned) removes old releases; never the live one, the previous good one, one that a slot points at, or one of O(keep_releases).
      - V(pruned) removes configurations as well, with their secrets, that no slot, no release that stays and no level config leads to.
      - V(packed) writes a staged release, packed, to O(artefact); it is what the controller keeps.
      - V(lent) sees to it that those of O(lent_to) run the trees of O(component), whatever is staged.
    type: str
    choices: [staged, marked, pruned, packed, lent]
    default: staged
  component:
    description: Name of the component.
    type: str
    required: true
  release:
    description: Tag of the release. Required unless O(state=pruned) or O(state=lent).
    type: str
  repo:
    description: Repository, an address or a path on the controller. Required for O(state=staged).
    type: str
  ref:
    description: Tag in the repository, where it is named differently from O(release). Branches and commits are refused.
    type: str
  path:
    description: Folder in the repository that the component is made of; all of it if left out.
    type: str
    default: ""
  mirror_dir:
    description: Folder on the controller for bare mirrors and archives; phasegate/mirrors in C($XDG_CACHE_HOME) or in ~/.cache if left out.
    type: str
    default: ""
  commit:
    description: Commit of the tag. Filled in on the controller.
    type: str
  archive:
    description: Archive of the folder on the node. Filled in on the controller.
    type: path
  archive_sha256:
    description: SHA-256 of the archive. Filled in on the controller.
    type: str
  artefacts:
    description:
      - Where built releases are kept, by the key of what they were built from. What has the same key is laid down instead of built; the
        node needs no build tools then, and tests that passed are not run again. The key is made of the commit, the recipe with its tests,
        the tag, the platform and the versions of the tools. The keys of the mapping are those of C(aistack_artefacts).
      - V(false) builds on every node and keeps nothing.
    type: raw
    default: {folder: ~/.cache/phasegate/artefacts, keep: 10}
  artefact:
    description: A packed release on the node, to be laid down or to be written. Filled in on the controller.
    type: path
  artefact_sha256:
    description: SHA-256 of the artefact. Filled in on the controller.
    type: str
  artefact_key:
    description: Key of the artefact. Filled in on the controller.
    type: str
  artefact_built_on:
    description: Host that built the artefact. Filled in on the controller.
    type: str
    default: ""
  sbom:
    description: Command that writes an SBOM of what is packed to standard output. Filled in on the controller.
    type: list
    elements: str
  kind:
    description:
      - V(python) makes a relocatable virtual environment with uv from O(lock).
      - V(node) installs what O(lock) names (C(npm ci), pnpm or Yarn), then O(build) (C(npm run build) if left out).
      - V(static) takes the files as they are; with O(lock) it makes them as V(node) does.
      - V(image) has Docker build an image from the folder; what is staged is its name and its digest.
    type: str
    choices: [python, node, static, image]
    default: python
  image:
    description: Of an image, C(build) (its Dockerfile in O(path)), C(target), C(args); or C(pull), C(digests); or C(load), C(sha256).
    type: dict
    default: {}
  alembic_ini:
    description: Alembic's configuration in the tree, or a C(pyproject.toml) with C([tool.alembic]). The manifest's heads are its own.
    type: str
    default: alembic.ini
  lock:
    description:
      - Lock file of uv, pip, npm, pnpm or Yarn 1, relative to O(path); that of a workspace may lie above it, such as V(../uv.lock).
      - Without one, V(python) gets an empty environment; V(node) has V(package-lock.json).
    type: str
  context:
    description: Folders of the repository that the component needs besides O(path), from its root; they keep their places.
    type: list
    elements: str
    default: []
  includes:
    description: Folders of the repository that are built before the component, each with C(path), C(lock), C(build), C(output), C(to).
    type: list
    elements: dict
    default: []
  requires_python:
    description: The Pythons that the release says it runs on. Filled in on the controller.
    type: str
    default: ""
  python:
    description: Interpreter that the virtual environment is made with.
    type: str
    default: python3
  tools:
    description: Folder with uv, node and npm; C(<root>/tools/bin) if left out.
    type: path
  output:
    description:
      - What is kept of a build. V(next-standalone) keeps the server that Next.js puts together, with all static and public files, from
        C(.next), another C(distDir) or a workspace's folder.
      - For a site of files V(static) may be the folder that its build writes, such as V(dist).
    type: str
    default: none
  environment:
    description: Environment of installing and building, such as proxy, CA bundle and index.
    type: dict
    default: {}
  secret_environment:
    description: More of O(environment), with passwords; it wins.
    type: dict
    default: {}
  build:
    description: Commands, each a list; C({python}), C({release_path}) and C({tools}) are filled in.
    type: list
    elements: list
    default: []
  tests:
    description: The release's own tests, each a list as in O(build). A release whose tests fail is marked bad and not staged.
    type: list
    elements: list
    default: []
  build_user:
    description:
      - User that installs, builds and compiles, and owns the tree until it is sealed. It owns nothing else, and is none of the services.
      - Packages are cached below C(<root>/cache/<component>), which it may enter only while that component is made.
    type: str
    default: aistack-build
  build_env:
    description:
      - Names of the variables in O(env_file) that O(build) gets. Of the component's environment it gets no other.
      - A secret that is named here is known to everything that the build runs, and may end up in what it makes.
      - What is no secret is part of the release; one that was built with another value than O(env_file) has now is refused.
    type: list
    elements: str
    default: []
  sdists:
    description:
      - Which packages of O(lock) may be built on the node, where they have no wheel; V(true) for all, or a list of names.
      - Building a package runs its code, as O(build_user).
    type: raw
    default: false
  install_scripts:
    description: Whether C(npm ci) runs the scripts of packages, as O(build_user).
    type: bool
    default: false
  test_user:
    description: User that the tests run as. It may read the tree, and write its home, which goes with the tests.
    type: str
    default: aistack-test
  env_schema:
    description: Schema of the component's environment. Tests get a made-up value for each variable of it.
    type: list
    elements: dict
    default: []
  test_env:
    description: Values of their own that tests get. They are shown like any argument, so that no secret belongs here.
    type: dict
    default: {}
  test_env_from:
    description:
      - Names of the variables whose values in O(env_file), the real ones, tests get. A test that has the address of a production
        database can empty it.
    type: list
    elements: str
    default: []
  test_network:
    description: Whether tests reach more than the loopback of their own.
    type: bool
    default: false
  test_sandbox:
    description:
      - V(auto) runs tests in a service of systemd with a file system that is read-only but for their home, no devices, no processes of
        others and no network but a loopback of its own, where systemd runs the node. Elsewhere tests are merely another user.
      - V(none) is that weaker way everywhere. The manifest says which way it was.
    type: str
    choices: [auto, none]
    default: auto
  test_memory:
    description: Memory that one test command may take in the sandbox, as systemd writes it. An empty text is no limit.
    type: str
    default: 50%
  group:
    description: Group that may read the tree; everybody may where there is no such group.
    type: str
    default: aistack
  env_file:
    description: Environment file that O(build_env) and O(test_env_from) name variables of; their values are blotted out of output.
    type: path
  test_timeout:
    description: Seconds that one test command may take.
    type: int
    default: 300
  build_timeout:
    description: Seconds that one installing or building command may take.
    type: int
    default: 900
  min_free_bytes:
    description: Bytes that have to be free before staging, besides four times the archive.
    type: int
    default: 536870912
  previous:
    description: Release to share equal files with; the live one, or else the newest, if left out.
    type: str
  env_schema_version:
    description: Version of the environment's schema, for the manifest.
    type: str
  allow_bad:
    description: Stage a release although it is marked bad.
    type: bool
    default: false
  mark:
    description: What O(state=marked) notes.
    type: str
    choices: [good, bad]
  reason:
    description: Why it is marked.
    type: str
    default: ""
  keep:
    description:
      - How many releases O(state=pruned) leaves besides the live one and those that are needed. Good ones that served before come first,
        what is bad goes first; two good ones behind the live one stay in any case.
      - So many configurations of the live release stay besides its present one, and as many that differ in more than secrets.
    type: int
    default: 3
  keep_releases:
    description: Releases that are never pruned.
    type: list
    elements: str
    default: []
  lent_to: {description: Components on the same node that run the trees of this one., type: list, elements: str, default: []}
extends_documentation_fragment:
  - phasegate.aistack.caller
  - phasegate.aistack.places
attributes:
  check_mode:
    support: full
    description: Says what would be staged, marked or pruned; refuses what would be refused before anything is built. Works on a bare node.
  diff_mode:
    support: none
    description: What a release changes is not a text.
  platform: {support: full, platforms: posix, description: "Linux, and macOS with uv and npm in O(tools)."}
notes:
  - The hash of a tree covers its files (path, content, executable or not) without C(.venv), C(node_modules), compiled Python and
    the manifest. Those folders are vouched for by the lock file, whose hash stands beside it.
"""

EXAMPLES = r"""
- name: Stage the backend
  phasegate.aistack.release:
    component: backend
    release: v4.1.0
    repo: https://git.example.com/app.git
    path: backend
    kind: python
    lock: requirements.lock
    tests: [["{python}", -m, pytest, -q, tests]]
    run: "{{ aistack_run }}"

- name: Keep three releases
  phasegate.aistack.release:
    state: pruned
    component: backend
    keep: 3
"""

RETURN = r"""
path:
  description: Folder of the release.
  returned: state is staged or marked
  type: str
manifest:
  description:
    - What the release is (C(tag), C(commit), C(tree_hash), C(lock_hash), C(alembic_heads), C(tests), C(disk) in bytes, …).
    - Each of C(tests) has C(sandbox), V(systemd) or V(none).
  returned: state is staged, when it is staged
  type: dict
present:
  description: Whether the release is staged.
  returned: state is staged
  type: bool
commit:
  description: Commit of the tag.
  returned: state is staged
  type: str
artefact:
  description:
    - C(key), and either C(from), the host that built what was laid down, or C(kept), whether the controller keeps what was built.
    - In check mode, C(plan) says which of both it would be.
  returned: state is staged, when it was not there, is more than the files as they are, and O(artefacts) is not false
  type: dict
packed:
  description: What was packed (C(sha256), C(size) in bytes, C(manifest), C(bound), C(sbom) or C(no_sbom)).
  returned: state is packed
  type: dict
timings:
  description: Wall time of each step in seconds.
  returned: when it was staged by this call
  type: dict
removed:
  description: Releases that were removed, or would be in check mode.
  returned: state is pruned
  type: list
  elements: str
removed_configs:
  description: Configurations that were removed, or would be in check mode, as C(component/name); those of all that run its trees.
  returned: state is pruned
  type: list
  elements: str
kept:
  description: Releases that stay, and why.
  returned: state is pruned
  type: dict
lent: {description: Components that did not run these trees before., returned: state is lent, type: list, elements: str}
changed_files:
  description: How the tree differs from what was staged.
  returned: failure, when it was changed
  type: list
  elements: str
failing:
  description: The lines of the tests' output that say what failed.
  returned: failure, when tests failed
  type: list
  elements: str
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.phasegate.aistack.plugins.module_utils.core import names, privileges
from ansible_collections.phasegate.aistack.plugins.module_utils.core.caller import CALLER
from ansible_collections.phasegate.aistack.plugins.module_utils.core.places import PLACES
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.file import Journal
from ansible_collections.phasegate.aistack.plugins.module_utils.journal.lock import LeaseLost, require
from ansible_collections.phasegate.aistack.plugins.module_utils.release import artefact, interpreters, lent, retention, sbom, staging
from ansible_collections.phasegate.aistack.plugins.module_utils.release.recipe import OPTIONS, recipe_of
from ansible_collections.phasegate.aistack.plugins.module_utils.release.store import Layout, ReleaseError, mark

ARGUMENTS: dict[str, Any] = {
    "state": {"type": "str", "choices": ["staged", "marked", "pruned", "packed", "lent"], "default": "staged"},
    "component": {"type": "str", "required": True},
    "release": {"type": "str"},
    **PLACES,
    "repo": {"type": "str"},
    "ref": {"type": "str"},
    "path": {"type": "str", "default": ""},
    "mirror_dir": {"type": "str", "default": ""},
    "commit": {"type": "str"},
    "archive": {"type": "path"},
    "archive_sha256": {"type": "str"},
    "artefacts": {"type": "raw", "default": {"folder": "~/.cache/phasegate/artefacts", "keep": 10}},
    "artefact": {"type": "path"},
    "artefact_sha256": {"type": "str"},
    "artefact_key": {"type": "str", "no_log": False},
    "artefact_built_on": {"type": "str", "default": ""},
    "sbom": {"type": "list", "elements": "str"},
    **OPTIONS,
    "group": {"type": "str", "default": "aistack"},
    "min_free_bytes": {"type": "int", "default": 536870912},
    "previous": {"type": "str"},
    "env_schema_version": {"type": "str"},
    "allow_bad": {"type": "bool", "default": False},
    "mark": {"type": "str", "choices": ["good", "bad"]},
    "reason": {"type": "str", "default": ""},
    "keep": {"type": "int", "default": 3},
    "keep_releases": {"type": "list", "elements": "str", "default": []},
    "lent_to": {"type": "list", "elements": "str", "default": []},
    **CALLER,
}


def _staged(params: dict[str, Any], layout: Layout, check: bool) -> dict[str, object]:
    request = staging.Request(
        layout=layout,
        state_dir=Path(params["state_dir"]),
        recipe=recipe_of(params, check),
        commit=params["commit"],
        archive=Path(params["archive"]) if params["archive"] else None,
        archive_sha256=params["archive_sha256"],
        artefact=_artefact(params),
        min_free_bytes=params["min_free_bytes"],
        previous=params["previous"],
        allow_bad=params["allow_bad"],
        env_schema_version=params["env_schema_version"],
        group=params["group"],
        run=params["run"],
        actor=params["actor"],
    )
    result: dict[str, Any] = {"path": str(layout.release(params["release"])), "commit": params["commit"]}
    if (manifest := staging.present(request)) is not None:
        result.update(staging.not_compared(request, manifest))
        return {**result, "changed": False, "present": True, "manifest": manifest, "commit": manifest.get("commit")}
    request.recipe = interpreters.settled(request.recipe, Path(params["root"]), check)
    if check or (request.archive is None and request.artefact is None):  # the controller asks what it has to bring
        staging.preflight(request)
        return {**result, "changed": True, "present": False, "built": {**artefact.built(request.recipe), "root": params["root"]}}
    manifest = staging.stage(request)
    return {**result, "changed": True, "present": True, "manifest": manifest, "timings": request.timings}


def _artefact(params: dict[str, Any]) -> artefact.Artefact | None:
    if not params["artefact"]:
        return None
    return artefact.Artefact(Path(params["artefact"]), params["artefact_sha256"], params["artefact_key"], params["artefact_built_on"])


def _packed(params: dict[str, Any], layout: Layout) -> dict[str, Any]:
    packed = artefact.pack(layout, params["release"], Path(params["artefact"]))
    if params["sbom"]:
        packed.update(sbom.written(layout.release(params["release"]), params))
    return {"changed": False, "packed": packed}


@privileges.explained
def main() -> None:
    """Read arguments, call the core, report."""
    module = AnsibleModule(
        argument_spec=ARGUMENTS,
        required_if=[("state", state, ["release", *more]) for state, more in
                     (("staged", []), ("marked", ["mark"]), ("packed", ["artefact"]))],
        required_together=[("archive", "archive_sha256"), ("artefact_sha256", "artefact_key")],
        required_by={"artefact_key": ["artefact"]},
        supports_check_mode=True,
    )
    params: dict[str, Any] = module.params
    for name in (params["component"], *params["lent_to"]):
        if not names.COMPONENT_NAME.fullmatch(name):
            module.fail_json(msg=f"Not a component's name: {name}; expected {names.COMPONENT_WORDS}.")
    if params["release"] is not None and not names.RELEASE_NAME.fullmatch(params["release"]):
        module.fail_json(msg=f"Not a release's name: {params['release']}; it becomes a folder; expected {names.RELEASE_WORDS}.")
    layout = Layout(params["root"], params["component"])
    check: bool = module.check_mode
    try:
        if params["state"] == "staged":
            result = _staged(params, layout, check)
        elif params["state"] == "packed":
            result = {"changed": False} if check else _packed(params, layout)
        elif params["state"] == "marked":
            if not check:
                require(params["state_dir"], params["run"], f"mark {params['component']} {params['release']}")
            said = (params["release"], params["mark"], params["reason"], params["run"], params["actor"])
            changed = mark(layout, Journal.of(params["state_dir"]), *said, check)
            result = {"changed": changed, "path": str(layout.release(params["release"]))}
        elif params["state"] == "lent":
            if not check:
                require(params["state_dir"], params["run"], f"lend the trees of {params['component']}")
            given = lent.lend(params["root"], params["component"], params["lent_to"], check)
            result = {"changed": bool(given), "lent": given}
        else:
            if not check:
                require(params["state_dir"], params["run"], f"remove old releases of {params['component']}")
            by = (params["run"], params["actor"])
            result = retention.pruned(layout, params["state_dir"], params["keep"], params["keep_releases"], *by, check)
    except LeaseLost as lost:
        module.fail_json(msg=str(lost), lease=lost.lease)
    except ReleaseError as error:
        module.fail_json(msg=str(error), **error.extra)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
